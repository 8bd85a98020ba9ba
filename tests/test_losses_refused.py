"""Settings, targets and functions that losses refuse, and those that they take."""

import math

import numpy as np
import pytest
from loss_cases import K, net_of, problem

import fastnn
from fastnn import kernels, nn

NAN = math.nan

# ---- refused arguments ----

BELOW_1 = r"a number in \[0, 1\)"
ABOVE_0 = "a finite number above 0"
WEIGHTS = "contain finite weights, none below 0"
BAD_SETTINGS = [
    (nn.CrossEntropyLoss, {"label_smoothing": 1.0}, ValueError, f"label_smoothing must be {BELOW_1}, got 1.0"),
    (nn.CrossEntropyLoss, {"label_smoothing": -0.1}, ValueError, f"label_smoothing must be {BELOW_1}, got -0.1"),
    (nn.CrossEntropyLoss, {"label_smoothing": "0.1"}, TypeError, f"label_smoothing must be {BELOW_1}, got '0.1'"),
    (nn.CrossEntropyLoss, {"label_smoothing": False}, TypeError, f"label_smoothing must be {BELOW_1}, got False"),
    (nn.CrossEntropyLoss, {"weight": [1.0, -1.0]}, ValueError, f"weight must {WEIGHTS}, got -1.0"),
    (nn.CrossEntropyLoss, {"weight": [1.0, NAN]}, ValueError, f"weight must {WEIGHTS}, got nan"),
    (
        nn.CrossEntropyLoss,
        {"weight": [[1.0]]},
        ValueError,
        r"weight must be 1-dimensional, of shape \(outputs,\), got shape \(1, 1\)",
    ),
    (
        nn.CrossEntropyLoss,
        {"weight": "balanced"},
        TypeError,
        "weight must be an array of real numbers, got str",
    ),
    (nn.BCEWithLogitsLoss, {"pos_weight": [-1.0]}, ValueError, f"pos_weight must {WEIGHTS}, got -1.0"),
    (nn.HuberLoss, {"delta": 0.0}, ValueError, f"delta must be {ABOVE_0}, got 0.0"),
    (nn.HuberLoss, {"delta": -1}, ValueError, f"delta must be {ABOVE_0}, got -1.0"),
    (nn.HuberLoss, {"delta": None}, TypeError, f"delta must be {ABOVE_0}, got None"),
    (nn.HuberLoss, {"delta": True}, TypeError, f"delta must be {ABOVE_0}, got True"),
    (nn.SmoothL1Loss, {"beta": -1.0}, ValueError, "beta must be a finite number of at least 0, got -1.0"),
    (nn.QuantileLoss, {"quantiles": 0.0}, ValueError, r"quantiles must be a number in \(0, 1\), got 0.0"),
    (nn.QuantileLoss, {"quantiles": [0.5, 1.0]}, ValueError, r"quantiles\[1\] must be a number in \(0, 1\), got 1.0"),
    (nn.QuantileLoss, {"quantiles": [NAN]}, ValueError, r"quantiles\[0\] must be a number in \(0, 1\), got nan"),
    (
        nn.QuantileLoss,
        {"quantiles": []},
        ValueError,
        r"quantiles must have at least 1 quantile, got shape \(0,\)",
    ),
    (nn.QuantileLoss, {"quantiles": "0.5"}, TypeError, "quantiles must be an array of real numbers, got str"),
    (nn.PoissonNLLLoss, {"eps": 0.0}, ValueError, f"eps must be {ABOVE_0}, got 0.0"),
    (
        nn.PoissonNLLLoss,
        {"full": True, "deviance": True},
        ValueError,
        "deviance must be False with full=True, got True",
    ),
    (nn.PoissonNLLLoss, {"log_input": "no"}, TypeError, "log_input must be True or False, got 'no'"),
    (nn.PoissonNLLLoss, {"full": 1}, TypeError, "full must be True or False, got 1"),
    (nn.PoissonNLLLoss, {"deviance": None}, TypeError, "deviance must be True or False, got None"),
    (nn.MultiMarginLoss, {"p": 3}, ValueError, "p must be an integer from 1 to 2, got 3"),
    (nn.MultiMarginLoss, {"margin": -1.0}, ValueError, "margin must be a finite number of at least 0, got -1.0"),
    (nn.MSELoss, {"columns": "max"}, ValueError, "columns must be one of mean, sum, got 'max'"),
    (nn.MSELoss, {"columns": True}, TypeError, "columns must be one of mean, sum, got bool"),
    (nn.MSELoss, {"factor": 0.0}, ValueError, f"factor must be {ABOVE_0}, got 0.0"),
    (nn.MSELoss, {"gradient_columns": "none"}, ValueError, "gradient_columns must be one of mean, sum, got 'none'"),
    (nn.CustomLoss, {"value": 1, "gradient": max}, TypeError, "value must be a function, got int"),
    (nn.CustomLoss, {"value": max, "gradient": None}, TypeError, "gradient must be a function, got None"),
    (
        nn.CustomLoss,
        {"value": max, "gradient": max, "target": "classes"},
        ValueError,
        "target must be one of rows, labels, got 'classes'",
    ),
    (
        nn.CustomLoss,
        {"value": max, "gradient": max, "target_columns": 0},
        ValueError,
        "target_columns must be an integer of at least 1, got 0",
    ),
    (
        nn.CustomLoss,
        {"value": max, "gradient": max, "target": "labels", "target_columns": 3},
        ValueError,
        "target_columns must be None with target='labels', got 3",
    ),
]


