"""The examples of the docs that need no other package run, with the checks that they contain."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"
NEED_MORE = {"from_scikit_learn"}  # tests/sklearn/test_example.py runs it
NAMES = sorted({path.stem for path in EXAMPLES.glob("*.py")} - NEED_MORE)


@pytest.mark.parametrize("name", NAMES)
def test_example(name):
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
