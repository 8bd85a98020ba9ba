"""Pictures in a user's world: settings of matplotlib, a broken matplotlib, names with signs, numbers of any size."""

import importlib
import io
import sys
import types

import numpy as np
import pytest

import fastnn
from fastnn import diagnosis, nn, optim, plot
from fastnn.plot import _pages, _style

mpl = pytest.importorskip("matplotlib", reason="matplotlib, an extra, is not installed")
mpl.use("Agg")
pyplot = importlib.import_module("matplotlib.pyplot")
Figure = importlib.import_module("matplotlib.figure").Figure

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
Y = (X[:, 0] > 0).astype(int)
NET = nn.Sequential(nn.Dense(2, 3), nn.Tanh(), nn.Dense(3, 2), seed=0)
LOSSES = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.5, 2.5, 2.8]}
LIMITS = {"xlim": (-1, 1), "ylim": (-1, 1)}
OWN = (("dark_background", {}), ("default", {"font.size": 24, "figure.facecolor": "red", "lines.linewidth": 7}))
OWN += (("default", {"text.usetex": True, "axes.grid": True, "savefig.dpi": 300}),)


@pytest.fixture
def ax():
    return Figure(layout="constrained").add_subplot()


def save(axes):
    axes.figure.savefig(io.BytesIO())


def line_of(*losses):
    return diagnosis.LossLine(np.arange(3.0), np.array(losses), False)


def page_picture():
    with _pages.drawing():
        figure, (panel,) = _pages.panels()
        _pages.draw_by_epoch(panel, LOSSES, "loss")
    return _pages.Picture(figure, "alt", "caption").html


@pytest.mark.parametrize(("look", "own"), OWN)
def test_pages_do_not_depend_on_settings(look, own):
    expected = page_picture()
    with pyplot.style.context(look), mpl.rc_context(own):
        before = dict(mpl.rcParams)
        assert page_picture() == expected
        assert dict(mpl.rcParams) == before


def test_pictures_respect_settings():
    own = {"lines.linewidth": 7, "font.size": 24, "figure.figsize": (3, 2), "axes.spines.top": False}
    with mpl.rc_context(own):
        axes = plot.trajectories(traced()[0])
        assert axes.lines[0].get_linewidth() == 7 and axes.xaxis.label.get_size() == 24
        assert axes.figure.get_size_inches().tolist() == [3, 2]
        assert axes.lines[0].get_markersize() == _style.SETTINGS["lines.markersize"], "what is a default gives way"
    axes = plot.trajectories(traced()[0])
    assert axes.lines[0].get_linewidth() == 1.5 and axes.figure.get_size_inches().tolist() == [6.4, 3.6]
    pyplot.close("all")


def test_boxes_are_readable_in_a_dark_style():
    with pyplot.style.context("dark_background"):
        axes = plot.net(nn.Sequential(nn.Dense(64, 128), seed=0), ax=Figure().add_subplot())
    colours = importlib.import_module("matplotlib.colors").to_rgb
    boxes = [np.mean(colours(each.get_facecolor())) for each in axes.patches]
    assert all(abs(box - np.mean(colours(text.get_color()))) > 0.5 for box, text in zip(boxes, axes.texts, strict=True))


@pytest.mark.parametrize("error", [ImportError, AttributeError])
def test_a_broken_matplotlib_counts_as_none(monkeypatch, error):
    class Refusing:
        @staticmethod
        def find_spec(name, _path=None, _target=None):
            if name.startswith("matplotlib"):
                raise error("broken")

    assert _style.has_matplotlib()
    monkeypatch.delitem(sys.modules, "matplotlib.figure")
    monkeypatch.setattr(sys, "meta_path", [Refusing, *sys.meta_path])
    assert not _style.has_matplotlib()


NAMES = ["$a", "_a", "a\ud800", "$x$ and $", "m" * 400]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "draw",
    [
        lambda name, **to: plot.history({name: [2.0, 1.0], f"val_{name}": [2.0, 1.5]}, name, **to),
        lambda name, **to: plot.history({name: LOSSES, "b": LOSSES}, **to),
        lambda name, **to: plot.learning_rate({name: "cosine", "b": None}, **to),
        lambda name, **to: plot.loss_line({name: line_of(1, 2, 3)}, **to),
        lambda name, **to: plot.paths(lambda x, y: x * y, {name: [[0, 0], [0.5, 0.5]]}, **LIMITS, **to),
        lambda name, **to: plot.decision_boundary(Signs(), X, np.array([name, "b"])[Y], **to),
    ],
)
def test_names_of_any_signs(ax, draw, name):
    draw(name, ax=ax)
    save(ax)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert any(_style.label(name) in text or name[-9:] in text for text in texts), "no name vanishes"


