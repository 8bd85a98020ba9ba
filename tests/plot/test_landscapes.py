"""Pictures of the loss over parameters: what is drawn."""

import importlib

import numpy as np
import pytest

import fastnn
from fastnn import diagnosis, nn, optim, plot

figure = pytest.importorskip("matplotlib.figure", reason="matplotlib, an extra, is not installed")


@pytest.fixture
def ax():
    return figure.Figure(layout="constrained").subplots()


def line_named(ax, label):
    return next(each for each in ax.lines if each.get_label() == label)


def pixels(drawn):
    canvas = importlib.import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(drawn)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def entries(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


LINE = diagnosis.LossLine(np.array([0.0, 0.5, 1.0]), np.array([1.0, 3.0, 2.0]), True)
AROUND = diagnosis.LossLine(np.array([-1.0, 0.0, 1.0]), np.array([2.0, 1.0, 3.0]), False)


@pytest.mark.parametrize(("line", "ends", "label"), [(LINE, [0, 1], "other"), (AROUND, [0], "position: 0 is the net")])
def test_a_loss_line(ax, line, ends, label):
    assert plot.loss_line(line, ax=ax) is ax
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.column_stack([line.positions, line.losses]))
    assert [each.get_xdata()[0] for each in ax.lines[1:]] == ends
    assert label in ax.get_xlabel() and ax.get_ylabel() == "loss" and ax.get_legend() is None


def test_several_loss_lines_have_names_and_styles(ax):
    plot.loss_line({"flat": AROUND, "sharp": AROUND}, ax=ax)
    assert entries(ax) == ["flat", "sharp"]
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()


# ---- eigenvalues ----

TITLES = [
    (np.diag([3.0, 1.0]), [0.0, 0.0], "minimum: all 2 eigenvalues are positive\nnorm of the gradient: 0"),
    (np.diag([3.0, 1.0]), None, "minimum: all 2 eigenvalues are positive\n(if the gradient is 0 here)"),
    (np.diag([3.0, -1.0]), [1e-4, 0.0], "saddle: 1 of 2 eigenvalues is negative\nnorm of the gradient: 0.0001"),
    (np.diag([3.0, -1.0, 0.0]), [0, 0, 0], "saddle: 1 of 3 eigenvalues is negative, 1 is 0\n"),
    (np.diag([-3.0, -1.0, 0.0]), [0, 0, 0], "no minimum: 2 of 3 eigenvalues are negative, 1 is 0\n"),
    (np.diag([-3.0, -1.0]), [0, 0], "maximum: all 2 eigenvalues are negative\n"),
    (np.diag([3.0, 0.0, 1e-10]), [0, 0, 0], "minimum or not: 2 of 3 eigenvalues are 0\n"),
    (np.diag([3.0, 0.0, 1e-8]), [0, 0, 0], "minimum or not: 1 of 3 eigenvalues is 0\n"),
    (np.zeros((2, 2)), [0, 0], "flat: all 2 eigenvalues are 0\n"),
    (np.zeros((2, 2)), [0, 1e-9], "on a slope: all 2 eigenvalues are 0\n"),
    ([[2.0]], [0], "minimum: the only eigenvalue is positive\n"),
    ([[2.0]], [0.1], "on a slope: the only eigenvalue is positive\n"),
    (np.diag([1000.0, 0.01]), [0.9, 0.0], "minimum: all 2 eigenvalues are positive\n"),
    (np.diag([1000.0, 0.01]), [0.0, 0.9], "on a slope: all 2 eigenvalues are positive\nnorm of the"),
    (np.diag([1000.0, 0.0]), [0.0, 1e-5], "on a slope: 1 of 2 eigenvalues is 0\n"),
    (np.diag([3.0, -1.0]), [3.0, 4.0], "on a slope: 1 of 2 eigenvalues is negative\n"),
    (np.diag([3.0, 1.0]), [3.0, 4.0], "on a slope: all 2 eigenvalues are positive\nnorm of the gra"),
    (np.diag([3.0, 0.0]), [3.0, 4.0], "on a slope: 1 of 2 eigenvalues is 0\n"),
]


@pytest.mark.parametrize(("matrix", "gradient", "title"), TITLES)
def test_the_title_says_what_eigenvalues_mean(ax, matrix, gradient, title):
    assert plot.eigenvalues(matrix, gradient=gradient, ax=ax) is ax
    assert ax.get_title().startswith(title)


