"""Write docs/features.md from the package's registries and public names: ``python -m tools.features``.

There is a row for each activation, loss, optimiser, schedule, initialiser, layer and training tool. It links the code
that computes the feature and a test of it, and has a mark if the study posts teach it. A feature without a test is an
error.
"""

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastnn import _activations, data, nn, optim, training
from tests.specs import SPECS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "features.md"
PACKAGE = ROOT / "src" / "fastnn"

# The module of each kernel's spec.
MODULES = {spec.function or spec.name: ROOT / "tests" / "specs" / f"{spec.family}.py" for spec in SPECS}

HEAD = """\
# Features

This page is written by `python -m tools.features` from the registries. Each row links the function of the NumPy
reference, or else the code, that computes the feature, and a test of it: a test function, or the module of
`tests/specs` that has the kernel's spec. The formulas, defaults and sources are in the docstrings, which `help()`
shows. ● marks what is taught in the five study posts from which the project grew.
"""

# What the posts teach, by public name, with settings where these make it.
STUDIED = {
    *(
        "Dense",
        "BatchNorm",
        "Dropout",
        "EarlyStopping",
        "Penalty(l1=0.1)",
        "Penalty(l2=0.1)",
        "lr_range_test",
        "Ensemble",
    ),
    *("Identity", "Sigmoid", "Tanh", "ReLU", "LeakyReLU", "PReLU", "ELU", "SELU", "GELU", "SiLU", "Mish", "Softplus"),
    *("Softmax", "CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss", "CrossEntropyLoss(label_smoothing=0.1)"),
    *("SGD", "SGD(momentum=0.9)", "SGD(momentum=0.9, nesterov=True)", "Adagrad", "RMSprop", "Adam", "LBFGS", "Newton"),
    *("LinearLR", "StepLR"),
    *("zeros", "constant", "normal", "lecun_normal", "kaiming_normal", "xavier_normal", "variance_scaling"),
}

# Public names of the training modules that are no features themselves.
PARTS = {"Callback", "History", "Trainer", "TrainingDiverged"}

# Settings that make a separate feature of a class: each has a row.
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "SGD": ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}),
    "RMSprop": ({}, {"momentum": 0.9}, {"centered": True}),
    "Adam": ({}, {"amsgrad": True}),
    "CrossEntropyLoss": ({}, {"label_smoothing": 0.1}, {"weight": (1.0, 2.0)}),
    "GELU": ({}, {"approximate": "tanh"}),
    "Penalty": ({"l1": 0.1}, {"l2": 0.1}, {"l1": 0.1, "l2": 0.1}),
}

# Features that are arguments: the class, the argument, what it does, and other names of it in the reference.
SETTINGS: tuple[tuple[Any, str, str, tuple[str, ...]], ...] = (
    (
        optim.SGD,
        "weight_decay",
        "Each weight shrinks in proportion to itself; `AdamW` keeps that out of its means.",
        (),
    ),
    (optim.SGD, "groups", "Separate rates and decays for some parameters, such as no decay for biases and norms.", ()),
    (nn.Dense, "max_norm", "After an update, the weights into each unit have at most this norm.", ("limit_norms",)),
    (training.Trainer, "clip_value", "No entry of a gradient is larger than this.", ()),
    (training.Trainer, "clip_norm", "The norm of all gradients together is at most this.", ()),
    (training.Trainer, "accumulate", "An update has the mean gradients of so many batches.", ()),
)


@dataclass(frozen=True)
class Row:
    """One feature.

    Attributes
    ----------
    name : str
    what : class or function
        Where its docstring is.
    aliases : tuple of str
        Other names of it in the reference and in tests, the most specific first.
    tested : tuple of str
        Words that its test must contain as well.
    argument : str
        The argument of `what`, if the feature is one.
    text : str
        What it does; by default the first sentence of the docstring.
    """

    name: str
    what: Any
    aliases: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    argument: str = ""
    text: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """All names, the most specific first."""
        own = self.argument or self.name.partition("(")[0]
        return tuple(dict.fromkeys((*self.aliases, own, _snake(own), own.lower())))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


# ---- the rows, from registries and public names ----


