"""Pictures of trainings: what is drawn are the numbers, into the axes that are given, and nothing else is touched."""

import importlib
import math
import pickle
import sys

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim, plot
from fastnn.diagnosis import Histogram, Histograms, Trace

mpl = pytest.importorskip("matplotlib", reason="matplotlib, an extra, is not installed")
mpl.use("Agg")
pyplot = importlib.import_module("matplotlib.pyplot")
Figure = importlib.import_module("matplotlib.figure").Figure

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)), RNG.integers(0, 3, 60)
HISTORY = {
    "loss": [3.0, 2.0, 1.0, 0.5],
    "val_loss": [3.5, 2.5, 1.5, 2.0],
    "accuracy": [0.1, 0.2, 0.3, 0.4],
    "lr": [1.0] * 4,
}


def net(layers=2):
    hidden = [each for _ in range(layers) for each in (nn.Dense(4, 4), nn.Tanh())]
    return nn.Sequential(*hidden, nn.Dense(4, 3), seed=0)


@pytest.fixture(scope="module")
def run():
    """Return a training with all that records it."""
    watch, recorded = fastnn.Watch(every=4), Histograms(X, Y)
    trace = Trace({"4.weight": [(0, 0), (1, 0)]})
    trainer = fastnn.Trainer(net(), optimizer="sgd", schedule=optim.StepLR(2))
    validation = {"validation_data": (X, Y), "train_metrics": True}
    trainer.fit(X, Y, epochs=5, batch_size=15, callbacks=[watch, recorded, trace], verbose=0, **validation)
    return trainer, watch, recorded, trace


@pytest.fixture
def ax():
    return Figure().add_subplot()


def lines(ax):
    """Return the points of the labelled lines, by their labels."""
    found = {line.get_label(): line for line in ax.lines}
    return {label: np.array(line.get_data()) for label, line in found.items() if not label.startswith("_")}


def ridges(ax):
    """Return the tops of ridges by the beginning of their labels: x, and the height over the base."""
    labels = [label.get_text().partition(", ")[0] for label in ax.get_yticklabels()]
    found = [np.array(line.get_data()) for line in ax.lines]
    return {label: (x, y - base) for label, (x, y), base in zip(labels, found, range(len(found))[::-1], strict=True)}


# ---- history ----


