"""Arrays that the caller changes during a training cause an error or have no effect, never a crash."""

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.data import Scaler

RNG = np.random.default_rng(0)
N = 60


def calling(event, change, at=2):
    """Return a callback that calls a function at the `at`-th call of a callback method."""

    def run(self, trainer, *logs):
        self.calls += 1
        if self.calls == at:
            change()

    return type("Change", (fastnn.Callback,), {event: run, "calls": 0})()


def trainer_of(loss="cross_entropy", outputs=20, inputs=4, dtype="float32"):
    net = nn.Sequential(nn.Dense(inputs, 8), nn.ReLU(), nn.Dense(8, outputs), dtype=dtype, seed=0)
    return fastnn.Trainer(net, loss, optim.SGD(0.01))


def fit(trainer, X, y, change, event="on_epoch_end", **settings):
    settings = {"epochs": 4, "batch_size": 7, "verbose": 0} | settings
    return trainer.fit(X, y, callbacks=[calling(event, change)], **settings)


LOSSES = {
    "cross entropy": ("cross_entropy", 20),
    "cross entropy of three": (nn.CrossEntropyLoss(), 3),
    "weighted, smoothed": (nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0], label_smoothing=0.1), 3),
    "log loss": ("log_loss", 5),
    "multi margin": ("multi_margin", 5),
    "custom": (
        nn.CustomLoss(lambda z, t: z[np.arange(len(z)), t], lambda z, t: np.eye(z.shape[1])[t], target="labels"),
        5,
    ),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("value", [10**8, -1, 2**62, None], ids=str)
@pytest.mark.parametrize("event", ["on_epoch_end", "on_epoch_begin", "on_batch_end", "on_progress"])
@pytest.mark.parametrize("loss", LOSSES)
def test_labels_out_of_range_are_an_error(impl, loss, event, value):
    loss, k = LOSSES[loss]
    X, y = RNG.normal(size=(N, 4)), RNG.integers(0, k, N)
    value = k if value is None else value
    trainer = trainer_of(loss, k)

    def change():
        y[:] = value

    got = rf"{value} in row \d+ \(it has changed since the training began\)"
    message = rf"^y must contain integers from 0 to {k - 1}, got {got}: do not change y during a fit"
    with pytest.raises(ValueError, match=message):
        fit(trainer, X, y, change, event)
    steps = trainer.step_count
    assert steps == trainer.net.training_steps > 0
    y[:] = 0
    trainer.fit(X, y, epochs=1, batch_size=7, verbose=0)  # the error has no later effect
    assert trainer.step_count == steps + 9


def reshape(array, shape):
    def change():
        array.shape = shape

    return change