@pytest.mark.parametrize(("kind", "settings", "error", "message"), BAD_SETTINGS)
def test_bad_settings(kind, settings, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        kind(**settings)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (nn.CrossEntropyLoss([1.0, 2.0]), r"weight must have shape \(6,\), got shape \(2,\)"),
        (nn.BCEWithLogitsLoss([1.0, 2.0]), r"pos_weight must have shape \(6,\), got shape \(2,\)"),
        (
            nn.QuantileLoss([0.1, 0.3, 0.5, 0.7]),
            "quantiles must have a length that divides the number of outputs, 6, got length 4$",
        ),
    ],
)
def test_losses_that_do_not_fit_the_net(loss, message):
    def check(net, loss):  # for which None is the default
        return fastnn.check_gradients(net, np.ones((2, 4)), [0, 1], loss=loss)

    for use in (fastnn.Trainer, check) if loss is not None else (fastnn.Trainer,):
        with pytest.raises(ValueError, match=f"^{message}"):
            use(net_of(), loss)


BAD_TARGETS = {
    "hinge": (np.zeros((40, K)), ValueError, "y must contain only -1 and 1, got 0.0 in row 0, column 0$"),
    "squared_hinge": (np.full((40, K), 2), ValueError, "y must contain only -1 and 1, got 2(.0)? in row 0, column 0$"),
    "poisson": (
        np.full((40, K), -1.0),
        ValueError,
        "y must contain finite numbers of at least 0, got -1.0 in row 0, column 0$",
    ),
    "binary_cross_entropy": (
        np.full((40, K), 1.5),
        ValueError,
        "y must contain numbers from 0 to 1, got 1.5 in row 0, column 0$",
    ),
    "quantile at three": (np.zeros((40, K)), ValueError, r"y must have shape \(n, 2\), got shape \(40, 6\)$"),
    "huber": (np.full((40, K), NAN), ValueError, "y must contain finite numbers, got nan in row 0, column 0$"),
    "multi_margin": (
        np.zeros((40, K)),
        ValueError,
        r"y must be 1-dimensional, of shape \(n,\), got shape \(40, 6\)",
    ),
    "custom of labels": (
        np.full(40, K),
        ValueError,
        "y must contain integers from 0 to 5, got 6",
    ),
    "cross_entropy": (
        np.random.default_rng(0).normal(size=(40, K)),
        ValueError,
        (
            "y must contain rows of probabilities, none below 0 and with sum 1 .*, got -[0-9.]+ in row 0: for real "
            'targets write loss="mean_squared_error", for several classes per row loss="binary_cross_entropy"$'
        ),
    ),
    "cross_entropy of shares": (
        np.full((40, K), 0.2),
        ValueError,
        "y must contain rows of probabilities, .*, got a sum of 1.2 in row 0: ",
    ),
    "cross_entropy, smooth": (
        np.zeros((40, K)),
        ValueError,
        "y must contain rows of probabilities, .*, got a sum of 0 in row 0: ",
    ),
    "cross_entropy of shares, weighted and smooth": (
        np.vstack([np.eye(K)[np.arange(39) % K], np.ones(K)]),
        ValueError,
        'y must contain rows .*, got a sum of 6 in row 39: .* for several classes per row loss="binary_cross_entropy"$',
    ),
    "cross_entropy, weighted": (
        np.full((40, K), NAN),
        ValueError,
        "y must contain finite numbers, got nan in row 0, column 0$",
    ),
}


