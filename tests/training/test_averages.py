"""Averages of the parameters: their formulas, their running statistics, what evaluations look at, and saved states."""

import contextlib
import copy
import pickle
import re
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.kernels import softmax

# The fits are short.
pytestmark = [pytest.mark.filterwarnings(f"ignore:{each}") for each in ("the average still has", "no epoch has been")]

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(81, 6)), RNG.integers(0, 3, 81)  # 5 batches of 16 and a row, with batch norm in the last one
XV, YV = RNG.normal(size=(40, 6)), RNG.integers(0, 3, 40)
BATCH = 16

# What each kind of program does differently: fused and separate updates, groups, norms of columns, sparse rows.
PROGRAMS = {
    "fused": ({}, {}),
    "groups": ({}, {"optimizer": optim.AdamW(0.05, groups=[optim.NO_DECAY, optim.Group("4.*", lr_scale=0.5)])}),
    "momentum": ({}, {"optimizer": optim.SGD(0.1, momentum=0.9)}),
    "three slots": ({}, {"optimizer": optim.RMSprop(0.01, centered=True, momentum=0.9)}),
    "clipped norm": ({}, {"clip_norm": 0.1, "penalty": optim.Penalty(l2=0.1)}),
    "norms of columns": ({"max_norm": 0.5}, {}),
}


def net_of(dtype="float64", *, norm=False, seed=3, **dense):
    norms = [nn.BatchNorm(8), nn.BatchNorm(8, momentum=None)] if norm else [nn.Identity(), nn.Identity()]
    return nn.Sequential(
        nn.Dense(6, 8, **dense), norms[0], nn.ReLU(), nn.Dropout(0.2), nn.Dense(8, 8), norms[1], nn.Tanh(),
        nn.Dense(8, 3), dtype=dtype, seed=seed,
    )  # fmt: skip


def trainer_of(average, dtype="float64", norm=False, dense=None, **settings):
    return fastnn.Trainer(net_of(dtype, norm=norm, **(dense or {})), average=average, **settings)


def fit(trainer, epochs=1, **settings):
    return trainer.fit(X, Y, epochs=epochs, batch_size=BATCH, verbose=0, **settings)


def contents(trainer):
    """Return everything that later steps and evaluations depend on."""
    averaged = trainer.averaged
    arrays = [trainer.net.params.data, trainer.net.state.data, averaged.params.data, averaged.state.data]
    return [*arrays, *trainer.slots()]


def assert_same(one, other):
    for have, want in zip(contents(one), contents(other), strict=True):
        np.testing.assert_array_equal(have, want)


class Record(fastnn.Callback):
    """Keeps the parameters and the average after every step."""

    observes = "step"

    def __init__(self):
        self.params, self.averages = [], []

    def on_batch_end(self, trainer, logs):
        self.params.append(trainer.net.params.data.copy())
        self.averages.append(trainer.averaged.params.data.copy())


def moving_averages(params, decay):
    """Return the average after each step by PyTorch's formula, every operation rounded in the arrays' dtype."""
    average, weight = params[0], params[0].dtype.type(1 - decay)
    yield average
    for w in params[1:]:
        average = average + weight * (w - average) if weight < 0.5 else w - (w - average) * (1 - weight)
        yield average


# ---- the formulas ----


@pytest.mark.sampled(4)
@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_moving_average_of_all_updates(impl, dtype, program, decay):
    dense, settings = PROGRAMS[program]
    trainer, record = trainer_of(optim.EMA(decay), dtype, dense=dense, **settings), Record()
    fit(trainer, 2, callbacks=[record])
    assert len(record.averages) == 12
    for have, want in zip(record.averages, moving_averages(record.params, decay), strict=True):
        np.testing.assert_array_equal(have, want)
    plain = trainer_of(None, dtype, dense=dense, **settings)
    fit(plain, 2)
    np.testing.assert_array_equal(plain.net.params.data, record.params[-1])


def test_rows_of_a_table_that_no_batch_has(impl):
    ids = RNG.integers(0, 4, 60)[:, np.newaxis]
    net = nn.Sequential(nn.Embedding(9, 3, sparse=True), nn.Dense(3, 3), seed=0)
    trainer, record = fastnn.Trainer(net, average=optim.EMA(0.5)), Record()
    trainer.fit(ids, RNG.integers(0, 3, 60), epochs=2, batch_size=20, verbose=0, callbacks=[record])
    np.testing.assert_array_equal(record.averages[-1], list(moving_averages(record.params, 0.5))[-1])
    np.testing.assert_array_equal(trainer.averaged[0].weight[4:], net[0].weight[4:])


