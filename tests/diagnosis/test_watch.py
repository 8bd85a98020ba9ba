"""`Watch`: observed steps have the same bits, the figures are those of NumPy, and they are where they should be."""

import copy
import math
import pickle

import numpy as np
import pytest
from nets import NETS, WIDTH, net_of

import fastnn
from fastnn import Watch, kernels, nn, optim
from fastnn._activations import ACTIVATIONS
from fastnn.engine import Feed
from fastnn.engine.observe import saturation
from fastnn.engine.ops import make_op
from fastnn.training._observing import Interval, steps_until

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(70, WIDTH)).astype(np.float32), RNG.integers(0, 3, 70)


def small():
    return nn.Sequential(nn.Dense(WIDTH, 8), nn.Tanh(), nn.Dense(8, 3), dtype="float32", seed=1)


def mixed():
    """Return a net with what fuses: batch norm, dropout, an activation whose derivative needs its input."""
    first = [nn.Dense(WIDTH, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.3)]
    layers = [*first, nn.Dense(8, 8), nn.GELU(), nn.Dropout(0.2), nn.Dense(8, 8, max_norm=1.0), nn.Tanh()]
    return nn.Sequential(*layers, nn.Dense(8, 3), dtype="float32", seed=1)


def fit(net, epochs=2, callbacks=(), **settings):
    trainer = fastnn.Trainer(net, **settings)
    trainer.fit(X, Y, epochs=epochs, batch_size=16, callbacks=list(callbacks), verbose=0)
    return trainer


def assert_same(trainer, other):
    """Assert that two trainers and their nets have the same bits, and the same losses."""
    assert trainer.history["loss"] == other.history["loss"]
    arrays = [(t.net.params.data, t.net.state.data, *t.updated_arrays()) for t in (trainer, other)]
    for mine, theirs in zip(*arrays, strict=True):
        assert np.array_equal(mine, theirs, equal_nan=True)
    assert (trainer.step_count, trainer.net.training_steps) == (other.step_count, other.net.training_steps)


# ---- the same bits ----


def custom():
    cube = nn.CustomActivation(lambda x: x**3, lambda dy, x, y: 3 * dy * x**2)
    return nn.Sequential(nn.Dense(WIDTH, 4), cube, nn.Dropout(0.2), nn.Dense(4, 3), dtype="float32", seed=0)


def embeddings(sparse):
    tables = [nn.Columns([0], nn.Embedding(9, 2, sparse=sparse)), nn.Columns([1, 5], in_features=WIDTH)]
    return nn.Sequential(nn.Parallel(*tables), nn.Dense(4, 3), dtype="float32", seed=0)


IDS = np.column_stack([np.arange(70) % 9, X[:, 1:]]).astype(np.float32)
OWN_LOSS = nn.CustomLoss(lambda z, y: (z**2).sum(axis=1), lambda z, y: 2 * z, target="labels")
OTHERS = {
    "custom": (custom, X, {}),
    "custom loss": (custom, X, {"loss": OWN_LOSS}),
    "embeddings": (lambda: embeddings(False), IDS, {}),
    "sparse": (lambda: embeddings(True), IDS, {"optimizer": optim.SGD(0.1)}),
}


@pytest.mark.parametrize(("make", "x", "settings"), OTHERS.values(), ids=OTHERS)
def test_observed_steps_of_python_and_of_embeddings_have_the_same_bits(impl, make, x, settings):
    trainers = []
    for callbacks in ([], [Watch(2)]):
        trainer = fastnn.Trainer(make(), **settings)
        trainer.fit(x, Y, epochs=2, batch_size=16, callbacks=callbacks, verbose=0)
        trainers.append(trainer)
    assert_same(*trainers)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", NETS)
def test_observed_steps_of_a_net_have_the_same_bits(impl, name):
    nets = [net_of(name, "float32") for _ in range(2)]
    assert_same(fit(nets[0]), fit(nets[1], callbacks=[Watch(2)]))