@pytest.mark.parametrize("name", BAD_TARGETS)
def test_targets_that_a_loss_does_not_take(impl, name):
    loss, X, good, _ = problem(name)
    y, error, message = BAD_TARGETS[name]
    trainer = fastnn.Trainer(net_of(), loss)
    trainer.fit(X, good, epochs=1, verbose=0)
    before = trainer.net.params.data.copy()
    for use in (
        lambda: trainer.fit(X, y, verbose=0),
        lambda: trainer.evaluate(X, y),
        lambda: trainer.fit(X, good, validation_data=(X, y), verbose=0),
        lambda: fastnn.check_gradients(trainer.net, X, y, loss=loss),
    ):
        with pytest.raises(error, match=rf"^(validation_data\[1\]|y){message.removeprefix('y')}"):
            use()
    if (type(loss), y.shape) not in ((nn.HuberLoss, (40, K)), (nn.QuantileLoss, (40, K))):  # NaN is NaN; another shape
        with pytest.raises(error, match=f"^target{message.removeprefix('y').replace('(n,', '(40,')}"):
            loss(trainer.net.predict(X), y)
    np.testing.assert_array_equal(trainer.net.params.data, before)
    assert (trainer.epoch, trainer.step_count) == (1, 1)


def softmax_of(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


ONE_HOT = np.eye(1000, dtype=np.float32)[np.arange(40)]
HOT = softmax_of(np.random.default_rng(0).normal(size=(40, 1000), scale=9).astype(np.float32))
PROBABILITIES = {
    "classes": ONE_HOT,
    "classes as bytes": ONE_HOT.astype(np.uint8),
    "classes as bool": ONE_HOT.astype(bool),
    "softmax": HOT,
    "softmax in half precision": HOT.astype(np.float16),
    "smooth": (ONE_HOT * np.float32(0.9) + np.float32(0.1 / 1000)).astype(np.float32),
    "mixed": np.float32(0.3) * ONE_HOT + np.float32(0.7) * ONE_HOT[::-1],
    "a mean": np.mean([HOT, HOT[::-1], ONE_HOT], axis=0, dtype=np.float32),
    "three decimals": np.tile(np.r_[[0.333] * 3, np.zeros(997)], (40, 1)),
}


@pytest.mark.parametrize("kind", PROBABILITIES)
def test_rows_of_probabilities_as_they_are_computed(kind):
    y = PROBABILITIES[kind]
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(4, 1000), seed=0))
    X = np.random.default_rng(0).normal(size=(40, 4))
    trainer.fit(X, y, epochs=2, validation_data=(X, y), verbose=0)
    z = trainer.net.predict(X)
    assert trainer.evaluate(X, y)["loss"] == pytest.approx(trainer.loss(z, y), rel=1e-6)
    assert trainer.loss(z, y) == kernels.cross_entropy(z, y)


def test_kernels_take_any_rows(impl):
    """Policy gradients use rows times advantages, whose sums are not 1."""
    z, t = np.array([[0.5, -1.0]]), np.array([[-2.0, 0.5]])
    wanted = -(t * (z - np.log(np.exp(z).sum()))).sum()
    assert kernels.cross_entropy(z, t) == pytest.approx(wanted)
    with pytest.raises(ValueError, match=r"^target must contain rows of probabilities, .*, got -2 in row 0: "):
        nn.CrossEntropyLoss()(z, t)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss([2.0], 0.1), nn.MultiMarginLoss()])
def test_one_output_has_no_classes(impl, loss):
    """With a single class, the loss would always be 0."""
    X, yr = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60.0)
    net = nn.Sequential(nn.Dense(3, 1), seed=0)
    trainer = fastnn.Trainer(net, loss)
    before = net.params.data.copy()
    message = (
        "^the number of outputs must be at least 2 for a loss of classes, such as cross entropy, got 1: "
        r'for labels 0 and 1 write loss="binary_cross_entropy" or end the net with nn\.Dense\(\.\.\., 2\), for real '
    )
    for y in (yr[:, None], yr, np.zeros(60, int), np.ones((60, 1))):
        for use in (
            lambda y=y: trainer.fit(X, y, verbose=0),
            lambda y=y: trainer.evaluate(X, y),
            lambda y=y: fastnn.check_gradients(net, X, y, loss=loss),
            lambda y=y: loss(net.predict(X), y),
        ):
            with pytest.raises(ValueError, match=message):
                use()
    np.testing.assert_array_equal(net.params.data, before)
    z = net.forward(X, training=True)  # hand-written loops can use any loss
    net.backward(z)
    trainer.step()


def test_one_output_of_scikit_learns_loss_is_a_binary_target(impl):
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    losses = [nn.LogLoss(), nn.BCEWithLogitsLoss()]
    figures = []
    for loss in losses:
        for target in (y, y[:, None], y.astype(float)):
            trainer = fastnn.Trainer(nn.Sequential(nn.Dense(3, 1), dtype="float64", seed=0), loss)
            figures.append(trainer.fit(X, target, epochs=3, verbose=0)["loss"])
    np.testing.assert_allclose(figures, [figures[0]] * 6, rtol=1e-12)
    with pytest.raises(ValueError, match=r"^y must contain only 0 and 1, got 2(.0)? in row"):
        fastnn.Trainer(nn.Sequential(nn.Dense(3, 1), seed=0), nn.LogLoss()).fit(X, y + 1, verbose=0)