def test_history_draws_both_losses_and_marks_the_best_epoch(ax):
    assert plot.history(HISTORY, ax=ax) is ax
    found = lines(ax)
    np.testing.assert_array_equal(found["loss"], [[1, 2, 3, 4], HISTORY["loss"]])
    np.testing.assert_array_equal(found["val_loss"], [[1, 2, 3, 4], HISTORY["val_loss"]])
    np.testing.assert_array_equal(found["best val_loss: 1.5, epoch 3"], [[3], [1.5]])
    assert [line.get_linestyle() for line in ax.lines[:2]] == ["-", "--"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(found)


@pytest.mark.parametrize(
    ("figures", "labels"),
    [
        ("accuracy", ["accuracy"]),
        (["loss", "accuracy"], ["loss", "val_loss", "best val_loss: 1.5, epoch 3", "accuracy"]),
        (["val_loss"], ["val_loss", "best val_loss: 1.5, epoch 3"]),
    ],
)
def test_other_figures(figures, labels, ax):
    assert list(lines(plot.history(HISTORY, figures, ax=ax))) == labels


@pytest.mark.parametrize(("name", "best"), [("accuracy", 3), ("loss", 1), ("mine", None)])
def test_the_best_epoch_is_the_highest_of_some_figures(name, best, ax):
    plot.history({name: [0.0] * 3, f"val_{name}": [0.1, 0.5, 0.9]}, name, ax=ax)
    rings = [line for line in ax.lines if line.get_label().startswith("best")]
    assert [int(line.get_xdata()[0]) for line in rings] == ([] if best is None else [best])


def test_epochs_that_are_not_finite_are_gaps(ax):
    plot.history({"loss": [1.0, math.nan, 2.0, math.inf, 3.0, 4.0], "val_loss": [math.nan] * 6}, ax=ax)
    drawn = lines(ax)
    assert list(drawn) == ["loss", "val_loss"]
    np.testing.assert_array_equal(drawn["loss"][1], [1, math.nan, 2, math.nan, 3, 4])
    assert set(ax.lines[0].get_markevery()) >= {0, 2}  # which no line shows


def test_a_single_epoch_among_many_is_marked(ax):
    values = np.full(100, math.nan)
    values[[37, 70, 71]] = 1.0
    plot.history({"loss": values}, ax=ax)
    assert 37 in ax.lines[0].get_markevery()


def test_sources_of_a_history(run, tmp_path, ax):
    trainer = run[0]
    path = tmp_path / "log.csv"
    twin = fastnn.Trainer(net(), optimizer="sgd", schedule=optim.StepLR(2))
    twin.fit(X, Y, epochs=5, batch_size=15, validation_data=(X, Y), verbose=0, callbacks=[fastnn.CSVLog(path)])
    table = np.genfromtxt(path, delimiter=",", names=True)
    for source in (trainer, trainer.history, dict(trainer.history), table):
        found = lines(plot.history(source, ax=Figure().add_subplot()))
        np.testing.assert_allclose(found["loss"], [[1, 2, 3, 4, 5], trainer.history["loss"]], rtol=1e-12)
        assert "val_loss" in found
    np.testing.assert_array_equal(lines(plot.history(table[2:], ax=ax))["loss"][0], [3, 4, 5])


def test_sources_of_other_libraries(ax):
    frame = pytest.importorskip("pandas").DataFrame(HISTORY)
    np.testing.assert_array_equal(lines(plot.history(frame, ax=ax))["val_loss"][1], HISTORY["val_loss"])


def test_estimators_have_a_history(ax):
    sklearn = pytest.importorskip("fastnn.sklearn", reason="scikit-learn is not installed")
    model = sklearn.MLPClassifier((4,), max_iter=30, early_stopping=True, n_iter_no_change=3, tol=1.0, random_state=0)
    with pytest.raises(TypeError, match="got an estimator that is not fitted"):
        plot.history(model)
    model.fit(X, Y)
    np.testing.assert_array_equal(lines(plot.history(model, ax=ax))["loss"][1], model.loss_curve_)
    other = lines(plot.history(model, "score", ax=Figure().add_subplot()))
    np.testing.assert_array_equal(other["val_score"][1], model.validation_scores_)


# ---- learning rates ----


def test_the_rate_of_a_training(run, ax):
    plot.learning_rate(run[0], ax=ax)
    np.testing.assert_allclose(lines(ax)["learning rate"], [[1, 2, 3, 4, 5], [0.01, 0.01, 0.001, 0.001, 1e-4]])


def test_schedules_are_drawn_as_steps(ax):
    plot.learning_rate(optim.StepLR(2, gamma=0.5), epochs=4, steps_per_epoch=5, base=8.0, ax=ax)
    assert ax.get_ylim()[0] == 0
    x, y = lines(ax)["learning rate"]
    for time, rate in ((0.0, 8.0), (1.95, 8.0), (2.05, 4.0), (3.99, 4.0)):
        assert np.interp(time, x, y) == rate
    assert (x[0], x[-1]) == (0, 4)


def test_a_planned_schedule_is_that_of_the_training(ax):
    trainer = fastnn.Trainer(net(), optimizer=optim.SGD(lr=0.3), schedule="one_cycle")
    plot.learning_rate(trainer.schedule, epochs=3, steps_per_epoch=4, base=0.3, ax=ax)
    trainer.fit(X, Y, epochs=3, batch_size=15, verbose=0)
    x, y = lines(ax)["learning rate"]
    ends = [np.interp(epoch - 0.01, x, y) for epoch in (1, 2, 3)]
    np.testing.assert_allclose(ends, trainer.history["lr"], rtol=1e-12)


def test_several_schedules_and_histories(run, ax):
    sources = {"half": lambda epoch: 0.5**epoch, "constant": None, "cosine": "cosine", "run": run[0].history}
    plot.learning_rate(sources, epochs=2, ax=ax)
    found = lines(ax)
    assert list(found) == list(sources)
    assert found["half"][1].tolist() == [1.0] * 200 + [0.5] * 200
    assert set(found["constant"][1]) == {1.0}
    np.testing.assert_allclose(found["cosine"][1][[0, -1]], [1.0, 0.5])


# ---- histograms ----


def test_a_ridge_for_each_layer(run, ax):
    recorded = run[2]
    plot.histograms(recorded, ax=ax)
    found = ridges(ax)
    assert list(found) == ["0 (Dense)", "1 (Tanh)", "2 (Dense)", "3 (Tanh)", "4 (Dense)"]
    assert ax.get_title() == "after epoch 5"
    every = [each.edges for each in recorded.records[-1].output.values()]
    for (x, heights), (path, each) in zip(found.values(), recorded.records[-1].output.items(), strict=True):
        np.testing.assert_allclose([x[0], x[-1]], [np.min(every), np.max(every)])
        np.testing.assert_allclose(heights.max(), 0.86)
        mean = np.sum((each.edges[1:] + each.edges[:-1]) / 2 * each.counts) / each.counts.sum()
        middles = (x[::2] + x[1::2]) / 2
        np.testing.assert_allclose(np.sum(middles * heights[::2]) / np.sum(heights[::2]), mean, atol=0.01, err_msg=path)


def test_a_ridge_keeps_the_shape_of_its_histogram(ax):
    recorded = Histograms(X, Y)
    parts = {
        "0": Histogram(np.array([4, 2]), np.array([0.0, 1.0, 2.0]), 0, 0, 0, 0),
        "1": Histogram(np.array([1, 1]), np.array([-2.0, 0.0, 6.0]), 8, 0, 0, 0),
        "2": Histogram(np.array([0, 0]), np.array([90.0, 95.0, 99.0]), 5, 0, 0, 0),
    }
    recorded.records = [fastnn.diagnosis.HistogramRecord(0, parts, {}, {})]
    found = ridges(plot.histograms(recorded, ax=ax))
    x, heights = found["0"]
    np.testing.assert_allclose(np.interp([-1, 0.5, 1.5, 3], x, heights / 0.86), [0, 1, 0.5, 0], atol=1e-12)
    x, heights = found["1"]
    np.testing.assert_allclose(np.interp([-1, 2.0], x, heights / 0.86), [1, 1 / 3])
    assert not found["2"][1].any()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "1, 80% are 0", "2, 100% are 0"]


