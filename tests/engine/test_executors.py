"""Agreement of both executors in whole training runs, and of fused steps with hand-written loops."""

import inspect

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.engine import Feed, _executor_cy, _executor_ref, make_executor

OPTIMIZERS = {
    "sgd": optim.SGD(lr=0.05),
    "momentum": optim.SGD(lr=0.02, momentum=0.9, dampening=0.2, weight_decay=0.01),
    "nesterov": optim.SGD(lr=0.02, momentum=0.9, nesterov=True),
    "velocity": optim.SGD(lr=0.02, momentum=0.9, velocity=True),
    "nesterov_velocity": optim.SGD(lr=0.02, momentum=0.9, nesterov=True, velocity=True),
    "adagrad": optim.Adagrad(lr=0.02, lr_decay=0.01, initial_accumulator_value=0.1),
    "adadelta": optim.Adadelta(eps=1e-3),
    "rmsprop": optim.RMSprop(lr=1e-3),
    "rmsprop_momentum": optim.RMSprop(lr=1e-3, momentum=0.5),
    "rmsprop_centered": optim.RMSprop(lr=1e-3, centered=True, eps=1e-3),
    "rmsprop_centered_momentum": optim.RMSprop(lr=1e-3, centered=True, momentum=0.5, eps=1e-3),
    "adam": optim.Adam(lr=3e-3),
    "amsgrad": optim.Adam(lr=3e-3, amsgrad=True),
    "adamw": optim.AdamW(lr=3e-3, weight_decay=0.1, groups=[optim.NO_DECAY, optim.Group("0.*", lr_scale=0.5)]),
    "nadam": optim.NAdam(lr=3e-3, weight_decay=0.01, decoupled_weight_decay=True),
}
STEPS, ROWS, BATCH = 200, 330, 32  # 11 batches an epoch, the last of 10 rows


def every_layer(dtype="float64", seed=7):
    """A net of most layers, without norms of rows, which tests/nn/test_norms.py has.

    A bias before a batch norm would have no gradient.
    """
    return nn.Sequential(
        nn.Dense(10, 24, bias=False), nn.BatchNorm(24), nn.ReLU(), nn.Dropout(0.2),
        nn.Dense(24, 17, bias=False), nn.BatchNorm(17), nn.LeakyReLU(0.1),
        nn.Dense(17, 16), nn.Tanh(), nn.Dropout(0.1),
        nn.Dense(16, 12), nn.Sigmoid(), nn.Identity(), nn.Dense(12, 4),
        dtype=dtype, seed=seed,
    )  # fmt: skip


def problem():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(ROWS, 10))
    return X, (X @ rng.normal(size=(10, 4))).argmax(axis=1)