SETTINGS = {
    "adam": {},
    "momentum": {"optimizer": optim.SGD(0.1, momentum=0.9)},
    "decay": {"optimizer": optim.AdamW(0.01, weight_decay=0.1), "schedule": optim.StepLR(3)},
    "penalties": {"penalty": optim.Penalty(l1=0.01, l2=0.1)},
    "penalty per batch": {"penalty": optim.Penalty(l2=0.1, per_batch=True), "accumulate": 2},
    "clip_value": {"clip_value": 1e-3},
    "clip_norm": {"clip_norm": 1e-3},
    "accumulate": {"accumulate": 3},
    "EMA": {"average": optim.EMA(0.5)},
    "SWA": {"average": optim.SWA(start=1)},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_observed_steps_with_these_settings_have_the_same_bits(impl, settings):
    assert_same(fit(mixed(), **settings), fit(mixed(), callbacks=[Watch(2)], **settings))


def test_observed_steps_of_weights_in_panels_have_the_same_bits():
    """40 steps without a pause: large weights are in panels between the observed steps."""
    x, y = np.tile(X, (25, 10)), np.tile(Y, 25)

    def run(callbacks):
        net = nn.Sequential(nn.Dense(60, 300), nn.ReLU(), nn.Dense(300, 200), nn.ReLU(), nn.Dense(200, 3), seed=0)
        trainer = fastnn.Trainer(net)
        trainer.fit(x, y, epochs=1, batch_size=16, callbacks=callbacks, verbose=0)
        return trainer

    watch = Watch(40)
    assert_same(run([]), run([watch]))
    assert [each.step for each in watch.records] == [1, 40, 80]


def test_observed_steps_with_a_frozen_layer_have_the_same_bits(impl):
    nets = [mixed() for _ in range(2)]
    for net in nets:
        net.freeze("0.*")
    watch = Watch(2)
    assert_same(fit(nets[0]), fit(nets[1], callbacks=[watch]))
    last = watch.records[-1]
    assert "0.weight" not in last.parameters
    assert "4.weight" in last.parameters
    assert math.isnan(last.layers["0"].gradient)
    assert last.layers["1"].gradient > 0


# ---- the figures ----


def test_the_figures_are_those_of_numpy(impl):
    layers = [nn.Dense(WIDTH, 8), nn.Tanh(), nn.Dense(8, 5), nn.ReLU(), nn.Dense(5, 3)]
    net = nn.Sequential(*layers, dtype="float64", seed=1)
    net[0].weight[...] *= 4  # so that some are saturated
    net[2].bias[0] = -100  # a dead unit
    before, twin = {name: each.copy() for name, each in net.parameters().items()}, net.copy()
    watch = Watch()
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(0.5))
    trainer.fit(X, Y, epochs=1, batch_size=len(X), shuffle=False, callbacks=[watch], verbose=0)
    (record,) = watch.records
    assert (record.epoch, record.step, record.failed, record.row) == (1, 1, False, -1)

    x = X.astype(np.float64)
    outputs = {"input": x}
    for path, layer in enumerate(twin):
        other = np.tanh if path == 1 else lambda x: np.maximum(x, 0)
        x = x @ layer.weight + layer.bias if isinstance(layer, nn.Dense) else other(x)
        outputs[str(path)] = x
    assert list(record.layers) == list(outputs)
    for path, y in outputs.items():
        figures = record.layers[path]
        close = [y.mean(), y.std(), np.sqrt((y * y).mean()), y.min(), y.max()]
        assert [figures.mean, figures.std, figures.rms, figures.min, figures.max] == pytest.approx(close, rel=1e-12)
        assert figures.zeros == (y == 0).mean()
        assert figures.dead == (y == 0).all(axis=0).mean()
        assert figures.nonfinite == 0
    assert record.layers["1"].saturated == (abs(outputs["1"]) >= 0.96).mean() > 0
    assert record.layers["3"].dead == 0.2
    assert math.isnan(record.layers["3"].saturated)

    dz = np.empty_like(x)
    kernels.cross_entropy(twin.forward(X, training=True), Y, grad=dz)
    twin.backward(dz)
    gradients = {"4": dz, "3": dz @ twin[4].weight.T}
    gradients["2"] = gradients["3"] * (outputs["2"] > 0)
    for path, gradient in gradients.items():
        assert record.layers[path].gradient == pytest.approx(np.sqrt((gradient**2).mean()), rel=1e-12)
    assert list(record.parameters) == list(before)
    for name, figures in record.parameters.items():
        gradient, after = twin.grads.view(name), net.parameters()[name]
        change = np.linalg.norm(after - before[name]) / np.linalg.norm(after)
        expected = [np.linalg.norm(after), np.sqrt((gradient**2).mean()), change]
        assert [figures.norm, figures.gradient, figures.update] == pytest.approx(expected, rel=1e-9)


