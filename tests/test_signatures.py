"""The compiled module of a family, its twin and its stub have the same functions with the same parameters."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

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
    module = _dispatch._module(family, backend)
    return {
        name: list(inspect.signature(member).parameters)
        for name, member in vars(module).items()
        if not name.startswith("_")
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
    twin.pop("philox", None)  # a step of random_bits
    assert twin
    assert parameters(family, "native") == twin
    assert stub(family) == twin


@pytest.mark.parametrize("name", kernels.__all__)
def test_reference_has_the_same_signatures(name):
    assert inspect.signature(getattr(reference, name)) == inspect.signature(getattr(kernels, name))
    assert getattr(reference, name).__doc__ == getattr(kernels, name).__doc__


def test_reference_runs_the_twin_with_any_backend(monkeypatch):
    dispatched = []
    module = _dispatch._module

    def spy(family, backend):
        dispatched.append((family, backend))
        return module(family, backend)

    monkeypatch.setattr(_dispatch, "_module", spy)
    with fastnn.backend("native"):
        reference.relu([1.0])
        kernels.relu([1.0])
    with fastnn.backend("reference"):
        kernels.softmax([[1.0]])
    assert dispatched == [("activations", "reference"), ("activations", "native"), ("losses", "reference")]


def test_names_agree():
    """The lists in C, in the twins and in the checks have the same names in the same order."""
    derivative_from = {name: row.derivative_from for name, row in ACTIVATIONS.items()}
    assert list(_native.ACTIVATIONS.items()) == list(derivative_from.items())
    for backend in ("native", "reference"):
        assert list(_dispatch._module("activations", backend).NAMES) == list(ACTIVATIONS)
    kinds = [kind for spec in LOSSES.values() for kind in spec.kinds.values()]
    assert list(_native.LOSSES) == list(_dispatch._module("losses", "reference")._TABLE) == kinds
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
