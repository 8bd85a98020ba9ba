"""The example of the docs runs, and its claims hold."""

import runpy
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "from_scikit_learn.py"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_example(capsys):
    if not EXAMPLE.exists():
        pytest.skip("this test needs the checkout")
    variables = runpy.run_path(str(EXAMPLE))
    assert variables["search"].score(variables["X_test"], variables["y_test"]) > 0.95
    assert "losses agree to" in capsys.readouterr().out
