"""L-BFGS and Newton's method: compared with SciPy and formulas, in fits, and the nets and settings they refuse."""

import sys

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X @ RNG.normal(size=(4, 3)) + RNG.normal(size=(60, 3))).argmax(axis=1)
WEIGHT = RNG.uniform(0.5, 2, 60)
PENALTY = optim.Penalty(l2=0.05)


def net_of(dtype="float64", middle=nn.Tanh):
    return nn.Sequential(nn.Dense(4, 5), middle(), nn.Dense(5, 3), dtype=dtype, seed=1)


def by_formula(flat, weight=None):
    """Return loss and gradient of the net with its penalty, computed by their formulas."""
    weight = np.ones(60) if weight is None else weight
    w1, b1, w2, b2 = flat[:20].reshape(4, 5), flat[20:25], flat[25:40].reshape(5, 3), flat[40:]
    h = np.tanh(X @ w1 + b1)
    z = h @ w2 + b2
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    share = (weight / weight.sum())[:, None]
    loss = -(share[:, 0] * np.log(p[np.arange(60), Y])).sum() + 0.025 * ((w1**2).sum() + (w2**2).sum())
    dz = share * (p - np.eye(3)[Y])
    dh = dz @ w2.T * (1 - h * h)
    parts = X.T @ dh + 0.05 * w1, dh.sum(axis=0), h.T @ dz + 0.05 * w2, dz.sum(axis=0)
    return loss, np.concatenate([part.ravel() for part in parts])


def flat(net):
    return np.concatenate([view.ravel() for view in net.parameters().values()])


def lbfgs():
    pytest.importorskip("scipy", reason="SciPy is not installed")
    return optim.LBFGS(tol=1e-10)


both = pytest.mark.parametrize("make", [lbfgs, lambda: optim.Newton(tol=1e-10)], ids=["L-BFGS", "Newton"])


@pytest.mark.sampled(4)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@both
def test_they_find_a_minimum(impl, make, weight):
    """By the formula, the gradient there is 0; losses only fall, and the fit ends before all epochs."""
    net = net_of()
    trainer = fastnn.Trainer(net, optimizer=make(), penalty=PENALTY)
    start = by_formula(flat(net), weight)[0]
    history = trainer.fit(X, Y, epochs=500, sample_weight=weight, verbose=0)
    assert len(history.epochs) < 400
    assert trainer.epoch == trainer.step_count == len(history.epochs)
    losses = history["loss"]
    assert losses[0] == pytest.approx(start, rel=1e-12)
    assert (np.diff(losses) <= 1e-12).all()
    loss, gradient = by_formula(flat(net), weight)
    assert np.abs(gradient).max() < 1e-6
    assert loss < 0.8 * start


