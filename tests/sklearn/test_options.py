"""The options that scikit-learn's estimators do not have: each agrees with fastnn's own nets and trainer."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
import sklearn
from sklearn.datasets import load_iris, make_classification, make_regression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import nn, optim
from fastnn.sklearn import MLPClassifier, MLPRegressor, _rows

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NUMBERS = make_regression(n_samples=120, n_features=5, random_state=0)


def classifier(**parameters):
    return MLPClassifier(
        **{"random_state": 0, "max_iter": 12, "batch_size": 32, "hidden_layer_sizes": (9, 6)} | parameters
    )


def net_of(estimator):
    return [repr(layer) for layer in estimator._model.net.layers]


@pytest.mark.parametrize(
    ("parameters", "layers"),
    [
        ({"activation": "mish"}, ["Mish()"] * 2),
        ({"activation": ["relu", "tanh"]}, ["ReLU()", "Tanh()"]),
        ({"activation": ("logistic", nn.LeakyReLU(0.3))}, ["Sigmoid()", "LeakyReLU(negative_slope=0.3)"]),
        ({"activation": nn.LeakyReLU(0.3)}, ["LeakyReLU(negative_slope=0.3)"] * 2),
        ({"dropout": 0.2}, ["ReLU()", "Dropout(p=0.2)"] * 2),
        ({"dropout": [0.0, 0.5]}, ["ReLU()", "ReLU()", "Dropout()"]),
        ({"batch_norm": True}, [f"BatchNorm({n})" if n else "ReLU()" for n in (9, 0, 6, 0)]),
    ],
)  # fmt: skip
def test_layers_by_name(parameters, layers):
    fit = classifier(**parameters).fit(X, Y)
    assert [layer for layer in net_of(fit) if not layer.startswith("Dense")] == layers
    assert [coef.shape for coef in fit.coefs_] == [(4, 9), (9, 6), (6, 3)]
    assert [intercept.shape for intercept in fit.intercepts_] == [(9,), (6,), (3,)]
    assert fit.loss_curve_[-1] < fit.loss_curve_[0]


def test_every_activation_of_the_registry_can_be_named():
    names = {*MLPClassifier._parameter_constraints["activation"][0].names, "logistic", "Swish", "hard-tanh"}
    assert names >= {"gelu", "mish", "prelu"}
    for name in names:
        assert np.isfinite(classifier(activation=name, max_iter=2).fit(X, Y).loss_), name


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_slopes_are_trained(solver):
    fit = classifier(activation="prelu", solver=solver, learning_rate_init=0.01).fit(X, Y)
    assert fit.other_parameters_.keys() == {"1.weight", "3.weight"}
    assert all((slopes != 0.25).any() for slopes in fit.other_parameters_.values())


def by_trainer(estimator, loss, epochs, **parameters):
    """Train the same net from the same weights by fastnn's trainer, without shuffling."""
    net = nn.Sequential(nn.Dense(4, 9), nn.ReLU(), nn.Dense(9, 3), dtype="float64", seed=0)
    start = classifier(hidden_layer_sizes=(9,)).set_params(max_iter=1, learning_rate_init=1e-300, alpha=0).fit(X, Y)
    for layer, coef, intercept in zip(net.layers[::2], start.coefs_, start.intercepts_, strict=True):
        layer.weight[...], layer.bias[...] = coef, intercept
    trainer = fastnn.Trainer(net, loss, **parameters)
    trainer.fit(X, Y, epochs=epochs, batch_size=32, shuffle=False, verbose=0)
    return net


