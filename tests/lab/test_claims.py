"""Figures, comparisons of them, and how both are shown."""

import numpy as np
import pytest

from fastnn.lab import Below, Between, Measured
from fastnn.lab._claims import number, with_spread

TEXTS = [
    ([2.3, 2.3, 2.3], "2.3"),
    ([5.0], "5"),
    ([0.5, 0.51, 0.49], "0.500 ± 0.010"),
    ([20.0, 20.5, 21.0], "20.50 ± 0.50"),
    ([99.0, 97.0], "98.0 ± 1.4"),
    ([4000.0, 4800.0], "4400 ± 566"),
    ([-0.0042, 0.03, -0.02], "0.002 ± 0.026"),
    ([5.2e-7, 5.3e-7, 4.0e-7], "(4.83 ± 0.72)e-7"),
    ([123456.0, 133456.0], "(1.285 ± 0.071)e5"),
    ([0.001, 0.0010000001], "0.001 ± 7e-11"),
    ([np.inf, 1.0], "inf"),
    ([np.nan, 1.0], "nan"),
    ([1e-12, 0.0], "(5.0 ± 7.1)e-13"),
]


@pytest.mark.parametrize(("values", "text"), TEXTS)
def test_spread(values, text):
    assert with_spread(np.array(values)) == text


def test_numbers():
    assert [number(each) for each in (0.0, 12345.0, 0.123456, 1e7, np.inf)] == ["0", "12345", "0.1235", "1e+07", "inf"]


def measured(*losses):
    """Return what runs have measured whose two losses are these."""
    return Measured([{"a": {"loss": a, "curve": [a, b]}, "b": {"loss": b}} for a, b in losses])


def test_figures_of_all_runs():
    found = measured((1.0, 2.0), (3.0, 5.0))
    assert found.seeds == 2 and list(found) == ["a", "b"]
    assert found["a"]["curve"].tolist() == [[1, 2], [3, 5]]
    assert found.mean("a", "curve").tolist() == [2, 3.5]
    assert found.numbers() == (["", "loss"], [["a", "2.0 ± 1.4"], ["b", "3.5 ± 2.1"]])


@pytest.mark.parametrize(
    ("losses", "factor", "holds"),
    [
        ([(1, 2), (1, 3)], 1.0, True),
        ([(1, 2), (3, 1)], 1.0, False),  # not in each run
        ([(1, 1)], 1.0, False),
        ([(1, 2), (1, 3)], 1.9, True),
        ([(1, 2), (1, 3)], 2.0, False),
        ([(np.nan, 2)], 1.0, False),
        ([(1, np.nan)], 1.0, False),
        ([(1, np.inf)], 1.0, True),
    ],
)
def test_below(losses, factor, holds):
    assert Below("a is lower.", ("a", "loss"), ("b", "loss"), factor).holds(measured(*losses)) is holds


@pytest.mark.parametrize(
    ("values", "holds"), [([1.0, 2.0], True), ([0.9, 1.5], False), ([1.5, 2.1], False), ([np.nan, 1.5], False)]
)
def test_between(values, holds):
    assert Between("a.", ("a", "loss"), 1.0, 2.0).holds(measured(*((each, 0.0) for each in values))) is holds


@pytest.mark.parametrize("values", [(1e-320, 0.0), (1e300, -1e300), (np.inf, np.inf), (np.nan, 0.0)])
def test_numbers_at_the_ends_of_the_range(values):
    assert with_spread(np.array(values))


def test_runs_that_do_not_fit():
    with pytest.raises(ValueError, match=r"^runs must be of at least one run"):
        Measured([])
    with pytest.raises(ValueError, match=r"^runs must have the same conditions and figures"):
        Measured([{"a": {"loss": 1}}, {"a": {"loss": 1}, "b": {"loss": 2}}])
    with pytest.raises(TypeError, match=r"^runs must be a list"):
        Measured(3)
