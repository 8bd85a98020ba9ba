"""`Trainer(accumulate=k)`: one update for k batches, with the gradient of the mean loss over all of their rows."""

import contextlib
import copy
import math
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.engine import Feed, Update, lower_training, make_executor
from fastnn.optim import Penalty

RNG = np.random.default_rng(0)
ROWS, BATCH, K = 103, 5, 4  # 21 batches an epoch, the last of 3 rows: 5 updates of 4 batches and one of that last batch
BATCHES, UPDATES = 21, 6
X, Y = RNG.normal(size=(ROWS, 4)), RNG.integers(0, 3, ROWS)
WEIGHT = RNG.uniform(0.1, 2, ROWS)
ZEROS = WEIGHT.copy()
ZEROS[20:25] = 0  # the first batch of an update has no weight
ZEROS[40:60] = 0  # nor has an update


def net_of(*layers, dtype="float64"):
    return nn.Sequential(*(layers or (nn.Dense(4, 8), nn.Tanh(), nn.Dense(8, 3))), dtype=dtype, seed=1)


def with_chance():
    return net_of(nn.Dense(4, 8, bias=False), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2), nn.PReLU(8), nn.Dense(8, 3))


def trainer_of(net=None, **settings):
    return fastnn.Trainer(net or net_of(), **{"optimizer": optim.Adam(0.01), "accumulate": K} | settings)


def fit(trainer, epochs=2, **settings):
    return trainer.fit(X, Y, **{"epochs": epochs, "batch_size": BATCH, "verbose": 0} | settings)


def values(trainer):
    return [trainer.net.params.data, trainer.net.state.data, *trainer.slots()]


def same(one, other):
    for have, want in zip(values(one), values(other), strict=True):
        np.testing.assert_array_equal(have, want)
    for figure in ("loss", "lr"):
        assert one.history[figure] == other.history[figure]
    counts = [(each.step_count, each.schedule_step, each.epoch, each.net.training_steps) for each in (one, other)]
    assert counts[0] == counts[1]


def close(one, other, tolerance=1e-12, losses=True):
    for have, want in zip(values(one), values(other), strict=True):
        assert abs(have - want).max(initial=0.0) <= tolerance * max(1.0, abs(want).max(initial=0.0))
    if losses:
        np.testing.assert_allclose(one.history["loss"], other.history["loss"], rtol=tolerance)


# ---- what an update is ----

