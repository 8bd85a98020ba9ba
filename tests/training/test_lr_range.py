"""The learning-rate range test: it finds the rate at which a known problem diverges, and changes nothing."""

import importlib

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.training import LRRange


def problem(rows=256, curvature=8.0):
    """Return a linear regression without noise; the largest second derivative of its loss is `curvature`."""
    X = np.random.default_rng(0).normal(size=(rows, 4))
    X = np.linalg.qr(X)[0] * np.sqrt(rows / 2 * np.array([curvature, 4.0, 2.0, 1.0]))
    return X, X @ np.array([1.0, -1.0, 2.0, 0.5])


def trainer_of(optimizer, dtype="float64"):
    net = nn.Sequential(nn.Dense(4, 1, bias=False, init="zeros"), dtype=dtype, seed=0)
    return fastnn.Trainer(net, loss="mean_squared_error", optimizer=optimizer)


def test_gradient_descent_diverges_at_the_rate_of_the_curvature(impl):
    """With all rows in a batch, the loss grows in directions with rate * curvature > 2: in all of them from rate 2."""
    X, y = problem(curvature=8.0)
    found = fastnn.lr_range_test(
        trainer_of(optim.SGD()), X, y, start=1e-4, stop=100.0, steps=300, batch_size=256, smoothing=0.0
    )
    np.testing.assert_array_equal(found.smoothed, found.losses)
    lowest = found.losses.argmin()
    assert 1 / 8.0 < found.rates[lowest] < 2 / 1.0
    assert found.losses[-1] > 4 * found.losses[lowest]
    assert found.suggestion == found.rates[lowest] / 10
    # Until then, each step multiplies the error of each direction by 1 - rate * curvature.
    remaining, factors = np.array([1.0, -1.0, 2.0, 0.5]), 1 - found.rates[:, None] * [8.0, 4.0, 2.0, 1.0]
    wanted = [((remaining * factors[:i].prod(axis=0)) ** 2 * [4.0, 2.0, 1.0, 0.5]).sum() for i in range(lowest)]
    np.testing.assert_allclose(found.losses[:lowest], wanted, rtol=1e-9, atol=1e-12 * wanted[0])


def test_rates_and_smoothing(impl):
    X, y = problem()
    found = fastnn.lr_range_test(
        trainer_of(optim.SGD()), X, y, start=1e-5, stop=1e-2, steps=7, batch_size=100, smoothing=0.5
    )
    np.testing.assert_allclose(found.rates, 10.0 ** np.arange(-5, -1.9, 0.5), rtol=1e-13)
    means, mean = [], 0.0
    for i, loss in enumerate(found.losses, 1):
        mean = 0.5 * mean + 0.5 * loss
        means.append(mean / (1 - 0.5**i))
    np.testing.assert_allclose(found.smoothed, means, rtol=1e-14)