def trained(optimizer, dtype="float64", epochs=STEPS // 11 + 1):
    net = every_layer(dtype)
    trainer = fastnn.Trainer(net, optimizer=optimizer)
    trainer.fit(*problem(), epochs=epochs, batch_size=BATCH, verbose=0)
    assert trainer.step_count >= STEPS or epochs == 1
    return net, trainer


@pytest.fixture(scope="module")
def by_reference():
    """Return nets trained by the reference, with their trainers."""
    with fastnn.backend("reference"):
        return {kind: trained(optimizer) for kind, optimizer in OPTIMIZERS.items()}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_trajectories_agree(native, kind, by_reference):
    wanted, wanted_trainer = by_reference[kind]
    net, trainer = trained(OPTIMIZERS[kind])
    start = every_layer()
    for arena in ("params", "state"):
        for name, want in getattr(wanted, arena).views().items():
            have = getattr(net, arena).view(name)
            assert np.abs(have - want).max() <= 1e-10 * np.abs(want).max(), name
            assert np.abs(want - getattr(start, arena).view(name)).max() > 1e-3 * np.abs(want).max(), (
                f"{name} is untrained"
            )
    np.testing.assert_allclose(trainer.history["loss"], wanted_trainer.history["loss"], rtol=1e-10)


def test_first_step_in_float32_agrees(native):
    X, y = problem()
    nets = []
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            net = every_layer("float32")
            fastnn.Trainer(net, optimizer=optim.SGD(lr=0.1)).fit(X, y, epochs=1, batch_size=ROWS, verbose=0)
            nets.append(net)
    for name, want in nets[1].parameters().items():
        np.testing.assert_allclose(nets[0].parameters()[name], want, rtol=1e-4, atol=1e-5, err_msg=name)


def test_steps_with_columns_whose_squares_overflow_agree(native, dtype):
    """Statistics, output, running statistics and gradients of a batch norm followed by an activation and dropout."""
    rng = np.random.default_rng(5)
    large = 4e18 if dtype == "float32" else 4e153
    X = rng.normal(size=(96, 5)) * [large, 1.0, 2 * large, 1.0, 1e-3 * large]
    y = rng.integers(0, 3, 96)
    nets = []
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            layers = nn.BatchNorm(5), nn.ReLU(), nn.Dropout(0.2), nn.Dense(5, 3)
            net = nn.Sequential(*layers, dtype=dtype, seed=1)
            trainer = fastnn.Trainer(net, optimizer=optim.SGD(lr=0.1))
            trainer.fit(X, y, epochs=3, batch_size=48, verbose=0)
            nets.append((net, trainer.history["loss"], net.predict(X)))
    (one, losses, z), (other, wanted, wanted_z) = nets
    digits = 1e-4 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(losses, wanted, rtol=digits)
    np.testing.assert_allclose(z, wanted_z, rtol=digits, atol=digits)
    for name, value in one.state_dict().items():
        want = other.state_dict()[name]
        np.testing.assert_allclose(value, want, rtol=digits, atol=digits, err_msg=name)
        assert np.isfinite(value).all()


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        *(("cross_entropy", kind) for kind in OPTIMIZERS),
        ("binary_cross_entropy", "sgd"),
        ("mean_squared_error", "adam"),
    ],
)
def test_fused_steps_equal_a_hand_written_loop(native, kind, loss, dtype):
    X, labels = problem()
    X = X.astype(dtype)
    y = labels if loss == "cross_entropy" else np.eye(4, dtype=dtype)[labels]
    nets = [every_layer(dtype) for _ in range(2)]
    fused, by_hand = (fastnn.Trainer(net, loss, OPTIMIZERS[kind]) for net in nets)
    fused.fit(X, y, epochs=2, batch_size=BATCH, shuffle=False, verbose=0)
    for start in [*range(0, ROWS, BATCH)] * 2:
        rows = slice(start, start + BATCH)
        z = nets[1].forward(X[rows], training=True)
        dz = np.empty_like(z)
        getattr(fastnn.kernels, loss)(z, y[rows], grad=dz)
        nets[1].backward(dz)
        by_hand.step()
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    np.testing.assert_array_equal(nets[0].state.data, nets[1].state.data)
    assert fused.step_count == by_hand.step_count == 22


