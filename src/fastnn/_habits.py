"""What users of other libraries type, and what to write instead: keywords of calls, and names in modules."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar, overload

from fastnn import _validation as v
from fastnn._names import suggestion

RENAMED: Mapping[str, str] = {
    "accumulate_grad_batches": "accumulate",
    "augmentation": "augment",
    "augmentations": "augment",
    "beta": "decay",
    "clip_grad_norm": "clip_norm",
    "clipnorm": "clip_norm",
    "clipvalue": "clip_value",
    "embedding_dim": "dim",
    "epsilon": "eps",
    "fill_mode": "fill",
    "grad_accum_steps": "accumulate",
    "gradient_accumulation_steps": "accumulate",
    "kernel_initializer": "init",
    "learning_rate": "lr",
    "learning_rate_init": "lr",
    "max_iter": "epochs",
    "max_shift": "pixels",
    "momentum": "decay",
    "n_epochs": "epochs",
    "nb_epoch": "epochs",
    "num_epochs": "epochs",
    "normalized_shape": "features",
    "num_features": "features",
    "padding": "pixels",
    "random_state": "seed",
    "rate": "p",
    "restore_best_weights": "restore_best",
    "sigma": "std",
    "stddev": "std",
    "swa_start": "start",
    "train": "training",
    "transform": "augment",
    "transforms": "augment",
    "weight_init": "init",
}
"""Keywords of other libraries, and what fastnn calls them, in functions that have this argument."""

_ACCUMULATE = "write fastnn.Trainer(net, accumulate=...)"
_AUGMENT = "give augment to fit: fit(X, y, augment=[...])"
_EMA = "write Trainer(net, average=optim.EMA(decay=...))"
_FREEZE = 'write net.freeze("0.*") before, which freezes layer 0'
_SWA = "write Trainer(net, average=optim.SWA(start=...))"
_NO_SUM = "leave it out: the loss is the mean over the rows"

KEYWORDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("accumulate", "accumulate_grad_batches", "grad_accum_steps", "gradient_accumulation_steps"), _ACCUMULATE
    ),
    **dict.fromkeys(("augment", "augmentation", "augmentations", "transform", "transforms"), _AUGMENT),
    **dict.fromkeys(("average", "ema", "ema_decay", "ema_momentum", "use_ema"), _EMA),
    **dict.fromkeys(("freeze", "frozen"), _FREEZE),
    **dict.fromkeys(("swa", "swa_start", "use_swa"), _SWA),
    "activation": "write the activation as a layer of its own, nn.Dense(3, 4), nn.ReLU()",
    "affine": "leave it out: norms always have a weight, and LayerNorm(..., bias=False) has no bias",
    "alpha": "write weight_decay, or penalty=optim.Penalty(l2=...) of the Trainer",
    "batch_size": "give it to fit",
    "beta1": "write betas=(0.9, 0.999)",
    "beta2": "write betas=(0.9, 0.999)",
    "beta_1": "write betas=(0.9, 0.999)",
    "beta_2": "write betas=(0.9, 0.999)",
    "callbacks": "give them to fit",
    "class_weight": "write loss=nn.CrossEntropyLoss(weight=[...])",
    "criterion": "write loss",
    "device": "leave it out, as fastnn computes on the CPU",
    "dim": "leave it out, as each row is an example",
    "early_stopping": "write callbacks=[fastnn.EarlyStopping()]",
    "elementwise_affine": "leave it out: norms always have a weight, and LayerNorm(..., bias=False) has no bias",
    "epochs": "give them to fit",
    "eval_set": "write validation_data=(X_val, y_val)",
    "inplace": "leave it out, as the engine shares buffers by itself",
    "learning_rate": "give it to the optimizer, optim.Adam(lr=...)",
    "lr": "give it to the optimizer, or set trainer.lr",
    "max_norm": "leave it out: only nn.Dense(..., max_norm=...) limits norms",
    "mixup": 'write fit(X, y, augment=["mixup"])',
    "name": "leave it out: layers are numbered, net[0]",
    "params": "leave the parameters out, as the Trainer has them",
    "reduction": _NO_SUM,
    "scale_grad_by_freq": "leave it out: gradients of a row are added up, however often it is in a batch",
    "size_average": _NO_SUM,
    "swa_lr": "leave it out: the learning rate is that of the schedule, Trainer(net, schedule=...)",
    "steps_per_epoch": "write total_steps, or leave it out for the length of each fit",
    "track_running_stats": "leave it out: running statistics are always kept",
    "units": "write nn.Dense(in_features, out_features)",
    "validation_split": "split the rows and write validation_data=(X_val, y_val)",
}
"""Other keywords of other libraries, each with what to write in a function that does not have it."""

_OF_IMAGES = "with the shape of the images"
_ENTRIES = "data.FeatureDropout(), which sets single entries to 0"

MODULES: Mapping[str, Mapping[str, str]] = {
    "fastnn": {
        "MLP": "fastnn.nn.Sequential, or fastnn.sklearn.MLPClassifier",
        "MLPClassifier": "from fastnn.sklearn import MLPClassifier",
        "MLPRegressor": "from fastnn.sklearn import MLPRegressor",
        "Sequential": "fastnn.nn.Sequential",
        "save": "net.save(path)",
        "tensor": "numpy.asarray",
    },
    "fastnn.data": {
        "Compose": "a list of augmentations, fit(X, y, augment=[...])",
        "CutMix": "data.Mixup(), which mixes whole rows",
        "Cutout": _ENTRIES,
        "RandomCrop": f"data.RandomShift((28, 28), pixels=2), {_OF_IMAGES}",
        "RandomErasing": _ENTRIES,
        "RandomHorizontalFlip": f"data.RandomFlip((28, 28)), {_OF_IMAGES}",
        "RandomTranslation": f"data.RandomShift((28, 28), pixels=2), {_OF_IMAGES}",
        "RandomVerticalFlip": f'data.RandomFlip((28, 28), axis="vertical"), {_OF_IMAGES}',
    },
    "fastnn.nn": {
        "Add": "nn.Residual(...), or nn.Parallel(..., join='add')",
        "Average": "nn.Parallel(..., join='mean')",
        "BCELoss": "nn.BCEWithLogitsLoss, which takes logits, without a Sigmoid at the end",
        "BatchNorm1d": "nn.BatchNorm",
        "BatchNormalization": "nn.BatchNorm",
        "Concat": "nn.Parallel(..., join='concat')",
        "Concatenate": "nn.Parallel(..., join='concat')",
        "EmbeddingBag": "nn.Dense(num_embeddings, dim, bias=False) of how often each category is in a bag",
        "Flatten": "X.reshape(len(X), -1) before the net",
        "GLU": "nn.Parallel(nn.Sequential(nn.Dense(...), 'sigmoid'), nn.Dense(...), join='multiply')",
        "GaussianNoise": "fastnn.data.GaussianNoise, and give it to fit(..., augment=[...])",
        "GroupNorm": "nn.LayerNorm, as there are no groups",
        "Input": "nn.Dense(in_features, ...), which defines the width of the input",
        "LayerNormalization": "nn.LayerNorm",
        "Linear": "nn.Dense",
        "MLP": "nn.Sequential(nn.Dense(...), nn.ReLU(), nn.Dense(...))",
        "Module": "nn.Sequential, or a subclass of nn.Layer",
        "ModuleList": "nn.Sequential, or nn.Parallel for branches",
        "MultiTaskLoss": "nn.HeadsLoss",
        "Multiply": "nn.Parallel(..., join='multiply')",
        "NLLLoss": "nn.CrossEntropyLoss, which takes logits, without a LogSoftmax at the end",
        "PLREmbeddings": "nn.Periodic(features, dim=24, activation='relu')",
        "Parameter": "a subclass of nn.Layer with parameters()",
        "PeriodicEmbeddings": "nn.Periodic(features, dim=24, activation='relu')",
        "PiecewiseLinearEmbeddings": "nn.PiecewiseLinear(bins, dim=...)",
        "PiecewiseLinearEncoding": "nn.PiecewiseLinear(bins)",
        "RMSNormalization": "nn.RMSNorm",
        "RandomFlip": "fastnn.data.RandomFlip, and give it to fit(..., augment=[...])",
        "RandomTranslation": "fastnn.data.RandomShift, and give it to fit(..., augment=[...])",
        "SkipConnection": "nn.Residual",
        "SwiGLU": "nn.Parallel(nn.Sequential(nn.Dense(...), 'silu'), nn.Dense(...), join='multiply')",
        "functional": "fastnn.kernels",
    },
    "fastnn.optim": {
        "AveragedModel": "fastnn.Trainer(net, average=optim.EMA()), or average=optim.SWA(start=...)",
        "ExponentialMovingAverage": "fastnn.Trainer(net, average=optim.EMA(decay=...))",
        "ModelEma": "fastnn.Trainer(net, average=optim.EMA(decay=...))",
        "ModelEmaV2": "fastnn.Trainer(net, average=optim.EMA(decay=...))",
        "SWALR": "optim.ConstantLR(...), or another schedule",
        "SparseAdam": "optim.Adam with nn.Embedding(..., sparse=True)",
        "ReduceLROnPlateau": "fastnn.ReduceLROnPlateau(), a callback",
        "lr_scheduler": "optim.StepLR(...) and others, without a module of their own",
        "update_bn": "trainer.averaged, whose running statistics are those of the training rows",
        "swa_utils": "optim.EMA(...) and optim.SWA(...), without a module of their own",
    },
}
"""Names that modules do not have, each with what to write instead."""


_NOTHING: Mapping[str, Iterable[str]] = {}


def module_getattr(
    module: str, names: Iterable[str], parts: Iterable[ModuleType] = (), later: Mapping[str, Iterable[str]] = _NOTHING
) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module, which is called for names that the module does not have.

    The submodules `later` are imported when they, or the names in them, are first asked for. The message names one of
    `parts`, other submodules, if it has the name.
    """
    homes = {name: part for part, within in later.items() for name in (part, *within)}

    def __getattr__(name: str) -> Any:
        if name not in homes:
            fix = MODULES.get(module, {}).get(name) or next(
                (f"{part.__name__}.{name}" for part in parts if name in part.__all__), ""
            )
            hint = f"write {fix}" if fix else "" if name[:1] == "_" else suggestion(name, list(names))
            v.refuse_attribute(f"module {module!r}", f"has no attribute {name!r}", hint)
        home = importlib.import_module(f"{module}.{homes[name]}")
        return home if name == homes[name] else getattr(home, name)

    return __getattr__