@pytest.mark.parametrize(
    ("parameters", "trainer"),
    [
        ({"optimizer": "RMSprop", "learning_rate_init": 0.01}, {"optimizer": optim.RMSprop(lr=0.01)}),
        ({"optimizer": optim.SGD(lr=0.1, momentum=0.5)}, {"optimizer": optim.SGD(lr=0.1, momentum=0.5)}),
        ({"optimizer": "AdamW", "weight_decay": 0.1}, {"optimizer": optim.AdamW(lr=1e-3, weight_decay=0.1)}),
        ({"optimizer": "Adam", "clip_norm": 0.1}, {"optimizer": optim.Adam(lr=1e-3), "clip_norm": 0.1}),
        ({"optimizer": "Adam", "clip_value": 0.01}, {"optimizer": optim.Adam(lr=1e-3), "clip_value": 0.01}),
        ({"solver": "adam", "weight_decay": 0.1}, {"optimizer": optim.Adam(lr=1e-3, eps_hat=True, weight_decay=0.1)}),
        (
            {"optimizer": "SGD", "schedule": "CosineAnnealingLR"},
            {"optimizer": optim.SGD(lr=1e-3), "schedule": optim.CosineAnnealingLR(4)},
        ),
        (
            {"optimizer": "SGD", "schedule": optim.StepLR(2, gamma=0.1)},
            {"optimizer": optim.SGD(lr=1e-3), "schedule": optim.StepLR(2, gamma=0.1)},
        ),
        (
            {"optimizer": "SGD", "schedule": lambda epoch: 1.0 / (1 + epoch)},
            {"optimizer": optim.SGD(lr=1e-3), "schedule": lambda epoch: 1.0 / (1 + epoch)},
        ),
        (
            {"optimizer": "Adam", "loss": nn.CrossEntropyLoss(label_smoothing=0.1)},
            {"optimizer": optim.Adam(lr=1e-3), "loss": nn.CrossEntropyLoss(label_smoothing=0.1)},
        ),
        (
            {"optimizer": "Adam", "loss": nn.CrossEntropyLoss(weight=[1, 5, 100], label_smoothing=0.1)},
            {"optimizer": optim.Adam(lr=1e-3), "loss": nn.CrossEntropyLoss(weight=[1, 5, 100], label_smoothing=0.1)},
        ),
    ],
)
def test_options_give_the_same_as_a_trainer(parameters, trainer):
    fit = classifier(hidden_layer_sizes=(9,), max_iter=4, alpha=0, shuffle=False, **parameters).fit(X, Y)
    net = by_trainer(fit, trainer.pop("loss", "log_loss"), 4, **trainer)
    for coef, layer in zip(fit.coefs_, net.layers[::2], strict=True):
        np.testing.assert_array_equal(coef, layer.weight)


@pytest.mark.parametrize("loss", ["huber", "mean_absolute_error", nn.QuantileLoss(0.9), "log_cosh"])
def test_losses_of_regression(loss):
    features, y = NUMBERS[0], NUMBERS[1] / 50
    fit = MLPRegressor(loss=loss, random_state=0, max_iter=80, learning_rate_init=0.01).fit(features, y)
    assert fit.loss_ < 0.7 * fit.loss_curve_[0]
    if isinstance(loss, nn.Loss):
        assert 0.8 < np.mean(y < fit.predict(features)) < 1


def test_class_weights():
    rng = np.random.default_rng(0)
    features, y = make_classification(300, weights=[0.9], flip_y=0.1, random_state=0)
    names = np.array(["few", "many"])[1 - y]
    weight = rng.uniform(0.5, 1.5, 300)
    by_name = {"few": 5.0, "many": 0.5}
    have = classifier(class_weight=by_name).fit(features, names, sample_weight=weight)
    want = classifier().fit(features, names, sample_weight=weight * np.where(names == "few", 5.0, 0.5))
    np.testing.assert_array_equal(have.coefs_[0], want.coefs_[0])
    balanced = classifier(class_weight="balanced", max_iter=60).fit(features, names)
    plain = classifier(max_iter=60).fit(features, names)
    assert np.mean(balanced.predict(features) == "few") > np.mean(plain.predict(features) == "few")


