"""`check_gradient` of functions that are written by hand: differences, kinks, rounding, and what is refused."""

import itertools
import math
import re

import numpy as np
import pytest

import fastnn


def test_the_numbers_of_the_posts():
    """The cube of 1 with a step of 0.01."""
    report = fastnn.check_gradient(lambda x: x**3, lambda x: 3 * x**2, 1, step=0.01)
    worst = report.blocks[0].worst
    assert worst.two_sided == pytest.approx(3.0001, abs=1e-12) and worst.one_sided == pytest.approx(3.0301, abs=1e-12)
    assert report.ok and report.relative_error == pytest.approx(1e-4 / 6.0001)
    lines = str(report).splitlines()
    assert lines[1].split() == ["x", "1.00e-04", "3.01e-02", "1.00e-04", "3.00e+00", "1", "0", "ok"]
    assert lines[2:] == [
        "x, step 0.01",
        "  analytic   3",
        "  two-sided  3.0001, error 1.0e-04",
        "  one-sided  3.0301, error 3.0e-02",
        "relative error 1.7e-05: right",
    ]


def rough(x):
    """Return a function of the numbers that single precision has."""
    return float(np.float32(x)) ** 2


# Functions, their derivatives, where, and steps.
SMOOTH = {
    "cube": (lambda x: x**3, lambda x: 3 * x**2, [1.0, -200.0]),
    "sums": (lambda x: (x**2).sum() / 2, lambda x: x, [np.arange(6.0).reshape(2, 3)]),
    "a row of one": (lambda x: x[0] ** 2, lambda x: 2 * x, [[3]]),
    "list": (lambda x: np.sin(x).sum(), np.cos, [[1, 2, 3], np.array([1, 2], dtype="float32")]),
    "steep": (lambda x: np.tanh(1e8 * x), lambda x: 1e8 * (1 - np.tanh(1e8 * x) ** 2), [1e-9, -2e-8]),
    "flat": (lambda x: np.tanh(1e-5 * x), lambda x: 1e-5 * (1 - np.tanh(1e-5 * x) ** 2), [1.0, 1e5]),
    "large": (lambda x: 1e9 + x**2, lambda x: 2 * x, [1.5, 1e6]),
    "cancelling": (lambda x: ((x + 1e8) - 1e8) ** 2, lambda x: 2 * x, [1.5]),
    "single precision": (rough, lambda x: 2 * x, [1.3, 1000.3]),
    "ends nearby": (math.log, lambda x: 1 / x, [1e-7, 1.0, 1e5]),
    "a minimum": (lambda x: (x - 1) ** 2 + 3, lambda x: 2 * (x - 1), [1.0]),
    "smooth at 0": (lambda x: x * abs(x) + x, lambda x: 2 * abs(x) + 1, [0.0]),
    "fast": (lambda x: x * np.sin(1 / x), lambda x: np.sin(1 / x) - np.cos(1 / x) / x, [1e-3, 1e-2]),
    "near a kink": (lambda x: np.maximum(x, 0).sum(), lambda x: (x > 0) * 1.0, [[2e-7, 3e-5]]),
}
FACTORS = {"one per cent": 1.01, "sign": -1.0, "factor": 2.0}


@pytest.mark.parametrize("case", SMOOTH)
def test_right_gradients(case):
    f, df, places = SMOOTH[case]
    for x, step in itertools.product(places, [None, 1e-4]):
        report = fastnn.check_gradient(f, df, x, step=step)
        assert report.ok and report.blocks[0].skipped == 0, f"{x}, {step}\n{report}"
        assert type(report.blocks[0].checked) is int and report.blocks[0].checked == np.size(x)


@pytest.mark.parametrize("fault", FACTORS)
@pytest.mark.parametrize("case", SMOOTH)
def test_wrong_gradients(case, fault):
    f, df, places = SMOOTH[case]
    for x, step in itertools.product(places, [None, 1e-4]):
        report = fastnn.check_gradient(f, lambda x: FACTORS[fault] * np.asarray(df(x)), x, step=step)
        if np.any(df(np.array(x, dtype=float) if np.ndim(x) else float(x))):
            assert report.blocks[0].verdict == "WRONG", f"{x}, {step}\n{report}"


