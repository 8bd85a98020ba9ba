"""Penalties, gradient clipping, parameter groups and limits of norms, in `fit` and in hand-written loops."""

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

N, BATCH = 50, 16  # the last batch has 2 rows
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 40)), RNG.integers(0, 3, N)
WEIGHT = RNG.uniform(0.5, 2, N)


def net_of(dtype="float64", hidden=30, max_norm=None):
    return nn.Sequential(
        nn.Dense(40, hidden, max_norm=max_norm), nn.BatchNorm(hidden), nn.ReLU(), nn.Dense(hidden, 3),
        dtype=dtype, seed=3,
    )  # fmt: skip


def batches():
    return [slice(start, start + BATCH) for start in range(0, N, BATCH)]


def step_by_hand(net, trainer, rows, weight=None):
    """Run one step of a hand-written loop and return its loss."""
    z = net.forward(X[rows], training=True)
    dz = np.empty_like(z)
    loss = fastnn.kernels.cross_entropy(z, Y[rows], weight, grad=dz)
    net.backward(dz)
    trainer.step()
    return loss


PENALTIES = {
    "l1": optim.Penalty(l1=0.01),
    "l2": optim.Penalty(l2=0.5),
    "elastic": optim.Penalty(l1=0.01, l2=0.1),
    "per batch": optim.Penalty(l1=0.1, l2=3.0, per_batch=True),
}


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_a_penalty_is_in_the_gradient_and_in_the_loss(impl, penalty, weight):
    """Each batch, against the formula on the gradients of a net without penalty; biases and norms have none."""
    net, twin = net_of(), net_of()
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(0.1), penalty=penalty)
    reported = []

    class Losses(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            reported.append(logs["batch_loss"])

    trainer.fit(X, Y, epochs=1, batch_size=BATCH, sample_weight=weight, shuffle=False, callbacks=[Losses()], verbose=0)
    parameters = twin.parameters()
    for step, rows in enumerate(batches()):
        share_of_rows = None if weight is None else weight[rows]
        z = twin.forward(X[rows], training=True)
        dz = np.empty_like(z)
        loss = fastnn.kernels.cross_entropy(z, Y[rows], share_of_rows, grad=dz)
        twin.backward(dz)
        gradients = twin.gradients()
        share = 1 / (len(X[rows]) if weight is None else share_of_rows.sum()) if penalty.per_batch else 1
        for name in ("0.weight", "3.weight"):
            w = parameters[name]
            loss += share * (penalty.l1 * np.abs(w).sum() + penalty.l2 / 2 * (w**2).sum())
            gradients[name] += share * (penalty.l1 * np.sign(w) + penalty.l2 * w)
        for name, w in parameters.items():
            w -= 0.1 * gradients[name]
        assert reported[step] == pytest.approx(loss, rel=1e-12)
    for name, w in net.parameters().items():
        np.testing.assert_allclose(w, parameters[name], rtol=1e-9, atol=1e-12, err_msg=name)


GROUPS = [optim.NO_DECAY, optim.Group("3.*", lr_scale=0.5, weight_decay=0.3)]
# Settings of the trainer, and max_norm of the first layer.
SETTINGS = {
    **{f"penalty, {name}": ({"penalty": penalty}, None) for name, penalty in PENALTIES.items()},
    "value": ({"clip_value": 1e-3}, None),
    "norm": ({"clip_norm": 0.1}, None),
    "groups": ({"optimizer": optim.AdamW(weight_decay=0.1, groups=GROUPS)}, None),
    "coupled": ({"optimizer": optim.Adagrad(weight_decay=0.1, groups=GROUPS)}, None),
    "max norm": ({"optimizer": optim.SGD(0.5)}, 1.2),
    "all": (
        {
            "optimizer": optim.AdamW(0.01, weight_decay=0.1, groups=GROUPS),
            "penalty": PENALTIES["per batch"],
            "clip_value": 0.01,
            "clip_norm": 0.05,
        },
        1.2,
    ),
}


@pytest.mark.parametrize(("settings", "max_norm"), SETTINGS.values(), ids=SETTINGS)
def test_hand_written_loops(impl, settings, max_norm, dtype):
    """`step` gives the bits of `fit`, and does not change the gradients."""
    nets = [net_of(dtype, 70, max_norm) for _ in range(2)]
    fused, by_hand = (fastnn.Trainer(net, **settings) for net in nets)
    fused.fit(X, Y, epochs=1, batch_size=BATCH, shuffle=False, verbose=0)
    for rows in batches():
        step_by_hand(nets[1], by_hand, rows)
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    before = nets[1].grads.data.copy()
    by_hand.step()
    np.testing.assert_array_equal(nets[1].grads.data, before)
    plain = net_of(dtype, 70)
    fastnn.Trainer(plain, optimizer=type(fused.optimizer)(fused.optimizer.lr)).fit(
        X, Y, epochs=1, batch_size=BATCH, shuffle=False, verbose=0
    )
    assert not np.array_equal(plain.params.data, nets[0].params.data), "the settings do nothing"


@pytest.mark.parametrize(("settings", "max_norm"), SETTINGS.values(), ids=SETTINGS)
def test_executors_and_threads_agree(native, settings, max_norm):
    """Both executors agree, and the native one gives the same bits for any number of threads."""

    def fitted(backend, threads):
        net = net_of("float64", 700, max_norm)
        with fastnn.backend(backend), fastnn.num_threads(threads):
            trainer = fastnn.Trainer(net, **settings)
            trainer.fit(X, Y, epochs=2, batch_size=BATCH, verbose=0)
        return net, trainer

    net, trainer = fitted("native", 1)
    for threads in (2, 3):
        other, its_trainer = fitted("native", threads)
        np.testing.assert_array_equal(other.params.data, net.params.data)
        assert its_trainer.history["loss"] == trainer.history["loss"]
    reference, its_trainer = fitted("reference", 1)
    np.testing.assert_allclose(its_trainer.history["loss"], trainer.history["loss"], rtol=1e-10)
    for name, want in reference.parameters().items():
        if name != "0.bias":  # before a batch norm it has no gradient, and Adam amplifies the rounding of none
            assert np.abs(net.parameters()[name] - want).max() <= 1e-10 * np.abs(want).max(), name


def test_limits_that_are_not_reached_change_nothing(impl, dtype):
    """The bits are those of the fused update."""
    nets = [net_of(dtype, max_norm=limit) for limit in (None, 1e6)]
    for net, settings in zip(nets, ({}, {"clip_norm": 1e6, "clip_value": 1e6}), strict=True):
        fastnn.Trainer(net, **settings).fit(X, Y, epochs=2, batch_size=BATCH, verbose=0)
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)