def test_gradients_have_a_log_axis(run, ax):
    plot.histograms(run[2], "gradient", epoch=0, ax=ax)
    assert ax.get_xscale() == "log"
    assert ax.get_title() == "before the first epoch"
    x, heights = ridges(ax)["4 (Dense)"]
    each = run[2].records[0].gradient["4"]
    middles = np.log(x[::2] * x[1::2]) / 2
    mean = np.sum(np.log(each.edges[1:] * each.edges[:-1]) / 2 * each.counts) / each.counts.sum()
    np.testing.assert_allclose(np.sum(middles * heights[::2]) / np.sum(heights[::2]), mean, atol=0.02)


def test_a_ridge_for_each_epoch(run):
    for layer in ("3", 3):
        ax = plot.histograms(run[2], layer=layer, ax=Figure().add_subplot())
        assert list(ridges(ax)) == [f"epoch {each}" for each in range(6)]
        assert ax.get_title() == "layer 3 (Tanh)"
    assert list(ridges(plot.histograms(run[2], "weight", ax=Figure().add_subplot()))) == [
        "0 (Dense)", "2 (Dense)", "4 (Dense)",
    ]  # fmt: skip


def test_at_most_twelve_epochs_are_drawn(ax):
    recorded = Histograms(X, Y)
    fastnn.Trainer(net()).fit(X, Y, epochs=30, callbacks=[recorded], verbose=0)
    names = list(ridges(plot.histograms(recorded, layer="0", ax=ax)))
    assert len(names) == 12
    assert (names[0], names[-1]) == ("epoch 0", "epoch 30")


# ---- gradients by layer ----


def test_the_flow_of_a_watch(run, ax):
    watch = run[1]
    plot.gradient_flow(watch, ax=ax)
    first, last = watch.records[0], watch.records[-1]
    found = lines(ax)
    assert list(found) == [f"step {each.step}, epoch {each.epoch}" for each in (first, last)]
    for record, (x, y) in zip((first, last), found.values(), strict=True):
        assert x.tolist() == [0, 1, 2, 3, 4]
        np.testing.assert_array_equal(y, [record.layers[path].gradient for path in "01234"])
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_xticklabels()] == list("01234")


def test_the_flow_of_a_net_is_what_a_watch_sees_in_its_first_step(ax):
    watch = fastnn.Watch()
    fastnn.Trainer(net(4)).fit(X, Y, epochs=1, batch_size=60, callbacks=[watch], verbose=0)
    expected = [each.gradient for path, each in watch.records[0].layers.items() if path != "input"]
    for source in (net(4), fastnn.Trainer(net(4))):
        ax = plot.gradient_flow(source, X, Y, ax=Figure().add_subplot())
        np.testing.assert_allclose(ax.lines[0].get_ydata(), expected, rtol=1e-4)
        assert [text.get_text() for text in ax.get_xticklabels()][:2] == ["0 (Dense)", "1 (Tanh)"]