@pytest.mark.parametrize("optimizer", [optim.SGD(0.01, momentum=0.9), optim.Adam()])
def test_nothing_changes(impl, optimizer):
    X, y = problem()
    trainer, undisturbed = trainer_of(optimizer, "float32"), trainer_of(optimizer, "float32")
    for each in (trainer, undisturbed):
        each.fit(X, y, epochs=2, verbose=0)
    found = [fastnn.lr_range_test(trainer, X, y, stop=1e3, steps=40) for _ in range(2)]
    np.testing.assert_array_equal(found[0].losses, found[1].losses)
    for each in (trainer, undisturbed):
        each.fit(X, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(trainer.net.params.data, undisturbed.net.params.data)
    np.testing.assert_array_equal(trainer._slots, undisturbed._slots)
    assert trainer.history["loss"] == undisturbed.history["loss"]
    assert (trainer.schedule, trainer.lr, trainer.step_count) == (None, optimizer.lr, undisturbed.step_count)


def test_a_copy_trains_as_its_original(impl):
    X, y = np.random.default_rng(1).normal(size=(50, 4)), np.arange(50) % 3
    net = nn.Sequential(nn.Dense(4, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2), nn.Dense(8, 3), seed=4)
    schedule = optim.WarmupLR(optim.ExponentialLR(0.9, every="step"), 3)
    trainer = fastnn.Trainer(net, optimizer=optim.Adam(1e-2), schedule=schedule)
    trainer.fit(X, y, epochs=2, batch_size=16, verbose=0)
    twin = trainer.copy()
    trainer.fit(X, y, epochs=2, batch_size=16, verbose=0)
    assert len(twin.history.epochs) == 2
    twin.fit(X, y, epochs=2, batch_size=16, verbose=0)
    np.testing.assert_array_equal(twin.net.params.data, trainer.net.params.data)
    np.testing.assert_array_equal(twin.net.state.data, trainer.net.state.data)
    assert twin.history["loss"] == trainer.history["loss"]


def test_a_divergence_ends_the_curve(impl):
    """At the largest rates the loss overflows float32: the curve ends with the last finite loss."""
    X, y = problem()
    found = fastnn.lr_range_test(
        trainer_of(optim.SGD(), "float32"), X, y, start=1e-3, stop=1e38, steps=12, batch_size=256, smoothing=0.99
    )
    assert 2 <= len(found.losses) < 12
    assert np.isfinite(found.losses).all()
    assert found.suggestion is not None


def test_no_suggestion_where_the_loss_never_falls():
    X, y = problem()
    found = fastnn.lr_range_test(
        trainer_of(optim.SGD()), X, y, start=1.0, stop=10.0, steps=5, batch_size=256, smoothing=0.0
    )
    assert found.losses.argmin() == 0
    assert found.suggestion is None


def shifted(by):
    """Return the squared error minus a constant."""
    return nn.CustomLoss(lambda z, t: ((z - t) ** 2).sum(axis=1) - by, lambda z, t: 2 * (z - t))


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
@pytest.mark.parametrize("by", [-100.0, 0.0, 1.0, 2.5, 10.0, 1e4])
def test_losses_of_any_sign_end_where_they_blow_up(by, smoothing):
    """A constant subtracted from a loss does not change where it is lowest, and the test ends after that step."""
    X, y = problem()
    y += np.random.default_rng(1).normal(size=len(y))
    settings = {"start": 1e-4, "stop": 100.0, "steps": 300, "batch_size": 256, "smoothing": smoothing}
    plain = fastnn.lr_range_test(trainer_of(optim.SGD()), X, y, **settings)
    below = fastnn.Trainer(trainer_of(optim.SGD()).net, shifted(by), optim.SGD())
    found = fastnn.lr_range_test(below, X, y, **settings)
    assert plain.losses.min() > 0 and (found.losses.min() < 0) == (by > 0.9)
    n = len(plain.losses)
    np.testing.assert_allclose(found.losses[:n] + by, plain.losses, rtol=1e-9, atol=1e-11 * abs(by))
    assert found.suggestion == pytest.approx(plain.suggestion, rel=0.3)
    lowest = found.smoothed.min()
    scale = max(abs(lowest), found.smoothed[: found.smoothed.argmin() + 1].max() - lowest)
    assert n <= len(found.losses) < 300
    assert found.smoothed[-1] - lowest > 3 * scale >= found.smoothed[-2] - lowest  # exactly at this step
    lows = np.minimum.accumulate(plain.smoothed)  # of a loss that is never below 0
    np.testing.assert_array_equal(plain.smoothed > 4 * lows, [False] * (n - 1) + [True])


@pytest.mark.parametrize("name", ["poisson", "begins just below 0"])
def test_noise_at_small_rates_does_not_end_the_test(name):
    """Batches of two rows, whose losses differ more than they fall: the test continues to rates that matter."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(400, 4)), rng.poisson(3, 400).astype(float)

    def found(loss):
        trainer = fastnn.Trainer(trainer_of(optim.SGD()).net, loss, optim.SGD())
        return fastnn.lr_range_test(trainer, X, y, start=1e-7, stop=100.0, steps=100, batch_size=2, smoothing=0.5)

    loss = nn.PoissonNLLLoss() if name == "poisson" else shifted(found(shifted(0.0)).losses[0] + 0.01)
    assert 0.1 < found(loss).rates[-1] < 100.0


@pytest.mark.parametrize("optimizer", [optim.Newton(), "LBFGS"], ids=str)
def test_full_batch_optimisers_are_refused(optimizer):
    if optimizer == "LBFGS":
        pytest.importorskip("scipy", reason="SciPy, an extra, is not installed")
        optimizer = optim.LBFGS()
    trainer = trainer_of(optimizer)
    before = trainer.net.params.data.copy()
    message = r"^trainer\.optimizer must step batch by batch, got (Newton|LBFGS)\(.*: write optim\.Adam\(\)"
    with pytest.raises(TypeError, match=message):
        fastnn.lr_range_test(trainer, *problem())
    np.testing.assert_array_equal(trainer.net.params.data, before)


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, "trainer must be a Trainer, got Sequential", {"trainer": nn.Sequential(nn.Dense(4, 1), seed=0)}),
        (ValueError, "start must be a finite number above 0, got 0.0", {"start": 0.0}),
        (ValueError, "stop must be above start=1, got 0.5", {"start": 1.0, "stop": 0.5}),
        (ValueError, "steps must be an integer of at least 2, got 1", {"steps": 1}),
        (ValueError, r"smoothing must be a number in \[0, 1\), got 1.0", {"smoothing": 1.0}),
        (ValueError, r"X must have shape \(n, 4\), got shape \(4, 5\)", {"X": np.ones((4, 5))}),
        (ValueError, "batch_size must be an integer of at least 1, got 0", {"batch_size": 0}),
    ],
)
def test_wrong_arguments_are_refused(error, message, change):
    X, y = problem()
    with pytest.raises(error, match=message):
        fastnn.lr_range_test(**{"trainer": trainer_of(optim.SGD()), "X": X, "y": y} | change)


def test_a_first_step_that_diverges_is_an_error():
    X, y = problem()
    with pytest.raises(fastnn.TrainingDiverged):
        fastnn.lr_range_test(trainer_of(optim.SGD(), "float32"), X * 1e30, y, batch_size=256)


FOUND = LRRange(np.array([0.1, 1.0, 10.0]), np.array([3.0, 1.0, 2.0]), np.array([3.0, 2.0, 2.5]), 0.1)


def test_plot(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib, an extra, is not installed")
    matplotlib.use("Agg")
    ax = FOUND.plot()
    assert ax.get_xscale() == "log"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), FOUND.losses)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), FOUND.smoothed)
    assert list(ax.lines[2].get_xdata()) == [0.1, 0.1]
    assert not ax.get_legend().get_frame_on()
    own = importlib.import_module("matplotlib.figure").Figure().add_subplot()
    assert LRRange(*vars(FOUND).values()).plot(ax=own) is own
    own.figure.draw_without_rendering()
    assert own.get_legend().get_window_extent().x1 < own.figure.bbox.x1
    with pytest.raises(TypeError, match=r"^ax must be axes of matplotlib, got Figure: write ax=figure\.subplots\(\)"):
        FOUND.plot(own.figure)
    importlib.import_module("matplotlib.pyplot").close(ax.figure)


def test_plot_without_matplotlib(monkeypatch):
    real = importlib.import_module

    def absent(name, *arguments):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r'^fastnn\.plot needs matplotlib, got none: .*pip install "\.\[plot\]"'):
        FOUND.plot()


def test_the_sweep_begins_at_its_start_after_earlier_steps(impl):
    X, y = problem()
    trainer = trainer_of(optim.Adam())
    trainer.fit(X, y, epochs=3, batch_size=64, verbose=0)
    trainer.optimizer = optim.SGD()
    found = fastnn.lr_range_test(trainer, X, y, start=1e-5, stop=1e-2, steps=7)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-5, 1e-2, 7), rtol=1e-12)