def _public(module: Any, base: type | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the public classes of a module that are not abstract; with a base, those that derive from it."""
    for name in module.__all__:
        value = getattr(module, name)
        concrete = inspect.isclass(value) and not inspect.isabstract(value)
        if concrete and (base is None or (issubclass(value, base) and value is not base)):
            yield name, value


def _variants(name: str, what: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and instance of a class for each of its variants; the class itself where it needs arguments."""
    known = inspect.signature(what).parameters
    needed = [each for each in known.values() if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
    for settings in VARIANTS.get(name, ({},)):
        if set(settings) <= set(known):
            shown = ", ".join(f"{key}={value!r}" for key, value in settings.items())
            yield (f"{name}({shown})" if shown else name), what if needed and not settings else what(**settings)


def _is_activation(kind: type) -> bool:
    return kind is not nn.Activation and (issubclass(kind, nn.Activation) or kind.__module__.endswith(".activations"))


def activations() -> list[Row]:
    """Return a row for each layer that is an activation."""
    rows = []
    for name, kind in ((name, kind) for name, kind in _public(nn, nn.Layer) if _is_activation(kind)):
        for variant, made in _variants(name, kind):
            own = getattr(made, "name", None)
            rows.append(Row(variant, kind, (own,) if own in _activations.ACTIVATIONS else ()))
    return rows


def layers() -> list[Row]:
    """Return a row for each other layer."""
    return [
        Row(*pair) for pair in _public(nn, nn.Layer) if not _is_activation(pair[1]) and pair[1] is not nn.Activation
    ]


def losses() -> list[Row]:
    """Return a row for each loss."""
    return [
        Row(variant, kind, (kind.name,) if hasattr(kind, "name") else (), tuple(re.findall(r"(\w+)=", variant)))
        for name, kind in _public(nn, nn.Loss)
        for variant, _ in _variants(name, kind)
    ]


def optimizers() -> list[Row]:
    """Return a row for each update, with the settings that choose it."""
    rows = []
    for name, kind in (*_public(optim, optim.Optimizer), *_public(optim, optim.FullBatch)):
        for variant, made in _variants(name, kind):
            update = getattr(made, "kind", None)
            rows.append(Row(variant, kind, (update,) if isinstance(update, str) else ()))
    return rows


def schedules() -> list[Row]:
    """Return a row for each schedule."""
    return [Row(*pair) for pair in _public(optim, optim.Schedule)]


def initializers() -> list[Row]:
    """Return a row for each initialiser."""
    return [Row(*pair) for pair in nn.init.INITIALIZERS.items()]


def regularizers() -> list[Row]:
    """Return a row for each other class of `optim`, and for each feature that is an argument."""
    others = (optim.Optimizer, optim.FullBatch, optim.Schedule, optim.Group, optim.Average)
    kernels = {optim.Penalty: ("regularize",)}
    found = [pair for pair in _public(optim) if not issubclass(pair[1], others)]
    rows = [Row(variant, kind, kernels.get(kind, ())) for name, kind in found for variant, _ in _variants(name, kind)]
    for owner, argument, text, aliases in SETTINGS:
        if argument not in inspect.signature(owner).parameters:
            raise SystemExit(f"{owner.__name__} has no argument {argument}: change SETTINGS in tools/features.py")
        rows.append(Row(f"{owner.__name__}({argument}=...)", owner, aliases, argument=argument, text=text))
    return rows


def averages() -> list[Row]:
    """Return a row for each average of the parameters."""
    kernels = {"EMA": ("lerp",)}
    return [Row(name, kind, kernels.get(name, ())) for name, kind in _public(optim, optim.Average)]


def scalers() -> list[Row]:
    """Return a row for each scaler of a net's input."""
    kernels = {"Scaler": "affine", "RobustScaler": "smooth_clip", "QuantileScaler": "quantile_normal"}
    return [Row(name, kind, (kernels[name],)) for name, kind in _public(data) if name in kernels]


def augmentations() -> list[Row]:
    """Return a row for each augmentation of a batch."""
    kernels = {
        "FeatureDropout": "drop_features",
        "GaussianNoise": "add_noise",
        "Mixup": "mixup_pairs",
        "RandomFlip": "flip_images",
        "RandomShift": "shift_images",
        "SwapNoise": "swap_entries",
    }
    return [Row(name, kind, (kernels[name],)) for name, kind in _public(data, data.Augmentation)]


def tools() -> list[Row]:
    """Return a row for each tool of training, diagnosis, evaluation and prediction."""
    package = importlib.import_module("fastnn")
    modules = ("fastnn.training", "fastnn.diagnosis", "fastnn.metrics")
    return [Row("Predictor", nn.Predictor)] + [
        Row(name, value)
        for name, value in ((name, getattr(package, name)) for name in package.__all__)
        if getattr(value, "__module__", "").startswith(modules) and name not in PARTS
    ]


@dataclass(frozen=True)
class Family:
    """A table of the page: its rows, the files that may compute them, and the tests that are searched first."""

    title: str
    rows: Callable[[], list[Row]]
    references: tuple[str, ...]
    tests: tuple[str, ...]


# All folders of tests. Those that a family does not name are searched last.
FOLDERS = (".", "kernels", "engine", "nn", "optim", "training", "diagnosis")

FAMILIES = (
    Family("Layers", layers, ("kernels/_*_ref.py",), ("kernels", "nn", "engine", ".")),
    Family("Activations", activations, ("kernels/_activations_ref.py", "kernels/_*_ref.py"), ("kernels", "engine")),
    Family("Losses", losses, ("kernels/_losses_ref.py",), ("kernels", ".", "nn", "training")),
    Family("Optimisers", optimizers, ("kernels/_optimizers_ref.py",), ("optim", "training", "kernels", ".")),
    Family("Learning-rate schedules", schedules, (), ("optim/test_schedules.py",)),
    Family("Initialisers", initializers, (), ("nn/test_init.py",)),
    Family("Regularisation", regularizers, ("kernels/_optimizers_ref.py",), ("optim", "training", "kernels")),
    Family("Averages of parameters", averages, ("kernels/_optimizers_ref.py",), ("training/test_averages_torch.py",)),
    Family("Scalers", scalers, ("kernels/_scaling_ref.py", "kernels/_normalization_ref.py"), ("data/test_scaling.py",)),
    Family("Augmentation", augmentations, ("kernels/_augmentation_ref.py",), ("training/test_augment.py", "data")),
    Family("Training", tools, (), ("training", "diagnosis", ".", "nn/test_predictor.py")),
)

# ---- what a row says ----

# Tests of what is refused: they say less of a feature than the others.
OF_REFUSALS = re.compile("bad_input|range$|refused|cannot|values$")


def summary(what: Any) -> str:
    """Return the first sentence of a docstring, in one line."""
    text = " ".join((inspect.getdoc(what) or "").partition("\n\n")[0].split())
    return text.replace("|", "\\|")


@functools.cache
def _lines(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text().splitlines())


def reference(family: Family, row: Row) -> str:
    """Return a link to the twin's function or table entry of this name, or else to the code of the feature itself."""
    for pattern in family.references:
        for word in row.words:
            for path in sorted(PACKAGE.glob(pattern)):
                if any(re.match(rf'def _?{word}\(|    "{word}":', line) for line in _lines(path)):
                    return _link(f"`{word}`", path)
    path = Path(inspect.getsourcefile(inspect.unwrap(row.what)) or "")
    return _link(f"`{row.what.__name__}`", path)


@functools.cache
def _tests(folder: str) -> tuple[tuple[Path, str, str], ...]:
    """Return file, name and text of each test in a file or a folder, then of each statement outside of tests."""
    found: list[tuple[Path, str, str]] = []
    rest: list[tuple[Path, str, str]] = []
    for path in sorted((ROOT / "tests").glob(folder if folder.endswith(".py") else f"{folder}/*.py")):
        text = path.read_text()
        for node in ast.parse(text).body:
            segment = "\n".join(_lines(path)[_first(node) - 1 : node.end_lineno])
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.append((path, node.name, segment))
            elif not isinstance(node, ast.Import | ast.ImportFrom):
                rest.append((path, "", segment))
    return (*found, *rest)


def _first(node: ast.stmt) -> int:
    """Return the first line of a statement, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def test(family: Family, row: Row) -> str:
    """Return a link to what tests the feature: the spec of its kernel, or a test or a table that names it.

    For a whole class, files named after its module are preferred; then tests that compare with PyTorch. Tests of what
    is refused are taken last.
    """
    for word in row.words if "kernels" in family.tests and not row.tested else ():
        if word in MODULES:
            return _link(f"`{word}`", MODULES[word])
    names = "|".join(map(re.escape, row.words))
    own = "" if row.argument or row.tested else f"test_{row.what.__module__.rpartition('.')[2]}"

    def rank(folder: str, path: Path, name: str, text: str) -> tuple[bool, ...]:
        of_refusals = bool(OF_REFUSALS.search(f"{path.stem} {name}"))
        return of_refusals, folder not in family.tests, not path.stem.startswith(own), "torch" not in text, not name

    found = [
        (rank(folder, path, name, text), path, name)
        for folder in dict.fromkeys((*family.tests, *FOLDERS))
        for path, name, text in _tests(folder)
        if re.search(rf"(?<!\w)({names})(?!\w)", text) and all(re.search(rf"\b{each}\b", text) for each in row.tested)
    ]
    if not found:
        raise SystemExit(f"{row.name} has no test: write one that contains one of the words {', '.join(row.words)}")
    _, path, name = min(found, key=lambda each: each[0])
    return _link(f"`{name}`" if name else f"`{path.name}`", path)


def _link(label: str, path: Path) -> str:
    return f"[{label}](../{path.resolve().relative_to(ROOT).as_posix()})"


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for family in FAMILIES:
        rows = family.rows()
        parts.append(f"\n## {family.title}\n\n| name | what | reference | test | posts |\n|---|---|---|---|---|\n")
        for row in rows:
            mark = "●" if row.name in STUDIED else ""
            cells = (f"`{row.name}`", row.text or summary(row.what), reference(family, row), test(family, row), mark)
            parts.append(f"| {' | '.join(cells)} |\n")
    return "".join(parts)


def missing() -> list[str]:
    """Return what the posts teach and no row has."""
    named = {row.name for family in FAMILIES for row in family.rows()}
    return sorted(STUDIED - named)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}" + "".join(f"\nmissing: {name}" for name in missing()))
