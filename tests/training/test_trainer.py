"""The trainer: the results of fits, the data that they accept, continued fits and threads."""

import contextvars
import threading

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

ADAM = optim.Adam(1e-2)


def net_of(dtype="float64", seed=0, batch_norm=True, k=3):
    middle = [nn.BatchNorm(8)] if batch_norm else []
    return nn.Sequential(
        nn.Dense(5, 8, bias=not batch_norm), *middle, nn.ReLU(), nn.Dropout(0.2), nn.Dense(8, k), dtype=dtype, seed=seed
    )


def data(n=101, k=3):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 5))
    return X, (X @ rng.normal(size=(5, k))).argmax(axis=1)


def values(net):
    return np.concatenate([net.params.data, net.state.data])


def fitted(X, y, *, net=None, loss="cross_entropy", optimizer=ADAM, **kwargs):
    net = net or net_of()
    trainer = fastnn.Trainer(net, loss, optimizer)
    trainer.fit(X, y, **{"epochs": 3, "batch_size": 20, "verbose": 0, **kwargs})
    return trainer


def test_learning(impl):
    X, y = data(600)
    trainer = fitted(X[:400], y[:400], epochs=40, validation_data=(X[400:], y[400:]))
    assert trainer.history["val_accuracy"][-1] > 0.9
    assert trainer.history["loss"][-1] < 0.5 * trainer.history["loss"][0]
    assert set(trainer.history.epochs[0]) == {"loss", "lr", "seconds", "val_loss", "val_accuracy"}
    assert trainer.evaluate(X[400:], y[400:]) == {
        "loss": trainer.history["val_loss"][-1], "accuracy": trainer.history["val_accuracy"][-1],
    }  # fmt: skip


def test_one_step_is_the_formula(impl):
    # One full batch of plain gradient descent on a dense layer, written out.
    X, y = data(50)
    net = nn.Sequential(nn.Dense(5, 3), dtype="float64", seed=2)
    w, b = net.layers[0].weight.copy(), net.layers[0].bias.copy()
    trainer = fitted(X, y, net=net, optimizer=optim.SGD(0.5), epochs=1, batch_size=50)
    z = X @ w + b
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    d = (p - np.eye(3)[y]) / 50
    np.testing.assert_allclose(net.layers[0].weight, w - 0.5 * X.T @ d, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(net.layers[0].bias, b - 0.5 * d.sum(axis=0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(trainer.history["loss"], [-np.log(p[np.arange(50), y]).mean()], rtol=1e-12)


@pytest.mark.parametrize("optimizer", [optim.SGD(0.1, momentum=0.9), optim.Adam(1e-2)])
def test_a_later_fit_continues(impl, optimizer):
    X, y = data()
    schedule = optim.ExponentialLR(0.7)
    at_once, in_parts = (fastnn.Trainer(net_of(), optimizer=optimizer, schedule=schedule) for _ in range(2))
    at_once.fit(X, y, epochs=5, batch_size=16, verbose=0)
    for epochs in (1, 3, 1):
        in_parts.fit(X, y, epochs=epochs, batch_size=16, verbose=0)
    np.testing.assert_array_equal(values(at_once.net), values(in_parts.net))
    assert at_once.history["loss"] == in_parts.history["loss"]
    assert in_parts.epoch == len(in_parts.history.epochs) == 5


def test_the_order_of_the_rows_depends_on_the_seed_alone(impl):
    X, y = data()
    same = [values(fitted(X, y).net) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    plain = values(fitted(X, y, shuffle=False).net)
    assert not np.array_equal(same[0], plain)
    # Fits of rows that are permuted as in the epochs equal these epochs.
    trainer = fastnn.Trainer(net_of(), optimizer=ADAM)
    for epoch in range(2):
        order = fastnn.kernels.permutation(101, seed=0, stream=0, step=epoch)
        trainer.fit(X[order], y[order], epochs=1, batch_size=20, shuffle=False, verbose=0)
    np.testing.assert_array_equal(values(trainer.net), values(fitted(X, y, epochs=2).net))


def test_single_steps_are_the_optimisers_steps(impl):
    net = nn.Sequential(nn.Dense(1, 3, bias=False), dtype="float64", seed=0)
    trainer = fastnn.Trainer(net, optimizer=optim.Adam(0.1), schedule=optim.ExponentialLR(0.99, every="step"))
    net.forward([[1.0]], training=True)
    w, m, v = net.parameters()["0.weight"].copy(), np.zeros((1, 3)), np.zeros((1, 3))
    for t in range(150):
        if t == 100:
            trainer.lr = 0.5
        gradient = np.array([[1.0, -2.0, t / 50 - 1.0]])
        net.backward(gradient)
        trainer.step()
        fastnn.kernels.adam(w, gradient, m, v, step=t + 1, lr=(0.1 if t < 100 else 0.5) * 0.99**t)
    np.testing.assert_allclose(net.parameters()["0.weight"], w, rtol=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda X: np.repeat(X, 3, axis=0)[::3],
        lambda X: X[::-1].copy()[::-1],
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X.astype(">f8"),
        lambda X: np.frombuffer(b"\0" + X.tobytes(), np.float64, offset=1, count=X.size).reshape(X.shape),  # unaligned
        lambda X: X.tolist(),
    ],
    ids=["Fortran", "strided", "reversed", "wide", "swapped", "unaligned", "list"],
)
def test_any_layout_of_x_trains_the_same(impl, change):
    X, y = data()
    np.testing.assert_array_equal(values(fitted(change(X), y).net), values(fitted(X, y).net))


def test_any_integers_and_memory_maps(impl, tmp_path, dtype):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size=(90, 5)).astype(np.uint8)
    y = rng.integers(0, 3, 90)
    wanted = values(fitted(pixels.astype(dtype), y, net=net_of(dtype)).net)
    path = tmp_path / "x.npy"
    np.save(path, pixels)
    for X in (pixels, pixels.astype(np.int32), pixels.astype(np.float16), np.load(path, mmap_mode="r")):
        np.testing.assert_array_equal(values(fitted(X, y, net=net_of(dtype)).net), wanted)
    for labels in (y.astype(np.uint8), y.astype(">i4"), y.tolist(), np.repeat(y, 2)[::2]):
        np.testing.assert_array_equal(values(fitted(pixels, labels, net=net_of(dtype)).net), wanted)


def test_labels_equal_one_hot_rows(impl):
    X, y = data()
    rows = values(fitted(X, np.eye(3)[y]).net)
    np.testing.assert_allclose(rows, values(fitted(X, y).net), rtol=1e-9, atol=1e-12)
    bytes_ = values(fitted(X, np.eye(3, dtype=np.uint8)[y]).net)
    np.testing.assert_array_equal(bytes_, rows)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "mean_squared_error"])