def arguments_do_not_fit(error: TypeError) -> bool:
    """Whether an error, caught where a function was called, is of its arguments: the function has not run."""
    return error.__traceback__ is not None and error.__traceback__.tb_next is None


_Function = TypeVar("_Function", bound=Callable[..., Any])


@overload
def with_hints(function: _Function) -> _Function: ...


@overload
def with_hints(*, keywords: Mapping[str, str]) -> Callable[[_Function], _Function]: ...


def with_hints(function: Any = None, *, keywords: Mapping[str, str] = KEYWORDS) -> Any:
    """Wrap a function so that a call with arguments that it does not take says which it takes."""
    if function is None:
        return functools.partial(with_hints, keywords=keywords)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if not arguments_do_not_fit(error):
                raise
            problem = error
        label = function.__name__
        if args and label != function.__qualname__:  # a method
            owner = args[0] if isinstance(args[0], type) else type(args[0])
            label = f"{owner.__name__}.{label}".removesuffix(".__init__")
        refuse_call(function, label, args, kwargs, keywords)
        raise problem

    return wrapper


def refuse_call(
    function: Callable[..., Any],
    label: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    keywords: Mapping[str, str] = KEYWORDS,
) -> None:
    """Raise TypeError if a function does not take these arguments, saying what to write instead.

    `args` contain the object of a method; `keywords` are those of other libraries.
    """
    parameters = inspect.signature(function).parameters
    positional = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    known = [name for name, p in parameters.items() if name not in ("self", "cls") and p.kind is not p.VAR_POSITIONAL]
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in kwargs:
        if name not in parameters:
            must = f"be among {', '.join(known)}" if known else "be left out"
            renamed = RENAMED.get(name)
            fix = f"write {renamed}" if renamed in known else keywords.get(name) or suggestion(name, known)
            v.refuse(TypeError, f"the arguments of {label}", must, repr(name), fix)
    twice = next((name for name in positional[: len(args)] if name in kwargs), None)
    if twice is not None:
        given = args[positional.index(twice)]
        are_parameters = isinstance(given, Mapping | list | tuple) or hasattr(given, "__next__")
        fix = keywords.get("params", "") if are_parameters else ""
        v.refuse(TypeError, twice, "be given once", f"{v.kind_of(given)} and {twice}={v.shown(kwargs[twice])}", fix)
    if len(args) > len(positional) and not any(p.kind is p.VAR_POSITIONAL for p in parameters.values()):
        rest = [name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
        fix = f"the names are {', '.join(rest)}" if rest else ""
        must = f"be given by name after {positional[-1]}" if rest else f"be {', '.join(known) or 'left out'}"
        v.refuse(TypeError, f"the arguments of {label}", must, v.shown(args[len(positional)]), fix)
    required = [n for n, p in parameters.items() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    missing = [name for name in required if name not in positional[: len(args)] and name not in kwargs]
    if missing:
        fix = "of a loader or generator, collect the batches with np.concatenate" if missing == ["y"] else ""
        v.refuse(TypeError, f"the arguments of {label}", f"contain {' and '.join(missing)}", "none", fix)
