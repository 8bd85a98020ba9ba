"""What surrounds an update: penalties."""

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

N, BATCH = 50, 16  # the last batch has 2 rows
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 40)), RNG.integers(0, 3, N)
WEIGHT = RNG.uniform(0.5, 2, N)


def net_of(dtype="float64", hidden=30):
    return nn.Sequential(
        nn.Dense(40, hidden), nn.BatchNorm(hidden), nn.ReLU(), nn.Dense(hidden, 3), dtype=dtype, seed=3
    )


def batches():
    return [slice(start, start + BATCH) for start in range(0, N, BATCH)]


def step_by_hand(net, trainer, rows, weight=None):
    """One step of a hand-written loop; the loss."""
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
    """Batch by batch, against the formula on the gradients of a net without one; biases and norms are free."""
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


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_penalties_in_loops_by_hand(impl, penalty, dtype):
    """`step` gives the bits of `fit`, and leaves the gradients as they were."""
    nets = [net_of(dtype, hidden=70) for _ in range(2)]
    fused, by_hand = (fastnn.Trainer(net, penalty=penalty) for net in nets)
    fused.fit(X, Y, epochs=1, batch_size=BATCH, shuffle=False, verbose=0)
    for rows in batches():
        step_by_hand(nets[1], by_hand, rows)
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    before = nets[1].grads.data.copy()
    by_hand.step()
    np.testing.assert_array_equal(nets[1].grads.data, before)


def test_the_twins_of_penalties_agree(native):
    nets = [net_of(), net_of()]
    for net, backend in zip(nets, ("native", "reference"), strict=True):
        with fastnn.backend(backend):
            fastnn.Trainer(net, penalty=PENALTIES["per batch"]).fit(X, Y, epochs=20, batch_size=BATCH, verbose=0)
    for name, w in nets[0].parameters().items():
        if name != "0.bias":  # before a batch norm it has no gradient, and Adam amplifies the rounding of none
            np.testing.assert_allclose(w, nets[1].parameters()[name], rtol=0, atol=1e-10 * np.abs(w).max())


def test_a_loss_of_evaluation_is_without_the_penalty(impl):
    net = net_of()
    plain, penalized = fastnn.Trainer(net), fastnn.Trainer(net, penalty=optim.Penalty(l2=1.0))
    assert plain.evaluate(X, Y) == penalized.evaluate(X, Y)


@pytest.mark.parametrize("nesterov", [False, True])
def test_velocity_keeps_the_old_rate(impl, nesterov):
    """The formulas with the rate inside, with a rate that changes; plain momentum differs then."""
    rates = [0.1, 0.1, 0.01, 0.5]
    nets = [nn.Sequential(nn.Dense(2, 1, bias=False), dtype="float64") for _ in range(2)]
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
    net = nn.Sequential(nn.Dense(1, 1, bias=False, init=nn.init.zeros()), dtype="float64")
    trainer = fastnn.Trainer(net, optimizer=optim.Adam(1.0, eps_hat=True))
    net.grads.data[0] = 1e-8
    trainer.step()
    np.testing.assert_allclose(net.params.data[0], -np.sqrt(1e-3) / (np.sqrt(1e-3) + 1), rtol=1e-12)


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ValueError, "l1: expected a finite number in", lambda: optim.Penalty(l1=-1)),
        (ValueError, "l2: expected a finite number in", lambda: optim.Penalty(l2=np.inf)),
        (TypeError, "penalty: expected a Penalty, came float", lambda: fastnn.Trainer(net_of(), penalty=0.1)),
    ],
)
def test_bad_settings(error, message, make):
    with pytest.raises(error, match=message):
        make()


def test_a_share_of_no_batch_is_refused():
    trainer = fastnn.Trainer(net_of(), penalty=PENALTIES["per batch"])
    with pytest.raises(RuntimeError, match="expected a forward"):
        trainer.step()