KINKS = {
    "magnitude": (abs, np.sign, 0.0, [0]),
    "magnitudes": (lambda x: np.abs(x).sum(), np.sign, [1.0, 0.0, -2.0], [1]),
    "ReLU": (lambda x: np.maximum(x, 0).sum(), lambda x: (x > 0) * 1.0, [0.0, 1.0, -1.0, 0.0], [0, 3]),
    "ReLU at 1 and more": (lambda x: (np.maximum(x, 1) + x**2).sum(), lambda x: 2 * x + (x > 1), [1.0, 3.0], [0]),
    "maximum": (np.max, lambda x: (x == x.max()) * 1.0, [2.0, 1.0, 2.0], [0, 2]),
    "growing slope": (
        lambda x: np.sqrt(np.abs(x)).sum(), lambda x: np.sign(x) / 2 / np.sqrt(np.abs(x) + 1e-300), [0.0, 4.0], [0]
    ),
    "slight": (lambda x: (100 * np.sin(x) + 0.01 * np.abs(x)).sum(), lambda x: 100 * np.cos(x) + 0.01, [0.0, 1.0], [0]),
}  # fmt: skip


@pytest.mark.parametrize("case", KINKS)
def test_kinks_are_left_out(case):
    f, df, x, at = KINKS[case]
    block = fastnn.check_gradient(f, df, x).blocks[0]
    assert block.reasons == {"at a kink": len(at)}
    assert block.verdict == ("ok" if block.checked else "cannot tell") and block.checked == np.size(x) - len(at)


@pytest.mark.parametrize("case", [case for case in KINKS if case != "magnitude"])
def test_a_kink_hides_no_wrong_gradient_beside_it(case):
    f, df, x, at = KINKS[case]
    block = fastnn.check_gradient(f, lambda x: np.asarray(df(x)) * 1.01 + 0.03, x).blocks[0]
    assert block.verdict == "WRONG" and block.wrong == np.size(x) - len(at)


NOT_TOLD = {
    "one side only": (math.sqrt, lambda x: 0.0, 0.0, "not finite"),
    "infinite beside": (lambda x: -np.log(x), lambda x: 0.0, 5e-324, "not finite"),
    "a step": (np.floor, lambda x: 0.0, 2.0, "too uncertain"),
    "too steep": (lambda x: np.sin(1e300 * x), lambda x: 1e300, 1.0, "too uncertain"),
}


@pytest.mark.parametrize("case", NOT_TOLD)
def test_what_cannot_be_told(case):
    f, df, x, reason = NOT_TOLD[case]
    report = fastnn.check_gradient(f, df, x)
    assert not report and report.blocks[0].reasons == {reason: 1}
    assert f"cannot tell (1 {reason})" in str(report)


def test_a_slope_where_there_is_none_is_wrong():
    """That of a dead unit, and that of a loss which is 0 up to rounding."""
    for f in (lambda x: 3.0, lambda x: np.maximum(x, 0), lambda x: (0.1 * x + 0.1) ** 2, lambda x: (x + 1) ** 2):
        for claimed in (1e-6, 0.01, -5.0):
            assert fastnn.check_gradient(f, lambda x, d=claimed: d, -1.0).blocks[0].verdict == "WRONG"


def test_a_gradient_of_nan_is_wrong():
    block = fastnn.check_gradient(lambda x: (x**2).sum(), lambda x: x * [2, np.nan, 2], [1, 2, 3]).blocks[0]
    assert block.wrong == 1 and block.worst.index == (1,)


