"""Weights in panels while many steps run: results have the same bits, and the order is restored before any reader."""

import itertools
import math
import os

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.engine import Feed
from fastnn.training import ProgressBar

# The last panel is narrower than a vector at some ISA levels and wider at others; there are more terms than in a block.
SIZES = (70, 610, 530, 5)
STEPS, AHEAD = 3, 1000

TRAINERS = {
    "sgd": {"optimizer": optim.SGD(lr=0.05)},
    "adam": {"optimizer": optim.Adam()},
    "amsgrad, penalty": {"optimizer": optim.Adam(amsgrad=True), "penalty": optim.Penalty(l1=1e-4, l2=1e-3)},
    "averaged": {"optimizer": optim.SGD(lr=0.05, momentum=0.9), "average": optim.EMA(0.75)},
    "averaged, three slots": {"optimizer": optim.RMSprop(centered=True, momentum=0.9), "average": optim.EMA(0.25)},
    "adamw, clipped values": {"optimizer": optim.AdamW(weight_decay=0.1), "clip_value": 1e-3},
    "two batches for an update": {"optimizer": optim.Adam(), "penalty": optim.Penalty(l2=1e-3), "accumulate": 2},
}


def net_of(sizes=SIZES, dtype="float32", **dense):
    layers = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Dense(n_in, n_out, **dense), nn.ReLU()]
    return nn.Sequential(*layers[:-1], dtype=dtype, seed=5)


def data(n, sizes=SIZES, dtype="float32"):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], n)


def steps(trainer, batch, ahead, threads=1):
    """Run STEPS steps as a fit does; return the executor and the loss. With two batches for an update, one is left."""
    X, y = data((STEPS + 1) * batch, dtype=trainer.net.dtype)
    executor = trainer.fit_executor("labels", batch)
    feed = Feed(X, np.arange(len(X)), batch, y, accumulate=trainer.accumulate)
    scalars = trainer.scalars(STEPS)[1]
    return executor, executor.run_steps(feed, 0, STEPS, scalars, 0, math.inf, threads, ahead=ahead).loss


def arrays(trainer):
    means = [trainer.means()] if trainer.accumulate > 1 else []
    return [trainer.net.params.data, *trainer.updated_arrays(), *means]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("batch", [1, 40, 600])
@pytest.mark.parametrize("config", TRAINERS)
def test_results_do_not_depend_on_panels(native, dtype, config, batch):
    wanted, trainer = (fastnn.Trainer(net_of(dtype=dtype), **TRAINERS[config]) for _ in range(2))
    _, wanted_loss = steps(wanted, batch, ahead=0)
    executor, loss = steps(trainer, batch, ahead=AHEAD, threads=2)
    assert loss == wanted_loss
    for have, want in zip(arrays(trainer), arrays(wanted), strict=True):
        assert (have != want).sum() > have.size / 4, "not in panels"
        np.testing.assert_array_equal(np.sort(have), np.sort(want))
    executor.restore_order()
    for _ in range(2):
        for have, want in zip(arrays(trainer), arrays(wanted), strict=True):
            np.testing.assert_array_equal(have, want)
        executor.restore_order()  # a second call does nothing


WITHOUT_PANELS = {
    "few steps": ({}, {}, SIZES, 31),
    "a norm of all gradients": ({"clip_norm": 1.0}, {}, SIZES, AHEAD),
    "norms of columns": ({}, {"max_norm": 2.0}, SIZES, AHEAD),
    "small weights": ({}, {}, (70, 64, 64, 5), AHEAD),
}


@pytest.mark.parametrize("case", WITHOUT_PANELS)
def test_cases_without_panels(native, case):
    settings, dense, sizes, ahead = WITHOUT_PANELS[case]
    wanted, trainer = (fastnn.Trainer(net_of(sizes, **dense), **settings) for _ in range(2))
    steps(wanted, 40, ahead=0)
    steps(trainer, 40, ahead=ahead)
    for have, want in zip(arrays(trainer), arrays(wanted), strict=True):
        np.testing.assert_array_equal(have, want)


def test_a_python_function_sees_weights_in_order(native):
    seen = []

    def tanh(x):
        seen.append(net.layers[0].weight.copy())
        return np.tanh(x)

    net = nn.Sequential(
        nn.Dense(70, 300), nn.CustomActivation(tanh, lambda dy, x, y: dy * (1 - y * y)), nn.Dense(300, 5), seed=0
    )
    before, (X, y) = net.layers[0].weight.copy(), data(70 * 8)
    fastnn.Trainer(net, optimizer=optim.SGD(lr=1e-30)).fit(X, y, epochs=1, batch_size=8, verbose=0)
    assert len(seen) >= 70
    assert all(np.array_equal(each, before) for each in seen)


# ---- readers of the weights during an epoch ----

SMALL = (70, 300, 5)
ROWS, BATCH = 560, 8  # 70 steps