SATURATING = [name for name, row in ACTIVATIONS.items() if row.saturation is not None]


@pytest.mark.parametrize("name", SATURATING)
def test_the_derivative_is_below_8_percent_where_a_unit_is_saturated(name):
    x = np.linspace(-30, 30, 60001)
    parameters = {each.name: each.default for each in ACTIVATIONS[name].parameters}
    op = make_op("activation", {"x": "batch:x", "y": "batch:h"}, activation=name, parameters=tuple(parameters.values()))
    low, high = saturation(op)
    y = kernels.activation(name, x, **parameters)
    source = y if ACTIVATIONS[name].derivative_from == "output" else x
    slope = kernels.activation_backward(name, np.ones_like(x), source, **parameters)
    saturated = (y <= low) | (y >= high)
    assert 0 < saturated.mean() < 1
    assert slope[saturated].max() < 0.081 * slope.max()
    assert slope[~saturated].min() > 0.05 * slope.max() or low == -math.inf


def test_an_update_from_zero_is_no_error():
    net = small()
    net[2].weight[...] = 0
    watch = Watch()
    fit(net, 1, [watch], optimizer=optim.SGD(0.0))
    assert watch.records[0].parameters["2.weight"].update == 0
    assert watch.records[0].parameters["2.weight"].norm == 0


# ---- which steps ----


def test_which_steps_are_observed():
    """Five steps an epoch. The first step of each fit, and every third of the trainer."""
    watch, trainer = Watch(3), fastnn.Trainer(small())
    for epochs in (2, 1):
        trainer.fit(X, Y, epochs=epochs, batch_size=16, callbacks=[watch], verbose=0)
    steps = [(each.epoch, each.step) for each in watch.records]
    assert steps == [(1, 1), (1, 3), (2, 6), (2, 9), (3, 11), (3, 12), (3, 15)]
    fit(small(), 1, [watch])
    assert [each.step for each in watch.records] == [1, 3]  # those of the last trainer


def test_two_that_watch_see_their_own_steps():
    often, seldom = Watch(2), Watch(3)
    fit(small(), 1, [often, seldom])
    assert [each.step for each in often.records] == [1, 2, 4]
    assert [each.step for each in seldom.records] == [1, 3]


@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 2, 5])
def test_the_last_batch_of_an_update_is_observed(accumulate, every):
    """Against a count of all batches, of two epochs."""
    feed = Feed(X, np.arange(140), 16, epochs=2, accumulate=accumulate)
    ends = [batch for batch in range(10) if feed.group(batch).ends]
    due = [batch for number, batch in enumerate(ends, 1) if number % every == 0]
    for batch in range(10):
        count = sum(end < batch for end in ends)
        found = batch + steps_until(feed, batch, count, {Interval(every)}, False)
        assert [each for each in due if each >= batch][:1] in ([found], [])
        assert (
            steps_until(feed, batch, count, {Interval(every)}, True) == min(end for end in ends if end >= batch) - batch
        )


# ---- the history ----


def test_the_history_has_the_means_of_each_epoch():
    watch = Watch(2)
    history = fit(small(), 3, [watch]).history
    layer = ["mean", "std", "min", "max", "zeros", "dead"]
    expected = [f"input.{name}" for name in layer]
    expected += [f"0.{name}" for name in [*layer, "gradient"]]
    expected += [f"1.{name}" for name in [*layer[:5], "saturated", "dead", "gradient"]]
    expected += [f"2.{name}" for name in [*layer, "gradient"]]
    parameters = ["0.weight", "0.bias", "2.weight", "2.bias"]
    expected += [f"{name}.{figure}" for name in parameters for figure in ("norm", "gradient", "update")]
    assert list(history) == ["loss", "lr", "seconds", *expected]
    for epoch in (1, 2, 3):
        records = [each for each in watch.records if each.epoch == epoch]
        for path in ("input", "0", "1", "2"):
            mean = np.mean([each.layers[path].std for each in records])
            assert history[f"{path}.std"][epoch - 1] == pytest.approx(mean, rel=1e-14)
        for name in parameters:
            mean = np.mean([each.parameters[name].update for each in records])
            assert history[f"{name}.update"][epoch - 1] == pytest.approx(mean, rel=1e-14)
    assert repr(history) == f"History(3 epochs: loss={history['loss'][-1]:.4g})"