def test_an_eval_set_has_a_curve():
    held_out = X[::3], Y[::3]
    fit = classifier().fit(X, Y, eval_set=held_out)
    assert len(fit.validation_loss_curve_) == fit.n_iter_ == 12
    assert fit.validation_loss_curve_[-1] == pytest.approx(
        log_loss(held_out[1], fit.predict_proba(held_out[0])), rel=1e-12
    )
    assert fit.validation_scores_ is None
    weight = np.linspace(0.1, 1, len(held_out[1]))
    weighted = classifier().fit(X, Y, eval_set=(*held_out, weight))
    want = log_loss(held_out[1], weighted.predict_proba(held_out[0]), sample_weight=weight)
    assert weighted.validation_loss_curve_[-1] == pytest.approx(want, rel=1e-12)
    np.testing.assert_array_equal(weighted.coefs_[0], classifier().fit(X, Y).coefs_[0])
    reg = MLPRegressor(max_iter=3, random_state=0).fit(*NUMBERS, eval_set=NUMBERS)
    want = np.mean((reg.predict(NUMBERS[0]) - NUMBERS[1]) ** 2) / 2
    assert reg.validation_loss_curve_[-1] == pytest.approx(want, rel=1e-12)


def test_early_stopping_takes_the_eval_set_and_a_scorer():
    held_out = X[::3], Y[::3]
    fit = classifier(early_stopping=True, scoring="balanced_accuracy", max_iter=8).fit(X, Y, eval_set=held_out)
    assert fit.t_ == 8 * len(X)
    assert fit.best_validation_score_ == balanced_accuracy_score(held_out[1], fit.predict(held_out[0]))
    assert len(fit.validation_scores_) == len(fit.validation_loss_curve_) == 8

    calls = []

    def scorer(estimator, features, y):
        calls.append(estimator.predict_proba(features).shape)
        return -len(calls)

    fit = classifier(early_stopping=True, scoring=scorer, n_iter_no_change=3).fit(X, Y)
    assert fit.validation_scores_ == [-1, -2, -3, -4, -5]
    assert calls == [(15, 3)] * 5
    first = classifier(early_stopping=True, max_iter=1).fit(X, Y)
    np.testing.assert_array_equal(fit.coefs_[0], first.coefs_[0])

    fit = classifier(early_stopping=True, scoring="loss", batch_norm=True, dropout=0.1, max_iter=5).fit(X, Y)
    np.testing.assert_allclose(fit.validation_scores_, -np.array(fit.validation_loss_curve_))
    assert fit.best_validation_score_ == max(fit.validation_scores_)


def test_early_stopping_restores_the_running_statistics_of_the_best_epoch():
    held_out = X[::3], Y[::3]
    options = {"early_stopping": True, "batch_norm": True, "learning_rate_init": 0.5, "n_iter_no_change": 3}
    fit = classifier(scoring="neg_log_loss", max_iter=30, **options).fit(X, Y, eval_set=held_out)
    assert -log_loss(held_out[1], fit.predict_proba(held_out[0])) == pytest.approx(
        max(fit.validation_scores_), rel=1e-12
    )
    assert fit.n_iter_ < 30


class Recorder(fastnn.Callback):
    def __init__(self, stop_after=None, raises=False):
        self.calls, self.stop_after, self.raises = [], stop_after, raises

    def on_fit_begin(self, trainer):
        self.calls.append("begin")

    def on_epoch_end(self, trainer, logs):
        self.calls.append(logs)
        if self.raises:
            raise RuntimeError("enough")
        if len(trainer.history.epochs) == self.stop_after:
            trainer.stop()

    def on_fit_end(self, trainer):
        self.calls.append("end")


class Batches(Recorder):
    def on_batch_end(self, trainer, logs):
        self.calls.append(logs["batch_loss"])
        if len(self.calls) == 8:
            trainer.stop()


