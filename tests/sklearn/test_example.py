"""The example of docs runs, and what it says holds."""

import runpy
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "from_scikit_learn.py"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_example(capsys):
    if not EXAMPLE.exists():
        pytest.skip("this test needs the checkout")
    left = runpy.run_path(str(EXAMPLE))
    assert left["search"].score(left["X_test"], left["y_test"]) > 0.95
    assert "losses agree to" in capsys.readouterr().out