def test_an_epoch_without_an_observed_step_has_nan():
    history = fit(small(), 3, [Watch(8)]).history
    assert [math.isnan(each) for each in history["1.mean"]] == [False, False, True]


def test_figures_stay_apart_if_layers_are_frozen_within_a_fit():
    class Freeze(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            if trainer.epoch == 1:
                trainer.net.freeze("0.*")

    history = fit(small(), 2, [Freeze(), Watch(2)]).history
    assert [math.isnan(each) for each in history["0.weight.norm"]] == [False, True]
    assert not np.isnan(history["2.weight.norm"]).any()


def test_nothing_is_observed_where_nobody_watches():
    trainer = fit(small(), 1, [fastnn.Callback()])
    assert list(trainer._fit_executor_caches) == [False]
    program = trainer._fit_executor_caches[False][1].program
    assert program.measured == ()
    assert not any(op.kind.startswith(("observe", "keep")) for ops in program.sections.values() for op in ops)
    assert list(trainer.history) == ["loss", "lr", "seconds"]


# ---- a part of the net ----


def test_layers_restricts_what_is_recorded():
    watch = Watch(2, layers=["1", "2.weight"])
    history = fit(small(), 1, [watch]).history
    assert list(watch.records[0].layers) == ["1"]
    assert list(watch.records[0].parameters) == ["2.weight"]
    assert {name.rpartition(".")[0] for name in history} == {"", "1", "2.weight"}
    watch = Watch(layers=["2"])
    fit(small(), 1, [watch])
    assert list(watch.records[0].parameters) == ["2.weight", "2.bias"]


def test_dir_shows_what_users_read():
    watch = Watch(2)
    fit(small(), 1, [watch])
    names = [name for name in dir(watch.records[0]) if not name.startswith("_")]
    assert sorted(names) == ["epoch", "failed", "layers", "parameters", "row", "step"]


REFUSED = {
    "every": (lambda: Watch(0), ValueError, "every must be"),
    "a float": (lambda: Watch(2.0), TypeError, "every must be"),
    "a string": (lambda: Watch(layers="1"), TypeError, "layers must be a list of strings, got '1': write layers="),
    "a number": (lambda: Watch(layers=[1]), TypeError, r"layers\[0\] must be a string"),
    "no layer": (lambda: fit(small(), 1, [Watch(layers=["7"])]), ValueError, "layers must fit a path of a layer"),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- a training that diverges ----


@pytest.mark.parametrize("every", [1, 100])
def test_the_step_that_fails_is_recorded(impl, every):
    x = X.copy()
    x[33, 2] = 1e38  # the product with a weight overflows
    net, watch = nn.Sequential(nn.Dense(WIDTH, 8), nn.ReLU(), nn.Dense(8, 3), dtype="float32", seed=1), Watch(every)
    net[0].weight[2] = 10
    with pytest.raises(fastnn.TrainingDiverged) as caught:
        fastnn.Trainer(net).fit(x, Y, epochs=2, batch_size=16, callbacks=[watch], verbose=0)
    last = watch.records[-1]
    assert last.failed
    assert (last.epoch, last.step, last.row) == (caught.value.epoch, caught.value.step, 33)
    assert [path for path, each in last.layers.items() if each.nonfinite] == ["0", "1", "2"]
    assert last.parameters == {}


def test_a_fit_goes_on_after_a_step_that_failed():
    """The records of the epoch that was rolled back do not count in the history."""
    watch, trainer = Watch(1), fastnn.Trainer(small(), "mean_squared_error", optim.SGD(1e25))
    rows = np.eye(3, dtype=np.float32)[Y]
    with pytest.raises(fastnn.TrainingDiverged):
        trainer.fit(X, rows, epochs=1, batch_size=16, callbacks=[watch], verbose=0)
    failed = len(watch.records)
    trainer.lr = 0.01
    trainer.fit(X, rows, epochs=1, batch_size=16, callbacks=[watch], verbose=0)
    assert [each.step for each in watch.records] == [1, 2, 3, 4, 5]
    assert failed > 0
    assert trainer.history["0.std"][-1] == pytest.approx(np.mean([each.layers["0"].std for each in watch.records]))


# ---- where callbacks may be ----


class Crash(Exception):
    """Ends a fit."""


class CrashAt(fastnn.Callback):
    def __init__(self, step):
        self.step = step

    def on_batch_end(self, trainer, logs):
        if trainer.step_count == self.step:
            raise Crash


@pytest.mark.parametrize("step", [4, 5, 8])
def test_a_resumed_fit_has_the_same_figures(step, tmp_path):
    whole = Watch(3)
    trainer = fit(small(), 3, [whole])
    checkpoint = fastnn.Checkpoint(tmp_path, minutes=1e-9)
    with pytest.raises(Crash):
        fit(small(), 3, [Watch(3), checkpoint, CrashAt(step)])
    watch = Watch(3)
    resumed = fastnn.Trainer.resume(tmp_path, X, Y, callbacks=[watch, CrashAt(0)], verbose=0)
    for mine, theirs in zip(resumed.history.epochs, trainer.history.epochs, strict=True):
        assert {**mine, "seconds": 0} == {**theirs, "seconds": 0}
    assert list(map(repr, watch.records)) == list(map(repr, whole.records))
    assert repr(watch.records[0].layers) == repr(whole.records[0].layers)


def test_watch_is_made_again(tmp_path):
    with pytest.raises(Crash):
        fit(small(), 3, [Watch(3, layers=["1"]), fastnn.Checkpoint(tmp_path), CrashAt(8)])
    resumed = fastnn.Trainer.resume(tmp_path, X, Y, callbacks=[CrashAt(0)], verbose=0)
    assert not np.isnan(resumed.history["1.mean"]).any()


def test_copies_and_reprs():
    watch = Watch(3, layers=["1"])
    fit(small(), 1, [watch])
    assert repr(watch) == "Watch(every=3, layers=('1',))"
    assert repr(Watch()) == "Watch()"
    assert Watch().every == 250
    for twin in (copy.deepcopy(watch), pickle.loads(pickle.dumps(watch))):
        assert repr(twin) == repr(watch)
        assert [repr(each.layers) for each in twin.records] == [repr(each.layers) for each in watch.records]


def test_other_figures_of_an_epoch_come_first():
    trainer = fastnn.Trainer(small(), metrics=["accuracy"])
    more = {"validation_data": (X, Y), "train_metrics": True}
    trainer.fit(X, Y, epochs=1, callbacks=[Watch()], verbose=0, **more)
    assert list(trainer.history)[:7] == ["loss", "lr", "seconds", "accuracy", "val_loss", "val_accuracy", "input.mean"]


def test_an_ensemble_is_watched_net_by_net():
    watch = Watch(2)
    fastnn.Ensemble.fit(
        lambda seed: fastnn.Trainer(nn.Sequential(nn.Dense(WIDTH, 3), seed=seed)),
        X, Y, members=2, epochs=1, batch_size=16, callbacks=[watch], verbose=0,
    )  # fmt: skip
    assert [each.step for each in watch.records] == [1, 2, 4]


@pytest.mark.slow  # it imports scikit-learn
def test_an_estimator_is_watched():
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPClassifier

    settings = {"hidden_layer_sizes": (4,), "batch_size": 16, "max_iter": 3, "n_iter_no_change": 9, "random_state": 0}
    plain = MLPClassifier(**settings)
    watch = Watch(4)
    watched = MLPClassifier(**settings, callbacks=[watch])
    with pytest.warns(UserWarning, match="Maximum iterations"):
        plain.fit(X, Y)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        watched.fit(X, Y)
    assert all(np.array_equal(a, b) for a, b in zip(plain.coefs_, watched.coefs_, strict=True))
    assert [(each.epoch, each.step) for each in watch.records][:3] == [(1, 1), (1, 4), (2, 8)]


def test_a_full_batch_optimiser_has_no_observed_steps():
    watch = Watch(1)
    trainer = fastnn.Trainer(small(), optimizer=optim.LBFGS())
    trainer.fit(X, Y, epochs=2, callbacks=[watch], verbose=0)
    assert watch.records == []
    assert "0.std" not in trainer.history