def test_callbacks():
    recorder = Recorder(stop_after=4)
    fit = classifier(callbacks=[recorder], early_stopping=True).fit(X, Y, eval_set=(X, Y))
    assert fit.n_iter_ == 4
    assert recorder.calls[0] == "begin" and recorder.calls[-1] == "end"
    logs = recorder.calls[1:-1]
    assert [log["loss"] for log in logs] == fit.loss_curve_
    assert [log["val_loss"] for log in logs] == fit.validation_loss_curve_
    assert [log["val_score"] for log in logs] == fit.validation_scores_
    recorder = Recorder(raises=True)
    with pytest.raises(RuntimeError, match="enough"):
        classifier(callbacks=[recorder]).fit(X, Y)
    assert recorder.calls[-1] == "end"
    batches = Batches()
    fit = classifier(callbacks=(batches,), batch_size=50).fit(X, Y)
    losses = batches.calls[1:4]
    assert fit.loss_curve_[0] == pytest.approx(np.mean(losses))
    assert fit.n_iter_ == 2  # the epoch that was cut short counts
    assert fit.loss_curve_[1] == pytest.approx(np.mean(batches.calls[5:8]))


class Weights(fastnn.Callback):
    """Copies the first layer's weight after the steps that it observes.

    It reads a view that it made before the fit: making a view would give the values their usual order.
    """

    def __init__(self, observes):
        self.observes, self.seen = observes, {}

    def on_fit_begin(self, trainer):
        self.weight = trainer.net.layers[0].weight

    def on_batch_end(self, trainer, logs):
        assert logs["batch"] == (trainer.step_count - 1) % logs["batches"] + 1
        self.seen[trainer.step_count] = self.weight.copy()
        np.testing.assert_array_equal(self.seen[trainer.step_count], trainer.net.layers[0].weight)


def partial_fits(estimator, X, y):
    for _ in range(2):
        estimator.partial_fit(X, y, classes=np.unique(y))
    return estimator


@pytest.mark.sampled(5)
@pytest.mark.parametrize("observes", ["step", 3, 33, 1000, "progress", "epoch"])
@pytest.mark.parametrize("fit", [lambda *args: args[0].fit(*args[1:]), partial_fits], ids=["fit", "partial_fit"])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_fit_that_is_observed_now_and_then(impl, monkeypatch, sparse, fit, observes):
    """The weights are those that a callback after every step sees; they are large enough for panels in between.

    A sparse X comes in two feeds for each epoch, of 45 and 25 steps: looks are counted across them.
    """
    rng, steps, epochs = np.random.default_rng(0), 70, 2
    X, y = rng.normal(size=(10 * steps - 4, 70)).astype(np.float32), rng.integers(3, size=10 * steps - 4)
    if sparse:
        monkeypatch.setattr(_rows, "BLOCK", 45 * 10 * 70)
        X = scipy.sparse.csr_array(X)
    every, some = Weights("step"), Weights(observes)
    fits = [
        fit(classifier(hidden_layer_sizes=(300,), batch_size=10, max_iter=epochs, callbacks=each), X, y)
        for each in (None, [every], [some])
    ]
    assert list(every.seen) == list(range(1, steps * epochs + 1))
    every_k = {"step": 1, "progress": None, "epoch": None}.get(observes, observes)
    of_epoch = [k for k in range(1, steps + 1) if every_k and (k % every_k == 0 or k == steps)]
    assert list(some.seen) == [steps * epoch + k for epoch in range(epochs) for k in of_epoch]
    for step, weight in some.seen.items():
        np.testing.assert_array_equal(weight, every.seen[step])
    for each in fits[1:]:
        np.testing.assert_array_equal(each.coefs_[0], fits[0].coefs_[0])


def test_fastnn_stops_early_and_lowers_the_rate_as_well():
    stopping = fastnn.EarlyStopping(monitor="val_loss", patience=1, min_delta=10.0)
    assert classifier(callbacks=[stopping]).fit(X, Y, eval_set=(X, Y)).n_iter_ == 2
    plateau = fastnn.ReduceLROnPlateau("loss", factor=0.5, patience=0, threshold=0.99)
    fit = classifier(callbacks=[plateau], solver="sgd").fit(X, Y)
    assert fit._optimizer.learning_rate < 1e-3