def test_one_output_takes_a_flat_target(impl, loss):
    X, y = data(k=2)
    wide = values(fitted(X, y[:, np.newaxis], net=net_of(k=1), loss=loss).net)
    for flat in (y, y.astype(bool), y.astype(np.float32)):
        np.testing.assert_array_equal(values(fitted(X, flat, net=net_of(k=1), loss=loss).net), wide)


@pytest.mark.parametrize(
    ("loss", "one_hot"), [("cross_entropy", False), ("cross_entropy", True), ("mean_squared_error", True)]
)
def test_weight_two_is_the_row_twice(impl, loss, one_hot):
    X, y = data(40)
    target = np.eye(3)[y] if one_hot else y
    weight = np.r_[np.full(10, 2.0), np.ones(20), np.zeros(10)]
    rows = np.r_[0:10, 0:10, 10:30]
    nets = [nn.Sequential(nn.Dense(5, 8), nn.Tanh(), nn.Dense(8, 3), dtype="float64", seed=0) for _ in range(2)]
    weighted = fitted(X, target, net=nets[0], loss=loss, sample_weight=weight, batch_size=40, shuffle=False)
    repeated = fitted(X[rows], target[rows], net=nets[1], loss=loss, batch_size=40, shuffle=False)
    np.testing.assert_allclose(nets[0].params.data, nets[1].params.data, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(weighted.history["loss"], repeated.history["loss"], rtol=1e-11)
    have, want = weighted.evaluate(X, target, sample_weight=weight), repeated.evaluate(X[rows], target[rows])
    assert have == pytest.approx(want, rel=1e-10)
    # In small batches too, the epoch's loss is the weighted mean.
    some = fitted(
        X, target, net=nets[0], loss=loss, sample_weight=weight, batch_size=7, optimizer=optim.SGD(0.0), epochs=1
    )
    assert some.history["loss"][0] == pytest.approx(some.evaluate(X, target, sample_weight=weight)["loss"], rel=1e-10)


def test_a_lone_last_row_joins_the_batch_before(impl):
    X, y = data(41)
    sizes = []

    class Sizes(fastnn.Callback):
        def on_batch_end(self, trainer, logs):
            sizes.append(logs["batches"])

    fitted(X, y, batch_size=20, epochs=1, callbacks=[Sizes()])
    assert sizes == [2, 2]
    fitted(X, y, batch_size=20, epochs=1, callbacks=[Sizes()], net=net_of(batch_norm=False))
    assert sizes == [2, 2, 3, 3, 3]
    # The merged batch is one of 21 rows.
    merged = fitted(X, y, batch_size=20, epochs=1, shuffle=False)
    by_hand = net_of()
    trainer = fastnn.Trainer(by_hand, optimizer=optim.Adam(1e-2))
    for rows in (slice(0, 20), slice(20, 41)):
        z = by_hand.forward(X[rows], training=True)
        dz = np.empty_like(z)
        fastnn.kernels.cross_entropy(z, y[rows], grad=dz)
        by_hand.backward(dz)
        trainer.step()
    np.testing.assert_array_equal(values(merged.net), values(by_hand))


def test_batches_larger_than_the_data(impl):
    X, y = data(30)
    np.testing.assert_array_equal(values(fitted(X, y, batch_size=10**9).net), values(fitted(X, y, batch_size=30).net))


def test_evaluate_in_chunks(impl, monkeypatch):
    X, y = data(77)
    trainer = fitted(X, y)
    weight = np.random.default_rng(0).random(77)
    at_once = trainer.evaluate(X, y, sample_weight=weight)
    monkeypatch.setattr("fastnn.training.evaluation.EVALUATE_ELEMENTS", 30)
    assert trainer.evaluate(X, y, sample_weight=weight) == pytest.approx(at_once, rel=1e-12)
    z = trainer.net.predict(X)
    assert at_once["accuracy"] == pytest.approx(weight[z.argmax(axis=1) == y].sum() / weight.sum())
    assert at_once["loss"] == pytest.approx(fastnn.kernels.cross_entropy(z, y, weight))


def test_schedules_decide_the_rate(impl):
    X, y = data(60)
    trainer = fastnn.Trainer(net_of(), optimizer=optim.SGD(0.4), schedule=lambda epoch: 0.5**epoch)
    trainer.fit(X, y, epochs=3, verbose=0)
    assert trainer.history["lr"] == [0.4, 0.2, 0.1]
    by_step = fastnn.Trainer(net_of(), optimizer=optim.SGD(0.4), schedule=optim.StepLR(2, 0.5, every="step"))
    by_step.fit(X, y, epochs=2, batch_size=20, verbose=0)
    assert by_step.history["lr"] == [0.2, 0.1]  # of steps 2 and 5
    # A rate of 0 from the second epoch on: the parameters do not change.
    frozen = fastnn.Trainer(
        net_of(batch_norm=False), optimizer=optim.SGD(0.4), schedule=lambda epoch: float(epoch == 0)
    )
    frozen.fit(X, y, epochs=1, verbose=0)
    before = frozen.net.params.data.copy()
    frozen.fit(X, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(frozen.net.params.data, before)


@pytest.mark.parametrize("schedule", [None, lambda epoch: 0.5**epoch, optim.CosineAnnealingLR(100, every="step")])
def test_cached_scalars_equal_those_of_single_steps(schedule):
    """After epochs of any length, changes of the rate and a reset of the optimiser too."""
    trainer = fastnn.Trainer(net_of(), optimizer=optim.AdamW(1e-2), schedule=schedule)
    rng = np.random.default_rng(0)
    for epoch in range(60):
        left = int(rng.choice([1, 3, 64, 100]))
        if epoch == 40:
            trainer.reset_optimizer()
        if epoch % 7 == 6:
            trainer.lr /= 2
        if epoch == 50:
            trainer.scalars(1, left)
            trainer.schedule = optim.LambdaLR(lambda epoch: 1.0 + epoch)
        most = int(rng.choice([1, 5, 200]))
        left_over = left // 2 if epoch % 3 == 2 else 0  # a callback ends the epoch
        while left > left_over:
            steps = min(left, most)
            rates, table = trainer.scalars(steps, left)
            assert len(rates) == len(table) == steps
            at, alone = trainer.step_count, trainer.copy()
            for i in range(steps):
                alone.step_count = at + i
                rate, row = alone.scalars(1, 1)
                assert rates[i] == rate[0]
                np.testing.assert_array_equal(table[i], row[0])
            trainer.step_count += steps
            left -= steps
        trainer.epoch += 1


# ---- threads ----


def test_two_threads_train_two_nets(impl):
    X, y = data(400)
    wanted = [values(fitted(X, y, net=net_of(seed=seed), epochs=5).net) for seed in (1, 2)]
    found = {}

    def work(seed):
        found[seed] = values(fitted(X, y, net=net_of(seed=seed), epochs=5).net)

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(work, seed)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for seed, want in zip((1, 2), wanted, strict=True):
        np.testing.assert_array_equal(found[seed], want)


def test_one_net_is_trained_by_one_thread_at_a_time(impl):
    X, y = data()
    errors = []

    class Intruder(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            other = threading.Thread(target=self.fit, args=(trainer.net,))
            other.start()
            other.join(60)

        def fit(self, net):
            try:
                fitted(X, y, net=net)
            except RuntimeError as error:
                errors.append(str(error))

    trainer = fitted(X, y, epochs=1, callbacks=[Intruder()])
    assert len(errors) == 1
    assert "being trained in another thread" in errors[0]
    np.testing.assert_array_equal(values(trainer.net), values(fitted(X, y, epochs=1).net))
    trainer.fit(X, y, epochs=1, verbose=0)  # the net can be trained again


def test_an_epochs_loss_does_not_depend_on_its_slices(impl, monkeypatch):
    X, y = data()
    losses = []
    for seconds in (0.0, 1e9):  # a slice for every step, and one for all
        monkeypatch.setattr("fastnn.training._steps.SLICE_SECONDS", seconds)
        losses.append(fitted(X, y, batch_size=7).history["loss"])
    assert losses[0] == losses[1]
