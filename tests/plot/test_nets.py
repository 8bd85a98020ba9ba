"""Pictures of nets: what is drawn, for nets whose values are known."""

import importlib

import numpy as np
import pytest

import fastnn
from fastnn import diagnosis, nn, plot

figure = pytest.importorskip("matplotlib.figure", reason="matplotlib, an extra, is not installed")


@pytest.fixture
def ax():
    return figure.Figure(layout="constrained").subplots()


def constant(*layers):
    """Return a net of float64, whose weights the test sets."""
    return nn.Sequential(*layers, dtype="float64", seed=0)


def rows(n=50):
    return np.random.default_rng(0).uniform(-1, 1, size=(n, 2))


def entries(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def shown(ax, label):
    return next(each for each in ax.lines if each.get_label() == label).get_xydata()


# ---- decision boundaries ----


def boundary(ax):
    """Return the points of the first line between classes."""
    return ax.collections[0].get_paths()[0].vertices


def two_outputs():
    """Class 1 where x > 0.25, by two logits."""
    net = constant(nn.Dense(2, 2))
    net[0].weight[...], net[0].bias[...] = [[-1, 1], [0, 0]], [0.25, -0.25]
    return net


def one_output(*after, bias=-0.25):
    net = constant(nn.Dense(2, 1), *after)
    net[0].weight[...], net[0].bias[...] = [[1], [0]], [bias]
    return net


class Threshold:
    """A model of no library."""

    def predict(self, X):
        return np.where(np.asarray(X)[:, 0] > 0.25, "right", "left")


class Estimator(Threshold):
    classes_ = np.array(["left", "right"])
    n_features_in_ = 2

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(0.25 - np.asarray(X)[:, :1]))
        return np.hstack([1 - p, p])


MODELS = {
    "two logits": (two_outputs(), "class 0"),
    "a logit": (one_output(), "class 0"),
    "a probability": (one_output(nn.Sigmoid(), bias=-0.25), "class 0"),
    "a trainer": (fastnn.Trainer(one_output(), "binary_cross_entropy"), "class 0"),
    "a regression on 0 and 1": (fastnn.Trainer(one_output(bias=0.25), "mean_squared_error"), "class 0"),
    "an ensemble": (fastnn.Ensemble([one_output(), one_output()], "sigmoid"), "class 0"),
    "an ensemble of logits": (fastnn.Ensemble([two_outputs()]), "class 0"),
    "labels": (Threshold(), "left"),
    "an estimator": (Estimator(), "left"),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_boundary_is_where_classes_change(name, ax):
    model, first = MODELS[name]
    X, y = rows(), np.arange(50) % 2
    y = np.array(["left", "right"])[y] if first == "left" else y
    assert plot.decision_boundary(model, X, y, ax=ax) is ax
    points = boundary(ax)
    np.testing.assert_allclose(points[:, 0], 0.25, atol=0.01 if name == "labels" else 1e-6)
    assert points[:, 1].min() < -0.9 and points[:, 1].max() > 0.9
    assert entries(ax)[0] == first
    np.testing.assert_array_equal(shown(ax, first), X[::2])
    image = ax.images[0].get_array()
    assert image[0, 0] == 0 and image[0, -1] == 1
    assert ax.get_xlabel() == "column 0"


def test_three_classes_and_their_values(ax):
    """The logits 0, x and y: the lines between them are known."""
    net = constant(nn.Dense(2, 3))
    net[0].weight[...] = [[0, 1, 0], [0, 0, 1]]
    plot.decision_boundary(net, rows(), np.array([2, 0] * 25), ax=ax)
    assert entries(ax) == ["class 0", "class 1", "class 2"]
    for line in ax.collections:
        at = np.vstack([path.vertices for path in line.get_paths()])
        z = np.sort(np.column_stack([np.zeros(len(at)), at]), axis=1)
        np.testing.assert_allclose(z[:, 2], z[:, 1], atol=0.02)
    assert len(ax.collections) == 3
    greys = ax.images[0].cmap(np.arange(3))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(greys) < -0.05).all() and greys.min() > 0.7


def test_a_regression_has_contours(ax):
    net = one_output(bias=0)
    X = rows(1000)
    y = X[:, 0] + 0.5
    plot.decision_boundary(net, X, y, ax=ax)
    lines = ax.collections[1]
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        np.testing.assert_allclose(path.vertices[:, 0], level, atol=1e-6)
    points = ax.collections[-1]
    assert 250 < len(points.get_offsets()) <= 300
    np.testing.assert_allclose(points.get_array(), points.get_offsets()[:, 0] + 0.5)