def test_classes_of_weight_0_are_ignored(impl):
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % K
    weight = np.array([1.0, 1, 1, 1, 1, 0])
    some = y != 5
    trainers = [fastnn.Trainer(net_of(), loss) for loss in (nn.CrossEntropyLoss(weight), nn.CrossEntropyLoss())]
    trainers[0].fit(X, y, epochs=3, batch_size=30, shuffle=False, verbose=0)
    trainers[1].fit(X[some], y[some], epochs=3, batch_size=30, shuffle=False, verbose=0)
    np.testing.assert_allclose(trainers[0].net.params.data, trainers[1].net.params.data, rtol=1e-12)
    assert trainers[0].evaluate(X, y)["loss"] == pytest.approx(trainers[1].evaluate(X[some], y[some])["loss"])
    with pytest.raises(ValueError, match=r"^y must contain a row of a class whose weight is above 0, got none"):
        trainers[0].fit(X, np.full(30, 5), verbose=0)


def test_smoothed_labels_need_weights_of_all_classes(impl):
    """In PyTorch's loss, a row of a class with weight 0 would count in the sum, but not in the divisor."""
    X, y = np.ones((12, 4)), np.arange(12) % K
    trainer = fastnn.Trainer(net_of(), nn.CrossEntropyLoss([0.0, 1, 1, 1, 1, 1], 0.1))
    with pytest.raises(ValueError, match=r"^weight must contain only numbers above 0 with label_smoothing, got 0.0$"):
        trainer.fit(X, y, verbose=0)
    trainer.fit(X, np.eye(K)[y], epochs=1, verbose=0)  # for rows of probabilities there is no such division


# ---- functions of custom losses ----


def square(z, t):
    return ((z - t) ** 2).sum(axis=1)


def slope(z, t):
    return 2 * (z - t)


@pytest.mark.parametrize(
    ("value", "gradient", "error", "message"),
    [
        (
            lambda z, t: (z - t).sum(),
            slope,
            ValueError,
            r"the result of value must be 1-dimensional, of shape \(16,\), got shape \(\)$",
        ),
        (
            lambda z, t: z - t,
            slope,
            ValueError,
            r"the result of value must be 1-dimensional, of shape \(16,\), got shape \(16, 6\)$",
        ),
        (lambda z, t: None, slope, TypeError, "the result of value must be an array of real numbers, got None"),
        (
            square,
            square,
            ValueError,
            r"the result of gradient must be 2-dimensional, of shape \(16, 6\), got shape \(16,\)$",
        ),
        (lambda z, t: 1 / 0, slope, ZeroDivisionError, "division by zero"),
        (square, lambda z, t: z.fill(0), ValueError, "read-only"),
    ],
    ids=["a number", "a matrix", "nothing", "gradient", "raises", "writes"],
)
def test_bad_functions_of_a_custom_loss(impl, value, gradient, error, message):
    X, y = np.ones((16, 4)), np.zeros((16, K))
    trainer = fastnn.Trainer(net_of(), nn.CustomLoss(value, gradient))
    before = trainer.net.params.data.copy()
    with pytest.raises(error, match=message):
        trainer.fit(X, y, verbose=0)
    np.testing.assert_array_equal(trainer.net.params.data, before)
    assert trainer.step_count == 0
    with pytest.raises(error, match=message):
        trainer.loss(trainer.net.predict(X), y, grad=np.empty((16, K)))


def test_a_custom_loss_that_diverges(impl):
    loss = nn.CustomLoss(lambda z, t: np.full(len(z), NAN), slope)
    trainer = fastnn.Trainer(net_of(), loss)
    with pytest.raises(fastnn.TrainingDiverged, match="none, the loss itself"):
        trainer.fit(np.ones((16, 4)), np.zeros((16, K)), verbose=0)


@pytest.mark.parametrize(
    ("loss", "error", "got"),
    [
        (3, TypeError, "int"),
        (None, TypeError, "None"),
        ("tripled", ValueError, "'tripled'"),
        (nn.MSELoss, TypeError, r"the class MSELoss: write nn.MSELoss\(\)"),
        (nn.HuberLoss, TypeError, r"the class HuberLoss: write nn.HuberLoss\(\)"),
        (nn.CustomLoss, TypeError, r"the class CustomLoss: write nn.CustomLoss\(\.\.\.\)"),
        (nn.ReLU, TypeError, "the class ReLU"),
    ],
)
def test_what_is_no_loss(loss, error, got):
    def check(net, loss):  # for which None is the default
        return fastnn.check_gradients(net, np.ones((2, 4)), [0, 1], loss=loss)

    for use in (fastnn.Trainer, check) if loss is not None else (fastnn.Trainer,):
        with pytest.raises(error, match=rf"^loss must be one of cross_entropy, .*, got {got}$"):
            use(net_of(), loss)
