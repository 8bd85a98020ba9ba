"""`Histograms` and `Trace`: what they record is what NumPy finds, trainings stay as they are, and fits are resumed."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.diagnosis import Histogram, Histograms, Trace
from fastnn.diagnosis.recorders import MOST_ROWS

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 5)).astype(np.float32), RNG.integers(0, 3, 40)


def net():
    return nn.Sequential(nn.Dense(5, 8), nn.ReLU(), nn.Dense(8, 3), dtype="float32", seed=1)


def fit(callbacks=(), epochs=3, **settings):
    trainer = fastnn.Trainer(net(), **settings)
    trainer.fit(X, Y, epochs=epochs, batch_size=10, callbacks=list(callbacks), verbose=0)
    return trainer


# ---- one histogram ----


def test_a_histogram_counts_what_is_between_its_edges():
    values = np.array([-2.0, -1.0, 0.0, -0.0, 0.5, 3.0, np.nan, np.inf, -np.inf])
    found = Histogram.of(values, bins=5)
    np.testing.assert_allclose(found.edges, [-2, -1, 0, 1, 2, 3])
    assert found.counts.tolist() == [1, 1, 1, 0, 1]
    assert (found.zeros, found.below, found.above, found.nonfinite, found.size) == (2, 0, 0, 3, 9)


def test_magnitudes_are_counted_in_bins_of_one_ratio():
    found = Histogram.of([1e-8, -1e-6, 1e-2, -1.0, 0.0], bins=4, magnitudes=True)
    np.testing.assert_allclose(found.edges, [1e-8, 1e-6, 1e-4, 1e-2, 1])
    assert found.counts.tolist() == [1, 1, 0, 2]
    assert found.zeros == 1


def test_single_huge_entries_do_not_widen_the_bins():
    values = np.concatenate([RNG.normal(size=9998), [1e6, -1e6]])
    found = Histogram.of(values)
    assert found.edges[-1] - found.edges[0] < 8
    kept = values[(values >= found.edges[0]) & (values <= found.edges[-1])]
    assert found.below == np.sum(values < found.edges[0]) <= 10
    assert found.counts.sum() == len(kept) == 10000 - found.below - found.above


@pytest.mark.parametrize("magnitudes", [False, True])
def test_huge_entries_count_as_infinite(magnitudes):
    found = Histogram.of([2e150, -2e150, 1.7e308, -1.7e308, 9e149, 0.5], bins=4, magnitudes=magnitudes)
    assert (found.nonfinite, int(found.counts.sum()), found.size) == (4, 2, 6)
    np.testing.assert_allclose(found.edges[[0, -1]], [0.5, 9e149])


@pytest.mark.parametrize("magnitudes", [False, True])
@pytest.mark.parametrize("values", [[], [0.0, 0.0], [np.nan], [3.0, 3.0], [-3.0], [1e300], [5e-324, 1e-320]])
def test_a_histogram_of_few_values(values, magnitudes):
    found = Histogram.of(values, magnitudes=magnitudes)
    assert found.size == len(values)
    assert np.all(np.diff(found.edges) >= 0)
    assert np.isfinite(found.edges).all()


# ---- histograms of layers ----


def layers_by_hand(trainer):
    """Return the outputs and the gradients of the mean loss at each layer, by formulas."""
    w0, b0, w2, b2 = (trainer.net.params.view(name).astype(float) for name in trainer.net.params.layout)
    before = X @ w0 + b0
    hidden = np.maximum(before, 0)
    z = hidden @ w2 + b2
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    d2 = (p - np.eye(3)[Y]) / len(X)
    d1 = d2 @ w2.T
    return {"0": before, "1": hidden, "2": z}, {"0": d1 * (before > 0), "1": d1, "2": d2}, {"0": w0, "2": w2}


def test_histograms_are_those_of_numpy():
    recorded = Histograms(X, Y, bins=16)
    trainer = fit([recorded])
    outputs, gradients, weights = layers_by_hand(trainer)
    last = recorded.records[-1]
    assert list(last.output) == list(last.gradient) == ["0", "1", "2"]
    assert list(last.weight) == ["0", "2"]
    assert recorded.names == {"0": "0 (Dense)", "1": "1 (ReLU)", "2": "2 (Dense)"}
    for part, expected in ((last.output, outputs), (last.gradient, gradients), (last.weight, weights)):
        for path, values in expected.items():
            sizes = np.abs(values[values != 0]) if part is last.gradient else values[values != 0]
            found = part[path]
            assert found.size == values.size
            assert found.zeros == np.sum(values == 0)
            np.testing.assert_allclose(found.edges[[0, -1]], [sizes.min(), sizes.max()], rtol=1e-5)
            edges = found.edges[[0, 4, 8, 12, 16]]  # a rounded entry near an edge may be on its other side
            four = np.histogram(sizes, np.append(edges[:-1], np.inf))[0]
            assert np.abs(found.counts.reshape(4, 4).sum(axis=1) - four).max() <= 1
            steps = np.diff(np.log(edges) if part is last.gradient else edges)
            np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("every", "first", "both", "new"),
    [(1, [0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1]), (2, [0, 2], [0, 2, 3, 4], [0]), (9, [0], [0, 3], [0])],
)
def test_when_histograms_are_recorded(every, first, both, new):
    """After every k-th epoch, when a fit begins, and anew for a new trainer."""
    recorded = Histograms(X, Y, every)
    trainer = fit([recorded])
    assert [each.epoch for each in recorded.records] == first
    trainer.fit(X, Y, epochs=1, callbacks=[recorded], verbose=0)
    assert [each.epoch for each in recorded.records] == both
    fit([recorded], epochs=1)
    assert [each.epoch for each in recorded.records] == new


def test_records_of_another_trained_trainer_begin_anew():
    """One that has trained less: these records cannot be its own."""
    recorded, trace = Histograms(X, Y), Trace({"2.bias": [0]})
    fit([recorded, trace], epochs=4)
    other = fit(epochs=2)
    other.fit(X, Y, epochs=1, batch_size=10, callbacks=[recorded, trace], verbose=0)
    assert [each.epoch for each in recorded.records] == [2, 3]
    assert trace.steps.tolist() == [8, 9, 10, 11, 12]


def test_recorders_leave_the_training_as_it_is():
    alone, observed = fit(), fit([Histograms(X, Y), Trace({"0.bias": [1]})])
    np.testing.assert_array_equal(alone.net.params.data, observed.net.params.data)
    assert alone.history["loss"] == observed.history["loss"]


def test_only_some_rows_and_layers_are_looked_at():
    rows = 3 * MOST_ROWS
    recorded = Histograms(np.tile(X, (rows // 40 + 1, 1))[:rows], np.tile(Y, rows // 40 + 1)[:rows], layers=["1"])
    recorded.record(fastnn.Trainer(net()))
    assert list(recorded.records[0].output) == ["1"]
    assert recorded.records[0].output["1"].size == 8 * MOST_ROWS
    assert recorded.records[0].weight == {}


def test_batch_norm_dropout_and_containers():
    layers = [nn.Dense(5, 8), nn.BatchNorm(8), nn.Residual(nn.Dense(8, 8), nn.Tanh()), nn.Dropout(0.5), nn.Dense(8, 1)]
    recorded = Histograms(X, X[:, 0])
    recorded.record(fastnn.Trainer(nn.Sequential(*layers, seed=0), "mean_squared_error"))
    assert recorded.names["2"] == "2 (Residual)"
    assert {path: each.size for path, each in recorded.records[0].weight.items()} == {"0": 40, "1": 8, "2": 64, "4": 8}


# ---- chosen parameters ----


class Values(fastnn.Callback):
    """Keeps all parameters after each step."""

    def __init__(self):
        self.found = []

    def on_batch_end(self, trainer, logs):
        self.found.append((trainer.step_count, trainer.net[0].weight.copy(), trainer.net[2].bias.copy()))


@pytest.mark.parametrize("every", [1, 3, 50])
def test_a_trace_has_the_values_after_the_steps(every):
    trace, values = Trace({"0.weight": [(4, 7), (0, 2)], "2.bias": [1]}, every), Values()
    fit([trace, values])
    assert trace.names == ("0.weight[4, 7]", "0.weight[0, 2]", "2.bias[1]")
    expected = {0: [net()[0].weight[4, 7], net()[0].weight[0, 2], 0.0]}
    for step, weight, bias in values.found:
        in_epoch = (step - 1) % 4 + 1
        if in_epoch % every == 0 or in_epoch == 4:
            expected[step] = [weight[4, 7], weight[0, 2], bias[1]]
    assert trace.steps.tolist() == list(expected)
    np.testing.assert_array_equal(trace.values, np.array(list(expected.values()), float))


def test_a_trace_counts_updates_and_goes_on():
    trace = Trace({"2.bias": [0]})
    trainer = fit([trace], accumulate=2)
    assert trace.steps.tolist() == [0, 1, 2, 3, 4, 5, 6]
    trainer.fit(X, Y, epochs=1, batch_size=20, callbacks=[trace], verbose=0)
    assert trace.steps.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    fit([trace], epochs=1)
    assert trace.steps.tolist() == [0, 1, 2, 3, 4]


def test_weights_of_an_output_unit_move_together_behind_a_sigmoid():
    """The zigzag: the inputs of a unit that are all above 0 give gradients of one sign, row by row."""
    for activation, together in (("sigmoid", True), ("tanh", False)):
        model = nn.Sequential(nn.Dense(5, 8), activation, nn.Dense(8, 1), seed=0)
        trace = Trace({"2.weight": [(0, 0), (1, 0)]})
        trainer = fastnn.Trainer(model, "binary_cross_entropy", optim.SGD(lr=0.1))
        trainer.fit(X, Y > 0, epochs=2, batch_size=1, callbacks=[trace], verbose=0)
        moves = np.sign(np.diff(trace.values, axis=0))
        assert np.all(moves[:, 0] == moves[:, 1]) == together


# ---- checkpoints, copies, reprs ----


class CrashError(Exception):
    pass


class CrashAt(fastnn.Callback):
    def __init__(self, step):
        self.step = step

    def on_batch_end(self, trainer, logs):
        if trainer.step_count == self.step:
            raise CrashError


def plain(recorded):
    """Return all numbers of recorded histograms."""
    return [
        (each.epoch, what, path, h.counts.tolist(), h.edges.tolist(), h.zeros, h.below, h.above, h.nonfinite)
        for each in recorded.records
        for what in ("output", "gradient", "weight")
        for path, h in getattr(each, what).items()
    ]


@pytest.mark.parametrize("step", [3, 7, 8])
def test_a_resumed_fit_has_the_same_records(step, tmp_path):
    entries = {"0.weight": [(4, 7), (0, 2)], "2.bias": [1]}
    whole, whole_trace = Histograms(X, Y), Trace(entries, 2)
    fit([whole, whole_trace])
    checkpoint = fastnn.Checkpoint(tmp_path, minutes=1e-9)
    with pytest.raises(CrashError):
        fit([Histograms(X, Y), Trace(entries, 2), checkpoint, CrashAt(step)])
    recorded, trace = Histograms(X, Y), Trace(entries, 2)
    fastnn.Trainer.resume(tmp_path, X, Y, callbacks=[recorded, trace, CrashAt(0)], verbose=0)
    assert plain(recorded) == plain(whole)
    assert recorded.names == whole.names
    np.testing.assert_array_equal(trace.steps, whole_trace.steps)
    np.testing.assert_array_equal(trace.values, whole_trace.values)


def test_what_resume_makes_again(tmp_path):
    with pytest.raises(CrashError):
        fit([Histograms(X, Y, bins=9), Trace({"2.bias": [1]}), fastnn.Checkpoint(tmp_path), CrashAt(7)])
    with pytest.raises(ValueError, match=r"callbacks must contain the fastnn\.diagnosis\.Histograms of the fit"):
        fastnn.Trainer.resume(tmp_path, X, Y, callbacks=[CrashAt(0)], verbose=0)
    with pytest.raises(ValueError, match=r"callbacks must have the settings of the fit, .*bins=9"):
        fastnn.Trainer.resume(tmp_path, X, Y, callbacks=[Histograms(X, Y), CrashAt(0)], verbose=0)
    fastnn.Trainer.resume(tmp_path, X, Y, callbacks=[Histograms(X, Y, bins=9), CrashAt(0)], verbose=0)


def test_copies_and_reprs():
    recorded, trace = Histograms(X, Y, 2), Trace({"2.bias": [1]}, every=3)
    fit([recorded, trace])
    assert repr(recorded) == "Histograms(..., ..., every=2)"
    assert repr(trace) == "Trace({'2.bias': ((1,),)}, every=3)"
    for copied in (copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))):
        assert plain(copied(recorded)) == plain(recorded)
        np.testing.assert_array_equal(copied(trace).values, trace.values)
    assert repr(recorded.records[0]) == "HistogramRecord(epoch=0, layers=['0', '1', '2'])"


def test_estimators_take_recorders():
    sklearn = pytest.importorskip("fastnn.sklearn", reason="scikit-learn is not installed")
    recorded, trace = Histograms(X, Y), Trace({"0.weight": [(0, 0)]})
    model = sklearn.MLPClassifier((8,), max_iter=2, callbacks=[recorded, trace], n_iter_no_change=5, random_state=0)
    with pytest.warns(UserWarning, match="2"):
        model.fit(X, Y)
    assert [each.epoch for each in recorded.records] == [0, 1, 2]
    assert trace.steps.tolist() == [0, 1, 2]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ValueError, "every must be an integer of at least 1, got 0", lambda: Histograms(X, Y, 0)),
        (ValueError, "bins must be an integer of at least 2, got 1", lambda: Histograms(X, Y, bins=1)),
        (TypeError, "layers must be a list of strings, got '1'", lambda: Histograms(X, Y, layers="1")),
        (TypeError, r"layers\[0\] must be a string, got", lambda: Histograms(X, Y, layers=[1])),
        (TypeError, "entries must be a dict of lists of indices by names", lambda: Trace([(0, 0)])),
        (TypeError, r"entries\['2.bias'\] must be a list of indices, got 0", lambda: Trace({"2.bias": 0})),
        (TypeError, "names in entries must be strings", lambda: Trace({2: [0]})),
        (ValueError, "entries must name at least one parameter, got none", lambda: Trace({})),
        (ValueError, r"entries\['2.bias'\] must be a list of indices of one kind", lambda: Trace({"2.bias": []})),
        (ValueError, r"entries\['2.bias'\] must be an integer of at least 0, got -1", lambda: Trace({"2.bias": [-1]})),
        (ValueError, r"entries\['2.bias'\] must name each entry once", lambda: Trace({"2.bias": [1, 1]})),
        (ValueError, "every must be an integer of at least 1, got 0", lambda: Trace({"2.bias": [1]}, 0)),
    ],
)
def test_wrong_settings_are_refused(error, message, make):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("message", "make"),
    [
        (r"X of Histograms must have shape \(n, 5\), got shape \(40, 4\)", lambda: Histograms(X[:, 1:], Y)),
        (r"y of Histograms must", lambda: Histograms(X, Y + 1)),
        (r"layers must name layers of the net, 0, 1, 2, got '3'", lambda: Histograms(X, Y, layers=["3"])),
        (
            r"entries must name parameters of the net, got '0.weigh': did you mean",
            lambda: Trace({"0.weigh": [(0, 0)]}),
        ),
        (r"entries\['0.weight'\] must fit the shape \(5, 8\), got \(5, 0\)", lambda: Trace({"0.weight": [(5, 0)]})),
        (r"entries\['0.weight'\] must fit the shape \(5, 8\), got \(1,\)", lambda: Trace({"0.weight": [1]})),
    ],
)
def test_fits_refuse_what_does_not_fit_the_net(message, make):
    trainer = fastnn.Trainer(net())
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, Y, epochs=1, callbacks=[make()], verbose=0)
    np.testing.assert_array_equal(trainer.net.params.data, net().params.data)