def test_counts_are_numbers(ax):
    """A bare net of one output says no class of five."""
    plot.decision_boundary(one_output(), rows(), np.arange(50) % 5, ax=ax)
    assert entries(ax) == ["rows, filled\nby their y\n(dark: large)"]


def test_a_net_that_always_says_the_same(ax):
    net = constant(nn.Dense(2, 2, init="zeros"))
    net[0].bias[...] = 1.0, 0.0
    plot.decision_boundary(net, np.zeros((3, 2)), [0, 0, 0], ax=ax)
    assert not ax.collections and entries(ax) == ["class 0", "class 1"]
    flat = figure.Figure().subplots()
    plot.decision_boundary(constant(nn.Dense(2, 1, init="zeros")), rows(), rows()[:, 0], ax=flat)
    assert len(flat.collections) == 1


def test_at_most_300_rows_of_all_classes(ax):
    X = rows(5000)
    y = np.zeros(5000, int)
    y[17] = 1
    plot.decision_boundary(two_outputs(), X, y, ax=ax)
    assert len(shown(ax, "class 0")) + len(shown(ax, "class 1")) <= 301
    np.testing.assert_array_equal(shown(ax, "class 1"), X[[17]])


def test_estimators_and_frames(ax):
    pytest.importorskip("sklearn", "1.6")
    pandas = pytest.importorskip("pandas")
    estimators = importlib.import_module("fastnn.sklearn")
    X = pandas.DataFrame(rows(), columns=["width", "height"])
    y = np.where(X.width > 0, "yes", "no")
    model = estimators.MLPClassifier((4,), max_iter=3, random_state=0, solver="adam", early_stopping=False)
    with pytest.warns(match="converge"):
        model.fit(X, y)
    plot.decision_boundary(model, X, y, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel(), entries(ax)) == ("width", "height", ["no", "yes"])
    image = ax.images[0]
    x0, x1, y0, y1 = image.get_extent()
    first, second = np.meshgrid(np.linspace(x0, x1, 201), np.linspace(y0, y1, 201))
    grid = pandas.DataFrame({"width": first.reshape(-1), "height": second.reshape(-1)})
    np.testing.assert_array_equal(image.get_array().reshape(-1), model.predict(grid) == "yes")


# ---- units ----