SETTINGS = {
    "Adam": {},
    "SGD": {"optimizer": optim.SGD(0.1, momentum=0.9, nesterov=True)},
    "AdamW": {"optimizer": optim.AdamW(0.01, weight_decay=0.1, groups=[optim.NO_DECAY])},
    "clipping": {"clip_norm": 0.05, "clip_value": 0.02},
    "a penalty": {"penalty": Penalty(l1=1e-3, l2=0.01)},
    "a penalty by rows": {"penalty": Penalty(l1=1e-2, l2=0.1, per_batch=True)},
    "a schedule": {"schedule": optim.ExponentialLR(0.9, every="step")},
    "a schedule of the fit's length": {"schedule": "OneCycleLR"},
    "the rate by epochs": {"schedule": lambda epoch: 1 / (1 + epoch)},
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("weight", [None, WEIGHT, ZEROS], ids=["", "weights", "zeros"])
@pytest.mark.parametrize("name", SETTINGS)
def test_some_batches_are_one_larger_batch(impl, name, weight):
    small, large = trainer_of(**SETTINGS[name]), trainer_of(**SETTINGS[name], accumulate=1)
    for trainer, size in ((small, BATCH), (large, BATCH * K)):
        fit(trainer, epochs=7, batch_size=size, shuffle=False, sample_weight=weight)
    # A batch without weight has no part of a penalty by rows in the reported loss.
    close(small, large, losses=not (weight is ZEROS and name == "a penalty by rows"))
    assert small.step_count == large.step_count == 7 * UPDATES
    assert small.net.training_steps == 7 * BATCHES
    assert small.history["lr"] == large.history["lr"]


def test_the_scale_of_weights_does_not_matter(impl):
    """Also for weights whose products with gradients float32 does not have."""
    results = []
    for factor in (1.0, 2.0**-400):
        trainer = trainer_of(net_of(dtype="float32"))
        fit(trainer, sample_weight=WEIGHT * factor)
        results.append(trainer.net.params.data)
    np.testing.assert_array_equal(*results)


NETS = {
    "batch norm, dropout, PReLU": with_chance,
    "a custom layer": lambda: net_of(
        nn.Dense(4, 8), nn.CustomActivation(np.tanh, lambda dy, x, y: dy * (1 - y * y)), nn.Dense(8, 3)
    ),
    "arrays of several pieces": lambda: net_of(
        nn.Dense(4, 300, bias=False), nn.Tanh(), nn.Dense(300, 200), nn.Tanh(), nn.Dense(200, 3)
    ),
    "limits of norms": lambda: net_of(nn.Dense(4, 8, max_norm=0.5), nn.ReLU(), nn.Dense(8, 3)),
}


@pytest.mark.parametrize("name", NETS)
def test_as_by_hand(impl, name):
    """`step` says how to accumulate by hand. Batch norms use the statistics of each batch."""
    trainer, by_hand = trainer_of(NETS[name]()), trainer_of(NETS[name](), accumulate=1)
    fit(trainer, epochs=1, shuffle=False)
    net, starts = by_hand.net, range(0, ROWS, BATCH)
    for first in range(0, BATCHES, K):
        group = [slice(start, min(start + BATCH, ROWS)) for start in starts[first : first + K]]
        rows = group[-1].stop - group[0].start
        sums = {name: np.zeros_like(array) for name, array in net.gradients().items()}
        for each in group:
            z = net.forward(X[each], training=True)
            dz = np.empty_like(z)
            by_hand.loss(z, Y[each], grad=dz)
            net.backward(dz)
            for key, array in net.gradients().items():
                sums[key] += array * ((each.stop - each.start) / rows)
        for key, array in net.gradients().items():
            array[...] = sums[key]
        by_hand.step()
    for have, want in zip(values(trainer), values(by_hand), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-11, atol=1e-13)
    assert trainer.step_count == by_hand.step_count == UPDATES


@pytest.mark.parametrize("name", SETTINGS)
def test_both_executors_agree(native, name):
    results = []
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            trainer = trainer_of(with_chance(), **SETTINGS[name])
            fit(trainer, epochs=3, sample_weight=WEIGHT)
        results.append(trainer)
    close(*results, tolerance=1e-10)


def test_results_do_not_depend_on_the_threads(native, dtype):
    """The arrays are so large that a pass over them is divided."""
    results = []
    for threads in (1, 2, 5):
        with fastnn.num_threads(threads):
            trainer = trainer_of(net_of(nn.Dense(4, 300), nn.ReLU(), nn.Dense(300, 300), nn.Dense(300, 3), dtype=dtype))
            fit(trainer, epochs=1)
        results.append(trainer)
    for each in results[1:]:
        same(each, results[0])


@pytest.mark.parametrize("name", ["Adam", "AdamW", "clipping", "a penalty by rows"])
def test_frozen_parameters(impl, name):
    """A group of batches is one update that they miss."""
    small, large = trainer_of(**SETTINGS[name]), trainer_of(**SETTINGS[name], accumulate=1)
    for trainer, size in ((small, BATCH), (large, BATCH * K)):
        net, before = trainer.net, {name: array.copy() for name, array in trainer.net.parameters().items()}
        net.freeze("0.weight", "2.bias")
        fit(trainer, epochs=3, batch_size=size, shuffle=False)
        for key, array in net.parameters().items():
            assert np.array_equal(array, before[key]) == (key in net.frozen), key
        net.unfreeze("0.weight")
        fit(trainer, batch_size=size, shuffle=False)
        assert (net[0].weight != before["0.weight"]).all()
        assert trainer.state_dict()["missed_updates"] == {"0.weight": 3 * UPDATES, "2.bias": 5 * UPDATES}
    close(small, large)


# ---- slices ----


class Observe(fastnn.Callback):
    def __init__(self, observes):
        self.observes, self.batches = observes, []

    def on_batch_end(self, trainer, logs):
        assert logs["batches"] == BATCHES
        self.batches.append((logs["batch"], trainer.step_count))


CUTS = {
    "a batch each": (0.0, []),
    "a callback for each batch": (0.05, [Observe("step")]),
    "callbacks for some batches": (0.05, [Observe(3), Observe(7)]),
}


@pytest.mark.parametrize("k", [2, K, 2**62])
@pytest.mark.parametrize("cut", CUTS)
def test_slices_may_end_within_an_update(impl, monkeypatch, cut, k):
    settings = {"schedule": "OneCycleLR", "accumulate": k, "penalty": Penalty(l2=0.1, per_batch=True)}
    whole, parts = (trainer_of(with_chance(), **settings) for _ in range(2))
    fit(whole, sample_weight=WEIGHT)
    seconds, callbacks = CUTS[cut]
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", seconds)
    fit(parts, sample_weight=WEIGHT, callbacks=copy.deepcopy(callbacks))
    same(whole, parts)
    assert whole.step_count == 2 * math.ceil(BATCHES / k)


def test_callbacks_count_batches_and_trainers_updates(impl):
    callback = Observe("step")
    fit(trainer_of(), epochs=1, callbacks=[callback])
    assert callback.batches == [(i, i // K + (i == BATCHES)) for i in range(1, BATCHES + 1)]


def test_two_fits_are_one(impl):
    whole, parts = trainer_of(with_chance()), trainer_of(with_chance())
    fit(whole, epochs=4)
    for _ in range(2):
        fit(parts, epochs=2)
    same(whole, parts)


def loaded(trainer):
    other = trainer_of(with_chance())
    other.net.load_state_dict(trainer.net.state_dict())
    other.load_state_dict(trainer.state_dict())
    return other


CONTINUED = {
    "state_dict": loaded,
    "pickle": lambda trainer: pickle.loads(pickle.dumps(trainer)),
    "copy": lambda trainer: trainer.copy(),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", CONTINUED)
def test_a_copy_continues(impl, way):
    trainer = trainer_of(with_chance())
    fit(trainer)
    other = CONTINUED[way](trainer)
    assert other.accumulate == K
    for each in (trainer, other):
        fit(each)
    same(trainer, other)


def test_a_copy_during_a_fit_shares_nothing(impl):
    """It may be made within an update; what the original has accumulated does not count for the copy."""

    class Copy(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            if logs["batch"] == 6 and trainer.epoch == 1:
                self.copy = trainer.copy()
                fit(self.copy, epochs=1)

    trainer, untouched, callback = trainer_of(), trainer_of(), Copy()
    fit(trainer, callbacks=[callback])
    fit(untouched)
    same(trainer, untouched)
    assert callback.copy.step_count == UPDATES + 1 + UPDATES


# ---- ends within an update ----


class At(fastnn.Callback):
    """Calls a function after a batch of a fit."""

    def __init__(self, batch, function):
        self.batch, self.function, self.seen = batch, function, 0

    def on_batch_end(self, trainer, logs):
        self.seen += 1
        if self.seen == self.batch:
            self.function(trainer)


def interrupt(_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("end", [lambda trainer: trainer.stop(), interrupt])
def test_batches_without_an_update_are_dropped(impl, end):
    """The next fit begins with a new update, whatever the rest of the epoch has left."""
    trainer, reached = trainer_of(with_chance()), {}

    def note(trainer):
        reached["params"] = trainer.net.params.data.copy()

    callbacks = [At(4, note), At(6, end)]
    with contextlib.suppress(KeyboardInterrupt):
        fit(trainer, callbacks=callbacks)
    assert (trainer.step_count, trainer.net.training_steps) == (1, 6)
    np.testing.assert_array_equal(trainer.net.params.data, reached["params"])
    other = trainer.copy()
    trainer.means()[...] = np.nan
    for each in (trainer, other):
        fit(each)
    same(trainer, other)
    assert np.isfinite(trainer.net.params.data).all()


def test_the_rate_is_that_of_the_last_update(impl):
    for stop, updates in ((6, 1), (8, 2), (2, 0)):
        trainer = trainer_of(schedule=optim.ExponentialLR(0.5, every="step"))
        fit(trainer, callbacks=[At(stop, fastnn.Trainer.stop)])
        assert trainer.step_count == updates
        assert trainer.history["lr"] == [0.01 * 0.5 ** max(0, updates - 1)]


def test_an_exception_of_a_function_within_an_update(impl):
    """It is raised in the backward pass of the sixth batch, whose statistics and gradients do not count."""
    calls = []

    def backward(dy, x, y):
        calls.append(1)
        if len(calls) == 6:
            raise ZeroDivisionError
        return dy * (1 - y * y)

    layers = nn.Dense(4, 8, bias=False), nn.BatchNorm(8), nn.CustomActivation(np.tanh, backward), nn.Dense(8, 3)
    trainer = trainer_of(net_of(*layers))
    with pytest.raises(ZeroDivisionError):
        fit(trainer)
    assert (trainer.step_count, trainer.net.training_steps) == (1, 5)
    other = trainer.copy()
    for each in (trainer, other):
        fit(each)
    same(trainer, other)


def test_a_loss_that_is_not_finite(impl):
    """Rows 30 to 34 are batch 7 of an epoch, the third one of the second update, which is not made."""
    bad = X.copy()
    bad[32] = 1e300
    net = net_of(nn.Dense(4, 3))
    trainer = fastnn.Trainer(
        net, "mean_squared_error", optim.SGD(0.1), optim.ExponentialLR(0.5, every="step"), accumulate=K
    )
    before = net.params.data.copy()
    with pytest.raises(fastnn.TrainingDiverged) as caught:
        trainer.fit(bad, np.zeros((ROWS, 3)), batch_size=BATCH, shuffle=False, verbose=0)
    assert (caught.value.epoch, caught.value.step, caught.value.lr) == (1, 2, 0.05)
    np.testing.assert_array_equal(net.params.data, before)


@pytest.mark.parametrize("seconds", [0.0, 1.0])
@pytest.mark.parametrize(("batches", "step", "rate"), [(1, 1, 1e300), (4, 1, 1e300), (5, 2, 5e299)])
def test_an_update_that_is_not_finite(impl, monkeypatch, seconds, batches, step, rate):
    """It shows at the end of the epoch or by the next batch's loss, which names the update that this batch is for."""
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", seconds)
    schedule = optim.ExponentialLR(0.5, every="step")
    trainer = trainer_of(net_of(nn.Dense(4, 3)), optimizer=optim.SGD(1e300), schedule=schedule)
    trainer.loss = "mean_squared_error"
    rows = batches * BATCH
    with pytest.raises(fastnn.TrainingDiverged) as caught:
        trainer.fit(X[:rows], 1e10 * np.ones((rows, 3)), batch_size=BATCH, verbose=0)
    assert (caught.value.step, caught.value.lr) == (step, rate)


# ---- settings ----

CHANGES = {
    "optimizer": optim.SGD(0.1, momentum=0.5),
    "penalty": Penalty(l2=0.5),
    "clip_norm": 1e-2,
    "clip_value": 1e-3,
    "lr": 0.5,
    "schedule": optim.ConstantLR(0.5, 100),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_within_an_update_is_that_of_its_end(impl, name):
    """The batches before it count, too, also where a new executor is made."""

    def change(trainer):
        setattr(trainer, name, CHANGES[name])

    before, within, after = trainer_of(), trainer_of(), trainer_of()
    for trainer, batch in ((before, 4), (within, 6), (after, 8)):
        fit(trainer, epochs=1, callbacks=[At(batch, change)])
    for have, want in zip(values(within), values(before), strict=True):
        np.testing.assert_array_equal(have, want)
    assert (within.net.params.data != after.net.params.data).any()
    assert within.step_count == before.step_count


def test_another_backend_within_an_update(native):
    trainer, wanted = trainer_of(), trainer_of()
    fit(wanted, epochs=1)
    try:
        fit(trainer, epochs=1, callbacks=[At(6, lambda _: fastnn.set_backend("reference"))])
    finally:
        fastnn.set_backend("native")
    close(trainer, wanted)


@pytest.mark.parametrize("new", [1, 3, 10])
def test_another_number_applies_from_the_next_epoch(impl, new):
    def change(trainer):
        trainer.accumulate = new

    trainer, wanted = trainer_of(), trainer_of()
    fit(trainer, callbacks=[At(6, change)])
    fit(wanted, epochs=1)
    wanted.accumulate = new
    fit(wanted, epochs=1)
    same(trainer, wanted)
    assert trainer.step_count == UPDATES + math.ceil(BATCHES / new)


def test_a_schedule_of_the_fits_length_ends_at_the_last_update(impl):
    trainer = trainer_of(schedule=optim.OneCycleLR(max_lr=0.1))
    fit(trainer, epochs=3)
    schedule = optim.OneCycleLR(max_lr=0.1, total_steps=3 * UPDATES)
    wanted = schedule(0.01, 0, np.arange(3 * UPDATES))[UPDATES - 1 :: UPDATES]
    np.testing.assert_array_equal(trainer.history["lr"], wanted)


def test_repr():
    assert "accumulate=4)" in repr(trainer_of())
    assert "accumulate" not in repr(trainer_of(accumulate=1))


BAD = [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError), ("2", TypeError), (2**63, ValueError)]


@pytest.mark.parametrize(("value", "error"), BAD)
def test_bad_numbers(value, error):
    trainer = trainer_of()
    for call in (lambda: trainer_of(accumulate=value), lambda: setattr(trainer, "accumulate", value)):
        with pytest.raises(error, match=r"^accumulate must be an integer (of at least 1|from 1 to .*), got "):
            call()
    assert trainer.accumulate == K


def test_full_batch_optimisers_are_refused():
    net = net_of()
    message = r"^accumulate must be 1 with LBFGS, got 2: write optim.Adam\(\) to use accumulate"
    with pytest.raises(ValueError, match=message):
        fastnn.Trainer(net, optimizer="lbfgs", accumulate=2)
    trainer = fastnn.Trainer(net, optimizer="lbfgs", accumulate=1)
    with pytest.raises(ValueError, match=message):
        trainer.accumulate = 2
    trainer.accumulate = 1
    fit(trainer, epochs=1)
    trainer = trainer_of()
    with pytest.raises(ValueError, match=r"^accumulate must be 1 with Newton, got 4:"):
        trainer.optimizer = optim.Newton()
    assert trainer.optimizer == optim.Adam(0.01)


def test_sparse_updates_are_refused():
    net = nn.Sequential(nn.Columns([0], nn.Embedding(5, 2, sparse=True), in_features=1), nn.Dense(2, 1), seed=0)
    message = r"^accumulate must be 1 with sparse updates, got 2: write nn\.Embedding\(\.\.\., sparse=False\) for '"
    with pytest.raises(ValueError, match=message):
        fastnn.Trainer(net, accumulate=2)
    trainer = fastnn.Trainer(net)
    with pytest.raises(ValueError, match=message):
        trainer.accumulate = 2


def test_steps_by_hand_are_refused(impl):
    trainer = trainer_of()
    trainer.net.backward(np.ones_like(trainer.net.forward(X, training=True)))
    with pytest.raises(ValueError, match=r"^accumulate must be 1 for step, got 4: set trainer.accumulate = 1, and "):
        trainer.step()
    assert trainer.step_count == 0
    trainer.accumulate = 1
    trainer.step()
    assert trainer.step_count == 1


def test_the_rate_test_takes_larger_batches(impl):
    """So each rate has a loss, that of all rows of the update."""
    trainer = trainer_of(optimizer=optim.SGD())
    found = fastnn.lr_range_test(trainer, X, Y, batch_size=BATCH, steps=20)
    trainer.accumulate = 1
    wanted = fastnn.lr_range_test(trainer, X, Y, batch_size=BATCH * K, steps=20)
    np.testing.assert_array_equal(found.losses, wanted.losses)
    assert len(found.losses) == 20


# ---- the engine ----


def test_groups_of_batches():
    feed = Feed(X, np.tile(np.arange(23), 2), 5, epochs=2, accumulate=2)  # twice 5 batches: 2, 2, 1
    assert [tuple(feed.group(i)) for i in range(10)] == [
        (0, 0, 2), (0, 1, 2), (1, 0, 2), (1, 1, 2), (2, 0, 1), (3, 0, 2), (3, 1, 2), (4, 0, 2), (4, 1, 2), (5, 0, 1),
    ]  # fmt: skip
    assert [i for i in range(10) if feed.group(i).ends] == [1, 3, 4, 6, 8, 9]
    assert [feed.updates(0, 10), feed.updates(1, 3), feed.updates(4, 6), feed.updates(2, 3)] == [6, 2, 2, 1]


def test_programs():
    builder, output = net_of().emit(training=True)
    program = net_of().training_program(
        loss="cross_entropy", target="labels", optimizer=Update("adam", accumulates=True, clip_norm=1.0)
    )
    kinds = {name: [op.kind for op in ops] for name, ops in program.sections.items()}
    assert kinds["reduce"] == ["add_gradients"]
    assert kinds["update"] == ["mean_gradients", "clip_norm", "update"]
    assert all(op.attrs.get("update", "") == "" for op in program.sections["backward"])
    assert lower_training(builder, output).sections["reduce"] == ()


def test_an_executor_checks_what_it_is_given(impl):
    net = net_of()
    programs = [
        net.training_program(loss="cross_entropy", target="labels", optimizer=Update("sgd", accumulates=each))
        for each in (False, True)
    ]
    arenas = net.params, net.state, net.gradient_arena()
    executor = make_executor(programs[0], net.dtype, BATCH, *arenas)
    feed = Feed(X, np.arange(ROWS), BATCH, Y, accumulate=2)
    with pytest.raises(ValueError, match=r"^feed.accumulate must be 1 for a program that does not accumulate, got 2"):
        executor.run_steps(feed, 0, 1, np.ones((1, 1)), 0, 1.0, 1)
    size = net.params.layout.size
    for means, got in ((None, "none"), (np.zeros(size - 1), f"{size - 1} entries")):
        with pytest.raises(ValueError, match=f"^means must be an array of {size} entries, got {got}"):
            make_executor(programs[1], net.dtype, BATCH, *arenas, means=means)
    executor = make_executor(programs[1], net.dtype, BATCH, *arenas, means=np.zeros(size))
    result = executor.run_steps(feed, 0, 3, np.full((2, 1), 0.1), 0, 9.0, 1)
    assert (result.done, result.updates, result.group_weight) == (3, 1, BATCH)