def test_clipping_by_norm(impl):
    """One step of plain descent moves by the clipped gradient."""
    net, twin = net_of(), net_of()
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(1.0), clip_norm=0.05)
    start = {name: w.copy() for name, w in net.parameters().items()}
    step_by_hand(net, trainer, slice(0, N))
    step_by_hand(twin, fastnn.Trainer(twin), slice(0, N))
    norm = np.sqrt(sum((g**2).sum() for g in twin.gradients().values()))
    assert norm > 0.05
    for name, w in net.parameters().items():
        expected = start[name] - twin.gradients()[name] * (0.05 / (norm + 1e-6))
        np.testing.assert_allclose(w, expected, rtol=1e-12, atol=1e-15)


def test_norms_of_units_stay_below_the_limit(impl, dtype):
    net = net_of(dtype, max_norm=1.2)
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(0.5))
    trainer.fit(X, Y, epochs=5, batch_size=BATCH, verbose=0)
    norms = np.linalg.norm(net.layers[0].weight.astype(float), axis=0)
    assert (norms <= 1.2 * (1 + 4 * np.finfo(dtype).eps)).all()
    assert (norms > 1.2 * (1 - 1e-4)).sum() > 3
    assert (norms < 1.19).any()
    assert repr(net.layers[0]) == "Dense(40, 30, max_norm=1.2)"
    assert net.copy().layers[0].max_norm == 1.2