def test_hidden_units_are_weights_by_their_norm(ax):
    net = constant(nn.Dense(6, 3), nn.ReLU(), nn.Dense(3, 1))
    w = np.zeros((6, 3))
    w[:, 0], w[5, 1], w[:, 2] = 0.1, -5.0, np.arange(6)
    net[0].weight[...] = w
    assert plot.hidden_units(net, (2, 3), units=2, ax=ax) is ax
    assert [text.get_text() for text in ax.texts] == ["2", "1"]
    image = ax.images[0]
    data = np.ma.masked_invalid(image.get_array())
    np.testing.assert_array_equal(data[:2, :3], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(data[:2, 4:], [[0, 0, 0], [0, 0, -5]])
    low, high = image.get_clim()
    assert low == -high and 4.5 < high <= 5


@pytest.mark.parametrize("through", [False, True])
def test_hidden_units_through_the_scaler(ax, through):
    net = constant(nn.Dense(4, 2), nn.ReLU())
    net[0].weight[...] = 1.0
    net.scaler = (np.zeros(4), np.array([1.0, 2.0, 3.0, 4.0]))
    plot.hidden_units(net, (2, 2), units=[1], through_scaler=through, ax=ax)
    data = np.ma.masked_invalid(ax.images[0].get_array()).compressed()
    assert data.tolist() == ([1, 2, 3, 4] if through else [1, 1, 1, 1])


def test_hidden_units_of_a_later_layer(ax):
    net = constant(nn.Dense(3, 4), nn.Residual(nn.Dense(4, 4)), nn.Dense(4, 2))
    plot.hidden_units(net, (2, 2), layer="1.0", units=[3], ax=ax)
    data = np.ma.masked_invalid(ax.images[0].get_array()).compressed()
    np.testing.assert_array_equal(data, net[1][0].weight[:, 3])


@pytest.mark.parametrize("layer", [None, 0, 1, 2, 3, 4])
def test_unit_responses_are_those_of_activations(ax, layer):
    net = nn.Sequential(nn.Dense(2, 3), nn.Tanh(), nn.Dense(3, 3), nn.ReLU(), nn.Dense(3, 1), dtype="float64", seed=1)
    X = rows()
    assert plot.unit_responses(net, X, layer=layer, units=[0], ax=ax) is ax
    low, high = X.min(axis=0), X.max(axis=0)
    first, second = np.linspace(low - 0.08 * (high - low), high + 0.08 * (high - low), 101).T
    grid = np.column_stack([np.tile(first, 101), np.repeat(second, 101)])
    expected = net.activations(grid)[3 if layer is None else layer][:, 0].reshape(101, 101)[::-1]
    image = np.asarray(ax.images[0].get_array())[:101, :101]
    np.testing.assert_allclose(image, expected / np.abs(expected).max(), atol=1e-9)
    assert f"layer {3 if layer is None else layer}\n" in ax.get_title()


def test_units_are_chosen_by_how_much_they_vary(ax):
    net = constant(nn.Dense(2, 3))
    net[0].weight[...], net[0].bias[...] = [[1, 0, 2], [0, 0, 0]], [0, 9, 0]
    plot.unit_responses(net, rows(), units=2, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["2", "0"]


def test_a_dead_unit_is_grey(ax):
    net = constant(nn.Dense(2, 1, init="zeros"))
    plot.unit_responses(net, rows(), ax=ax)
    image = np.ma.masked_invalid(ax.images[0].get_array())
    assert image.count() == 101 * 101 and not image.any()


# ---- the net ----


def texts(ax):
    return [text.get_text() for text in ax.texts]


def segments(ax):
    """Return the weights' lines by their ends: width and whether they are solid."""
    found = {}
    for each in ax.collections:
        solid = each.get_linestyles()[0][1] is None
        for ends, width in zip(each.get_segments(), each.get_linewidths(), strict=True):
            found[tuple(map(tuple, np.round(ends, 6)))] = (float(width), solid)
    return found


def test_units_and_weights(ax):
    net = constant(nn.Dense(1, 2), nn.ReLU(), nn.Dense(2, 1))
    net[0].weight[...], net[2].weight[...] = [[2.0, -1.0]], [[0.5], [0.0]]
    assert plot.net(net, ax=ax) is ax
    points = [line.get_xydata() for line in ax.lines if line.get_label() == "_units"]
    assert [len(each) for each in points] == [1, 2, 1]
    lines, ends = segments(ax), [tuple(map(tuple, np.round(each, 6))) for each in points]
    assert len(lines) == 3, "a weight of 0 has no line"
    first, second = lines[ends[0][0], ends[1][0]], lines[ends[0][0], ends[1][1]]
    assert (first[1], second[1]) == (True, False)
    assert first[0] == 2 * second[0] == lines[ends[1][0], ends[2][0]][0]
    assert texts(ax) == ["input\n1 column", "Dense(1, 2)\nReLU()", "Dense(2, 1)"]
    assert ax.get_title() == "weights: solid if positive, dashed if negative"


def test_large_layers_are_cut(ax):
    plot.net(constant(nn.Dense(40, 16), nn.ReLU(), nn.Dense(16, 17)), units=True, ax=ax)
    assert [len(each.get_xydata()) for each in ax.lines if each.get_label() == "_units"] == [16, 16, 16]
    assert texts(ax)[:2] == ["...", "..."]
    assert len(segments(ax)) == 2 * 16 * 16


def test_boxes(ax):
    net = constant(nn.Dense(64, 32), nn.ReLU(), nn.Dense(32, 10))
    net.scaler, net.output_scaler = (0.0, 2.0), (1.0, 1.0)
    plot.net(net, ax=ax)
    assert texts(ax) == [
        "input\n64 columns", "scaler\nScaler", "Dense(64, 32)\n32 outputs, 2,080 parameters", "ReLU()\n32 outputs",
        "Dense(32, 10)\n10 outputs, 330 parameters", "output scaler, inverted\nScaler",
    ]  # fmt: skip
    heights = [text.get_position()[1] for text in ax.texts]
    assert heights == sorted(heights) and len(ax.patches) == 6


def test_branches(ax):
    block = nn.Residual(nn.Dense(4, 8), "relu", nn.Dense(8, 4))
    heads = nn.Parallel(nn.Columns([0, 2], nn.Dense(2, 3)), nn.Sequential(nn.Dense(4, 2), "tanh"))
    plot.net(constant(block, heads), ax=ax)
    found = texts(ax)
    assert {"+", "side by side", "columns 0, 2"} <= set(found)
    at = {text.get_text(): text.get_position() for text in ax.texts}
    left, right = at["columns 0, 2"], at["Dense(4, 2)\n2 outputs, 10 parameters"]
    assert left[0] < right[0] and left[1] == right[1]
    join = at["side by side"]
    assert left[0] < join[0] < right[0] and join[1] > at["Tanh()\n2 outputs"][1]
    skip = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == 4]
    plus = at["+"]
    assert len(skip) == 1 and tuple(skip[0][-1]) == plus, "the skip ends in the sum"
    assert skip[0][:, 1].min() < at["Dense(4, 8)\n8 outputs, 40 parameters"][1]


@pytest.mark.parametrize(("join", "sign"), [("add", "+"), ("multiply", "\u00d7"), ("mean", "mean")])
def test_joins(ax, join, sign):
    plot.net(constant(nn.Parallel(nn.Dense(2, 2), nn.Identity(), join=join)), ax=ax)
    assert sign in texts(ax)


def test_equal_blocks_are_drawn_once(ax):
    blocks = [nn.Residual(nn.Dense(4, 4), "tanh") for _ in range(5)]
    plot.net(constant(*blocks, nn.Dense(4, 1)), ax=ax)
    assert texts(ax).count("+") == 1 and "5 times" in texts(ax)


def test_many_branches_are_cut():
    ax = figure.Figure((9, 5), layout="constrained").subplots()
    branches = [nn.Columns([i], nn.Embedding(5, 2)) for i in range(9)]
    plot.net(constant(nn.Parallel(*branches), nn.Dense(18, 1)), ax=ax)
    assert "... 4 more\nbranches" in texts(ax)
    assert [each for each in texts(ax) if each.startswith("column ")] == [f"column {i}" for i in (0, 1, 2, 3, 8)]


def test_long_texts_are_shortened(ax):
    plot.net(constant(nn.Columns([5, 1, 9, 11, 12, 14, 15, 17, 19, 20], in_features=30), nn.Dense(10, 1)), ax=ax)
    assert "columns 5, 1, 9, 11, 12, 14..." in texts(ax)


# ---- all of them ----

SMALL = constant(nn.Dense(2, 3), nn.Tanh(), nn.Dense(3, 1))
LINE = diagnosis.LossLine(np.arange(2.0), np.arange(2.0), True)
CALLS = {
    "decision_boundary": lambda **ax: plot.decision_boundary(SMALL, rows(), np.arange(50) % 2, **ax),
    "hidden_units": lambda **ax: plot.hidden_units(SMALL, (1, 2), **ax),
    "unit_responses": lambda **ax: plot.unit_responses(SMALL, rows(), **ax),
    "net": lambda **ax: plot.net(SMALL, **ax),
    "net by boxes": lambda **ax: plot.net(SMALL, units=False, **ax),
    "loss_line": lambda **ax: plot.loss_line(LINE, **ax),
    "eigenvalues": lambda **ax: plot.eigenvalues(SMALL, rows(), rows()[:, 0], loss="mse", **ax),
    "paths": lambda **ax: plot.paths(lambda x, y: x * y, {"a": [[0, 0], [1, 1]]}, xlim=(-1, 1), ylim=(-1, 1), **ax),
}


@pytest.mark.parametrize("name", CALLS)
def test_pictures_change_nothing_else(name):
    """Without axes there is a new figure; the net and the settings of matplotlib stay."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    own = pyplot.figure()
    before = dict(matplotlib.rcParams), SMALL.params.data.tobytes(), SMALL.training_steps
    made = CALLS[name]()
    made.figure.canvas.draw()
    assert made.figure is not own
    pyplot.close(made.figure)
    given = own.add_subplot()
    assert CALLS[name](ax=given) is given and pyplot.get_fignums() == [own.number]
    pyplot.close(own)
    assert (dict(matplotlib.rcParams), SMALL.params.data.tobytes(), SMALL.training_steps) == before


@pytest.mark.parametrize("name", CALLS)
def test_without_matplotlib(monkeypatch, name):
    real = importlib.import_module

    def absent(module, *arguments):
        if module.startswith("matplotlib"):
            raise ModuleNotFoundError(module)
        return real(module, *arguments)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r'^fastnn.plot needs matplotlib, got none: .*pip install "\.\[plot\]"'):
        CALLS[name]()


def test_misspelt_names_say_what_was_meant():
    with pytest.raises(AttributeError, match=r"^module 'fastnn\.plot' has no attribute .*: did you mean 'decision"):
        plot.decision_bondary  # noqa: B018
    with pytest.raises(TypeError, match=r"^the arguments of unit_responses must be among .*: did you mean 'units'"):
        plot.unit_responses(SMALL, rows(), unit=3)


THREE = constant(nn.Dense(3, 2))
IDS = nn.Sequential(nn.Parallel(nn.Columns([0], nn.Embedding(5, 2)), nn.Columns([1])), nn.Dense(3, 2), seed=0)


def nan_net():
    net = two_outputs()
    net[0].weight[...] = np.nan
    return net


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X, y: plot.decision_boundary(THREE, X, y), "^net must have two input columns, as a plane has, got 3"),
        (lambda X, y: plot.decision_boundary(fastnn.Trainer(THREE), X, y), "^net must have two input columns"),
        (lambda X, y: plot.decision_boundary(fastnn.Ensemble([THREE]), X, y), "^net must have two input columns"),
        (lambda X, y: plot.decision_boundary(IDS, X, y), "^net must take numbers in both columns, got categories"),
        (lambda X, y: plot.decision_boundary(3, X, y), "^net must be a net, or another model with predict, got int"),
        (lambda X, y: plot.decision_boundary(SMALL, X[:, :1], y), "^X must have shape"),
        (lambda X, y: plot.decision_boundary(SMALL, X * np.nan, y), "^X must contain finite numbers"),
        (lambda X, y: plot.decision_boundary(SMALL, X, y[:9]), "^y must have 50 entries, one for each row of X, got 9"),
        (lambda X, y: plot.decision_boundary(two_outputs(), X, X[:, 0]), "^net must have one output, as y is a number"),
        (lambda X, y: plot.decision_boundary(two_outputs(), X, X), "^y must be one class or one number for each row"),
        (lambda X, y: plot.decision_boundary(two_outputs(), X, np.arange(50) % 3), "^y must have classes from 0 to 1"),
        (lambda X, y: plot.decision_boundary(Estimator(), X, np.where(y, "up", "left")), "^y must have the classes"),
        (lambda X, y: plot.decision_boundary(nan_net(), X, y), "^net must give finite outputs near the rows of X"),
        (lambda X, y: plot.hidden_units(THREE), r"^shape must have 3 pixels, as Dense\(3, 2\) has weights, got 784"),
        (lambda X, y: plot.hidden_units(THREE, 3), "^shape must be a pair of integers"),
        (lambda X, y: plot.hidden_units(THREE, (1, 3), layer=1), "^layer must be the path of a Dense: 0, got 1"),
        (lambda X, y: plot.hidden_units(THREE, (1, 3), units=[2]), "^units must contain integers from 0 to 1"),
        (lambda X, y: plot.hidden_units(THREE, (1, 3), units=0), "^units must be an integer of at least 1"),
        (lambda X, y: plot.hidden_units(nn.Sequential(nn.BatchNorm(3)), (1, 3)), "^net must have a Dense, got BatchNo"),
        (lambda X, y: plot.unit_responses(THREE, X), "^net must have two input columns"),
        (lambda X, y: plot.unit_responses(SMALL, X, layer=3), "^layer must be an integer from 0 to 2"),
        (
            lambda X, y: plot.unit_responses(nan_net(), X),
            "^net must have finite weights, got NaN or infinity in 0.weight",
        ),
        (lambda X, y: plot.net(IDS, units=True), "^units must be left out, as only nets of Dense"),
        (lambda X, y: plot.net(nn.Sequential("relu")), "^layers must contain a layer that defines the width"),
        (lambda X, y: plot.net(nn.Dense(2, 1)), "^net must be a Sequential, got Dense"),
    ],
)
def test_refused(call, message):
    pyplot = importlib.import_module("matplotlib.pyplot")
    before = pyplot.get_fignums()
    with pytest.raises((TypeError, ValueError), match=message):
        call(rows(), np.arange(50) % 2)
    assert pyplot.get_fignums() == before, "no empty figure is left"


def test_a_quantile_scaler_has_no_scale():
    net = constant(nn.Dense(4, 2))
    net.scaler = fastnn.data.QuantileScaler([[0.0] * 4, [1.0] * 4])
    with pytest.raises(ValueError, match=r"^layer must be a layer of the input, which is scaled by a center"):
        plot.hidden_units(net, (2, 2), through_scaler=True)