@pytest.mark.parametrize("start", [0, 2, 9])
def test_the_mean_of_epochs(impl, dtype, start):
    trainer, ends = trainer_of(optim.SWA(start), dtype), []
    for _ in range(5):
        fit(trainer)
        ends.append(trainer.net.params.data.astype(np.float64))
    wanted = np.mean(ends[start:], axis=0) if start < 5 else ends[-1]
    np.testing.assert_allclose(trainer.averaged.params.data, wanted, rtol=0, atol=1e-6 if dtype == "float32" else 1e-15)


def step(trainer):
    z = trainer.net.forward(X, training=True)
    trainer.net.backward(np.ones_like(z))
    trainer.step()


def test_single_steps(impl):
    trainer, params = trainer_of(optim.EMA(0.75)), []
    for _ in range(4):
        step(trainer)
        params.append(trainer.net.params.data.copy())
    np.testing.assert_array_equal(trainer.averaged.params.data, list(moving_averages(params, 0.75))[-1])


@pytest.mark.parametrize("average", [optim.EMA(0.9), optim.SWA(1)], ids=repr)
def test_trajectories_agree(native, average):
    trainers = trainer_of(average, norm=True), trainer_of(average, norm=True)
    fit(trainers[0], 4)
    with fastnn.backend("reference"):
        fit(trainers[1], 4)
    for have, want in zip(*map(contents, trainers), strict=True):
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-10 * abs(want).max())


@pytest.mark.parametrize("average", [optim.EMA(0.9), optim.SWA(1)], ids=repr)
def test_threads_and_slices_do_not_matter(native, dtype, average, monkeypatch):
    def wide():
        net = nn.Sequential(nn.Dense(6, 300), nn.BatchNorm(300), nn.ReLU(), nn.Dense(300, 3), dtype=dtype, seed=1)
        return fastnn.Trainer(net, average=average)

    wanted, threaded, sliced = wide(), wide(), wide()
    fit(wanted, 3)
    with fastnn.num_threads(4):
        fit(threaded, 3)
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", 0.0)
    monkeypatch.setattr("fastnn.training.averaging.SLICE_SECONDS", 0.0)
    fit(sliced, 3)
    assert_same(threaded, wanted)
    assert_same(sliced, wanted)


# ---- running statistics ----


def by_hand(x, batches):
    """Return the mean over batches of their mean, and of their unbiased variance."""
    parts = [x[rows] for rows in batches]
    return np.mean([p.mean(axis=0) for p in parts], axis=0), np.mean([p.var(axis=0, ddof=1) for p in parts], axis=0)