@pytest.mark.parametrize(
    "schedule",
    [None, "CosineAnnealingLR", optim.StepLR(2, gamma=0.1), optim.ExponentialLR(0.9, every="step"), lambda t: 0.5**t],
)
def test_the_rate_in_logs_is_that_of_the_last_step(schedule):
    """As in a trainer's history."""

    def fit_and_rates(**parameters):
        recorder = Recorder()
        fit = classifier(callbacks=[recorder], max_iter=4, learning_rate_init=0.1, **parameters).fit(X, Y)
        return fit, [logs["lr"] for logs in recorder.calls[1:-1]]

    fit, rates = fit_and_rates(schedule=schedule)
    named = optim.CosineAnnealingLR(4) if isinstance(schedule, str) else schedule
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 3), seed=0), optimizer=optim.Adam(0.1), schedule=named)
    assert rates == trainer.fit(X, Y, epochs=4, batch_size=32, verbose=0)["lr"]
    assert fit._model.trainer.history["lr"] == rates
    assert fit._model.trainer.lr == 0.1
    _, rates = fit_and_rates(solver="sgd", learning_rate="invscaling")
    np.testing.assert_allclose(rates, [0.1, *(0.1 / np.sqrt(150 * epoch + 1) for epoch in (1, 2, 3))])


def test_progress_bar(capsys):
    classifier(verbose="bar", max_iter=2).fit(X, Y)
    out, err = capsys.readouterr()
    assert "2/2" in out + err
    assert "Iteration" not in out


@pytest.mark.parametrize("init", ["xavier_uniform", nn.init.constant(0.25), lambda shape, random: np.full(shape, 0.5)])
def test_initialisers(init):
    fit = classifier(init=init, max_iter=1, learning_rate_init=1e-300, alpha=0).fit(X, Y)
    values = {"xavier_uniform": None}.get(init, 0.5) if isinstance(init, str) else fit.coefs_[0][0, 0]
    assert np.abs(fit.intercepts_[0]).max() < 1e-290
    if values is None:
        bound = np.sqrt(6 / (4 + 9))
        assert 0.5 * bound < np.abs(fit.coefs_[0]).max() <= bound
        again = classifier(init=init, max_iter=1, learning_rate_init=1e-300, alpha=0).fit(X, Y)
        np.testing.assert_array_equal(again.coefs_[0], fit.coefs_[0])
        other = classifier(init=init, max_iter=1, random_state=1, learning_rate_init=1e-300, alpha=0).fit(X, Y)
        assert not np.array_equal(other.coefs_[0], fit.coefs_[0])
    else:
        assert (fit.coefs_[0] == values).all() and values in (0.25, 0.5)


@pytest.mark.parametrize("dtype", ["float32", np.float32, "float64", np.float64])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_dtype(dtype, solver):
    for given in (X, X.astype(np.float32)):
        fit = classifier(dtype=dtype, solver=solver, max_iter=2).fit(given, Y)
        assert {array.dtype for array in fit.coefs_ + fit.intercepts_} == {np.dtype(dtype)}
        assert fit.predict_proba(given).dtype == dtype