def test_another_loss(ax):
    plot.gradient_flow(nn.Sequential(nn.Dense(4, 1), seed=0), X, X[:, 0], loss="mean_squared_error", ax=ax)
    z = nn.Sequential(nn.Dense(4, 1), seed=0).predict(X)[:, 0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.sqrt(np.mean((2 * (z - X[:, 0]) / 60) ** 2)), rtol=1e-5)


def test_layers_without_a_gradient_are_gaps(ax):
    frozen = net()
    frozen.freeze("0.*")
    watch = fastnn.Watch()
    fastnn.Trainer(frozen).fit(X, Y, epochs=1, callbacks=[watch], verbose=0)
    plot.gradient_flow(watch, ax=ax)
    expected = [each.gradient for path, each in watch.records[0].layers.items() if path != "input"]
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), expected)


# ---- trajectories ----


def test_entries_by_step(run, ax):
    trace = run[3]
    found = lines(plot.trajectories(trace, ax=ax))
    assert list(found) == ["4.weight[0, 0]", "4.weight[1, 0]"]
    for values, (x, y) in zip(trace.values.T, found.values(), strict=True):
        np.testing.assert_array_equal(x, np.arange(21))
        np.testing.assert_array_equal(y, values)


def test_a_path_in_a_plane(run, ax):
    trace = run[3]
    found = lines(plot.trajectories(trace, plane=True, ax=ax))
    np.testing.assert_array_equal(found["path"], trace.values.T)
    np.testing.assert_array_equal(found["start, step 0"][:, 0], trace.values[0])
    np.testing.assert_array_equal(found["end, step 20"][:, 0], trace.values[-1])
    assert ax.get_aspect() == 1


# ---- all pictures ----

PICTURES = {
    "history": lambda run, **kw: plot.history(run[0], **kw),
    "learning_rate": lambda run, **kw: plot.learning_rate({"a": "cosine", "b": None}, **kw),
    "histograms": lambda run, **kw: plot.histograms(run[2], **kw),
    "gradient_flow": lambda run, **kw: plot.gradient_flow(run[1], **kw),
    "trajectories": lambda run, **kw: plot.trajectories(run[3], **kw),
}


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_axes_of_ones_own(draw, run):
    """Nothing of matplotlib that others share is changed, and no figure is made."""
    settings, figures = dict(mpl.rcParams), pyplot.get_fignums()
    left, right = Figure(figsize=(6, 3)).subplots(1, 2)
    assert draw(run, ax=right) is right
    assert right.has_data()
    assert not left.has_data()
    assert dict(mpl.rcParams) == settings
    assert pyplot.get_fignums() == figures


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_a_new_figure(draw, run):
    ax = draw(run)
    assert ax.figure.number in pyplot.get_fignums()
    ax.figure.canvas.draw()
    width, height = ax.figure.get_size_inches() * ax.figure.dpi
    box = ax.get_tightbbox()  # with labels and legend: nothing is cut off
    assert box.x0 >= -1
    assert box.y0 >= -1
    assert box.x1 <= width + 1
    assert box.y1 <= height + 1
    pyplot.close(ax.figure)


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_only_axes_are_drawn_into(draw, run):
    figures = pyplot.get_fignums()
    for wrong, fix in ((Figure(), r": write ax=figure\.subplots\(\)"), ("left", "$")):
        with pytest.raises(TypeError, match=f"^ax must be axes of matplotlib, got {type(wrong).__name__}{fix}"):
            draw(run, ax=wrong)
    assert pyplot.get_fignums() == figures


def test_pictures_have_settings_of_their_own(ax):
    plot.history(HISTORY, ax=ax)
    legend = ax.get_legend()
    assert not legend.get_frame_on()
    assert {text.get_fontsize() for text in legend.get_texts()} == {9}
    made = plot.history(HISTORY)
    assert not made.spines["top"].get_visible()
    pyplot.close(made.figure)


# ---- legends in figures of one's own ----


def drawn(ax):
    """Return the legend of a picture in these axes, and the ends of both at the right, in widths of the figure."""
    legend = plot.history(HISTORY, ["loss", "accuracy"], ax=ax).get_legend()
    ends = ends_of(ax)
    return legend, *ends


def ends_of(ax):
    ax.figure.figure.draw_without_rendering()
    return [each.get_window_extent().x1 / ax.figure.bbox.x1 for each in (ax.get_legend(), ax)]