@pytest.mark.parametrize("average", [optim.EMA(0.9), optim.SWA(1)], ids=repr)
@pytest.mark.parametrize(("shuffle", "accumulate"), [(True, 1), (False, 1), (True, 2)])
def test_statistics_are_computed_in_one_pass(impl, average, shuffle, accumulate):
    trainer = trainer_of(average, norm=True, accumulate=accumulate)
    trainer.net.scaler = fastnn.data.Scaler(0.5, 2.0)
    fit(trainer, 3, shuffle=shuffle)
    averaged = trainer.averaged
    batches = [slice(start, start + BATCH) for start in range(0, 64, BATCH)] + [slice(64, 81)]
    h = (X - 0.5) * 2.0 @ averaged[0].weight + averaged[0].bias
    mean, var = by_hand(h, batches)
    np.testing.assert_allclose(averaged[1].running_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(averaged[1].running_var, var, rtol=1e-12)
    parts = []
    for b in batches:  # the second batch norm's input has the first one's statistics of the batch; dropout is off
        xhat = (h[b] - h[b].mean(axis=0)) / np.sqrt(h[b].var(axis=0) + 1e-5)
        parts.append(
            np.maximum(averaged[1].weight * xhat + averaged[1].bias, 0) @ averaged[4].weight + averaged[4].bias
        )
    mean, var = by_hand(np.concatenate(parts), batches)
    np.testing.assert_allclose(averaged[5].running_mean, mean, rtol=1e-10)
    np.testing.assert_allclose(averaged[5].running_var, var, rtol=1e-10)
    assert averaged.state_dict()["5.num_batches_tracked"] == len(batches)
    plain = trainer_of(None, norm=True, accumulate=accumulate)
    plain.net.scaler = fastnn.data.Scaler(0.5, 2.0)
    fit(plain, 3, shuffle=shuffle)
    np.testing.assert_array_equal(trainer.net.state.data, plain.net.state.data)


@pytest.mark.parametrize("frozen_first", [True, False])
@pytest.mark.parametrize("where", ["between fits", "in a callback"])
def test_statistics_follow_what_is_frozen(impl, frozen_first, where):
    trainer = trainer_of(optim.EMA(0.5), norm=True)

    def change(net):
        (net.unfreeze if frozen_first else net.freeze)("1.*")

    class Change(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            change(trainer.net)

    if frozen_first:
        trainer.net.freeze("1.*")
    fit(trainer, 2, validation_data=(XV, YV))
    again = pickle.loads(pickle.dumps(trainer))  # without what the first one has made for its evaluations
    figures = []
    for each in (trainer, again):
        if where == "between fits":
            change(each.net)
        fit(each, 2, validation_data=(XV, YV), callbacks=[Change()] if where == "in a callback" else [])
        figures.append(each.history["val_loss"][2:])
    assert_same(trainer, again)
    assert figures[0] == figures[1]
    assert np.array_equal(trainer.averaged[1].running_mean, trainer.net[1].running_mean) != frozen_first


def test_after_a_single_step_the_statistics_are_those_of_the_net(impl):
    trainer = trainer_of("ema", norm=True)
    fit(trainer, 1)
    assert not np.array_equal(trainer.averaged.state.data, trainer.net.state.data)
    trainer.net.backward(np.ones_like(trainer.net.forward(X, training=True)))
    trainer.step()
    np.testing.assert_array_equal(trainer.averaged.state.data, trainer.net.state.data)
    assert trainer.state_dict()["average"]["statistics"] is None


def test_a_function_that_raises_during_the_pass(impl):
    """The average stays, and later evaluations work."""
    broken = []

    def tanh(x):
        if broken and len(x) > 20:
            raise KeyError("broken")
        return np.tanh(x)

    layer = nn.CustomActivation(tanh, lambda dy, x, y: dy * (1 - y * y))
    net = nn.Sequential(nn.Dense(6, 8), nn.BatchNorm(8), layer, nn.Dense(8, 3), dtype="float64", seed=0)
    trainer = fastnn.Trainer(net, average="ema")
    trainer.fit(X, Y, batch_size=16, verbose=0, epochs=1)
    before = trainer.averaged.params.data.copy()

    class Break(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            broken.append(True)

    with pytest.raises(KeyError, match="broken"):
        trainer.fit(X, Y, batch_size=30, verbose=0, epochs=1, callbacks=[Break()])
    broken.clear()
    np.testing.assert_array_equal(trainer.averaged.params.data, before)
    np.testing.assert_array_equal(trainer.predict(X), trainer.averaged.predict(X))


# ---- what looks at the average ----


@pytest.mark.parametrize("average", [optim.EMA(0.9), optim.SWA(1)], ids=repr)
@pytest.mark.parametrize("norm", [False, True])
def test_evaluations_look_at_the_average(impl, average, norm):
    trainer, seen = trainer_of(average, norm=norm, metrics="balanced_accuracy"), []

    class Compare(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            judge = fastnn.Trainer(trainer.averaged, metrics="balanced_accuracy")
            for prefix, data in (("val_", (XV, YV)), ("", (X, Y))):
                wanted = judge.evaluate(*data)
                assert trainer.evaluate(*data) == wanted
                for name, value in wanted.items():
                    assert prefix + name == "loss" or logs[prefix + name] == value
            seen.append(logs["val_loss"])

    history = fit(trainer, 4, validation_data=(XV, YV), train_metrics=True, callbacks=[Compare()])
    assert history["val_loss"] == seen
    z = trainer.averaged.predict(XV)
    assert not np.array_equal(z, trainer.net.predict(XV))
    np.testing.assert_array_equal(trainer.predict(XV), z)
    np.testing.assert_array_equal(trainer.predict_proba(XV), softmax(z))
    plain = trainer_of(None, norm=norm)
    fit(plain, 4)
    assert history["loss"] == plain.history["loss"]


def test_before_anything_is_averaged_the_net_is_evaluated(impl):
    trainer, plain = trainer_of(optim.SWA(3), norm=True), trainer_of(None, norm=True)
    for each in (trainer, plain):
        fit(each, 3, validation_data=(XV, YV))
    assert trainer.history["val_loss"] == plain.history["val_loss"]
    np.testing.assert_array_equal(trainer.averaged.predict(XV), plain.predict(XV))
    assert trainer.averaged is not trainer.net


def test_the_averaged_net_is_independent(impl):
    trainer = trainer_of("ema", norm=True)
    fit(trainer, 2)
    averaged, before = trainer.averaged, trainer.predict(XV)
    averaged[0].weight[...] = 0
    np.testing.assert_array_equal(trainer.predict(XV), before)
    assert trainer.averaged.seed == trainer.net.seed
    assert trainer.averaged.training_steps == trainer.net.training_steps


def test_scalers_of_the_net_are_those_of_evaluations(impl):
    trainer = trainer_of("ema")
    fit(trainer, 1, validation_data=(XV, YV))
    before = trainer.predict(XV)
    trainer.net.scaler = fastnn.data.Scaler(1.0, 3.0)
    np.testing.assert_array_equal(trainer.predict((XV / 3.0) + 1.0), trainer.averaged.predict((XV / 3.0) + 1.0))
    np.testing.assert_allclose(trainer.predict((XV / 3.0) + 1.0), before, rtol=1e-9, atol=1e-12)


def test_evaluations_follow_what_is_loaded(impl):
    trainer, other = trainer_of("ema"), trainer_of("ema")
    fit(trainer, 1)
    fit(other, 3)
    trainer.predict(XV)
    trainer.load_state_dict(other.state_dict())
    np.testing.assert_array_equal(trainer.predict(XV), other.predict(XV))


@pytest.mark.parametrize("average", [optim.EMA(0.9), optim.SWA(1)], ids=repr)
@pytest.mark.parametrize("monitor", ["val_accuracy", "loss"])
def test_early_stopping_restores_net_and_average(impl, average, monitor):
    trainer, kept = trainer_of(average, norm=True, optimizer=optim.SGD(0.5)), []

    class Keep(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            kept.append([trainer.net.params.data.copy(), trainer.averaged.params.data, trainer.averaged.state.data])

    stopping = fastnn.EarlyStopping(monitor, patience=2, mode="max")
    data = {"validation_data": (XV, YV)} if monitor != "loss" else {}
    fit(trainer, 30, callbacks=[Keep(), stopping], **data)
    assert stopping.best_epoch < len(kept) - 1
    wanted = kept[stopping.best_epoch]
    np.testing.assert_array_equal(trainer.net.params.data, wanted[0])
    np.testing.assert_array_equal(trainer.averaged.params.data, wanted[1])
    assert trainer._averaging.has_statistics or trainer._averaging.count.value == 0
    if data:
        np.testing.assert_array_equal(trainer.averaged.state.data, wanted[2])
        assert trainer.evaluate(XV, YV)["accuracy"] == stopping.best


def test_members_of_an_ensemble_are_averaged_nets(impl):
    def build(seed):
        trainers.append(fastnn.Trainer(net_of(norm=True, seed=seed), average=optim.EMA(0.9)))
        return trainers[-1]

    trainers = []
    ensemble = fastnn.Ensemble.fit(build, X, Y, members=2, epochs=2, batch_size=BATCH, verbose=0)
    for member, trainer in zip(ensemble.members, trainers, strict=True):
        np.testing.assert_array_equal(member.predict(XV), trainer.averaged.predict(XV))
        assert not np.array_equal(member.predict(XV), trainer.net.predict(XV))


def test_a_rate_test_ignores_the_average(impl):
    trainer, plain = trainer_of("ema"), trainer_of(None)
    found, wanted = (fastnn.lr_range_test(each, X, Y, steps=20, batch_size=BATCH) for each in (trainer, plain))
    np.testing.assert_array_equal(found.losses, wanted.losses)
    assert trainer.average == optim.EMA()


# ---- fits that continue, states, failures ----

AVERAGES = [optim.EMA(0.9), optim.SWA(2)]


@pytest.mark.parametrize("average", AVERAGES, ids=repr)
def test_two_fits_are_one(impl, dtype, average):
    at_once, twice = trainer_of(average, dtype, norm=True), trainer_of(average, dtype, norm=True)
    fit(at_once, 6)
    fit(twice, 3)
    fit(twice, 3)
    assert_same(twice, at_once)


def saved_and_loaded(trainer):
    again = trainer_of(trainer.average, trainer.net.dtype, norm=True)
    again.net.load_state_dict(trainer.net.state_dict())
    again.load_state_dict(copy.deepcopy(trainer.state_dict()))
    return again


WAYS = {
    "state_dict": saved_and_loaded,
    "copy": lambda trainer: trainer.copy(),
    "pickle": lambda trainer: pickle.loads(pickle.dumps(trainer)),
}


@pytest.mark.parametrize("average", AVERAGES, ids=repr)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_copies_continue(impl, average, way, epochs):
    trainer = trainer_of(average, norm=True)
    if epochs:
        fit(trainer, epochs)
    again = WAYS[way](trainer)
    assert_same(again, trainer)
    assert again.average == average
    np.testing.assert_array_equal(again.predict(XV), trainer.predict(XV))
    fit(again, 2)
    before = [array.copy() for array in contents(again)]
    fit(trainer, 2)  # the copy shares nothing with it
    for have, want in zip(contents(again), before, strict=True):
        np.testing.assert_array_equal(have, want)
    assert_same(again, trainer)


def test_a_state_has_the_names_and_the_orientation_of_the_net(impl):
    trainer = trainer_of("ema", norm=True)
    fit(trainer, 2)
    average, averaged = trainer.state_dict()["average"], trainer.averaged.state_dict()
    assert (average["kind"], average["count"]) == ("ema", 10)
    for name, array in (average["values"] | average["statistics"]).items():
        np.testing.assert_array_equal(array.reshape(averaged[name].shape), averaged[name], err_msg=name)
    assert set(average["values"]) == set(trainer.net.parameters())


def test_resets_of_the_optimiser_leave_the_average(impl):
    trainer = trainer_of("ema")
    fit(trainer, 2)
    before = trainer.averaged.params.data
    trainer.reset_optimizer()
    trainer.optimizer = "sgd"
    np.testing.assert_array_equal(trainer.averaged.params.data, before)
    assert trainer.state_dict()["average"]["count"] == 12


@pytest.mark.parametrize("average", [optim.EMA(0.5), optim.SWA(0)], ids=repr)
def test_training_that_diverges_restores_the_average(impl, average):
    trainer = trainer_of(average, norm=True)
    fit(trainer, 2, validation_data=(XV, YV))
    before = [trainer.averaged.params.data, trainer.averaged.state.data, trainer.net.params.data.copy()]
    count = trainer.state_dict()["average"]["count"]

    class Diverge(fastnn.Callback):
        observes = 3

        def on_batch_end(self, trainer, logs):
            trainer.net[7].weight[...] = np.inf

    with pytest.raises(fastnn.TrainingDiverged):
        fit(trainer, 1, callbacks=[Diverge()])
    for have, want in zip(
        (trainer.averaged.params.data, trainer.averaged.state.data, trainer.net.params.data), before, strict=True
    ):
        np.testing.assert_array_equal(have, want)
    assert trainer.state_dict()["average"]["count"] == count


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, None])
def test_an_interrupted_epoch_keeps_complete_updates(impl, error):
    trainer, record = trainer_of(optim.EMA(0.75)), Record()

    class End(fastnn.Callback):
        observes = 3

        def on_batch_end(self, trainer, logs):
            if error is None:
                trainer.stop()
            else:
                raise error

    with contextlib.nullcontext() if error is None else pytest.raises(error):
        fit(trainer, 1, callbacks=[record, End()])
    assert len(record.params) == trainer.state_dict()["average"]["count"] == 3
    np.testing.assert_array_equal(trainer.averaged.params.data, list(moving_averages(record.params, 0.75))[-1])


# ---- too little is averaged ----

# Of fits with 6 updates an epoch: the average, the epochs and the warning.
SHORT = {
    "EMA": ("ema", 1, "100 % of the first update's parameters after 6 updates: write .*EMA(decay=0.3), or train"),
    "EMA of 24 updates": (optim.EMA(0.98), 4, "63 % of the .* after 24 updates: write optim.EMA(decay=0.8), or"),
    "EMA just above 5 %": (optim.EMA(0.88), 4, "5 % of the .* after 24 updates: write optim.EMA(decay=0.8), or"),
    "EMA just below 5 %": (optim.EMA(0.87), 4, ""),
    "EMA without a past": (optim.EMA(0.0), 1, ""),
    "SWA": (optim.SWA(50), 2, "no epoch has been averaged yet: .*SWA(start=50) averages from epoch 51 on, and 2 are"),
    "SWA of one epoch": (optim.SWA(1), 1, "averages from epoch 2 on, and 1 is trained$"),
    "SWA that has begun": (optim.SWA(1), 2, ""),
    "none": (None, 1, ""),
}  # fmt: skip


@contextlib.contextmanager
def warns(message):
    """Return a context that must warn like this, or not at all."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert len(caught) == bool(message), caught
    for each in caught:
        assert re.search(re.sub(r"([()])", r"\\\1", message), str(each.message)), each.message
        assert each.filename == __file__


@pytest.mark.parametrize("case", SHORT)
def test_a_fit_warns_if_too_little_is_averaged(case):
    average, epochs, message = SHORT[case]
    trainer = trainer_of(average)
    with warns(message):
        fit(trainer, epochs)
    if isinstance(average, optim.SWA):
        for again in (trainer.copy(), pickle.loads(pickle.dumps(trainer))):
            with warns(""):
                fit(again, average.start)


def test_more_updates_end_the_warning():
    trainer = trainer_of(optim.EMA(0.9))
    with warns("59 % of"):
        fit(trainer, 1)
    for again in (trainer.copy(), pickle.loads(pickle.dumps(trainer)), trainer):
        with warns("9 % of"):
            fit(again, 3)
        with warns(""):
            fit(again, 1)


@pytest.mark.parametrize("average", [optim.EMA(0.9), "ema"], ids=str)
def test_what_warnings_leave_alone(average):
    trainer = trainer_of(average)
    with warns(""):
        step(trainer)
    trainer.average = optim.EMA(0.99)  # how much of the first update is left depends on both decays
    with warns(""):
        fit(trainer, 1)


def test_a_warning_as_an_error_comes_after_everything():
    trainer, plain = trainer_of("ema"), trainer_of("ema")
    fit(plain, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="the average still has"):
            fit(trainer, 1)
    assert_same(trainer, plain)
    assert trainer.epoch == 1
    fit(trainer, 1)


@pytest.mark.parametrize("count", [4, 5, 7, 20, 24, 25, 100, 499, 1000, 12345, 10**6, 10**12])
def test_the_decay_of_the_warning_fits(count):
    for decay in (0.06 ** (1 / (count - 1)), 1 - 1e-16):
        message = optim.EMA(decay).shortfall(count, 1)
        advised = float(re.search(r"EMA\(decay=(.*)\)", message)[1])
        assert 0 < advised < decay
        assert optim.EMA(advised).shortfall(count, 1) == ""
        assert (1 - advised) * count < 9  # and not on less of the training than it must


# ---- the setting ----


def test_settings_of_the_same_kind_keep_the_values(impl):
    trainer = trainer_of(optim.EMA(0.5))
    fit(trainer, 2)
    before = trainer.averaged.params.data
    trainer.average = optim.EMA(0.25)
    np.testing.assert_array_equal(trainer.averaged.params.data, before)
    record = Record()
    fit(trainer, 1, callbacks=[record])
    wanted = list(moving_averages([before, *record.params], 0.25))[-1]
    np.testing.assert_array_equal(trainer.averaged.params.data, wanted)
    for other in (optim.SWA(0), None):
        trainer.average = other
        trainer.average = optim.EMA(0.25)
        assert trainer.state_dict()["average"]["count"] == 0
        np.testing.assert_array_equal(trainer.averaged.params.data, trainer.net.params.data)


@pytest.mark.parametrize("norm", [False, True])
def test_a_callback_sets_an_average(impl, norm):
    trainer, record = trainer_of(None, norm=norm), Record()

    class Begin(fastnn.Callback):
        observes = 3

        def on_batch_end(self, trainer, logs):
            if trainer.average is None:
                trainer.average = optim.EMA(0.75)
                record.params.clear()

    class End(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            trainer.average = None

    record.on_batch_end = lambda trainer, logs: record.params.append(trainer.net.params.data.copy())
    fit(trainer, 1, callbacks=[record, Begin()])
    np.testing.assert_array_equal(trainer.averaged.params.data, list(moving_averages(record.params, 0.75))[-1])
    fit(trainer, 1, callbacks=[End()], validation_data=(XV, YV))
    assert not hasattr(trainer, "averaged")


def test_an_average_set_during_an_epoch_that_diverges_is_empty(impl):
    trainer = trainer_of(None)

    class Diverge(fastnn.Callback):
        observes = 2

        def on_batch_end(self, trainer, logs):
            trainer.average = "ema"
            if logs["batch"] == 4:
                trainer.net[7].weight[...] = np.nan

    with pytest.raises(fastnn.TrainingDiverged):
        fit(trainer, 1, callbacks=[Diverge()])
    assert trainer.state_dict()["average"]["count"] == 0
    np.testing.assert_array_equal(trainer.averaged.params.data, trainer.net.params.data)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1.7e308])
@pytest.mark.parametrize("average", AVERAGES, ids=repr)
def test_a_fit_after_one_that_diverged_begins_an_average_anew(impl, average, bad):
    """Not from the values of the failed epoch, which ``0 * value`` would not remove."""
    trainer = trainer_of(None)

    class Diverge(fastnn.Callback):
        observes = 2

        def on_batch_end(self, trainer, logs):
            trainer.average = average
            if logs["batch"] == 4:
                trainer.averaging.values[...] = bad
                trainer.net[7].weight[...] = np.nan

    with pytest.raises(fastnn.TrainingDiverged):
        fit(trainer, 1, callbacks=[Diverge()])
    state, twin = trainer.state_dict(), trainer_of(average)
    assert not any(values.any() for values in state["average"]["values"].values())
    twin.net.load_state_dict(trainer.net.state_dict())
    twin.load_state_dict(state)
    for each in (trainer, twin):
        each.epoch, record = 2, Record()
        fit(each, 1, callbacks=[record])
        wanted = list(moving_averages(record.params, 0.9))[-1] if average == optim.EMA(0.9) else record.params[-1]
        np.testing.assert_array_equal(each.averaged.params.data, wanted)


def test_it_is_shown():
    trainer = trainer_of(optim.EMA(0.5))
    assert "average=EMA(decay=0.5)" in repr(trainer)
    assert "average" not in repr(trainer_of(None))
    assert trainer_of("EMA").average == optim.EMA() == fastnn.from_config(optim.EMA().config())
    assert repr(optim.SWA(3)) == "SWA(3)"


LBFGS = fastnn.Trainer(net_of().copy()[:1], "mean_squared_error", "lbfgs")


def full_batch(**settings):
    return fastnn.Trainer(net_of()[:1], "mean_squared_error", **settings)


class OwnAverage(optim.Average):
    def shortfall(self, count, epochs):
        return ""


REFUSED = {
    "decay 1": (lambda: optim.EMA(1.0), ValueError, r"decay must be .*, got 1.0"),
    "decay below 0": (lambda: optim.EMA(-0.1), ValueError, r"decay must be .*, got -0.1"),
    "decay NaN": (lambda: optim.EMA(np.nan), ValueError, r"decay must be .*, got nan"),
    "decay text": (lambda: optim.EMA("0.9"), TypeError, r"decay must be .*, got '0.9'"),
    "start below 0": (lambda: optim.SWA(-1), ValueError, r"start must be an integer of at least 0, got -1"),
    "start a fraction": (lambda: optim.SWA(1.5), TypeError, r"start must be an integer of at least 0, got 1.5"),
    "no start": (lambda: optim.SWA(), TypeError, r"arguments of optim.SWA must contain start"),
    "a class": (lambda: trainer_of(optim.EMA), TypeError, r"got the class EMA: write optim.EMA\(\)"),
    "a class that needs arguments": (
        lambda: trainer_of(optim.SWA), TypeError, r"got the class SWA: write optim.SWA\(...\)",
    ),
    "a number": (lambda: trainer_of(0.9), TypeError, r"must be optim.EMA.*, got 0.9: write optim.EMA\(decay=0.999\)"),
    "an optimiser": (lambda: trainer_of(optim.Adam()), TypeError, r"average must be optim.EMA.*, got Adam"),
    "swa by name": (
        lambda: trainer_of("swa"), ValueError, r"average must be one of ema, got 'swa': write optim.SWA\(start=...\)",
    ),
    "another name": (lambda: trainer_of("emma"), ValueError, r"did you mean 'ema'"),
    "full batch": (
        lambda: full_batch(optimizer="lbfgs", average="ema"),
        ValueError, r"average must be None with LBFGS, got EMA\(\): write optim.Adam\(\) to use average",
    ),
    "a full-batch optimiser later": (
        lambda: setattr(full_batch(average=optim.SWA(1)), "optimizer", "newton"),
        ValueError, r"average must be None with Newton, got SWA\(1\)",
    ),
    "an average later": (
        lambda: setattr(full_batch(optimizer="lbfgs"), "average", optim.SWA(1)),
        ValueError, r"average must be None with LBFGS, got SWA\(1\)",
    ),
    "no average": (
        lambda: trainer_of(None).averaged, AttributeError,
        r"Trainer.averaged is for trainers with an average: write Trainer\(net, ..., average=optim.EMA\(\)\)",
    ),
    "a single step": (
        lambda: step(trainer_of(optim.SWA(0))), ValueError,
        r"average must be an EMA for step, which knows no epochs, got SWA\(0\): set trainer.average = optim.EMA\(...\)",
    ),
    "an average of one's own": (lambda: trainer_of(OwnAverage()), TypeError, r"average must be optim.EMA.*got OwnAve"),
    "setting the net": (
        lambda: setattr(trainer_of("ema"), "averaged", net_of()), AttributeError, r"Trainer.averaged is read-only",
    ),
    "keras": (lambda: optim.Adam(use_ema=True), TypeError, r"write Trainer\(net, average=optim.EMA\(decay=...\)\)"),
    "pytorch": (lambda: optim.AveragedModel, AttributeError, r"fastnn.Trainer\(net, average=optim.EMA\(\)\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


def changed(**entries):
    return lambda state: {**state, "average": {**state["average"], **entries}}


BAD_STATES = {
    "no average": (lambda state: {**state, "average": None}, ValueError, r"must be that of ema, .*, got None: make"),
    "no key": (lambda state: {k: v for k, v in state.items() if k != "average"}, ValueError, r"of ema, .*, got None"),
    "a number": (lambda state: {**state, "average": 3}, TypeError, r"\['average'\] must be a mapping, got int"),
    "another kind": (changed(kind="swa"), ValueError, r"\['kind'\] must be 'ema', as in this trainer, got 'swa': make"),
    "a kind of a wrong type": (changed(kind=3), TypeError, r"\['kind'\] must be 'ema'"),
    "count below 0": (changed(count=-1), ValueError, r"\['count'\] must be an integer from 0 to .*, got -1"),
    "count a fraction": (changed(count=1.5), TypeError, r"\['count'\] must be an integer"),
    "values of no layer": (changed(values={}), ValueError, r"\['values'\] must have the keys 0.weight"),
    "unknown key": (changed(more=3), ValueError, r"an unknown 'more'"),
    "a shape": (
        lambda state: changed(values={**state["average"]["values"], "0.weight": np.zeros((6, 8))})(state),
        ValueError, r"\['values'\]\['0.weight'\] must have shape \(8, 6\), got shape \(6, 8\)",
    ),
    "text": (
        lambda state: changed(values={**state["average"]["values"], "0.bias": ["a"] * 8})(state),
        TypeError, r"\['values'\]\['0.bias'\] must be",
    ),
    "a variance": (
        lambda state: changed(statistics={**state["average"]["statistics"], "1.running_var": np.full(8, -1.0)})(state),
        ValueError, r"\['1.running_var'\] must contain no number below 0, got -1.0",
    ),
    "statistics of no layer": (changed(statistics={}), ValueError, r"\['statistics'\] must have the keys 1.running_"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_STATES)
def test_bad_states_change_nothing(case):
    change, error, message = BAD_STATES[case]
    trainer, other = trainer_of("ema", norm=True), trainer_of("ema", norm=True)
    fit(trainer, 1)
    fit(other, 2)
    before = [array.copy() for array in contents(trainer)]
    with pytest.raises(error, match=message):
        trainer.load_state_dict(change(other.state_dict()))
    for have, want in zip(contents(trainer), before, strict=True):
        np.testing.assert_array_equal(have, want)
    assert trainer.epoch == 1


def test_the_state_of_a_trainer_with_an_average_is_refused_without_one():
    trainer = trainer_of("ema")
    fit(trainer, 1)
    with pytest.raises(ValueError, match=r"\['average'\] must be None, as this trainer has no average, got dict: make"):
        trainer_of(None).load_state_dict(trainer.state_dict())


def test_a_state_of_an_earlier_version():
    trainer, other = trainer_of(None), trainer_of(None)
    fit(other, 2)
    state = other.state_dict()
    del state["average"]
    trainer.load_state_dict(state)
    assert trainer.epoch == 2