def test_results_do_not_depend_on_threads():
    one, two = (classifier(n_threads=n).fit(X, Y) for n in (1, 2))
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    seen = []

    class ThreadRecorder(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            seen.append(fastnn.get_num_threads())

    classifier(n_threads=3, max_iter=1, callbacks=[ThreadRecorder()]).fit(X, Y)
    assert seen == [3]


def test_dropout_depends_on_the_seed_and_is_off_in_predictions():
    one, same, other = (classifier(dropout=0.5, random_state=seed).fit(X, Y) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.coefs_[0], same.coefs_[0])
    assert not np.array_equal(one.coefs_[0], other.coefs_[0])
    np.testing.assert_array_equal(one.predict_proba(X), one.predict_proba(X))
    np.testing.assert_array_equal(one.predict_proba(X[:7]), one.predict_proba(X)[:7])


BAD = [
    ({"activation": "swosh"}, "The 'activation' parameter of MLPClassifier must be"),
    ({"activation": ["relu"]}, "activation must have one value per hidden layer, 2 in all, got 1 values"),
    ({"activation": ["relu", "swosh"]}, "activation must be one of .*, got 'swosh'"),
    ({"activation": ["relu", nn.Dense(2, 2)]}, "activation must be a layer that takes any width"),
    ({"dropout": 1.0}, "The 'dropout' parameter of MLPClassifier must be"),
    ({"dropout": [0.1]}, "dropout must have one value per hidden layer, 2 in all, got 1 values"),
    ({"dropout": [0.1, 2.0]}, r"dropout\[1\] must be a number in \[0, 1\], got 2.0"),
    ({"batch_norm": "yes"}, "The 'batch_norm' parameter"),
    (
        {"batch_norm": True, "batch_size": 1},
        "batch_size must be at least 2 with batch_norm=True, got 1 with n_samples=150",
    ),
    ({"optimizer": "Adamox"}, "The 'optimizer' parameter"),
    ({"optimizer": "adamz"}, r"The 'optimizer' parameter of MLPClassifier must be .* instead: did you mean 'Adam'\?$"),
    ({"optimizer": optim.Adam}, r"The 'optimizer' parameter .* instead: write optim.Adam\(\)$"),
    ({"loss": nn.HuberLoss}, r"The 'loss' parameter .* instead: write nn.HuberLoss\(\)$"),
    ({"learning_rate": 0.01}, "The 'learning_rate' parameter .* instead: write learning_rate_init=0.01$"),
    ({"callbacks": fastnn.EarlyStopping()}, r"The 'callbacks' parameter .* instead: write callbacks=\[\.\.\.\]$"),
    ({"schedule": "linear"}, "The 'schedule' parameter .* instead: write \"PolynomialLR\", which falls to 0"),
    ({"loss": "rmse"}, "The 'loss' parameter .* instead: write \"mean_squared_error\""),
    (
        {"optimizer": optim.Adam(), "learning_rate_init": 0.1},
        "learning_rate_init must be 0.001, the default, if optimizer is an object, got 0.1: set the lr of the",
    ),
    ({"optimizer": "RMSprop", "weight_decay": -1.0}, "The 'weight_decay' parameter"),
    (
        {"optimizer": optim.Adam(), "weight_decay": 0.1, "learning_rate_init": 0.001},
        "weight_decay must be None if optimizer is an object, got 0.1: set the weight_decay of the optimizer",
    ),
    ({"schedule": "StepLR"}, "The 'schedule' parameter"),
    ({"clip_norm": 0}, "The 'clip_norm' parameter"),
    ({"clip_value": -1.0}, "The 'clip_value' parameter"),
    ({"class_weight": "equal"}, "The 'class_weight' parameter"),
    ({"scoring": "quality"}, "The 'scoring' parameter"),
    ({"callbacks": print}, "The 'callbacks' parameter"),
    ({"callbacks": [print]}, r"callbacks\[0\] must be a fastnn.Callback, got builtin_function_or_method"),
    ({"init": "zeroes"}, "The 'init' parameter"),
    ({"dtype": "float16"}, "The 'dtype' parameter"),
    ({"n_threads": 0}, "The 'n_threads' parameter"),
    ({"loss": "tripled"}, "The 'loss' parameter"),
    (
        {"loss": "mse"},
        "loss must be a loss of classes, .*, got 'mse': regression losses are for MLPRegressor$",
    ),
    ({"loss": nn.PoissonNLLLoss()}, "loss must be a loss of classes, such as .*"),
    ({"verbose": "loud"}, "The 'verbose' parameter"),
    (
        {"solver": "lbfgs", "dropout": 0.5},
        "dropout must be 0.0 with solver='lbfgs', got 0.5: use solver='sgd' or solver='adam'",
    ),
    ({"solver": "lbfgs", "callbacks": []}, r"callbacks must be None with solver='lbfgs', got \[\]: use solver"),
    ({"solver": "lbfgs", "optimizer": "Adam"}, "optimizer must be None with solver='lbfgs', got 'Adam': use solver"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD)
def test_bad_options_are_refused(parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        classifier(**parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("eval_set", "message"),
    [
        (X, "eval_set must be a tuple"),
        ((X,), "eval_set must be a tuple"),
        ((X[:, :2], Y), "X has 2 features, but MLPClassifier is expecting 4 features"),
        ((X, Y[:9]), "inconsistent numbers of samples"),
        ((X, Y + 7), "`y` has classes not in `self.classes_`"),
        ((X * np.nan, Y), "Input X contains NaN"),
        ((X, Y, -np.ones(150)), r"eval_set\[2\] must contain finite weights, none below 0"),
        ((X, Y, np.ones(3)), "sample_weight.shape == "),
    ],
)
def test_bad_eval_sets_are_refused(eval_set, message):
    with pytest.raises((ValueError, TypeError), match=message):
        classifier().fit(X, Y, eval_set=eval_set)
    with pytest.raises(ValueError, match="eval_set must be None with solver='lbfgs', got validation rows: use solver"):
        classifier(solver="lbfgs").fit(X, Y, eval_set=(X, Y))


def test_two_classes_need_a_binary_loss():
    with pytest.raises(
        ValueError,
        match=r"loss must be a binary loss, such as nn.BCEWithLogitsLoss\(\), for two classes .*, got 'cross_entropy'",
    ):
        classifier(loss="cross_entropy").fit(X[:100], Y[:100])
    fit = classifier(loss="hinge", max_iter=60).fit(X[:100], Y[:100])
    assert fit.score(X[:100], Y[:100]) > 0.9


# ---- X_val, y_val ----


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_x_val_and_y_val_are_an_eval_set(kind, weighted):
    features, y = (X, Y) if kind is MLPClassifier else NUMBERS
    weight = np.linspace(0.1, 1, len(features[::3])) if weighted else None
    options = {"random_state": 0, "max_iter": 6, "early_stopping": True}
    want = kind(**options).fit(features, y, eval_set=(features[::3], y[::3], weight))
    parts = {"X_val": features[::3], "y_val": y[::3], "sample_weight_val": weight}
    have = kind(**options).fit(features, y, **parts)
    assert have.validation_loss_curve_ == want.validation_loss_curve_
    assert have.validation_scores_ == want.validation_scores_
    np.testing.assert_array_equal(have.coefs_[0], want.coefs_[0])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"X_val": X}, "y_val must be given together with X_val, got None"),
        ({"y_val": Y}, "X_val must be given together with y_val, got None"),
        ({"sample_weight_val": Y}, "X_val must be given together with sample_weight_val, got None"),
        (
            {"X_val": X, "y_val": Y, "eval_set": (X, Y)},
            "eval_set must be None if X_val and y_val are given, got a tuple of length 2: give",
        ),
        ({"X_val": X, "y_val": Y, "sample_weight_val": -Y}, "sample_weight_val must contain finite weights, none belo"),
        ({"X_val": X, "y_val": Y, "sample_weight_val": Y.astype(str)}, "sample_weight_val must contain real numbers"),
        ({"X_val": X[:, :2], "y_val": Y}, "X has 2 features, but MLPClassifier is expecting 4 features"),
    ],
)
def test_bad_validation_data_is_refused(parts, message):
    fit = classifier().fit(X, Y)
    before = dict(vars(fit))
    with pytest.raises((TypeError, ValueError)) as raised:
        fit.fit(X, Y, **parts)
    assert str(raised.value).startswith(message)
    assert all(vars(fit)[name] is before[name] for name in before)


