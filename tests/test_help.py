"""What `help`, signatures and `dir` show of public modules, classes and objects."""

import importlib
import importlib.metadata
import inspect
import re

import numpy as np
import pytest

import fastnn
from fastnn import data, kernels, nn, optim

PUBLIC = [
    "fastnn", "fastnn.nn", "fastnn.nn.init", "fastnn.optim", "fastnn.kernels", "fastnn.reference", "fastnn.data",
    "fastnn.training", "fastnn.diagnosis", "fastnn.plot", "fastnn.lab", "fastnn.sklearn",
]  # fmt: skip


def module(name):
    if name == "fastnn.sklearn":
        pytest.importorskip("sklearn", "1.6")
    return importlib.import_module(name)


def callables(name):
    """Return the public functions and classes of a module, by name."""
    found = {each: getattr(module(name), each) for each in module(name).__all__}
    return {key: each for key, each in found.items() if inspect.isfunction(each) or inspect.isclass(each)}


# ---- signatures ----

LONGEST_SIGNATURE = 160  # characters, or
PER_PARAMETER = 42  # characters for each parameter, if that is more


@pytest.mark.parametrize("name", PUBLIC)
def test_signatures_are_short(name):
    """They begin the text that `help` shows, on one line."""
    lengths = {}
    for key, each in callables(name).items():
        signature = inspect.signature(each)
        limit = max(LONGEST_SIGNATURE, PER_PARAMETER * len(signature.parameters))
        if len(f"{key}{signature}") > limit:
            lengths[key] = len(f"{key}{signature}"), limit
    assert not lengths


# ---- texts ----


@pytest.mark.parametrize("name", ["fastnn.nn", "fastnn.kernels", "fastnn.reference"])
def test_texts_begin_with_words(name):
    """Not with a formula: they are read in tables and lists, too."""
    for key, each in callables(name).items():
        assert re.match(r"[A-Z]\w*[ :,.-]", inspect.getdoc(each)), key


@pytest.mark.parametrize("name", [name for name in kernels.__all__ if inspect.isfunction(getattr(kernels, name))])
def test_parameters_of_kernels_are_described(name):
    text = inspect.getdoc(getattr(kernels, name)).partition("Parameters\n")[2].partition("Returns\n")[0]
    entries = re.findall(r"^([\w*, ]+?)(?: : .*)?$", text, re.MULTILINE)
    described = {each.strip(" *") for entry in entries for each in entry.split(",")}
    assert set(inspect.signature(getattr(kernels, name)).parameters) <= described


# ---- dir ----


@pytest.mark.parametrize("name", PUBLIC)
def test_modules_show_their_public_names(name):
    assert dir(module(name)) == sorted(module(name).__all__)
    assert not [each for each in dir(module(name)) if not hasattr(module(name), each)]


def test_the_version_is_public():
    assert fastnn.__version__ == importlib.metadata.version("fastnn-cpu")
    assert "__version__" in dir(fastnn)


LAYER = {
    "array", "bound", "buffers", "config", "emit", "in_features", "init_before", "max_norms", "out_features",
    "parameters", "penalized", "reset", "roles", "uses_batch_statistics",
}  # fmt: skip
ACTIVATION = LAYER | {"constants", "name"}
SCALER = {"config", "fit", "inverse_transform", "transform"}
CALLBACK = {
    "observes", "on_batch_end", "on_checkpoint", "on_epoch_begin", "on_epoch_end", "on_fit_begin", "on_fit_end",
    "on_progress", "on_resume",
}  # fmt: skip
NET = nn.Sequential(nn.Dense(2, 3), nn.BatchNorm(3), nn.ReLU(), nn.Dense(3, 2), seed=0)
NUMERIC = nn.Sequential(nn.ScaleColumns(1), nn.PiecewiseLinear([[0, 1]], dim=1), nn.Periodic(1, 1), seed=0)
NORMS = nn.Sequential(nn.Dense(2, 3), nn.LayerNorm(3), nn.RMSNorm(3), seed=0)