def test_lbfgs_takes_scipys_steps(impl):
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed")
    net, points = net_of(), []
    start = flat(net)

    class Points(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            points.append(flat(trainer.net))

    wanted = []
    optimize.minimize(by_formula, start, jac=True, method="L-BFGS-B", callback=lambda x: wanted.append(x.copy()),
                      options={"maxiter": 12, "gtol": 0, "ftol": 0})  # fmt: skip
    trainer = fastnn.Trainer(net, optimizer=optim.LBFGS(tol=0), penalty=PENALTY)
    trainer.fit(X, Y, epochs=12, callbacks=[Points()], verbose=0)
    assert len(points) == len(wanted) == 12
    for have, want in zip(points, wanted, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-6, atol=1e-8)


def test_newton_converges_quadratically(impl):
    """Near a minimum each step squares the gradient, which needs the exact Hessian."""
    net = net_of()
    gradients = []

    class Gradients(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            gradients.append(np.abs(by_formula(flat(trainer.net))[1]).max())

    trainer = fastnn.Trainer(net, optimizer=optim.Newton(tol=1e-10), penalty=PENALTY)
    trainer.fit(X, Y, epochs=60, callbacks=[Gradients()], verbose=0)
    late = [g for g in gradients if g < 1e-3]
    assert late[-1] < 1e-9
    assert len(late) <= 5, late


def test_newton_in_a_net_of_float32(impl):
    net = net_of("float32")
    fastnn.Trainer(net, optimizer=optim.Newton(), penalty=PENALTY).fit(X, Y, epochs=40, verbose=0)
    assert np.abs(by_formula(flat(net).astype(float))[1]).max() < 1e-5


@both
def test_callbacks_validation_and_stop(impl, make):
    net = net_of()
    trainer = fastnn.Trainer(net, optimizer=make(), penalty=PENALTY)
    seen = []

    class Stop(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            seen.append("begin")

        def on_batch_end(self, trainer, logs):
            seen.append(logs["batch_loss"])

        def on_epoch_end(self, trainer, logs):
            seen.append(logs["val_loss"])
            if len(trainer.history.epochs) == 3:
                trainer.stop()

    history = trainer.fit(X, Y, epochs=10, validation_data=(X, Y), callbacks=[Stop()], verbose=0)
    assert seen == [x for e in history.epochs for x in ("begin", e["loss"], e["val_loss"])]
    assert len(history.epochs) == 3
    assert trainer.evaluate(X, Y)["loss"] == history["val_loss"][-1]
    again = trainer.fit(X, Y, epochs=2, verbose=0)
    assert len(again) == 5
    other = fastnn.Trainer(net_of(), optimizer=make(), penalty=PENALTY)
    other.load_state_dict(trainer.state_dict())
    assert (other.epoch, other.step_count) == (5, 5)


@both
def test_the_net_only_has_values_of_accepted_points(make):
    """A line search works on a copy: between epochs the net is at the last accepted point."""
    net = net_of()
    trainer = fastnn.Trainer(net, optimizer=make(), penalty=PENALTY)
    at_start = flat(net)

    class Watch(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            self.before = flat(trainer.net)

        def on_batch_end(self, trainer, logs):
            assert not np.array_equal(flat(trainer.net), self.before)

    trainer.fit(X, Y, epochs=3, callbacks=[Watch()], verbose=0)
    assert not np.array_equal(flat(net), at_start)


def test_many_rows_are_processed_in_chunks(impl):
    """Chunks whose rows all have weight 0 do not change the result."""
    net, twin = net_of(), net_of()
    some = np.resize(np.arange(60), 9000)
    weight = np.zeros(9000)
    weight[:60] = WEIGHT
    weight[8950:] = 0.5
    kept = np.flatnonzero(weight)
    fastnn.Trainer(net, optimizer=optim.Newton()).fit(X[some], Y[some], epochs=2, sample_weight=weight, verbose=0)
    fastnn.Trainer(twin, optimizer=optim.Newton()).fit(
        X[some][kept], Y[some][kept], epochs=2, sample_weight=weight[kept], verbose=0
    )
    np.testing.assert_allclose(flat(net), flat(twin), rtol=1e-6, atol=1e-8)


def test_a_loss_that_is_not_finite_at_the_start(impl):
    net = net_of()
    net.layers[0].weight[...] = 1e308
    net.layers[2].weight[...] = 1e308
    with pytest.raises(fastnn.TrainingDiverged):
        fastnn.Trainer(net, "mean_squared_error", optim.Newton()).fit(X, np.eye(3)[Y], epochs=2, verbose=0)


def test_points_where_the_loss_overflows_are_stepped_over(impl):
    """The line search steps back from points where exponentials overflow, and the net stays finite."""
    net = nn.Sequential(nn.Dense(4, 1), dtype="float64", seed=1)
    net.layers[0].weight[...] = -8.0
    trainer = fastnn.Trainer(net, "poisson", optim.Newton(shift=1e-12))
    trainer.fit(X, np.abs(X[:, :1]) * 10, epochs=30, verbose=0)
    assert np.isfinite(trainer.history["loss"]).all()
    assert trainer.history["loss"][-1] < trainer.history["loss"][0]


BAD = {
    "dropout": (
        ValueError,
        "net must have no BatchNorm and no Dropout with Newton, got the layers Dense, Dropout: write",
        lambda: nn.Sequential(nn.Dense(2, 2), nn.Dropout(0.5), seed=0),
        {},
    ),
    "batch norm": (
        ValueError,
        "net must have no BatchNorm and no Dropout with Newton, got the layers Dense, BatchNorm: write",
        lambda: nn.Sequential(nn.Dense(2, 2), nn.BatchNorm(2), seed=0),
        {},
    ),
    "max norm": (
        ValueError,
        "net must have no layer with max_norm, with Newton, got Dense",
        lambda: nn.Sequential(nn.Dense(2, 2, max_norm=1), seed=0),
        {},
    ),
    "large": (
        ValueError,
        "net must have at most 2000 parameters for Newton, got 2020: write optim.LBFGS",
        lambda: nn.Sequential(nn.Dense(100, 20), seed=0),
        {},
    ),
    "schedule": (ValueError, "schedule must be None with Newton", net_of, {"schedule": optim.ExponentialLR(0.9)}),
    "clip": (ValueError, "clip_norm must be None with Newton", net_of, {"clip_norm": 1.0}),
}


@pytest.mark.parametrize(("error", "message", "make", "settings"), BAD.values(), ids=BAD)
def test_nets_and_settings_are_refused(error, message, make, settings):
    with pytest.raises(error, match=f"^{message}"):
        fastnn.Trainer(make(), optimizer=optim.Newton(), **settings)


def test_bad_settings():
    with pytest.raises(ValueError, match=r"^shift must be a finite number above 0, got 0.0$"):
        optim.Newton(shift=0)
    with pytest.raises(ValueError, match=r"^tol must be a finite number of at least 0, got -1.0$"):
        optim.Newton(tol=-1)
    pytest.importorskip("scipy")
    with pytest.raises(ValueError, match=r"^history_size must be an integer of at least 1, got 0$"):
        optim.LBFGS(history_size=0)
    with pytest.raises(TypeError, match=r"^max_evaluations must be an integer of at least 1, got 2.5$"):
        optim.LBFGS(max_evaluations=2.5)


def test_without_scipy_the_message_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(
        ImportError, match=r'^optim.LBFGS needs SciPy, got none: in a checkout of fastnn run pip install "\.\[lbfgs\]"$'
    ):
        optim.LBFGS()


def test_hand_written_loops_are_refused():
    net = net_of()
    trainer = fastnn.Trainer(net, optimizer=optim.Newton())
    net.forward(X, training=True)
    net.backward(np.zeros((60, 3)))
    fix = r"call fit, or set trainer.optimizer = optim.Adam\(\)"
    with pytest.raises(TypeError, match=rf"^optimizer must step batch by batch, got Newton\(.*\): {fix}$"):
        trainer.step()