class Signs:
    """A model that says a name for each sign of the first column."""

    def predict(self, rows):
        return np.where(np.asarray(rows)[:, 0] > 0, "b", "c")


def net_with(value):
    net = nn.Sequential(nn.Dense(2, 3), nn.Dense(3, 2), dtype="float64", seed=0)
    net[0].weight[0, 0] = value
    return net


OF_NETS = [
    lambda net, **to: plot.net(net, **to),
    lambda net, **to: plot.hidden_units(net, (1, 2), **to),
    lambda net, **to: plot.unit_responses(net, X, **to),
    lambda net, **to: plot.loss_line(diagnosis.loss_along_line(net, X, Y), **to),
]


@pytest.mark.parametrize("draw", OF_NETS)
def test_weights_that_are_not_finite_and_huge_ones(ax, draw):
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"^net must have finite weights, got NaN or infinity in 0\.weight"):
            draw(net_with(value))
    draw(net_with(1e200), ax=ax)
    save(ax)


@pytest.mark.parametrize("size", [1e-320, 1e308])
@pytest.mark.parametrize(
    "draw",
    [
        lambda size, **to: plot.history({"loss": [size, 1.0, -size]}, **to),
        lambda size, **to: plot.loss_line(line_of(size, 1.0, -size), **to),
        lambda size, **to: plot.learning_rate({"lr": [size, 1.0, size]}, **to),
        lambda size, **to: plot.learning_rate("cosine", base=size, **to),
        lambda size, **to: plot.paths(lambda x, y: x * y * size, {"a": [[0, 0], [size, 1]]}, **LIMITS, **to),
        lambda size, **to: plot.eigenvalues(np.diag([1.0, -0.5]) * min(size, 1e289), **to),
    ],
)
def test_numbers_of_any_size(ax, draw, size):
    draw(size, ax=ax)
    save(ax)


@pytest.mark.parametrize(("magnitudes", "values"), [(m, v) for m in (False, True) for v in ([1e-320], [1, 1 + 1e-15])])
def test_histograms_of_numbers_that_hardly_differ(magnitudes, values):
    found = diagnosis.Histogram.of([*values, 0.0], magnitudes=magnitudes)
    assert found.size == len(values) + 1 and (np.diff(found.edges) > 0).all()


def given(answer):
    return types.SimpleNamespace(predict=lambda rows: answer(len(rows)))


ONE = "must have one number or one string for each row of X"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.decision_boundary(NET, X, None), f"^y {ONE}, got None"),
        (lambda: plot.decision_boundary(NET, X, 0), f"^y {ONE}, got int"),
        (lambda: plot.decision_boundary(NET, X, {}), f"^y {ONE}, got dict"),
        (lambda: plot.decision_boundary(NET, X, [[1], [2, 3]]), f"^y {ONE}, got rows of different lengths"),
        (lambda: plot.decision_boundary(NET, X, Y + 0j), f"^y {ONE}, got entries of complex128"),
        (lambda: plot.decision_boundary(NET, X, Y.astype("datetime64[s]")), f"^y {ONE}, got entries of datetime64"),
        (lambda: plot.decision_boundary(NET, X, np.array([1, None], object)[Y]), f"^y {ONE}, got entries of object"),
        (lambda: plot.decision_boundary(NET, X, np.full((60, 2), "a")), rf"^y {ONE}, got shape \(60, 2\)"),
        (lambda: plot.decision_boundary(NET, X, np.where(Y, np.nan, 1)), "^y must have finite numbers, .* got nan"),
        (lambda: plot.decision_boundary(given(lambda n: 3), X, Y), rf"^net\.predict\(X\) {ONE}, got int"),
        (lambda: plot.decision_boundary(given(lambda n: [1, 2]), X, Y), r"^net\.predict\(X\) .*\(40401\), got 2"),
        (lambda: plot.decision_boundary(given(lambda n: [None] * n), X, Y), rf"^net\.predict\(X\) {ONE}, got entries"),
        (lambda: plot.decision_boundary(given(lambda n: np.ones((n, 0))), X, Y), r"^net\.predict\(X\) .* got shape"),
        (lambda: plot.paths(float, {"a": [[0, 0]]}, **LIMITS), "^function must be a function of two arrays"),
        (
            lambda: plot.learning_rate(lambda x, y: x),
            r"^source must be a function of the epoch, .* got one of \(x, y\)",
        ),
        (lambda: plot.paths(max, {"a": [[0, 0]]}, xlim=(-1e308, 1e308), ylim=(0, 1)), "^xlim must .* a finite width"),
        (lambda: diagnosis.loss_along_line(NET, X, Y, span=(-1e308, 1e308)), "^span must .* a finite width"),
        (lambda: plot.history({"a": LOSSES, "b": {}}), r"^history\['b'\] must have at least one epoch"),
    ],
)
def test_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
    assert not pyplot.get_fignums()


