"""Metrics of trainers: by name, as losses and as functions; with weights, and of the training rows."""

import pickle

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

oracle = pytest.importorskip("sklearn.metrics")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
WEIGHTS = RNG.uniform(0, 2, 90)
LABELS = RNG.integers(0, 3, 90)
ROWS = RNG.normal(size=(90, 3)) + X
BITS = RNG.integers(0, 2, (90, 3))


def trainer_of(loss, **settings):
    net = nn.Sequential(nn.Dense(3, 8), nn.Tanh(), nn.Dense(8, 3), dtype="float64", seed=1)
    return fastnn.Trainer(net, loss=loss, **settings)


def one_hot(labels):
    return np.eye(3)[labels]


# Each: loss, targets, metric, and what scikit-learn computes of targets, outputs and weights.
CASES = {
    "accuracy of classes": (
        "cross_entropy", LABELS, "accuracy", lambda y, z, w: oracle.accuracy_score(y, z.argmax(1), sample_weight=w)
    ),
    "accuracy of probabilities": (
        "cross_entropy", one_hot(LABELS), "accuracy",
        lambda y, z, w: oracle.accuracy_score(y.argmax(1), z.argmax(1), sample_weight=w),
    ),
    "accuracy of bits": (
        "binary_cross_entropy", BITS, "accuracy",
        lambda y, z, w: np.average((y == (z > 0)).mean(axis=1), weights=w),
    ),
    "accuracy of signs": (
        "hinge", 2 * BITS - 1, "accuracy", lambda y, z, w: np.average(((y > 0) == (z > 0)).mean(axis=1), weights=w)
    ),
    "balanced accuracy of classes": (
        "multi_margin", LABELS, "balanced_accuracy",
        lambda y, z, w: oracle.balanced_accuracy_score(y, z.argmax(1), sample_weight=w),
    ),
    "r2": ("mean_squared_error", ROWS, "r2", lambda y, z, w: oracle.r2_score(y, z, sample_weight=w)),
    "r2 of rates": ("poisson", abs(ROWS), "r2", lambda y, z, w: oracle.r2_score(y, np.exp(z), sample_weight=w)),
    "r2 of a constant": ("huber", ROWS * 0, "r2", lambda y, z, w: oracle.r2_score(y, z, sample_weight=w)),
    "rmse": (
        "huber", ROWS, "rmse",
        lambda y, z, w: np.sqrt(np.average(((y - z) ** 2).mean(axis=1), weights=w)),
    ),
    "a loss by name": (
        "mean_squared_error", ROWS, "mae", lambda y, z, w: oracle.mean_absolute_error(y, z, sample_weight=w)
    ),
    "a loss": (
        "mean_squared_error", ROWS, nn.L1Loss(columns="sum"),
        lambda y, z, w: 3 * oracle.mean_absolute_error(y, z, sample_weight=w),
    ),
}  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_figures_are_those_of_scikit_learn(impl, case, weighted):
    loss, y, metric, expected = CASES[case]
    trainer, weight = trainer_of(loss, metrics={"figure": metric}), WEIGHTS if weighted else None
    figures = trainer.evaluate(X, y, sample_weight=weight)
    assert figures["figure"] == pytest.approx(expected(y, trainer.predict(X), weight), rel=1e-9)
    history = trainer.fit(X, y, epochs=2, validation_data=(X, y, weight), verbose=0)
    assert history["val_figure"][-1] == pytest.approx(expected(y, trainer.predict(X), weight), rel=1e-9)
    assert figures["loss"] == pytest.approx(trainer_of(loss).loss(trainer_of(loss).predict(X), y, weight), rel=1e-9)


def test_balanced_accuracy_of_binary_targets(impl):
    trainer = trainer_of("binary_cross_entropy", metrics="balanced_accuracy")
    got = trainer.evaluate(X, BITS, sample_weight=WEIGHTS)["balanced_accuracy"]
    hits = (trainer.predict(X) > 0).ravel()
    expected = oracle.balanced_accuracy_score(BITS.ravel(), hits, sample_weight=np.repeat(WEIGHTS, 3))
    assert got == pytest.approx(expected, rel=1e-12)