@pytest.mark.parametrize("place", ["subplots", "axes by hand", "a part of a figure"])
def test_legends_fit_into_figures_without_a_layout(place):
    figure = Figure(figsize=(7, 4))
    if place == "subplots":
        ax = figure.subplots()
    elif place == "axes by hand":
        ax = figure.add_axes((0.1, 0.1, 0.88, 0.8))
    else:
        ax = figure.subfigures(2, 1)[1].subplots()
    before = ax.get_position(original=True).bounds
    for _ in range(2):  # a second picture in the same axes changes nothing
        _, legend, panel = drawn(ax)
        assert 0.5 < panel < legend
        assert 0.98 < legend <= 1
        np.testing.assert_allclose(ax.get_position().bounds[:2], before[:2])
        assert ax.get_position(original=True).bounds == before
    assert figure.get_layout_engine() is None
    figure.set_size_inches(12, 8)
    legend, panel = ends_of(ax)
    assert 0.7 < panel < legend <= 1


def test_a_legend_ends_before_the_next_panel():
    left, right = Figure(figsize=(12, 4)).subplots(1, 2)
    place = right.get_position().bounds
    assert drawn(left)[1] < right.get_position().x0
    assert right.get_position().bounds == place
    assert drawn(right)[1] <= 1


def test_a_legend_is_inside_where_there_is_no_room():
    ax = Figure(figsize=(4, 3)).subplots()
    before = ax.get_position().bounds
    made, legend, panel = drawn(ax)
    assert legend <= panel
    assert made.get_frame_on()
    assert ax.get_position().bounds == before


def test_a_legend_of_ones_own_needs_no_room():
    ax = Figure(figsize=(7, 4)).subplots()
    before = ax.get_position().bounds
    drawn(ax)
    ax.legend()
    ends_of(ax)
    np.testing.assert_allclose(ax.get_position().bounds, before)


@pytest.mark.parametrize("layout", ["constrained", "tight"])
def test_a_layout_makes_room_for_legends(layout):
    """Also one that is chosen after the picture was drawn, and one that is made once."""
    for figure in (Figure(figsize=(7, 4), layout=layout), Figure(figsize=(7, 4))):
        ax = figure.subplots()
        drawn(ax)
        if layout == "tight":
            figure.tight_layout()
        else:
            figure.set_layout_engine(layout)
        legend, panel = ends_of(ax)
        assert 0.5 < panel < legend
        assert 0.95 < legend <= 1.001
        assert ax.get_position().bounds == ax.get_position(original=True).bounds