def test_an_error_while_drawing_leaves_no_figure(monkeypatch):
    monkeypatch.setattr(_style, "legend", lambda ax: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plot.history(LOSSES)
    assert not pyplot.get_fignums()


def test_estimators(ax):
    sklearn = pytest.importorskip("fastnn.sklearn", reason="scikit-learn, an extra, is not installed")
    model = sklearn.MLPClassifier((4,), max_iter=5, tol=9.0, n_iter_no_change=1).fit(X, Y)
    plot.net(model, ax=ax)
    plot.hidden_units(model, (1, 2), ax=ax)
    plot.unit_responses(model, X, ax=ax)
    for call in (plot.gradient_flow, plot.eigenvalues, diagnosis.hessian, diagnosis.loss_along_line):
        with pytest.raises(TypeError, match=r"got MLPClassifier: write model\.net_"):
            call(model, X, Y)


@pytest.mark.parametrize("count", [9, 16, 30])
def test_many_classes_differ(ax, count):
    corners = np.exp(2j * np.pi * np.arange(count) / count)
    directions = np.stack([corners.real, corners.imag])
    model = given(None)
    model.predict = lambda rows: (np.asarray(rows) @ directions).argmax(axis=1)
    spread = RNG.normal(size=(400, 2))
    plot.decision_boundary(model, spread, model.predict(spread), ax=ax)
    save(ax)
    looks = [(line.get_marker(), line.get_color()) for line in ax.lines]
    assert len(set(looks)) == count == len(ax.texts)
    assert (ax.get_legend() is None) == (count > 16)


def test_trainings_side_by_side(ax):
    plot.history({"a": LOSSES, "b": LOSSES}, ax=ax)
    looks = {each.get_label(): (each.get_marker(), each.get_linestyle()) for each in ax.lines}
    assert looks["a: loss"] == ("o", "-") and looks["b: val_loss"] == ("s", "--")
    assert looks["a: val_loss"] == ("o", "--") and looks["b: loss"] == ("s", "-")


def test_one_epoch_has_a_whole_number(ax):
    plot.history({"loss": [1.0]}, ax=ax)
    ax.figure.draw_without_rendering()
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]


def test_deep_nets(ax):
    layers = [each for _ in range(46) for each in (nn.Dense(2, 2), nn.Tanh())]
    net = nn.Sequential(*layers, nn.Dense(2, 2), seed=0)
    recorded = diagnosis.Histograms(X, Y)
    recorded.record(fastnn.Trainer(net))
    plot.histograms(recorded, ax=ax)
    assert len(ax.get_yticklabels()) == 12 and ax.get_yticklabels()[-1].get_text() == "92 (Dense)"
    flow = plot.gradient_flow(net, X, Y, ax=Figure().add_subplot())
    assert len(flow.get_xticks()) <= 16


def test_boxes_of_small_axes_have_one_line():
    net = nn.Sequential(nn.Dense(64, 128), nn.ReLU(), nn.Dense(128, 10), seed=0)
    small, large = (plot.net(net, ax=Figure(size).add_subplot()).texts[1] for size in ((1.2, 2), (6, 4)))
    assert small.get_text() == "Dense(64, 128)" and large.get_text().count("\n") == 1


# ---- recorders ----


def traced():
    trace = diagnosis.Trace({"0.weight": [(0, 0), (1, 0)]})
    linear = nn.Sequential(nn.Dense(2, 3), nn.Dense(3, 2), seed=0)
    trainer = fastnn.Trainer(linear, optimizer=optim.SGD(0.1))
    trainer.fit(X, Y, epochs=2, batch_size=20, callbacks=[trace], verbose=0)
    return trace, trainer


def test_a_trace_goes_on_after_a_divergence():
    trace, trainer = traced()
    kept = trace.values.copy()
    trainer.lr = 1e30
    with pytest.raises(fastnn.TrainingDiverged):
        trainer.fit(X * 1e10, Y, epochs=1, batch_size=20, callbacks=[trace], verbose=0)
    trainer.lr = 0.1
    trainer.fit(X, Y, epochs=1, batch_size=20, callbacks=[trace], verbose=0)
    assert trace.steps.tolist() == list(range(10)), "two epochs of three steps, and one"
    np.testing.assert_array_equal(trace.values[:7], kept)
    assert trace.values[-1, 0] == trainer.net[0].weight[0, 0]


def test_histograms_that_are_in_a_fit_twice_record_once():
    recorded = diagnosis.Histograms(X, Y)
    fastnn.Trainer(NET.copy()).fit(X, Y, epochs=2, callbacks=[recorded, recorded], verbose=0)
    assert [each.epoch for each in recorded.records] == [0, 1, 2]