class ReadWeights(fastnn.Callback):
    """Reads the weights during an epoch, and raises an error, if given, in its third call."""

    def __init__(self, error=None):
        self.error, self.calls = error, 0

    def on_progress(self, trainer, logs):
        self.calls += 1
        net, X = trainer.net, data(20, SMALL)[0]
        first, _, last = net.layers
        by_hand = np.maximum(X @ first.weight + first.bias, 0) @ last.weight + last.bias
        np.testing.assert_allclose(net.predict(X), by_hand, rtol=1e-4, atol=1e-5)
        if self.error and self.calls == 3:
            raise self.error


@pytest.fixture
def slices(monkeypatch):
    """Make every step a slice."""
    monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", 0.0)


@pytest.fixture
def bar(monkeypatch):
    """Patch `ProgressBar`, which does not read the net: return two lists.

    The first gets, at each call, whether there is an order to restore. An error in the second is raised in the third
    call.
    """
    in_panels, errors = [], []

    def on_progress(self, trainer, logs):
        in_panels.append(trainer.net.lock.order_restorer is not None)
        if errors and len(in_panels) == 3:
            raise errors[0]

    monkeypatch.setattr(ProgressBar, "on_progress", on_progress)
    return in_panels, errors


def fitted(callbacks=(), epochs=2, verbose=0, **settings):
    trainer = fastnn.Trainer(net_of(SMALL), **settings)
    trainer.fit(*data(ROWS, SMALL), epochs=epochs, batch_size=BATCH, callbacks=list(callbacks), verbose=verbose)
    return trainer


def test_callbacks_see_weights_in_order(native, slices):
    reader = ReadWeights()
    with_reader, without = fitted([reader]), fitted()
    assert reader.calls == 2 * ROWS // BATCH
    for have, want in zip(arrays(without), arrays(with_reader), strict=True):
        np.testing.assert_array_equal(have, want)
    assert without.history["loss"] == with_reader.history["loss"]


class Observe(fastnn.Callback):
    def __init__(self, observes):
        self.observes = observes

    def on_batch_end(self, trainer, logs):
        assert trainer.net.lock.order_restorer is None


def test_an_order_restored_within_an_update(native):
    """35 batches are enough for panels, and end within an update of two. One batch at a time has no panels."""
    results = [fitted([Observe(each)] if each else [], accumulate=2) for each in (0, 35, 1)]
    for each in results[1:]:
        for have, want in zip(arrays(each), arrays(results[0]), strict=True):
            np.testing.assert_array_equal(have, want)
        assert each.history["loss"] == results[0].history["loss"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine")])
def test_an_exception_within_an_epoch_leaves_weights_in_order(native, slices, bar, error):
    in_panels, errors = bar
    errors.append(error)
    trainers = []
    for callbacks, verbose in (([ReadWeights(error)], 0), ([], 1)):
        trainer = fastnn.Trainer(net_of(SMALL))
        with pytest.raises(type(error)):
            trainer.fit(*data(ROWS, SMALL), epochs=1, batch_size=BATCH, callbacks=callbacks, verbose=verbose)
        trainers.append(trainer)
    assert in_panels == [True] * 3
    for have, want in zip(*map(arrays, trainers), strict=True):
        np.testing.assert_array_equal(have, want)


def test_training_that_diverges_restores_weights_in_order(native):
    trainer = fastnn.Trainer(net_of(SMALL), optimizer=optim.SGD(lr=1e30))
    before = trainer.net.params.data.copy()
    with pytest.raises(fastnn.TrainingDiverged):
        trainer.fit(*data(ROWS, SMALL), epochs=1, batch_size=BATCH, verbose=0)
    np.testing.assert_array_equal(trainer.net.params.data, before)


def weights_in_panels():
    """Return a trainer with weights in panels, as within an epoch, and one with the same weights in order."""
    trainer, wanted = (fastnn.Trainer(net_of()) for _ in range(2))
    executor, _ = steps(trainer, 40, ahead=AHEAD)
    trainer.net.lock.order_restorer = executor.restore_order
    steps(wanted, 40, ahead=0)
    assert not np.array_equal(trainer.net.params.data, wanted.net.params.data)
    return trainer, wanted


READERS = {
    "predict": lambda trainer: trainer.net.predict(data(9)[0]),
    "state_dict": lambda trainer: trainer.net.state_dict()["0.weight"],
    "a trainer's state_dict": lambda trainer: trainer.state_dict(),
    "load_state_dict": lambda trainer: trainer.net.load_state_dict(net_of().state_dict()),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_in_another_thread_restores_the_order(native, reader):
    trainer, wanted = weights_in_panels()
    np.testing.assert_equal(READERS[reader](trainer), READERS[reader](wanted))
    assert trainer.net.lock.order_restorer is None
    np.testing.assert_array_equal(trainer.net.params.data, wanted.net.params.data)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_restores_the_order_of_the_childs_weights():
    trainer, wanted = weights_in_panels()
    child = os.fork()
    if child == 0:
        os._exit(int(not np.array_equal(trainer.net.params.data, wanted.net.params.data)))
    assert os.waitpid(child, 0)[1] == 0
    assert trainer.net.lock.order_restorer is not None  # the parent's weights have not changed