@pytest.mark.parametrize("rows", [40, 600])
def test_fused_updates_of_wide_layers_equal_a_hand_written_loop(native, rows, dtype):
    """Gradients of several blocks; the update reads them in the block's buffer if a block has all terms."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(rows, 150)).astype(dtype), rng.integers(0, 5, rows)
    nets = [nn.Sequential(nn.Dense(150, 650), nn.ReLU(), nn.Dense(650, 5), dtype=dtype, seed=0) for _ in range(2)]
    fused, by_hand = (fastnn.Trainer(net, optimizer=fastnn.optim.AdamW(weight_decay=0.1)) for net in nets)
    fused.fit(X, y, epochs=3, batch_size=rows, shuffle=False, verbose=0)
    for _ in range(3):
        z = nets[1].forward(X, training=True)
        dz = np.empty_like(z)
        fastnn.kernels.cross_entropy(z, y, grad=dz)
        nets[1].backward(dz)
        by_hand.step()
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)


@pytest.mark.parametrize("threads", [2, 3])
def test_results_do_not_depend_on_threads(native, threads, dtype):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(700, 160)).astype(dtype), rng.integers(0, 5, 700)

    def fit(n):
        net = nn.Sequential(
            nn.Dense(160, 200, bias=False),
            nn.BatchNorm(200),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.LayerNorm(200),
            nn.RMSNorm(200),
            nn.Dense(200, 5),
            dtype=dtype,
            seed=0,
        )
        with fastnn.num_threads(n):
            trainer = fastnn.Trainer(net)
            trainer.fit(X, y, epochs=2, batch_size=300, verbose=0)
            return net.params.data, net.state.data, net.predict(X), trainer.history["loss"]

    for one, several in zip(fit(1), fit(threads), strict=True):
        np.testing.assert_array_equal(one, several)


def test_dropout_masks_are_the_same_in_both_executors(native):
    masks = []
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            net = nn.Sequential(nn.Dense(3, 50, init=nn.init.constant(1.0)), nn.Dropout(0.4), nn.Dropout(0.5), seed=5)
            masks.append([net.forward(np.ones((20, 3)), training=True) > 0 for _ in range(3)])
    np.testing.assert_array_equal(*masks)
    kept = np.mean(masks[0])
    assert abs(kept - 0.3) < 0.05
    assert not np.array_equal(masks[0][0], masks[0][1])


def test_a_row_alone_is_predicted_as_in_any_batch(native, dtype, rng):
    net = every_layer(dtype)
    trainer = fastnn.Trainer(net)
    trainer.fit(*problem(), epochs=1, verbose=0)
    X = rng.normal(size=(1100, 10)).astype(dtype)
    together = net.predict(X)
    for row in (0, 1, 7, 511, 512, 1099):
        np.testing.assert_array_equal(net.predict(X[row : row + 1])[0], together[row])
    np.testing.assert_array_equal(net.predict(X[3:90]), together[3:90])
    np.testing.assert_array_equal(net.predict(np.asfortranarray(X)), together)


def test_the_executors_have_the_same_signatures():
    for name in ("array", "run", "run_steps", "predict"):  # the signature of a compiled __init__ is not available
        mine = inspect.signature(getattr(_executor_ref.Executor, name)).parameters
        compiled = inspect.signature(getattr(_executor_cy.Executor, name)).parameters
        assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in compiled.values()], name


def test_buffers_that_cannot_be_allocated_are_an_error(impl):
    net = nn.Sequential(nn.Dense(4, 4), seed=0)
    program = net.training_program(loss="cross_entropy", target="labels", optimizer="sgd")
    for capacity in (2**62, 2**45):
        with pytest.raises((MemoryError, ValueError)):
            fastnn.engine.make_executor(program, net.dtype, capacity, net.params, net.state, net.grads, (), 0)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_several_epochs_in_one_call_equal_one_after_another(impl, batch_norm, rng):
    """The batches are those of each epoch, a short or a merged last one included; each step's loss is returned."""
    rows, epochs, size = 33, 4, 8
    X, y = rng.normal(size=(rows, 3)), rng.integers(0, 2, rows)
    orders = np.array([rng.permutation(rows) for _ in range(epochs)])
    results = []
    for together in (True, False):
        middle = [nn.BatchNorm(5)] if batch_norm else []
        net = nn.Sequential(nn.Dense(3, 5), *middle, nn.Tanh(), nn.Dense(5, 2), dtype="float64", seed=0)
        program = net.training_program(loss="cross_entropy", target="labels", optimizer="sgd")
        executor = make_executor(program, net.dtype, size + 1, net.params, net.state, net.grads)
        batches = (rows - batch_norm) // size + (not batch_norm)
        scalars, losses = np.full((epochs * batches, 1), 0.1), np.full(epochs * batches, np.nan)
        for part in [orders.reshape(-1)] if together else orders:
            feed = Feed(X, part, size, y, merge_last=batch_norm, epochs=len(part) // rows)
            assert feed.n_batches == batches
            steps = feed.epochs * batches
            first = 0 if together else batches * int(np.isfinite(losses).sum() // batches)
            done = executor.run_steps(feed, 0, 2, scalars, 0, 9.0, 1, losses=losses[first:]).done
            assert done == 2
            executor.run_steps(feed, 2, steps, scalars, 2, 9.0, 1, losses=losses[first + 2 :])
        results.append((net.params.data, net.state.data, losses))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isfinite(results[0][2]).all()


def test_steps_continue_after_a_nonfinite_loss_if_losses_are_returned(impl):
    X, y = np.array([[1e308], [1.0]]), np.array([[1e308], [1.0]])
    net = nn.Sequential(nn.Dense(1, 1, init=nn.init.constant(3.0)), dtype="float64", seed=0)
    program = net.training_program(loss="mean_squared_error", target="rows", optimizer="sgd")
    executor = make_executor(program, net.dtype, 1, net.params, net.state, net.grads)
    feed, scalars, losses = Feed(X, np.array([1, 0]), 1, y), np.full((2, 1), 0.1), np.zeros(2)
    with np.errstate(all="ignore"):
        assert executor.run_steps(feed, 0, 2, scalars, 0, 9.0, 1, losses=losses, stop_at_nonfinite=False).done == 2
        assert losses[0] == 4.0
        assert not np.isfinite(losses[1])
        assert not executor.run_steps(feed, 0, 2, scalars, 0, 9.0, 1).finite