def test_metrics_of_the_training_rows(impl):
    trainer = trainer_of("cross_entropy", metrics=["balanced_accuracy"], optimizer=optim.SGD(0.1))
    history = trainer.fit(X, LABELS, epochs=3, train_metrics=True, sample_weight=WEIGHTS, verbose=0)
    assert list(history) == ["loss", "lr", "seconds", "accuracy", "balanced_accuracy"]
    now = trainer.evaluate(X, LABELS, sample_weight=WEIGHTS)
    assert {name: history[name][-1] for name in ("accuracy", "balanced_accuracy")} == {
        name: now[name] for name in ("accuracy", "balanced_accuracy")
    }
    plain = trainer_of("cross_entropy", optimizer=optim.SGD(0.1))
    assert plain.fit(X, LABELS, epochs=3, sample_weight=WEIGHTS, verbose=0)["loss"] == history["loss"]
    assert "accuracy" not in plain.history
    with pytest.raises(KeyError, match="got 'accuracy'"):
        plain.history["accuracy"]


def test_full_batch_fits_have_metrics_too():
    history = trainer_of("mse", optimizer="lbfgs", metrics="r2").fit(X, ROWS, epochs=4, train_metrics=True, verbose=0)
    assert history["r2"][-1] > history["r2"][0]


def test_a_fit_can_have_its_own_metrics():
    trainer = trainer_of("mse", metrics="r2")
    history = trainer.fit(X, ROWS, epochs=1, validation_data=(X, ROWS), metrics=["mae"], verbose=0)
    assert list(history) == ["loss", "lr", "seconds", "val_loss", "val_mae"]
    assert list(trainer.evaluate(X, ROWS)) == ["loss", "r2"]
    assert list(trainer.evaluate(X, ROWS, metrics={})) == ["loss"]


def worst(y, output):
    return abs(y - output).max()


def test_metrics_are_kept():
    """They are shown, copied and pickled, and may be set."""
    trainer = trainer_of("mse", metrics=["r2", worst, nn.HuberLoss(delta=2.0)])
    assert list(trainer.metrics) == ["r2", "worst", "huber"]
    assert "metrics=['r2', 'worst', 'huber']" in repr(trainer)
    for twin in (trainer.copy(), pickle.loads(pickle.dumps(trainer))):
        assert twin.metrics == trainer.metrics
        assert twin.evaluate(X, ROWS) == trainer.evaluate(X, ROWS)
    trainer.metrics = None
    assert trainer.metrics == {}
    assert "metrics" not in repr(trainer)