# Objects, and what `dir` shows of each besides the settings of its constructor. Of the classes that are made from
# registries, one stands for all.
OBJECTS = [
    (NET, {
        "activations", "astype", "backward", "config", "copy", "copy_from", "count", "dtype", "forward", "freeze",
        "frozen", "gradients", "grads", "in_features", "index", "layers", "load_state_dict", "out_features",
        "output_scaler", "parameters", "params", "predict", "predictor", "save", "scaler", "seed", "state",
        "state_dict", "summary", "training_steps", "unfreeze",
    }),
    (NET[0], LAYER | {"weight"}),
    (NET[1], LAYER | {"weight", "bias", "running_mean", "running_var"}),
    (NET[2], ACTIVATION),
    (nn.GELU(), ACTIVATION),
    (nn.Softmax(), LAYER),
    (nn.CustomActivation(np.square, np.square), LAYER),
    (NORMS[1], LAYER | {"weight", "bias"}),
    (NORMS[2], LAYER | {"weight"}),
    (NUMERIC[0], LAYER | {"scale"}),
    (NUMERIC[1], LAYER | {"weights", "biases"}),
    (NUMERIC[2], LAYER | {"weights", "biases"}),
    (nn.Residual("relu"), LAYER | {"count", "index", "layers"}),
    (nn.Parallel("relu"), LAYER | {"count", "index", "layers"}),
    (nn.Columns([0]), LAYER | {"count", "index", "layers"}),
    (fastnn.Trainer(NET, average="ema"), {
        "averaged", "copy", "epoch", "evaluate", "fit", "history", "load", "load_state_dict", "lr", "predict",
        "predict_proba", "reset_optimizer", "resume", "save", "schedule_step", "state_dict", "step", "step_count",
        "stop", "train_on_batch",
    }),
    (fastnn.Ensemble([NET]), {
        "disagreement", "evaluate", "fit", "histories", "load", "predict", "predict_members", "predictor", "save",
    }),
    (NET.predictor(), {"backend", "dtype", "in_features", "out_features", "rows", "update"}),
    (fastnn.History(), {"copy", "epochs", "fromkeys", "get", "items", "keys", "to_html", "values"}),
    (nn.CrossEntropyLoss(), {"config"}),
    (nn.SmoothL1Loss(), {"config"}),
    (nn.CustomLoss(np.square, np.square), {"config"}),
    (nn.HeadsLoss([("mean_squared_error", 1)]), {"config"}),
    (optim.SGD(), {"assign", "config", "decoupled"}),
    (optim.NAdam(), {"assign", "config", "decoupled"}),
    (optim.LBFGS(), {"config", "minimize"}),
    (optim.Newton(), {"config", "minimize"}),
    (optim.Group("*"), {"config"}),
    (optim.Penalty(), {"config"}),
    (optim.EMA(), {"config"}),
    (optim.SWA(3), {"config"}),
    (optim.StepLR(3), {"config", "needs_length", "over", "rate"}),
    (optim.SequentialLR(["ConstantLR", optim.StepLR(3)], [1]), {"config", "every", "needs_length", "over", "rate"}),
    (fastnn.Callback(), CALLBACK),
    (fastnn.EarlyStopping(), CALLBACK | {"best", "best_epoch"}),
    (fastnn.ReduceLROnPlateau(), CALLBACK | {"bad_epochs", "best", "cooldown_left"}),
    (fastnn.Checkpoint("checkpoints"), CALLBACK | {"best", "exists"}),
    (nn.init.Random(0, 0, 0), {"config", "normal", "uniform"}),
    (nn.init.kaiming_normal(), {"config"}),
    (nn.init.xavier_uniform(), {"config"}),
    (nn.init.lecun_normal(), {"config"}),
    (data.Scaler(0.0, 1.0), SCALER),
    (data.RobustScaler(0.0, 1.0), SCALER),
    (data.QuantileScaler([[0.0], [1.0]]), SCALER),
    (data.GaussianNoise(), {"config"}),
    (data.FeatureDropout(), {"config"}),
    (data.SwapNoise(), {"config"}),
    (data.Mixup(), {"config"}),
    (data.RandomShift((2, 2), 1), {"config"}),
    (data.RandomFlip((2, 2)), {"config"}),
]  # fmt: skip


def shown(each):
    return {name for name in dir(each) if not name.startswith("_")}


def settings(kind):
    """Return the names of a constructor's parameters."""
    parameters = inspect.signature(kind).parameters.values()
    return {each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}


@pytest.mark.parametrize(("each", "more"), OBJECTS, ids=lambda each: type(each).__name__)
def test_objects_show_what_users_need(each, more):
    assert shown(each) - settings(type(each)) == more - settings(type(each))
    assert not [name for name in shown(each) if not hasattr(each, name) and not isinstance(each, nn.Layer)]


@pytest.mark.parametrize("each", [each for each, _ in OBJECTS], ids=lambda each: type(each).__name__)
def test_what_is_shown_is_documented(each):
    """As a method or property with a docstring, or in the docstring of the class or of a base."""
    docs = "\n".join(kind.__doc__ or "" for kind in type(each).__mro__ if kind.__module__.startswith("fastnn"))
    entries = re.findall(r"^ *([\w, *]+?)(?: :.*)?$", docs, re.MULTILINE)
    listed = {name.strip(" *") for entry in entries for name in entry.split(",")}
    for name in shown(each):
        member = inspect.getattr_static(type(each), name, None)
        described = inspect.getdoc(getattr(member, "__func__", member)) if hasattr(member, "__get__") else ""
        assert described or name in listed, name


def test_names_of_users_classes_are_shown():
    class Mine(nn.Layer):
        def __init__(self):
            super().__init__()
            self.width = 3

    assert "width" in shown(Mine())
    assert shown(Mine()) - {"width"} == LAYER


def test_internal_names_exist():
    """The lists of what is not shown name only what there is."""
    kinds = {kind for each, _ in OBJECTS for kind in type(each).__mro__ if vars(kind).get("_internal")}
    assert len(kinds) > 8
    for kind in kinds:
        known = {*dir(kind), *(name for base in kind.__mro__ for name in vars(base).get("__annotations__", ()))}
        instance = next(vars(each) for each, _ in OBJECTS if isinstance(each, kind))
        assert vars(kind)["_internal"] <= known | set(instance), kind


def test_names_of_users_classes_do_not_disturb_dir():
    class Mine(fastnn.Callback):
        _internal = None

    assert "on_epoch_end" in dir(Mine())