CHANGES = {
    "X in other rows": lambda X, y, w: reshape(X, (N // 2, 8)),
    "X flat": lambda X, y, w: reshape(X, (-1,)),
    "X in more columns": lambda X, y, w: reshape(X, (1, -1)),
    "y as a matrix": lambda X, y, w: reshape(y, (2, -1)),
    "y as one": lambda X, y, w: reshape(y, (1, -1)),
    "weights as a matrix": lambda X, y, w: reshape(w, (-1, 1)),
    "X as bytes": lambda X, y, w: lambda: setattr(X, "dtype", np.uint8),
    "y as bytes": lambda X, y, w: lambda: setattr(y, "dtype", np.uint8),
}


@pytest.mark.sampled(4)
@pytest.mark.filterwarnings("ignore:Setting the (shape|dtype):DeprecationWarning")
@pytest.mark.parametrize("event", ["on_fit_begin", "on_epoch_begin", "on_batch_end"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
def test_shapes_that_change_have_no_effect(impl, loss, change, event):
    X = RNG.normal(size=(N, 4)).astype(np.float32)
    y = RNG.integers(0, 3, N) if loss == "cross_entropy" else RNG.normal(size=(N, 3)).astype(np.float32)
    w = RNG.uniform(1, 2, N)
    same, other = trainer_of(loss, 3), trainer_of(loss, 3)
    copies = X.copy(), y.copy(), w.copy()
    same.fit(*copies[:2], epochs=4, batch_size=7, verbose=0, sample_weight=copies[2], validation_data=copies[:2])
    at = 1 if event == "on_fit_begin" else 2
    callback = calling(event, CHANGES[change](X, y, w), at)
    other.fit(X, y, epochs=4, batch_size=7, verbose=0, sample_weight=w, validation_data=(X, y), callbacks=[callback])
    assert callback.calls >= at
    np.testing.assert_array_equal(other.net.params.data, same.net.params.data)
    assert other.history["val_loss"] == same.history["val_loss"]


@pytest.mark.parametrize("what", ["X", "y", "weight", "base"])
def test_memory_cannot_be_freed_during_a_fit(impl, what):
    """`resize(refcheck=False)` would free memory that the training still reads."""
    base = RNG.normal(size=(N + 1, 4)).astype(np.float32)
    arrays = {
        "X": base[1:] if what == "base" else base[1:].copy(),
        "y": RNG.integers(0, 3, N),
        "weight": RNG.uniform(1, 2, N),
        "base": base,
    }
    trainer = trainer_of("cross_entropy", 3)
    with pytest.raises(ValueError, match="cannot resize"):
        fit(
            trainer,
            arrays["X"],
            arrays["y"],
            lambda: arrays[what].resize(10**6, refcheck=False),
            sample_weight=arrays["weight"],
        )
    trainer.fit(arrays["X"], arrays["y"], epochs=1, verbose=0)
    if what != "base":
        arrays[what].resize(3, refcheck=False)  # allowed again after the fit


@pytest.mark.parametrize("which", [0, 1])
def test_memory_of_validation_data_cannot_be_freed_either(impl, which):
    X, y = RNG.normal(size=(N, 4)).astype(np.float32), RNG.integers(0, 3, N)
    validation = X.copy(), y.copy()
    with pytest.raises(ValueError, match="cannot resize"):
        fit(
            trainer_of("cross_entropy", 3),
            X,
            y,
            lambda: validation[which].resize(10**6, refcheck=False),
            validation_data=validation,
        )


def test_arrays_of_a_scaler_cannot_be_changed(impl):
    X, y = RNG.normal(size=(N, 4)).astype(np.float32), RNG.integers(0, 3, N)
    center, scale = np.ones(4), np.full(4, 2.0)
    nets = []
    for spoil in (False, True):
        trainer = trainer_of("cross_entropy", 3)
        trainer.net.scaler = Scaler(center.copy(), scale.copy())

        def change(net=trainer.net, spoil=spoil):
            for vector in (net.scaler.center, net.scaler.scale):
                assert not vector.flags.writeable
                with pytest.raises(ValueError, match=r"read-only|cannot set"):
                    vector[0] = np.nan
                with pytest.raises(ValueError, match="resize"):
                    vector.resize(1, refcheck=False)

        fit(trainer, X, y, change if spoil else lambda: None)
        nets.append(trainer.net)
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    np.testing.assert_array_equal(nets[0].predict(X), nets[1].predict(X))


def test_a_scaler_set_during_a_fit_applies_from_the_next_step(impl):
    """A fit whose callback sets a scaler equals two fits with the scaler set between them."""
    X, y = RNG.normal(size=(N, 4)).astype(np.float32), RNG.integers(0, 3, N)
    at_once, in_two = trainer_of("cross_entropy", 3), trainer_of("cross_entropy", 3)
    new = Scaler(0.5, 3.0)
    fit(at_once, X, y, lambda: setattr(at_once.net, "scaler", new))
    in_two.fit(X, y, epochs=2, batch_size=7, verbose=0)
    in_two.net.scaler = new
    in_two.fit(X, y, epochs=2, batch_size=7, verbose=0)
    np.testing.assert_array_equal(at_once.net.params.data, in_two.net.params.data)
    fit(at_once, X, y, lambda: setattr(at_once.net, "scaler", None))
    in_two.fit(X, y, epochs=2, batch_size=7, verbose=0)
    in_two.net.scaler = None
    in_two.fit(X, y, epochs=2, batch_size=7, verbose=0)
    np.testing.assert_array_equal(at_once.net.params.data, in_two.net.params.data)


def test_metrics_cannot_change_the_targets(impl):
    X, y = RNG.normal(size=(N, 4)).astype(np.float32), RNG.integers(0, 3, N)

    def spoil(targets, outputs):
        targets[0] = 10**8
        return 0.0

    with pytest.raises(ValueError, match="read-only"):
        trainer_of("cross_entropy", 3).evaluate(X, y, metrics={"spoil": spoil})


def test_parts_of_a_net_cannot_be_replaced(impl):
    """Views and compiled programs refer to the memory of layers and arenas."""
    net = trainer_of("cross_entropy", 3).net
    before = net.params.data.copy()
    with pytest.raises(AttributeError, match=r"^Sequential\.layers cannot be set again"):
        net.__init__(nn.Dense(4, 100))
    for name in ("layers", "dtype", "seed", "in_features", "out_features", "params", "state", "grads", "lock"):
        with pytest.raises(AttributeError, match=f"^Sequential.{name} is read-only"):
            setattr(net, name, getattr(net, name))
        with pytest.raises(AttributeError, match="read-only"):
            delattr(net, name)
    for name in ("trainable", "training", "layer"):
        with pytest.raises(AttributeError, match=f"^Sequential has no attribute '{name}' to set: "):
            setattr(net, name, False)
    for arena in (net.params, net.state, net.grads):
        with pytest.raises(AttributeError):
            arena.data = np.zeros(3)
        base = arena.data
        while base is not None:
            if isinstance(base, np.ndarray):
                with pytest.raises(ValueError, match="resize"):
                    base.resize(3, refcheck=False)
            base = base.base
    np.testing.assert_array_equal(net.params.data, before)


def test_executors_refuse_arrays_of_other_shapes(impl):
    """Executors check the sizes of arrays themselves, as they read and write raw memory."""
    from fastnn.engine import Feed, make_executor

    trainer = trainer_of("cross_entropy", 3)
    net = trainer.net
    program = net.training_program(loss=trainer.loss, target="labels", optimizer=trainer.as_update())
    slots = (np.zeros(net.params.layout.size, np.float32),)
    for wrong in (slots, (slots[0][:5],), slots * 3):
        with pytest.raises(ValueError, match=r"^slots must be 0 arrays of \d+ entries"):
            make_executor(program, net.dtype, 10, net.params, net.state, net.gradient_arena(), wrong)
    executor = make_executor(program, net.dtype, 10, net.params, net.state, net.gradient_arena(), ())
    good = {"x": np.zeros((10, 4), np.float32), "order": np.arange(10), "batch_size": 10, "y": np.zeros(10, np.int64)}
    scalars = trainer.scalars(1)[1]
    executor.run_steps(Feed(**good), 0, 1, scalars, 0, 1.0, 1)
    with pytest.raises(ValueError, match=r"^scalars must \w+ rows of 1 numbers, got 3"):
        executor.run_steps(Feed(**good), 0, 1, np.zeros((1, 3)), 0, 1.0, 1)
    order = np.arange(10)
    order[3] = 10**12
    error = executor.run_steps(Feed(**good | {"order": order}), 0, 1, scalars, 0, 1.0, 1).error
    assert str(error) == "order must contain row numbers from 0 to 9, got 1000000000000"
    predictor = net._runners.take(net.inference_program, "native" if impl != "reference" else "reference", 5)
    for x, out in ((np.zeros((5, 3)), np.zeros((5, 3))), (np.zeros((5, 4)), np.zeros((4, 3)))):
        with pytest.raises(ValueError, match=r"must have|shape"):
            predictor.predict(x.astype(np.float32), out.astype(np.float32), 1)


def test_custom_functions_cannot_free_memory_of_a_prediction(impl):
    X = RNG.normal(size=(3000, 4)).astype(np.float32)

    def tanh(x):
        X.resize((1, 4), refcheck=False)
        return np.tanh(x)

    custom = nn.CustomActivation(tanh, lambda dy, x, y: dy * (1 - y * y))
    net = nn.Sequential(nn.Dense(4, 3), custom, seed=0)
    with pytest.raises(ValueError, match="cannot resize"):
        net.predict(X)


def test_metrics_cannot_free_memory_of_an_evaluation(impl):
    X, y = RNG.normal(size=(3000, 4)).astype(np.float32), RNG.integers(0, 3, 3000)
    metrics = {"spoil": lambda t, z: y.resize(1, refcheck=False) or 0.0, "sum": lambda t, z: float(t.sum())}
    with pytest.raises(ValueError, match="cannot resize"):
        trainer_of("cross_entropy", 3).evaluate(X, y, metrics=metrics)


def test_arrays_of_an_arena_are_new_views(impl):
    net = trainer_of("cross_entropy", 3).net
    X = RNG.normal(size=(5, 4)).astype(np.float32)
    wanted = net.predict(X)
    flat = net.params.data
    flat.flags.writeable = False
    assert net.params.data.flags.writeable
    np.testing.assert_array_equal(net.predict(X), wanted)
    with pytest.raises(ValueError, match=r"^out must share no memory with the net's parameters"):
        net.predict(X, out=net.params.data[:15].reshape(5, 3))