def test_the_gradient_is_compared_in_the_directions_of_the_eigenvalues(ax):
    """The same as of the diagonal matrix, in turned axes: Newton's step is 90 long, or 0.0009."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))
    matrix = q @ np.diag([1000.0, 0.01]) @ q.T
    for part, verdict in (([0.0, 0.9], "on a slope"), ([0.9, 0.0], "minimum")):
        plot.eigenvalues((matrix + matrix.T) / 2, gradient=q @ part, ax=ax)
        assert ax.get_title().startswith(verdict)


def test_eigenvalues_are_drawn_by_their_signs(ax):
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    matrix = q @ np.diag([5.0, 2.0, 1e-3, 0.0, -1e-2, -3.0]) @ q.T
    plot.eigenvalues((matrix + matrix.T) / 2, ax=ax)
    assert ax.get_yscale() == "symlog"
    assert entries(ax) == ["3 positive", "1 flat", "2 negative"]
    positive, negative = line_named(ax, "3 positive"), line_named(ax, "2 negative")
    np.testing.assert_allclose(positive.get_xydata(), [[1, 5], [2, 2], [3, 1e-3]], rtol=1e-9)
    np.testing.assert_allclose(negative.get_xydata(), [[5, -1e-2], [6, -3]], rtol=1e-9)
    assert positive.get_marker() != negative.get_marker()
    low, high = ax.get_ylim()
    assert low < -3 and high > 5
    assert {float(each) for each in ax.get_yticks()} >= {0.0, 1.0, -1.0}


def test_eigenvalues_of_a_net(ax):
    """Of a linear net they are those of 2 X'X / n, and after Newton's step the gradient is 0."""
    X = np.random.default_rng(0).normal(size=(30, 2))
    net = nn.Sequential(nn.Dense(2, 1, bias=False), dtype="float64", seed=0)
    trainer = fastnn.Trainer(net, "mean_squared_error", optim.Newton())
    plot.eigenvalues(trainer, X, X[:, 0], ax=ax)
    assert ax.get_title().startswith("on a slope")
    trainer.fit(X, X[:, 0], epochs=5, verbose=0)
    after = plot.eigenvalues(net, X, X[:, 0], loss="mean_squared_error", ax=figure.Figure().subplots())
    assert after.get_title().startswith("minimum")
    expected = np.linalg.eigvalsh(2 * X.T @ X / 30)[::-1]
    np.testing.assert_allclose(line_named(after, "2 positive").get_ydata(), expected, rtol=1e-7)


# ---- paths ----

LIMITS = {"xlim": (-3, 3), "ylim": (-2, 2)}


def bowl(x, y):
    return x**2 + 5 * y**2


def test_paths_and_contour_lines(ax):
    steps = {"a": [[-2.0, 1.0], [-1.0, 0.5], [0.0, 0.1]], "b": [[2.0, 1.0], [5.0, 9.0]], "c": [[0, 0], [np.nan, 0]]}
    assert plot.paths(bowl, steps, **LIMITS, levels=[1.0, 4.0, 1e9], ax=ax) is ax
    assert ax.collections[0].levels.tolist() == [1.0, 4.0]
    for level, each in zip((1.0, 4.0), ax.collections[0].get_paths(), strict=True):
        np.testing.assert_allclose(bowl(*each.vertices.T), level, rtol=0.05)
    np.testing.assert_array_equal(line_named(ax, "a").get_xydata(), steps["a"])
    assert entries(ax) == ["a", "b (leaves)", "c (leaves)", "start"]
    assert line_named(ax, "c (leaves)").get_xydata().tolist() == [[0, 0]]
    assert line_named(ax, "start").get_xydata().tolist() == [[-2, 1], [2, 1], [0, 0]]
    assert [each.get_xydata().tolist() for each in ax.lines if each.get_label() == "_end"] == [[[0.0, 0.1]]]
    assert ax.get_xlim() == LIMITS["xlim"] and ax.get_ylim() == LIMITS["ylim"]


def test_a_path_may_end_very_far_away(ax):
    """Its line goes to where it went, not to a corner."""
    plot.paths(bowl, {"a": [[0.0, 0.0], [1e250, 5e249]]}, **LIMITS, ax=ax)
    near = figure.Figure(layout="constrained").subplots()
    plot.paths(bowl, {"a": [[0.0, 0.0], [10.0, 5.0]]}, **LIMITS, ax=near)
    assert (pixels(ax.figure) != pixels(near.figure)).mean() < 1e-3


def test_levels_have_equal_areas_between_them(ax):
    plot.paths(bowl, {"a": [[0, 0]]}, **LIMITS, levels=3, ax=ax)
    x, y = np.meshgrid(np.linspace(-3, 3, 301), np.linspace(-2, 2, 301))
    shares = [(bowl(x, y) < each).mean() for each in ax.collections[0].levels]
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.75], atol=0.01)


def test_eight_paths_differ_without_colour(ax):
    plot.paths(bowl, {str(i): [[0, 0], [1, 1]] for i in range(8)}, **LIMITS, ax=ax)
    looks = {(each.get_marker(), str(each.get_linestyle()), each._dash_pattern[1] and tuple(each._dash_pattern[1]))
             for each in ax.lines if each.get_label().isdigit()}  # fmt: skip
    assert len(looks) == 8


def test_a_constant_function_and_one_without_numbers_have_no_lines(ax):
    plot.paths(lambda x, y: np.zeros_like(x), {"a": [[0, 0]]}, **LIMITS, ax=ax)
    plot.paths(lambda x, y: x * np.nan, {"a": [[0, 0]]}, **LIMITS, ax=ax)
    assert not ax.collections


# ---- what is refused ----

PATH = {"a": [[0, 0]]}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.loss_line(3), "^line must be what diagnosis.loss_along_line returns"),
        (lambda: plot.loss_line({}), "^line must contain at least one entry"),
        (lambda: plot.loss_line({"a": 3}), r"^line\['a'\] must be what"),
        (lambda: plot.loss_line(LINE, ax=figure.Figure()), r"^ax must be axes .*: write ax=figure.subplots\(\)"),
        (lambda: plot.eigenvalues([[1.0, 2.0]]), "^net must be a net, a trainer or a square matrix"),
        (lambda: plot.eigenvalues(nn.Dense(2, 3)), "^net must be a net, a trainer or a square matrix, got Dense"),
        (lambda: plot.eigenvalues(3), "^net must be a net, a trainer or a square matrix, got int"),
        (lambda: plot.eigenvalues(fastnn.Trainer), "^net must be a net, .* got the class Trainer"),
        (
            lambda: plot.eigenvalues([[1.0, 2.0], [0.5, 1.0]]),
            r"^net must be a symmetric matrix, as a Hessian is, got 2 at \[0, 1\] and 0.5 at \[1, 0\]: write \(H",
        ),
        (lambda: plot.eigenvalues([[1.0]], gradient=[np.nan]), "^gradient must contain finite numbers, got NaN"),
        (lambda: plot.eigenvalues([[1.0]], colour="red"), "^the arguments of eigenvalues must be among net, X, y"),
        (lambda: plot.eigenvalues([[np.nan]]), "^net must contain finite numbers"),
        (lambda: plot.eigenvalues([[1.0]], [[1.0]]), "^X must be left out with a matrix"),
        (lambda: plot.eigenvalues([[1.0]], gradient=[1.0, 2.0]), r"^gradient must have shape \(1,\)"),
        (lambda: plot.eigenvalues(nn.Sequential(nn.Dense(1, 1))), "^X must be given with a net"),
        (lambda: plot.eigenvalues(nn.Sequential(nn.Dense(1, 1)), [[1.0]], [1.0], gradient=[1.0]), "^gradient must be"),
        (lambda: plot.paths(3, PATH, **LIMITS), "^function must be a function"),
        (lambda: plot.paths(lambda x, y: 3.0, PATH, **LIMITS), r"^function\(x, y\) must be 2-dimensional"),
        (lambda: plot.paths(bowl, [[0, 0]], **LIMITS), "^paths must be a dict of names and paths"),
        (lambda: plot.paths(bowl, {}, **LIMITS), "^paths must be from 1 to 8 paths"),
        (
            lambda: plot.paths(bowl, PATH | dict.fromkeys("bcdefghi", PATH["a"]), **LIMITS),
            "^paths must be from 1 to 8 paths",
        ),
        (lambda: plot.paths(bowl, {"a": [0, 0]}, **LIMITS), r"^paths\['a'\] must be 2-dimensional"),
        (lambda: plot.paths(bowl, {"a": [[np.nan, 0]]}, **LIMITS), r"^paths\['a'\] must contain finite numbers"),
        (lambda: plot.paths(bowl, PATH, xlim=(1, 0), ylim=(0, 1)), "^xlim must begin with the lower number"),
        (lambda: plot.paths(bowl, PATH, **LIMITS, levels=0), "^levels must be an integer of at least 1"),
    ],
)
def test_refused(call, message):
    pyplot = importlib.import_module("matplotlib.pyplot")
    before = pyplot.get_fignums()
    with pytest.raises((TypeError, ValueError), match=message):
        call()
    assert pyplot.get_fignums() == before, "no empty figure is left"
