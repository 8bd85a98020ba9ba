"""Python functions inside programs: their arguments, their results, and the net after an exception in one."""

import signal
import threading
import time

import numpy as np
import pytest

import fastnn
from fastnn import kernels, nn, optim
from fastnn.engine import Feed, lower_training, make_executor
from fastnn.kernels.losses import LossCall


def tanh_backward(dy, x, y):
    return dy * (1 - y * y)


class Failing:
    """A function that raises in its n-th call."""

    def __init__(self, function, n, error=None):
        self.function, self.left, self.error = function, n, error or OSError("enough")

    def __call__(self, *arguments):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.function(*arguments)


def net_with(activation, dtype="float64"):
    return nn.Sequential(
        nn.Dense(6, 12, bias=False, init=nn.init.xavier_uniform()), nn.BatchNorm(12), activation, nn.Dropout(0.2),
        nn.Dense(12, 9, init=nn.init.xavier_uniform()), nn.Tanh(), nn.Dense(9, 3),
        dtype=dtype, seed=4,
    )  # fmt: skip


def problem(rows=110):
    rng = np.random.default_rng(2)
    return rng.normal(size=(rows, 6)), rng.integers(0, 3, rows)


@pytest.mark.parametrize("optimizer", [optim.Adam(1e-2), optim.SGD(0.1, momentum=0.9)], ids=["adam", "momentum"])
def test_custom_functions_train_as_the_layer_does(impl, optimizer):
    X, y = problem()
    nets = [net_with(nn.Tanh()), net_with(nn.CustomActivation(np.tanh, tanh_backward))]
    for net in nets:
        fastnn.Trainer(net, optimizer=optimizer).fit(X, y, epochs=3, batch_size=32, verbose=0)
    for name, want in nets[0].parameters().items():
        np.testing.assert_allclose(nets[1].parameters()[name], want, rtol=1e-10, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(nets[1].state.data, nets[0].state.data, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(nets[1].predict(X), nets[0].predict(X), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layers", [
    lambda custom: [custom, nn.Dense(6, 3)],
    lambda custom: [nn.Dense(6, 3), custom],
    lambda custom: [nn.Dense(6, 4), custom, nn.Dropout(0.3), nn.Dense(4, 3)],
], ids=["first", "last", "inside"])  # fmt: skip
def test_gradients(impl, layers):
    net = nn.Sequential(*layers(nn.CustomActivation(np.tanh, tanh_backward)), seed=0)
    X, y = problem(8)
    report = fastnn.check_gradients(net, X, y)
    assert report.ok, f"\n{report}"
    np.testing.assert_allclose(net.predict(X), net.forward(X), rtol=1e-6)


def test_arguments_of_the_functions(impl, dtype):
    seen = []

    def forward(x):
        seen.append((x.shape, x.dtype, x.flags.writeable, x.flags.c_contiguous))
        with pytest.raises(ValueError, match="read-only"):
            x[0, 0] = 1
        return x

    def backward(dy, x, y):
        seen.append([(a.shape, a.dtype, a.flags.writeable) for a in (dy, x, y)])
        np.testing.assert_array_equal(x, y)
        return dy.astype(np.float64).tolist()  # anything that NumPy converts to an array of numbers

    net = nn.Sequential(nn.Dense(2, 3), nn.CustomActivation(forward, backward), dtype=dtype, seed=0)
    fastnn.Trainer(net, "mean_squared_error").fit(np.ones((5, 2)), np.ones((5, 3)), epochs=1, batch_size=3, verbose=0)
    assert seen == [
        ((3, 3), dtype, False, True), [((3, 3), dtype, False)] * 3,
        ((2, 3), dtype, False, True), [((2, 3), dtype, False)] * 3,
    ]  # fmt: skip
    net.predict(np.ones((600, 2)))
    assert [each[0] for each in seen[4:]] == [(512, 3), (88, 3)]
    assert net.predict(np.ones((0, 2))).shape == (0, 3)
    assert len(seen) == 6


def test_arrays_that_a_function_keeps_stay_valid(impl):
    kept = []
    net = nn.Sequential(nn.CustomActivation(lambda x: kept.append(x) or x, tanh_backward), nn.Dense(2, 2), seed=0)
    for _ in range(3):
        net.predict(np.full((4, 2), 3.0, np.float32))
    del net
    assert all((array == 3).all() for array in kept)


@pytest.mark.parametrize(("result", "error"), [
    (lambda x: x[:, :1], "the result of forward must have shape (4, 3), got shape (4, 1)"),
    (lambda x: 1.0, "the result of forward must be 2-dimensional, of shape (4, 3), got shape ()"),
    (lambda x: x * 1j, "the result of forward must be an array of real numbers, got dtype complex64"),
    (lambda x: None, "the result of forward must be an array of real numbers, got None"),
])  # fmt: skip
def test_results_are_checked(impl, result, error):
    net = nn.Sequential(nn.Dense(2, 3), nn.CustomActivation(result, tanh_backward), seed=0)
    for call in (net.predict, lambda x: net.forward(x, training=True)):
        with pytest.raises((TypeError, ValueError)) as caught:
            call(np.ones((4, 2)))
        assert str(caught.value) == error
    net = nn.Sequential(nn.Dense(2, 3), nn.CustomActivation(np.tanh, lambda dy, x, y: dy[0]), seed=0)
    net.forward(np.ones((4, 2)), training=True)
    with pytest.raises(
        ValueError, match=r"^the result of backward must be 2-dimensional, of shape \(4, 3\), got shape \(3,\)"
    ):
        net.backward(np.ones((4, 3)))


def test_functions_are_checked():
    with pytest.raises(TypeError, match=r"^backward must be a function, got None"):
        nn.CustomActivation(np.tanh, None)


def test_no_warnings_of_arithmetic(impl):
    net = nn.Sequential(
        nn.Dense(1, 2, init=nn.init.constant(1.0)), nn.CustomActivation(np.exp, lambda dy, x, y: dy * y), seed=0
    )
    assert np.isinf(net.predict([[1e9]])).all()
    assert np.isinf(net.forward([[1e9]], training=True)).all()


@pytest.mark.parametrize("half", ["forward", "backward"])
def test_a_fit_that_raises_leaves_the_last_whole_step(impl, half):
    """11 batches an epoch; the 7th step raises, and the net equals that of 6 steps."""
    X, y = problem()
    functions = {"forward": np.tanh, "backward": tanh_backward}
    whole = net_with(nn.CustomActivation(**functions))
    order = np.arange(60)
    fastnn.Trainer(whole).fit(X[order], y[order], epochs=1, batch_size=10, shuffle=False, verbose=0)
    net = net_with(nn.CustomActivation(**functions | {half: Failing(functions[half], 7)}))
    trainer = fastnn.Trainer(net)
    with pytest.raises(OSError, match="enough") as caught:
        trainer.fit(X, y, epochs=2, batch_size=10, shuffle=False, verbose=0)
    assert "__call__" in [entry.name for entry in caught.traceback]
    assert net.training_steps == trainer.step_count == 6
    assert trainer.epoch == 0
    np.testing.assert_array_equal(net.params.data, whole.params.data)
    np.testing.assert_array_equal(net.state.data, whole.state.data)
    trainer.fit(X, y, epochs=1, batch_size=10, verbose=0)  # the training continues
    assert net.training_steps == trainer.step_count == 17
    assert trainer.epoch == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_the_exception_of_a_function_is_raised_unchanged(impl, error):
    net = net_with(nn.CustomActivation(Failing(np.tanh, 2, error), tanh_backward))
    net.predict(np.ones((1, 6)))
    with pytest.raises(type(error)) as caught:
        net.predict(np.ones((1, 6)))
    assert caught.value is error


def test_hand_written_loops_that_raise(impl):
    net = net_with(nn.CustomActivation(Failing(np.tanh, 2), Failing(tanh_backward, 1)))
    X, _ = problem(5)
    z = net.forward(X, training=True)
    with pytest.raises(OSError, match="enough"):
        net.backward(np.ones_like(z))
    before = net.params.data.copy(), net.state.data.copy()
    with pytest.raises(OSError, match="enough"):
        net.forward(X, training=True)
    assert net.training_steps == 1
    np.testing.assert_array_equal(net.params.data, before[0])
    np.testing.assert_array_equal(net.state.data, before[1])
    with pytest.raises(RuntimeError, match="call forward"):
        net.backward(np.ones_like(z))
    net.forward(X, training=True)
    net.backward(np.ones_like(z))


def test_a_function_may_not_use_its_own_net_in_training(impl):
    net = nn.Sequential(nn.Dense(2, 2), nn.CustomActivation(lambda x: net.predict(x), tanh_backward), seed=0)
    with pytest.raises(RuntimeError, match="must leave its net alone"):
        fastnn.Trainer(net).fit(np.ones((4, 2)), [0, 1, 0, 1], epochs=1, verbose=0)
    assert net.lock.holders == set()


def test_predictions_in_several_threads(native):
    X, _ = problem(700)
    names, net = (
        set(),
        net_with(nn.CustomActivation(lambda x: names.add(threading.get_ident()) or np.tanh(x), tanh_backward)),
    )
    want, wrong = net.predict(X), []

    def predict():
        wrong.extend(1 for _ in range(20) if not np.array_equal(net.predict(X), want))

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(names) >= 2


@pytest.mark.parametrize("threads", [2, 3])
def test_results_do_not_depend_on_threads(native, threads):
    X, y = problem(900)

    def fit(n):
        net = net_with(nn.CustomActivation(np.tanh, tanh_backward))
        with fastnn.num_threads(n):
            fastnn.Trainer(net).fit(X, y, epochs=2, batch_size=300, verbose=0)
        return net.params.data

    np.testing.assert_array_equal(fit(1), fit(threads))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer's signal")
def test_ctrl_c_ends_a_fit_after_a_step(impl):
    """The handler runs after the step, not inside the function."""
    X, y = problem()
    calls = []

    def slow(x):
        calls.append(1)
        time.sleep(0.01)
        return np.tanh(x)

    net = net_with(nn.CustomActivation(slow, tanh_backward))
    trainer = fastnn.Trainer(net)
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(X, y, epochs=10_000, batch_size=10, verbose=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert net.training_steps == trainer.step_count == len(calls) > 0


def squared_error(z, dz, target, weight):
    """The function of an op of kind custom_loss: labels are compared with the first column."""
    rows = target if target.ndim == 2 else target[:, np.newaxis].astype(z.dtype)
    return kernels.mean_squared_error(z.copy(), rows, weight, grad=dz)


@pytest.mark.parametrize("target", ["labels", "rows"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_a_loss_in_python(impl, target, weighted):
    """An op custom_loss with a Python squared error trains as the op of the built-in loss."""
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(50, 2)), rng.random(50) if weighted else None
    y = rng.integers(0, 1, 50) if target == "labels" else rng.normal(size=(50, 1))
    results = []
    for custom in (False, True):
        net = nn.Sequential(nn.Dense(2, 1), dtype="float64", seed=1)
        program = net.training_program(loss="mean_squared_error", target="rows", optimizer="sgd")
        rows = np.ascontiguousarray(y.reshape(50, -1), float)
        if custom:
            call = LossCall("squared_error", target, 1, function=squared_error)
            program = lower_training(*net.emit(training=True), loss=call, optimizer="sgd")
            rows = y if target == "labels" else rows
        executor = make_executor(program, net.dtype, 20, net.params, net.state, net.grads, (), 0)
        feed = Feed(X, np.arange(50), 20, rows, weight)
        results.append((executor.run_steps(feed, 0, 3, np.full((3, 1), 0.1), 0, 10.0, 1), net.params.data))
    for result in results:
        assert result[0].done == 3
        assert result[0].error is None
    np.testing.assert_allclose(results[1][0][1:3], results[0][0][1:3], rtol=1e-12)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-12)