def test_figures_with_legends_are_pickled():
    ax = Figure(figsize=(7, 4)).subplots()
    ends = drawn(ax)[1:]
    np.testing.assert_allclose(ends_of(pickle.loads(pickle.dumps(ax.figure)).axes[0]), ends)


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_without_matplotlib(draw, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it raises ImportError
    with pytest.raises(ImportError, match=r'^fastnn\.plot needs matplotlib, got none: .*pip install "\.\[plot\]"'):
        draw(run)


def recorded_of():
    recorded = Histograms(X, Y)
    recorded.record(fastnn.Trainer(net()))
    return recorded


def watch_without_layers():
    watch = fastnn.Watch(layers=[])
    fastnn.Trainer(net()).fit(X, Y, epochs=1, callbacks=[watch], verbose=0)
    return watch


DEAD = nn.Sequential(nn.Dense(4, 4), nn.ReLU(), nn.Dense(4, 3), seed=0)
DEAD.params.data[...] = 0


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "history must be a History, a Trainer, .*got int: pass what", lambda: plot.history(3)),
        (TypeError, "history must be .*, got ndarray", lambda: plot.history(np.ones(3))),
        (TypeError, "history must be .*, got the class Trainer", lambda: plot.history(fastnn.Trainer)),
        (ValueError, "history must have at least one epoch, got none: call fit", lambda: plot.history({})),
        (ValueError, "history must have at least one epoch", lambda: plot.history({"loss": []})),
        (ValueError, "history must have at least one epoch", lambda: plot.history(fastnn.Trainer(net()))),
        (ValueError, "history must have the figure 'acc_uracy', got loss, .*, lr: did you mean 'accuracy'",
         lambda: plot.history(HISTORY, ["acc_uracy"])),
        (TypeError, r"figures\[0\] must be a string, got int: write", lambda: plot.history(HISTORY, [3])),
        (ValueError, "figures must name at least one figure", lambda: plot.history(HISTORY, [])),
        (TypeError, "figures must be a string or a list of strings, got int: write", lambda: plot.history(HISTORY, 3)),
        (TypeError, r"history\['loss'\] must be a list of numbers, one for each epoch, got 3.0",
         lambda: plot.history({"loss": 3.0})),
        (TypeError, r"history\['loss'\] must be a list of numbers", lambda: plot.history({"loss": 3.0, "lr": [1.0]})),
        (TypeError, r"source\['a'\] must be a list of numbers, .* got 3", lambda: plot.learning_rate({"a": 3})),
        (TypeError, r"history\['loss'\] must be an array of real numbers", lambda: plot.history({"loss": ["a"]})),
        (ValueError, r"history\['loss'\] must be 1-dimensional", lambda: plot.history({"loss": [[1.0]]})),
        (ValueError, "source must be one of", lambda: plot.learning_rate("cosin")),
        (TypeError, r"source\['b'\] must be a schedule .*fit\(",
         lambda: plot.learning_rate({"a": None, "b": fastnn.TimeLimit(1)})),
        (TypeError, r"source must be a schedule .*StepLR\(\.\.\.\)", lambda: plot.learning_rate(optim.StepLR)),
        (TypeError, "source must be a History", lambda: plot.learning_rate(3)),
        (ValueError, "source must have the figure 'lr', got loss", lambda: plot.learning_rate({"loss": [1.0]})),
        (ValueError, "epochs must be an integer of at least 1", lambda: plot.learning_rate(None, epochs=0)),
        (ValueError, "base must be left out for a training", lambda: plot.learning_rate(HISTORY, base=0.1)),
        (TypeError, "recorded must be a fastnn.diagnosis.Histograms", lambda: plot.histograms(fastnn.Watch())),
        (ValueError, "recorded must have records, got none: pass it to fit", lambda: plot.histograms(Histograms(X, Y))),
        (ValueError, "what must be one of output, gradient, weight", lambda: plot.histograms(recorded_of(), "outputs")),
        (ValueError, "layer must be one of the layers, 0, 1, 2, 3, 4, got '9'",
         lambda: plot.histograms(recorded_of(), layer=9)),
        (ValueError, "layer must be one of the layers, 0, 2, 4, got '1'",
         lambda: plot.histograms(recorded_of(), "weight", layer="1")),
        (TypeError, "layer must be an integer, got 1.5", lambda: plot.histograms(recorded_of(), layer=1.5)),
        (ValueError, "epoch must be one of the epochs, 0, got 3", lambda: plot.histograms(recorded_of(), epoch=3)),
        (ValueError, "epoch must be left out if layer is given",
         lambda: plot.histograms(recorded_of(), layer=0, epoch=0)),
        (ValueError, "source must have records, got none: pass it to fit", lambda: plot.gradient_flow(fastnn.Watch())),
        (ValueError, "source must have records with gradients, got none: watch some layers",
         lambda: plot.gradient_flow(watch_without_layers())),
        (TypeError, "X must be given for a net, got None: write plot.gradient_flow",
         lambda: plot.gradient_flow(net())),
        (ValueError, "X must be left out for a Watch", lambda: plot.gradient_flow(fastnn.Watch(), X)),
        (ValueError, "loss must be left out with a trainer",
         lambda: plot.gradient_flow(fastnn.Trainer(net()), X, Y, loss="hinge")),
        (TypeError, "source must be a Watch, a Sequential or a Trainer", lambda: plot.gradient_flow("net", X, Y)),
        (ValueError, r"X must have shape \(n, 4\)", lambda: plot.gradient_flow(net(), X[:, 1:], Y)),
        (ValueError, "source must have a gradient above 0 at some layer, got 0",
         lambda: plot.gradient_flow(DEAD, X, np.zeros((60, 3)), loss="mean_squared_error")),
        (TypeError, "trace must be a fastnn.diagnosis.Trace", lambda: plot.trajectories([1.0])),
        (ValueError, "trace must have records, got none", lambda: plot.trajectories(Trace({"0.bias": [0]}))),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(error, message, call):
    figures = pyplot.get_fignums()
    with pytest.raises(error, match=message):
        call()
    assert pyplot.get_fignums() == figures


def test_a_plane_needs_two_entries(run):
    trace = Trace({"0.bias": [0]})
    trace.on_fit_begin(fastnn.Trainer(net()))
    with pytest.raises(ValueError, match="trace must have two entries for a plane, got 1: write Trace"):
        plot.trajectories(trace, plane=True)