def test_messages_name_the_argument():
    with pytest.raises(ValueError, match=r"^X_val must be None with solver='lbfgs', got validation rows: use solver"):
        classifier(solver="lbfgs").fit(X, Y, X_val=X, y_val=Y)
    with pytest.raises(TypeError, match=r"^y_val must contain real numbers, got dtype <U1"):
        MLPRegressor().fit(X, Y, X_val=X, y_val=Y.astype("U1"))
    with pytest.raises(ValueError, match=r"^y_val must contain finite numbers of at least 0, got -1\.0 in row 0"):
        MLPRegressor("poisson").fit(X, Y, X_val=X, y_val=Y - 1.0)


def test_a_pipeline_transforms_x_val():
    scaler, net = StandardScaler(), classifier(early_stopping=True)
    with sklearn.config_context(enable_metadata_routing=True):
        net.set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        weight = np.linspace(0.1, 1, 50)
        pipeline = Pipeline([("scale", scaler), ("net", net)], transform_input=["X_val"])
        pipeline.fit(3 * X, Y, X_val=3 * X[::3], y_val=Y[::3], sample_weight_val=weight)
    scaled = StandardScaler().fit(3 * X)
    parts = {"X_val": scaled.transform(3 * X[::3]), "y_val": Y[::3], "sample_weight_val": weight}
    want = classifier(early_stopping=True).fit(scaled.transform(3 * X), Y, **parts)
    assert net.validation_loss_curve_ == want.validation_loss_curve_
    np.testing.assert_array_equal(net.coefs_[0], want.coefs_[0])