def test_several_arrays():
    """A layer with a squared error, whose weights are wrong."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))

    def f(p):
        return ((X @ p["W"] + p["b"] - y) ** 2).mean()

    def df(p, factor=1.0):
        d = 2 * (X @ p["W"] + p["b"] - y) / y.size
        return {"b": d.sum(axis=0), "W": factor * X.T @ d}

    p = {"W": rng.normal(size=(3, 2)), "b": [0, 1]}
    report = fastnn.check_gradient(f, df, p)
    assert report.ok and [block.name for block in report.blocks] == ["W", "b"]
    wrong = fastnn.check_gradient(f, lambda p: df(p, 5.0), p)
    assert [block.ok for block in wrong.blocks] == [False, True]
    assert "\nW[" in str(wrong) and wrong.relative_error > 0.1


def test_functions_may_change_what_they_get():
    x = np.array([1.0, 2.0])

    def f(x):
        x *= x
        return x.sum()

    assert fastnn.check_gradient(f, lambda x: np.multiply(x, 2, out=x), x).ok
    assert x.tolist() == [1, 2]


def square(x):
    return np.sum(np.square(x))


RANDOM = np.random.default_rng(0)
REFUSED = {
    "f": (lambda: fastnn.check_gradient(3, abs, 1.0), TypeError, "f must be a function, got"),
    "df": (lambda: fastnn.check_gradient(abs, 1.0, 1.0), TypeError, "df must be a function, got"),
    "an array": (
        lambda: fastnn.check_gradient(np.square, square, [1, 2]), ValueError,
        r"f\(x\) must be a number, got shape \(2,\): return a sum or a mean",
    ),
    "text": (lambda: fastnn.check_gradient(str, abs, 1.0), TypeError, r"f\(x\) must be an array of real numbers"),
    "infinite": (
        lambda: fastnn.check_gradient(lambda x: (x / 0.0).sum(), abs, [1.0]), ValueError,
        r"f\(x\) must be finite, got inf",
    ),
    "random": (
        lambda: fastnn.check_gradient(lambda x: x + RANDOM.random(), abs, 1.0), ValueError,
        "f must return the same number each time, got .* and .*: draw random numbers once",
    ),
    "shape": (
        lambda: fastnn.check_gradient(square, square, [1, 2]), ValueError,
        r"df\(x\) must be 1-dimensional, of shape \(2,\), got shape \(\): a gradient has the shape of x",
    ),
    "shape of one": (
        lambda: fastnn.check_gradient(square, lambda x: np.ones(1), 1.0), ValueError, r"df\(x\) must be 0-dimensional",
    ),
    "complex": (lambda: fastnn.check_gradient(square, abs, 1j), TypeError, "x must be an array of real numbers"),
    "NaN": (lambda: fastnn.check_gradient(square, abs, [1, np.nan]), ValueError, "x must contain finite numbers"),
    "empty": (lambda: fastnn.check_gradient(square, abs, []), ValueError, "x must have at least one number"),
    "ragged": (lambda: fastnn.check_gradient(square, abs, [[1], [1, 2]]), ValueError, "x must be an array of real"),
    "no arrays": (lambda: fastnn.check_gradient(square, abs, {}), TypeError, "x must have names of arrays as keys"),
    "numbers as names": (lambda: fastnn.check_gradient(square, abs, {0: 1.0}), TypeError, "x must have names"),
    "keys": (
        lambda: fastnn.check_gradient(lambda p: p["a"], lambda p: {"b": 1.0}, {"a": 1.0}), ValueError,
        r"df\(x\) must be a mapping with the keys of x, a, got \['b'\]",
    ),
    "no keys": (
        lambda: fastnn.check_gradient(lambda p: p["a"], lambda p: 1.0, {"a": 1.0}), ValueError,
        r"df\(x\) must be a mapping with the keys of x, a, got",
    ),
    "None": (lambda: fastnn.check_gradient(lambda x: None, abs, 1.0), TypeError, r"f\(x\) must be .*, got None"),
    "None later": (
        lambda: fastnn.check_gradient(lambda x: x if x == 1 else None, abs, 1.0), TypeError,
        r"f\(x\) must be an array of real numbers, got None",
    ),
    "an array later": (
        lambda: fastnn.check_gradient(lambda x: x if x == 1 else np.ones(2), abs, 1.0), ValueError,
        r"f\(x\) must be a number, got shape \(2,\)",
    ),
    "a pole": (
        lambda: fastnn.check_gradient(lambda x: 1 / x, lambda x: -1.0, 0), ValueError,
        r"f\(x\) must be finite, got ZeroDivisionError: float division by zero",
    ),
    "cost and gradient": (
        lambda: fastnn.check_gradient(lambda x: (square(x), 2 * x), abs, [1, 2]), TypeError,
        r"f\(x\) must be a number, got a tuple of length 2: return the cost alone",
    ),
    "list of arrays": (
        lambda: fastnn.check_gradient(square, abs, [np.ones((3, 2)), np.ones(2)]), ValueError,
        r'x must be one array, or a dict of arrays, got .* of shapes \(3, 2\), \(2,\): give .*, \{"W1": W1, "b1": b1\}',
    ),
    "array and number": (
        lambda: fastnn.check_gradient(square, abs, (np.ones(2), 1.0)), ValueError, "x must be one array, or a dict"
    ),
    "step": (lambda: fastnn.check_gradient(square, abs, 1.0, step=-1), ValueError, "step must be"),
    "other keywords": (
        lambda: fastnn.check_gradient(square, abs, 1.0, eps=1), TypeError, "the arguments of check_gradient must"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=f"^{message}"):
        call()


def test_poles_beside_x_are_not_finite():
    """The function has no value at one of the points, as the step leads to the pole."""
    block = fastnn.check_gradient(lambda x: 1 / x, lambda x: -1.0, 1e-7, step=1e-7).blocks[0]
    assert block.verdict == "WRONG"  # smaller steps tell
    report = fastnn.check_gradient(lambda x: 1 / (x == 1), lambda x: 0.0, 1.0)
    assert report.blocks[0].reasons == {"not finite": 1}


def test_lists_of_arrays_of_one_shape_are_an_array():
    assert fastnn.check_gradient(square, lambda x: 2 * x, [np.ones(2), np.arange(2.0)]).ok


@pytest.mark.parametrize("step", [1e-17, 1e-300])
def test_steps_that_change_no_entry(step):
    report = fastnn.check_gradient(square, lambda x: 2 * x, [1.0, -3.0, 0.0, 1e-20], step=step)
    block = report.blocks[0]
    swallowed = 2 if step == 1e-17 else 3
    assert block.reasons["too small a step"] == swallowed and not block.wrong
    none = fastnn.check_gradient(square, lambda x: 2 * x, [1.0, -3.0], step=step)
    assert not none and "cannot tell (2 too small a step)" in str(none)
    assert str(none).splitlines()[-1] == "relative error 0.0e+00: cannot tell"


# ---- what the report says of it ----

NUMBERS = np.random.default_rng(4).normal(size=(3, 3))
HINTS = {
    "a missing 1/m": (1000.0, "1000 times"),
    "a missing 2": (0.5, "0.5 times"),
    "sign": (-1.0, "-1 times"),
    "one per cent": (1.01, "1.01 times"),
    "transposed": (np.transpose, "the numeric one transposed"),
    "nothing simple": (lambda d: d + 1, ""),
    "0": (0.0, ""),
}


@pytest.mark.parametrize("case", HINTS)
def test_how_a_gradient_is_wrong(case):
    fault, text = HINTS[case]
    change = fault if callable(fault) else lambda d: fault * d
    report = fastnn.check_gradient(lambda x: np.sin(x).sum(), lambda x: change(np.cos(x)), NUMBERS)
    hints = [line for line in str(report).splitlines() if "numeric one" in line]
    assert len(hints) == bool(text) and all(text in line and line.startswith("x: the analytic") for line in hints)
    assert re.fullmatch(r"relative error \S+: wrong", str(report).splitlines()[-1])
    right = str(fastnn.check_gradient(lambda x: np.sin(x).sum(), np.cos, NUMBERS))
    assert "numeric one" not in right and re.fullmatch(r"relative error \d\S*e-1\d: right", right.splitlines()[-1])


def test_a_single_number_is_a_multiple_of_any_other():
    """It is said only of those that come of usual mistakes."""
    for factor, told in ((2.0, True), (-1.0, True), (0.5, True), (1.7, False)):
        report = fastnn.check_gradient(np.sin, lambda x, c=factor: c * np.cos(x), 0.3)
        assert (f"x: the analytic gradient is {factor:g} times" in str(report)) == told, factor


# ---- single precision inside ----

SINGLE = {
    "of the result": (lambda x: np.sin(x).astype("f4").astype(float).sum(), np.cos),
    "of what it gets": (lambda x: np.sin(x.astype("f4")).astype(float).sum(), np.cos),
    "of a sum": (lambda x: float(np.sum(x**2, dtype="f4")), lambda x: 2 * x),
}


@pytest.mark.parametrize("n", [1, 7, 40])
@pytest.mark.parametrize("case", SINGLE)
def test_noise_that_last_bits_do_not_show(case, n):
    f, df = SINGLE[case]
    for seed in range(10):
        x = np.random.default_rng(seed).normal(size=n)
        block = fastnn.check_gradient(f, df, x).blocks[0]
        assert not block.wrong, f"{seed}: {block}"
        assert fastnn.check_gradient(f, lambda x: -df(x), x).blocks[0].wrong > n / 2


def test_errors_of_the_function_itself_are_its_own():
    with pytest.raises(ValueError, match=r"^math domain error"):
        fastnn.check_gradient(math.log, lambda x: 1 / x, -1.0)