def test_a_group_can_be_frozen(impl):
    net = net_of()
    before = net.layers[0].weight.copy()
    groups = [optim.Group("0.*", lr_scale=0)]
    fastnn.Trainer(net, optimizer=optim.AdamW(weight_decay=0.1, groups=groups)).fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_array_equal(net.layers[0].weight, before)


def test_clipping_does_not_hide_gradients_that_are_not_finite(impl):
    net = net_of()
    trainer = fastnn.Trainer(net, optimizer=optim.SGD(1e200), clip_value=1e300, clip_norm=1e300)
    with pytest.raises(fastnn.TrainingDiverged):
        trainer.fit(X, Y, epochs=20, batch_size=BATCH, verbose=0)


def test_evaluation_does_not_include_the_penalty(impl):
    net = net_of()
    plain, penalized = fastnn.Trainer(net), fastnn.Trainer(net, penalty=optim.Penalty(l2=1.0))
    assert plain.evaluate(X, Y) == penalized.evaluate(X, Y)


@pytest.mark.parametrize("nesterov", [False, True])
def test_velocity_keeps_the_old_rate(impl, nesterov):
    """The formulas with the rate inside the velocity; with a rate that changes, plain momentum differs."""
    rates = [0.1, 0.1, 0.01, 0.5]
    nets = [nn.Sequential(nn.Dense(2, 1, bias=False), dtype="float64", seed=0) for _ in range(2)]
    inside, outside = (
        fastnn.Trainer(net, optimizer=optim.SGD(0.1, momentum=0.9, nesterov=nesterov, velocity=velocity))
        for net, velocity in zip(nets, (True, False), strict=True)
    )
    w, v = nets[0].params.data[:2].copy(), np.zeros(2)
    for step, rate in enumerate(rates):
        g = np.array([1.0, -2.0])
        for net, trainer in zip(nets, (inside, outside), strict=True):
            net.grads.data[:2] = g
            trainer.lr = rate
            trainer.step()
        v = 0.9 * v - rate * g
        w += 0.9 * v - rate * g if nesterov else v
        np.testing.assert_allclose(nets[0].params.data[:2], w, rtol=1e-14)
        assert np.allclose(nets[1].params.data[:2], w, rtol=1e-14) == (step < 2)


def test_eps_hat_is_added_before_the_correction(impl):
    net = nn.Sequential(nn.Dense(1, 1, bias=False, init=nn.init.zeros()), dtype="float64", seed=0)
    trainer = fastnn.Trainer(net, optimizer=optim.Adam(1.0, eps_hat=True))
    net.grads.data[0] = 1e-8
    trainer.step()
    np.testing.assert_allclose(net.params.data[0], -np.sqrt(1e-3) / (np.sqrt(1e-3) + 1), rtol=1e-12)


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ValueError, "l1 must be a finite number of at least 0, got -1.0", lambda: optim.Penalty(l1=-1)),
        (ValueError, "l2 must be a finite number of at least 0, got inf", lambda: optim.Penalty(l2=np.inf)),
        (TypeError, r"penalty must be an optim\.Penalty, got float", lambda: fastnn.Trainer(net_of(), penalty=0.1)),
    ],
)
def test_bad_settings(error, message, make):
    with pytest.raises(error, match=message):
        make()


def test_a_penalty_per_batch_needs_a_batch():
    trainer = fastnn.Trainer(net_of(), penalty=PENALTIES["per batch"])
    with pytest.raises(RuntimeError, match=r"call net\.backward"):
        trainer.step()