SAME = {
    "optimizer": ("AdamW", ["adamw", "ADAM_W", "adam-w"]),
    "activation": ("silu", ["swish", "SiLU"]),
    "schedule": ("CosineAnnealingLR", ["cosine", "cosine_annealing_lr", "CosineAnnealing"]),
    "init": ("xavier_uniform", ["glorot_uniform", "XavierUniform"]),
}
SAME["activation in scikit-learn"] = ("logistic", ["Logistic"])


@pytest.mark.parametrize("parameter", SAME)
def test_names_are_those_of_the_trainer(parameter):
    name, others = SAME[parameter]
    curves = [classifier(max_iter=3, **{parameter.split()[0]: each}).fit(X, Y).loss_curve_ for each in (name, *others)]
    assert curves == [curves[0]] * len(curves)


def test_names_of_losses_are_those_of_the_trainer():
    with pytest.raises(TypeError, match=r"^loss must be given once, .*: write hidden_layer_sizes=\.\.\.$"):
        MLPRegressor((5,), loss="mae")

    def curve(loss):
        return MLPRegressor(hidden_layer_sizes=(5,), loss=loss, max_iter=3, random_state=0).fit(X, X[:, 0]).loss_curve_

    assert curve("mae") == curve("mean_absolute_error") == curve(nn.L1Loss())
    assert curve("mse") == curve("mean_squared_error")
    assert curve("Squared_Error") == curve("squared_error")
    rates = [
        MLPRegressor(loss=each, max_iter=3, random_state=0).fit(X, abs(X[:, 0])) for each in ("poisson", "Poisson")
    ]
    assert [each.out_activation_ for each in rates] == ["exp", "exp"]
    assert rates[0].loss_curve_ == rates[1].loss_curve_
    assert curve("squared_error") == pytest.approx(np.divide(curve("mse"), 2), rel=0.2)  # scikit-learn's half


KEYWORDS = {
    "lr": "write learning_rate_init",
    "n_jobs": "write n_threads",
    "seed": "write random_state",
    "layer_norm": "write norm='layer'",
    "ema": "write average=optim.EMA(decay=...)",
    "swa": "write average=optim.SWA(start=...)",
    "mixup": 'write augment=["mixup"]',
    "freeze": "train the net itself, fastnn.Trainer(net), after net.freeze(...)",
    "grad_accum_steps": "write accumulate",
    "hidden_layer_size": "did you mean 'hidden_layer_sizes'?",
}


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_keywords_of_others_say_what_to_write(keyword):
    with pytest.raises(TypeError) as caught:
        MLPClassifier(**{keyword: 1})
    assert str(caught.value).startswith("the arguments of MLPClassifier must be among hidden_layer_sizes, ")
    assert str(caught.value).endswith(f"got {keyword!r}: {KEYWORDS[keyword]}")
    with pytest.raises(
        TypeError, match=r"^the arguments of MLPClassifier\.fit must be .*: write eval_set=\(X_val, y_val\)$"
    ):
        MLPClassifier().fit(X, Y, validation_data=(X, Y))
