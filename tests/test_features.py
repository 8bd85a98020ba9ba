"""The page of features is up to date with the registries, and complete."""

import importlib
from pathlib import Path

import pytest

from fastnn import _activations, nn, optim

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "tools").is_dir():
    pytest.skip("these tests need the checkout", allow_module_level=True)


@pytest.fixture(scope="module")
def features():
    return importlib.import_module("tools.features")


def test_page_is_up_to_date(features):
    assert features.page() == features.PAGE.read_text(), "run python -m tools.features"


def test_nothing_is_left_out(features):
    rows = {row.name.partition("(")[0] for family in features.FAMILIES for row in family.rows()}
    bases = {"Layer", "Activation", "Loss", "Optimizer", "FullBatch", "Group", "Schedule", "Sequential", "Average"}
    public = {name for module in (nn, optim) for name in module.__all__ if isinstance(getattr(module, name), type)}
    assert public - bases <= rows
    assert set(_activations.ACTIVATIONS) <= {alias for row in features.activations() for alias in row.aliases}
    assert {*optim.OPTIMIZERS, *optim.SCHEDULES, *nn.init.INITIALIZERS} <= rows


def test_everything_in_the_study_posts_is_there(features):
    assert not features.missing()


def test_reference_and_test_of_a_row(features):
    """Read from the page: the twin of an activation, the module of its spec, and the mark."""
    (row,) = [line for line in features.PAGE.read_text().splitlines() if line.startswith("| `Tanh` |")]
    _, *cells, _ = (cell.strip() for cell in row.split("|"))
    twin, table = "[`tanh`](../src/fastnn/kernels/_activations_ref.py)", "[`tanh`](../tests/specs/activations.py)"
    assert cells == ["`Tanh`", "Hyperbolic tangent: ``y = tanh(x)``.", twin, table, "●"]


def test_a_feature_without_a_test_is_an_error(features):
    untested = features.Row("Untested" + "Thing", nn.ReLU)
    with pytest.raises(SystemExit, match="has no test"):
        features.test(features.FAMILIES[0], untested)