REFUSED = {
    "numbers of classes": ("cross_entropy", LABELS, "r2", ValueError, r"metrics\['r2'\] must be a metric of classes"),
    "classes of numbers": ("mse", ROWS, "accuracy", ValueError, r"metrics\['accuracy'\] must be a metric of numbers"),
    "another loss": ("cross_entropy", LABELS, "mae", ValueError, r"metrics\['mae'\] must be a loss for classes, as"),
    "quantiles": (
        nn.QuantileLoss([0.2, 0.5, 0.8]), ROWS[:, 0], "r2", ValueError,
        r"metrics\['r2'\] must be a metric for 3 outputs of 1 target, got",
    ),
    "a class": ("mse", ROWS, nn.L1Loss, TypeError, r"metrics.* must be .*, got the class L1Loss"),
    "a nameless function": ("mse", ROWS, [lambda y, z: 0.0], TypeError, r"metrics\[0\] must be a name, .*: write"),
    "of scikit-learn": ("cross_entropy", LABELS, "f1", ValueError, r"metrics\[0\] must .*, got 'f1': write metrics=\{"),
    "twice": (
        "mse", ROWS, [nn.HuberLoss(1.0), nn.HuberLoss(2.0)], ValueError,
        "metrics must have different names, got 'huber' twice: write metrics=",
    ),
    "another accuracy": (
        "cross_entropy", LABELS, {"accuracy": "balanced_accuracy"}, ValueError,
        "metrics must have another name for another metric than accuracy",
    ),
    "a layer": ("mse", ROWS, {"a": nn.ReLU()}, TypeError, r"metrics\['a'\] must be a function of .*, got ReLU"),
    "a loss of other targets": (
        "mse", ROWS, "hinge", ValueError, r"y for metrics\['hinge'\] must contain only -1 and 1, got",
    ),
    "a loss of other columns": (
        "mse", ROWS, nn.QuantileLoss([0.2, 0.5, 0.8]), ValueError,
        r"metrics\['quantile'\] must be a loss for targets with 3 columns, got QuantileLoss.*, which takes 1",
    ),
    "the number of the epoch": ("mse", ROWS, {"epoch": worst}, ValueError, "metrics must have names other than epoch"),
    "reserved": ("mse", ROWS, {"lr": worst}, ValueError, "metrics must have names other than .*, got 'lr'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_metrics_that_do_not_fit_are_refused_before_a_step(case):
    loss, y, metrics, error, message = REFUSED[case]
    trainer = trainer_of(loss)
    with pytest.raises(error, match=message):
        trainer.fit(X, y, validation_data=(X, y), metrics=metrics, verbose=0)
    assert trainer.step_count == 0


# ---- predictions ----


def test_predictions_and_probabilities(impl):
    trainer = trainer_of("cross_entropy")
    np.testing.assert_array_equal(trainer.predict(X), trainer.net.predict(X))
    out = np.empty((90, 3))
    assert trainer.predict(X, out=out) is out
    np.testing.assert_array_equal(trainer.predict_proba(X), fastnn.kernels.softmax(trainer.predict(X)))
    trainer.loss = "binary_cross_entropy"
    np.testing.assert_array_equal(trainer.predict_proba(X), fastnn.kernels.sigmoid(trainer.predict(X)))
    one = fastnn.Trainer(nn.Sequential(nn.Dense(3, 1), seed=0), loss="log_loss")
    np.testing.assert_array_equal(one.predict_proba(X), fastnn.kernels.sigmoid(one.predict(X)))
    for loss in ("mse", "hinge", "poisson", nn.CustomLoss(worst, worst)):
        trainer.loss = loss
        assert not hasattr(trainer, "predict_proba")
        with pytest.raises(AttributeError, match=r"^Trainer.predict_proba is for losses of logits, .*: write"):
            _ = trainer.predict_proba


# ---- weights ----


def value(z, t):
    return (z - t).sum(axis=1) ** 2


def gradient(z, t):
    return np.repeat(2 * (z - t).sum(axis=1)[:, np.newaxis], z.shape[1], axis=1)


SIGNED = WEIGHTS - 1.0


def test_custom_losses_take_weights_below_0(impl):
    loss = nn.CustomLoss(value, gradient)
    trainer = trainer_of(loss, optimizer=optim.SGD(1e-3))
    z = trainer.predict(X)
    expected = SIGNED @ value(z, ROWS) / abs(SIGNED).sum()
    assert loss(z, ROWS, SIGNED) == pytest.approx(expected, rel=1e-12)
    assert trainer.evaluate(X, ROWS, sample_weight=SIGNED)["loss"] == pytest.approx(expected, rel=1e-12)
    assert fastnn.check_gradients(trainer.net, X, ROWS, loss=loss, sample_weight=SIGNED).ok
    settings = {"epochs": 1, "batch_size": 90, "shuffle": False, "verbose": 0}
    assert trainer.fit(X, ROWS, sample_weight=SIGNED, **settings)["loss"][0] == pytest.approx(expected, rel=1e-12)
    batches = trainer_of(loss, optimizer=optim.SGD(0.0))
    got = batches.fit(X, ROWS, sample_weight=SIGNED, **settings | {"batch_size": 7})["loss"][0]
    assert got == pytest.approx(expected, rel=1e-12)  # the epoch's mean is that of all rows
    validation = trainer_of(loss).fit(X, ROWS, validation_data=(X, ROWS, SIGNED), epochs=1, verbose=0)
    assert np.isfinite(validation["val_loss"][0])


def test_a_policy_gradient_of_advantages(impl):
    """The update of weights w has the direction of sum(w * grad): rows of weight -1 push the other way."""
    loss = nn.CustomLoss(lambda z, t: z[:, 0], lambda z, t: np.eye(3)[np.zeros(len(z), int)])
    nets = []
    for weight in (np.ones(90), -np.ones(90)):
        trainer = trainer_of(loss, optimizer=optim.SGD(0.1))
        start = trainer.net.params.data.copy()
        trainer.fit(X, ROWS, sample_weight=weight, epochs=1, batch_size=90, shuffle=False, verbose=0)
        nets.append(trainer.net.params.data - start)
    np.testing.assert_allclose(nets[0], -nets[1], atol=1e-15)
    assert abs(nets[0]).max() > 0


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_other_losses_refuse_weights_below_0(loss):
    y = LABELS if loss == "cross_entropy" else ROWS
    with pytest.raises(ValueError, match=r"^sample_weight must contain finite weights, none below 0, got -.*takes"):
        trainer_of(loss).fit(X, y, sample_weight=SIGNED, verbose=0)
    with pytest.raises(ValueError, match=r"^validation_data\[2\] must contain finite weights, none below 0"):
        trainer_of(loss).fit(X, y, validation_data=(X, y, SIGNED), verbose=0)
    with pytest.raises(ValueError, match=r"^sample_weight must contain finite weights, got nan$"):
        trainer_of(nn.CustomLoss(value, gradient)).fit(X, ROWS, sample_weight=np.full(90, np.nan), verbose=0)


# ---- what must not disturb ----


def test_functions_cannot_change_what_they_get():
    def spoil(y, output):
        output[...] = 0
        return 1.0

    with pytest.raises(ValueError, match="read-only"):
        trainer_of("mse").evaluate(X, ROWS, metrics={"spoil": spoil, "rmse": "rmse"})


def test_rows_of_weight_0_do_not_count_whatever_their_output_is():
    net = nn.Sequential(nn.Dense(1, 1, init="ones"), dtype="float64")
    trainer = fastnn.Trainer(net, loss="mse", metrics=["rmse", "r2", "mae"])
    figures = trainer.evaluate([[0.0], [np.nan], [1.0]], [0.0, 5.0, 3.0], sample_weight=[1.0, 0.0, 1.0])
    assert figures == pytest.approx({"loss": 2.0, "rmse": 2.0**0.5, "r2": 1 - 4 / 4.5, "mae": 1.0})


def test_metrics_are_checked_again_for_a_loss_that_a_callback_sets():
    class Set(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            if trainer.epoch == 1:
                trainer.loss = "mse"

    trainer = trainer_of("cross_entropy", metrics=["accuracy"])
    y = one_hot(LABELS)
    with pytest.raises(ValueError, match=r"^metrics\['accuracy'\] must be a metric of numbers for the loss MSELoss"):
        trainer.fit(X, y, epochs=3, validation_data=(X, y), callbacks=[Set()], verbose=0)
    assert trainer.epoch == 1


def test_the_metrics_of_a_trainer_are_its_own():
    trainer = trainer_of("mse", metrics=np.array(["r2", "mae"]))
    with pytest.raises(TypeError):
        trainer.metrics["x"] = "r2"
    assert {type(name) for name in trainer.metrics} == {str}
    fit = trainer.fit(X, ROWS, epochs=1, validation_data=(X, ROWS), metrics=np.array(["mae"]), verbose=0)
    assert fit[-1].keys() >= {"val_mae"}
    with pytest.raises(ValueError, match=r"^the result of metrics\['huge'\] must be a number that a float holds"):
        trainer.evaluate(X, ROWS, metrics={"huge": lambda y, z: 10**400})
