"""The compiled module of a family, its twin and its stub have the same functions with the same parameters."""

import ast
import importlib
import inspect
import pickle
import pydoc
from pathlib import Path

import pytest
from specs import SPECS

import fastnn
from fastnn import _native, kernels, nn, reference
from fastnn._activations import ACTIVATIONS
from fastnn._losses import LOSSES
from fastnn.kernels import _dispatch

try:
    from tools import stubs
except ImportError:  # the tests of a wheel run without the checkout
    stubs = None

FOLDER = Path(kernels.__file__).parent
FAMILIES = sorted(path.name[1 : -len("_ref.py")] for path in FOLDER.glob("_*_ref.py"))


def parameters(family, backend):
    """Return the parameters of the functions that a family's module defines, by name."""
    module = _dispatch.module_of(family, backend)
    formulas = getattr(module, "FORMULAS", {}).values()  # which functions of the module call
    return {
        name: list(inspect.signature(member).parameters)
        for name, member in vars(module).items()
        if not name.startswith("_")
        and member not in formulas
        and not inspect.isclass(member)
        and callable(member)
        and inspect.getmodule(inspect.unwrap(member)) is module
    }


def stub(family):
    tree = ast.parse((FOLDER / f"_{family}_cy.pyi").read_text())
    return {
        node.name: [argument.arg for argument in node.args.args]
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_twins_agree(family):
    twin = parameters(family, "reference")
    for step in ("philox", "short_words", "half_words"):  # of random_bits and of what draws
        twin.pop(step, None)
    assert twin
    assert parameters(family, "native") == twin
    assert stub(family) == twin


@pytest.mark.parametrize("name", kernels.__all__)
def test_reference_has_the_same_signatures(name):
    assert inspect.signature(getattr(reference, name)) == inspect.signature(getattr(kernels, name))
    first, _, rest = inspect.getdoc(getattr(kernels, name)).partition("\n\n")
    assert inspect.getdoc(getattr(reference, name)).startswith(first)
    assert inspect.getdoc(getattr(reference, name)).endswith(rest)


# Pieces of the formulas in the sources of the twins.
PIECES = {
    "relu": "np.maximum(x, 0)", "sigmoid": "np.exp(-np.abs(", "tanh_backward": "1 - y * y",
    "selu": "_SELU_LIMIT * np.expm1(", "softplus": "np.log1p(np.exp(", "prelu": "np.where(x > 0, x, x * slope)",
    "dense": "np.matmul(x, w, out=out)", "dense_grad_weight": "np.matmul(x.T, dy", "dense_grad_bias": "dy.sum(axis=0",
    "softmax": "np.exp(_log_softmax(", "gather": "out[...] = x[rows]", "dropout": "np.where(bits >= round(p * 2**16)",
    "dropout_backward": "np.where(bits >= round(p * 2**16)", "permutation": "rows[i], rows[j] = rows[j], rows[i]",
    "batch_norm": "(wide - mean64) * inv_std64 * gamma + beta", "batch_norm_inference": "(x - center) * scale + shift",
    "mean_squared_error": "(z - t) ** 2, 2 * (z - t)", "huber": "np.clip(d, -delta, delta)", "hinge": "1 - t * z",
    "cross_entropy": "log_p = _log_softmax(z)", "adam": "w -= (step_size * m) / (np.sqrt(v) + eps)",
    "nesterov": "w -= lr * (g + mu * buf)", "adam_scalars": "lr * c / (1 - beta1**step)", "sgd_scalars": "return lr",
    "clip": "np.minimum(np.maximum(x, -high), high)", "regularize": "one(l1) * np.sign(w)", "sums": "chunks * chunks",
    "take_columns": "out[...] = x[:, columns]", "put_columns": "out[:, columns] = x",
}  # fmt: skip

FUNCTIONS = [name for name in kernels.__all__ if inspect.isfunction(getattr(kernels, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_source_of_a_reference_function_is_its_twin(name):
    source, shown = inspect.getsource(getattr(reference, name)), inspect.getdoc(getattr(reference, name))
    assert PIECES.get(name, "return" if "return" in source else "=") in source
    assert "reference" not in source  # of no wrapper
    twin = inspect.unwrap(getattr(reference, name))
    assert f"`{twin.__name__}` in {twin.__module__}." in shown
    assert name in pydoc.render_doc(getattr(reference, name), renderer=pydoc.plaintext).splitlines()[2]
    if not name.endswith("_scalars"):
        assert twin.__doc__, "the formula in words"
        assert twin.__module__.endswith("_ref")


def test_the_source_shown_is_the_code_that_runs():
    """Each function in the tables that twins run is the function shown."""
    for family in ("activations", "losses", "optimizers"):
        for name, formula in _dispatch.module_of(family, "reference").FORMULAS.items():
            if name in kernels.__all__:
                assert inspect.unwrap(getattr(reference, name)) is formula
    for spec in SPECS:
        twin = getattr(_dispatch.module_of(spec.family, "reference"), spec.twin)
        shown = inspect.unwrap(getattr(reference, spec.function or spec.name))
        assert shown is inspect.unwrap(twin) or shown.__name__ in _dispatch.module_of(spec.family, "reference").FORMULAS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernels_have_a_source(name):
    assert f"def {name}(" in inspect.getsource(getattr(kernels, name))


def test_reference_functions_are_pickled_by_name():
    assert pickle.loads(pickle.dumps(reference.sigmoid)) is reference.sigmoid


def test_reference_runs_the_twin_with_any_backend(monkeypatch):
    called = []

    def watch(family, backend, name):
        module = _dispatch.module_of(family, backend)
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: (called.append((family, backend)), function(*given)))

    watch("activations", "reference", "activation")
    watch("activations", "native", "activation")
    watch("losses", "reference", "softmax")
    with fastnn.backend("native"):
        reference.relu([1.0])
        kernels.relu([1.0])
    with fastnn.backend("reference"):
        kernels.softmax([[1.0]])
    assert called == [("activations", "reference"), ("activations", "native"), ("losses", "reference")]


def test_names_agree():
    """The lists in C, in the twins and in the checks have the same names in the same order."""
    derivative_from = {name: row.derivative_from for name, row in ACTIVATIONS.items()}
    assert list(_native.ACTIVATIONS.items()) == list(derivative_from.items())
    assert list(_dispatch.module_of("activations", "native").NAMES) == list(ACTIVATIONS)
    kinds = [kind for spec in LOSSES.values() for kind in spec.kinds.values()]
    assert list(_native.LOSSES) == list(_dispatch.module_of("losses", "reference").FORMULAS) == kinds
    assert list(nn.losses.LOSSES) == list(LOSSES)


@pytest.mark.parametrize("name", [name for name in kernels.__all__ if not name.endswith("_scalars")])
def test_options_are_keyword_only(name):
    if inspect.isfunction(function := getattr(kernels, name)):
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name in ("out", "grad", "seed", "stream", "step", "lr", "eps", "activation", "dtype"):
                assert parameter.kind is parameter.KEYWORD_ONLY, parameter.name


@pytest.mark.parametrize("name", stubs.MODULES if stubs else ())
def test_stubs_are_up_to_date(name):
    assert stubs.path_of(name).read_text() == stubs.stub(importlib.import_module(name)), "run python -m tools.stubs"


def test_public_names_exist():
    for module in (fastnn, kernels, reference):
        assert not [name for name in module.__all__ if not hasattr(module, name)]
