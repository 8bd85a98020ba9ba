"""Losses: compared with PyTorch and scikit-learn, in training, at extreme outputs; refused arguments; custom losses."""

import math
import pickle
import re

import numpy as np
import pytest
from specs import BY_NAME, SPECS

import fastnn
from fastnn import kernels, nn, optim
from fastnn._losses import LOSSES as ROWS

K = 6
RAMP = np.linspace(0.25, 2.5, K)


def labels(rng, n, k):
    return rng.integers(0, k, n)


def shares(rng, n, k):
    return rng.dirichlet(np.ones(k), n)


def numbers(rng, n, k):
    return rng.normal(size=(n, k))


def counts(rng, n, k):
    return rng.poisson(2, (n, k)).astype(float)


def some(rng, n, k):
    """Return a column of targets for every three outputs."""
    return rng.normal(size=(n, k // 3))


def as_in_spec(name):
    """Return a function that draws targets as the spec of the loss does."""
    return lambda rng, n, k: BY_NAME[name].make(rng, (n, k), np.dtype(float))["target"]


# Each loss of the registry, and others with settings, with a function that draws its targets.
LOSSES = {name: (getattr(nn, row.torch)(), as_in_spec(name)) for name, row in ROWS.items()} | {
    "cross_entropy, weighted": (nn.CrossEntropyLoss(weight=RAMP), labels),
    "cross_entropy, smooth": (nn.CrossEntropyLoss(label_smoothing=0.2), labels),
    "cross_entropy, weighted and smooth": (nn.CrossEntropyLoss(RAMP, 0.2), labels),
    "cross_entropy of shares": (nn.CrossEntropyLoss(), shares),
    "cross_entropy of shares, weighted and smooth": (nn.CrossEntropyLoss(RAMP, 0.2), shares),
    "binary_cross_entropy, weighted": (nn.BCEWithLogitsLoss(pos_weight=RAMP, columns="sum"), shares),
    "mean_squared_error, half": (nn.MSELoss(factor=0.5), numbers),
    "mean_absolute_error, sums": (nn.L1Loss(columns="sum"), numbers),
    "huber, narrow": (nn.HuberLoss(0.5), numbers),
    "smooth_l1": (nn.SmoothL1Loss(0.5), numbers),
    "poisson in full": (nn.PoissonNLLLoss(full=True), counts),
    "poisson, the deviance": (nn.PoissonNLLLoss(deviance=True, columns="sum"), counts),
    "quantile at three": (nn.QuantileLoss([0.1, 0.5, 0.9]), some),
    "multi_margin, squared": (nn.MultiMarginLoss(p=2, margin=0.5), labels),
    "custom": (
        nn.CustomLoss(
            lambda z, t: np.cosh(z - t).sum(axis=1),
            lambda z, t: np.sinh(z - t),
        ),
        numbers,
    ),
    "custom of labels": (
        nn.CustomLoss(lambda z, y: z[np.arange(len(z)), y] ** 2, lambda z, y: 2 * z * np.eye(K)[y], target="labels"),
        labels,
    ),
}
# The gradient is deliberately not that of the value.
HALF = nn.MSELoss(factor=0.5, gradient_columns="sum")
ALL = LOSSES | {"half squares": (HALF, numbers)}
every = pytest.mark.parametrize("name", ALL)


def problem(name, rows=40):
    loss, target = ALL[name]
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(rows, 4)), target(rng, rows, K)
    weight = rng.random(rows)
    weight[::5] = 0
    return loss, X, y, weight


def net_of(dtype="float64", seed=3):
    return nn.Sequential(nn.Dense(4, 8), nn.Tanh(), nn.Dense(8, K), dtype=dtype, seed=seed)


# ---- gradients and training ----


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_gradients(impl, name, weighted):
    loss, X, y, weight = problem(name, rows=12)
    report = fastnn.check_gradients(net_of(), X, y, loss, weight if weighted else None)
    assert report.ok, f"\n{report}"
    assert all(block.bound <= 1e-7 * block.largest + 1e-9 for block in report.blocks)


@every
def test_fused_steps_equal_a_hand_written_loop(impl, name, dtype):
    loss, X, y, weight = problem(name)
    fused, by_hand = (fastnn.Trainer(net_of(dtype), loss, optim.Adam(1e-2)) for _ in range(2))
    fused.fit(X, y, epochs=2, batch_size=16, shuffle=False, sample_weight=weight, verbose=0)
    total = 0.0
    for start in (0, 16, 32) * 2:
        rows = slice(start, start + 16)
        z = by_hand.net.forward(X[rows], training=True)
        dz = np.empty_like(z)
        value = loss(z, y[rows], weight[rows], grad=dz)
        part = loss.row_weights(y[rows], weight[rows]).sum() / loss.row_weights(y, weight).sum()
        total = value * part + (total if start else 0.0)
        by_hand.net.backward(dz)
        by_hand.step()
    np.testing.assert_array_equal(fused.net.params.data, by_hand.net.params.data)
    assert fused.history["loss"][-1] == pytest.approx(total, rel=1e-6 if dtype == "float32" else 1e-13)


@pytest.fixture(scope="module")
def by_reference():
    with fastnn.backend("reference"):
        return {name: trained(name) for name in ALL}


def trained(name):
    loss, X, y, weight = problem(name)
    trainer = fastnn.Trainer(net_of(), loss, optim.Adam(3e-3))
    trainer.fit(X, y, epochs=34, batch_size=16, sample_weight=weight, verbose=0)
    return trainer


@every
def test_trajectories_agree(native, name, by_reference):
    """100 steps and more, with weights."""
    wanted, got = by_reference[name], trained(name)
    for block, want in wanted.net.parameters().items():
        have = got.net.parameters()[block]
        assert np.abs(have - want).max() <= 1e-10 * np.abs(want).max(), block
    np.testing.assert_allclose(got.history["loss"], wanted.history["loss"], rtol=1e-10)
    assert got.history["loss"][-1] < got.history["loss"][0]


@every
def test_evaluation_is_the_loss_of_the_predictions(impl, name, monkeypatch):
    loss, X, y, weight = problem(name)
    trainer = fastnn.Trainer(net_of(), loss)
    wanted = loss(trainer.net.predict(X), y, weight)
    for elements in (1 << 18, 7 * K):
        monkeypatch.setattr("fastnn.training.trainer.EVALUATE_ELEMENTS", elements)
        logs = trainer.evaluate(X, y, weight)
        assert logs["loss"] == pytest.approx(wanted, rel=1e-12)
    if y.ndim == 1:
        right = trainer.net.predict(X).argmax(axis=1) == y
        assert logs["accuracy"] == pytest.approx((weight * right).sum() / weight.sum())


def test_names_and_objects_are_the_same_loss(impl):
    for name, kind in nn.losses.LOSSES.items():
        _, target = LOSSES[name]
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(20, 4)), target(rng, 20, K)
        losses = [fastnn.Trainer(net_of(), loss).fit(X, y, epochs=2, verbose=0)["loss"] for loss in (name, kind())]
        assert losses[0] == losses[1]


def test_the_trainers_docstring_names_every_loss():
    section = fastnn.Trainer.__doc__.partition("    loss : str or Loss")[2].partition("    optimizer :")[0]
    assert list(dict.fromkeys(re.findall(r'"(\w+)"', section.replace('default "cross_entropy"', "")))) == list(ROWS)
    assert "<" not in section


def test_a_trainer_that_is_trained_again_keeps_its_settings(impl):
    loss, X, y, weight = problem("quantile at three")
    trainers = [fastnn.Trainer(net_of(), loss) for _ in range(2)]
    for epochs in ([4], [1, 3]):
        for more in epochs:
            trainers[len(epochs) - 1].fit(X, y, epochs=more, sample_weight=weight, verbose=0)
    np.testing.assert_array_equal(trainers[0].net.params.data, trainers[1].net.params.data)


def test_quantiles_lie_where_they_should(native):
    """The quantiles of two targets are learned from a constant input, in the documented layout."""
    rng = np.random.default_rng(0)
    t, levels = rng.normal(size=(4000, 2)) * [1, 3], [0.1, 0.5, 0.8]
    net = nn.Sequential(nn.Dense(1, 6, init=nn.init.zeros()), dtype="float64", seed=0)
    trainer = fastnn.Trainer(net, nn.QuantileLoss(levels), optim.SGD(2.0), schedule=lambda epoch: 0.97**epoch)
    trainer.fit(np.zeros((4000, 1)), t, epochs=150, batch_size=500, verbose=0)
    z = net.predict([[0.0]]).reshape(2, 3)
    for target, row in zip(t.T, z, strict=True):
        np.testing.assert_allclose([(target < each).mean() for each in row], levels, atol=0.01)


# ---- other libraries ----


def torch_cases(torch):
    weight = torch.tensor(RAMP)
    for smoothing in (0.0, 0.1):
        for name, class_weight in (("", None), ("weighted", weight)):
            ours = nn.CrossEntropyLoss(None if class_weight is None else RAMP, smoothing)
            theirs = torch.nn.CrossEntropyLoss(class_weight, label_smoothing=smoothing)
            yield f"cross_entropy {name} {smoothing}", ours, theirs, labels
            yield f"cross_entropy of shares {name} {smoothing}", ours, theirs, shares
    yield "binary_cross_entropy", nn.BCEWithLogitsLoss(), torch.nn.BCEWithLogitsLoss(), shares
    yield "pos_weight", nn.BCEWithLogitsLoss(RAMP), torch.nn.BCEWithLogitsLoss(pos_weight=weight), shares
    yield "mean_squared_error", nn.MSELoss(), torch.nn.MSELoss(), numbers
    yield "squares", nn.MSELoss(columns="sum"), lambda z, t: ((z - t) ** 2).sum(axis=1).mean(), numbers
    yield "mean_absolute_error", nn.L1Loss(), torch.nn.L1Loss(), numbers
    for width in (0.3, 2.0):
        yield f"huber {width}", nn.HuberLoss(width), torch.nn.HuberLoss(delta=width), numbers
        yield f"smooth_l1 {width}", nn.SmoothL1Loss(width), torch.nn.SmoothL1Loss(beta=width), numbers
    yield "smooth_l1 0", nn.SmoothL1Loss(0.0), torch.nn.SmoothL1Loss(beta=0.0), numbers
    for log_input in (True, False):
        for full in (True, False):
            ours = nn.PoissonNLLLoss(log_input=log_input, full=full)
            yield f"poisson {log_input} {full}", ours, torch.nn.PoissonNLLLoss(log_input, full), counts
    for p in (1, 2):
        yield f"multi_margin {p}", nn.MultiMarginLoss(p, 0.7), torch.nn.MultiMarginLoss(p, 0.7), labels


def test_values_and_gradients_are_pytorchs(impl):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    rng = np.random.default_rng(1)
    for name, ours, theirs, target in torch_cases(torch):
        z, t = 3 * rng.normal(size=(50, K)), target(rng, 50, K)
        if name.startswith("poisson False"):
            z = np.abs(z) + 0.1
        grad, leaf = np.empty_like(z), torch.tensor(z, requires_grad=True)
        value, wanted = ours(z, t, grad=grad), theirs(leaf, torch.tensor(t))
        wanted.backward()
        assert value == pytest.approx(wanted.item(), rel=1e-12), name
        slopes = leaf.grad.numpy()
        assert np.abs(grad - slopes).max() <= 1e-12 * np.abs(slopes).max(), name


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_values_and_gradients_are_those_of_scikit_learns_perceptrons(impl, weighted):
    base = pytest.importorskip("sklearn.neural_network._base", reason="scikit-learn is the oracle")
    rng = np.random.default_rng(2)
    z, weight = rng.normal(size=(30, K)), rng.random(30) if weighted else None
    p = 1 / (1 + np.exp(-z))
    softmax = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    one_hot, many = np.eye(K)[rng.integers(0, K, 30)], rng.integers(0, 2, (30, K)).astype(float)
    cases = [
        (HALF, rng.normal(size=(30, K)), z, base.squared_loss),
        (nn.BCEWithLogitsLoss(columns="sum"), many, p, base.binary_log_loss),
        (nn.PoissonNLLLoss(deviance=True, columns="sum"), counts(rng, 30, K), np.exp(z), base.poisson_loss),
        (nn.CrossEntropyLoss(), one_hot, softmax, base.log_loss),
    ]
    for loss, t, output, function in cases:
        grad = np.empty_like(z)
        assert loss(z, t, weight, grad=grad) == pytest.approx(function(t, output, weight), rel=1e-12), loss
        share = (np.ones(30) if weight is None else weight)[:, None] / (30 if weight is None else weight.sum())
        np.testing.assert_allclose(grad, share * (output - t), rtol=1e-11, atol=1e-15, err_msg=str(loss))


# ---- extreme outputs ----

INF, NAN = math.inf, math.nan
MOST, LEAST = "most", "least"  # probabilities to which a log loss clips

# Loss, output, target, value, derivative, settings. At infinite outputs these are the limits, or NaN if there is none.
EXTREMES = [
    ("cross_entropy", [[1e4, 0.0]], [1], 1e4, [[1.0, -1.0]]),
    ("cross_entropy", [[1e4, 0.0]], [0], 0.0, [[0.0, 0.0]]),
    ("cross_entropy", [[3e38, -3e38]], [1], 6e38, [[1.0, -1.0]]),
    ("cross_entropy", [[-INF, 0.0]], [1], 0.0, [[0.0, 0.0]]),
    ("cross_entropy", [[-INF, 0.0]], [0], INF, [[-1.0, 1.0]]),
    ("cross_entropy", [[INF, 0.0]], [0], 0.0, [[0.0, 0.0]]),
    ("cross_entropy", [[INF, 0.0]], [1], INF, [[1.0, -1.0]]),
    ("cross_entropy", [[INF, 0.0, -INF] + 30 * [1.0]], [0], 0.0, [33 * [0.0]]),
    ("cross_entropy", [[INF, 0.0]], [[1.0, 0.0]], 0.0, [[0.0, 0.0]]),
    ("cross_entropy", [[INF, 0.0]], [[0.5, 0.5]], INF, [[0.5, -0.5]]),
    ("cross_entropy", [[INF, 0.0]], [0], INF, [[0.25, -0.25]], {"label_smoothing": 0.5}),
    ("cross_entropy", [[INF, 0.0]], [0], 0.0, [[0.0, 0.0]], {"weight": [3.0, 1.0]}),
    ("cross_entropy", [[INF, 0.0]], [[0.5, 0.5]], 0.0, [[0.0, 0.0]], {"weight": [3.0, 0.0], "label_smoothing": 0.5}),
    ("cross_entropy", [[INF, INF]], [0], NAN, [[NAN, NAN]]),
    ("cross_entropy", [[-INF, -INF]], [0], NAN, [[NAN, NAN]]),
    ("cross_entropy", [[NAN, 0.0]], [1], NAN, [[NAN, NAN]]),
    ("cross_entropy", [[NAN, INF]], [1], NAN, [[NAN, NAN]]),
    ("log_loss", [[INF, 0.0]], [0], MOST, [[0.0, 0.0]]),
    ("log_loss", [[INF, 0.0]], [1], LEAST, [[1.0, -1.0]]),
    ("log_loss", [[-INF, 0.0]], [0], LEAST, [[-1.0, 1.0]]),
    ("log_loss", [[-INF]], [[0.0]], MOST, [[0.0]]),
    ("log_loss", [[-INF]], [[1.0]], LEAST, [[-1.0]]),
    ("log_loss", [[INF]], [[0.0]], LEAST, [[1.0]]),
    ("log_loss", [[INF]], [[1.0]], MOST, [[0.0]]),
    ("log_loss", [[NAN]], [[1.0]], NAN, [[NAN]]),
    ("binary_cross_entropy", [[1e4]], [[0.0]], 1e4, [[1.0]]),
    ("binary_cross_entropy", [[-1e4]], [[1.0]], 1e4, [[-1.0]]),
    ("binary_cross_entropy", [[1e4]], [[1.0]], 0.0, [[0.0]]),
    ("binary_cross_entropy", [[-INF]], [[0.0]], 0.0, [[0.0]]),
    ("binary_cross_entropy", [[-INF]], [[1.0]], INF, [[-1.0]]),
    ("binary_cross_entropy", [[INF]], [[0.0]], INF, [[1.0]]),
    ("binary_cross_entropy", [[INF]], [[1.0]], 0.0, [[0.0]]),
    ("binary_cross_entropy", [[INF]], [[0.25]], INF, [[0.75]]),
    ("binary_cross_entropy", [[-INF]], [[0.25]], INF, [[-0.25]]),
    ("binary_cross_entropy", [[INF, -INF]], [[1.0, 0.0]], 0.0, [[0.0, 0.0]]),
    ("binary_cross_entropy", [[-INF]], [[0.0]], 0.0, [[0.0]], {"pos_weight": [3.0]}),
    ("binary_cross_entropy", [[-INF]], [[1.0]], INF, [[-3.0]], {"pos_weight": [3.0]}),
    ("binary_cross_entropy", [[INF]], [[0.0]], INF, [[1.0]], {"pos_weight": [3.0]}),
    ("binary_cross_entropy", [[INF]], [[1.0]], 0.0, [[0.0]], {"pos_weight": [3.0]}),
    ("binary_cross_entropy", [[-INF]], [[1.0]], 0.0, [[0.0]], {"pos_weight": [0.0]}),
    ("binary_cross_entropy", [[NAN]], [[0.0]], NAN, [[NAN]]),
    ("binary_cross_entropy", [[NAN]], [[1.0]], NAN, [[NAN]], {"pos_weight": [0.0]}),
    ("binary_cross_entropy", [[NAN, INF]], [[0.0, 0.0]], NAN, [[NAN, 0.5]]),
    ("mean_squared_error", [[-INF]], [[0.0]], INF, [[-INF]]),
    ("mean_squared_error", [[1e30]], [[0.0]], 1e60, [[2e30]]),
    ("mean_absolute_error", [[-INF]], [[0.0]], INF, [[-1.0]]),
    ("mean_absolute_error", [[3e38]], [[-3e38]], 6e38, [[1.0]]),
    ("mean_absolute_error", [[NAN]], [[0.0]], NAN, [[NAN]]),
    ("huber", [[-INF]], [[0.0]], INF, [[-1.0]]),
    ("huber", [[1e30]], [[0.0]], 1e30, [[1.0]]),
    ("huber", [[3e38]], [[-3e38]], 6e38, [[1.0]]),
    ("huber", [[NAN]], [[0.0]], NAN, [[NAN]]),
    ("log_cosh", [[1e4]], [[0.0]], 1e4 - math.log(2), [[1.0]]),
    ("log_cosh", [[3e38]], [[-3e38]], 6e38, [[1.0]]),
    ("log_cosh", [[-INF]], [[0.0]], INF, [[-1.0]]),
    ("log_cosh", [[NAN]], [[0.0]], NAN, [[NAN]]),
    ("poisson", [[1e4]], [[1.0]], INF, [[INF]]),
    ("poisson", [[100.0]], [[1.0]], math.exp(100) - 100, None),
    ("poisson", [[-1e4]], [[1.0]], 1e4, [[-1.0]]),
    ("poisson", [[-INF]], [[1.0]], INF, [[-1.0]]),
    ("poisson", [[-INF]], [[0.0]], 0.0, [[0.0]]),
    ("poisson", [[INF]], [[1.0]], INF, [[INF]]),
    ("poisson", [[INF]], [[0.0]], INF, [[INF]]),
    ("poisson", [[INF]], [[2.0]], INF, [[INF]], {"full": True}),
    ("poisson", [[-INF]], [[0.0]], 0.0, [[0.0]], {"deviance": True}),
    ("poisson", [[INF]], [[1.0]], INF, [[1.0]], {"log_input": False}),
    ("poisson", [[INF]], [[0.0]], INF, [[1.0]], {"log_input": False}),
    ("poisson", [[-1.0]], [[0.0]], -1.0, [[1.0]], {"log_input": False, "eps": 1.0}),
    ("poisson", [[-1.0]], [[1.0]], INF, [[-INF]], {"log_input": False, "eps": 1.0}),
    ("poisson", [[-INF]], [[1.0]], NAN, [[1.0]], {"log_input": False}),
    ("poisson", [[NAN]], [[0.0]], NAN, [[NAN]]),
    ("quantile", [[-INF]], [[0.0]], INF, [[-0.5]]),
    ("quantile", [[3e38]], [[-3e38]], 3e38, [[0.5]]),
    ("quantile", [[INF, INF]], [[0.0]], INF, [[0.45, 0.05]], {"quantiles": [0.1, 0.9]}),
    ("quantile", [[NAN]], [[0.0]], NAN, [[NAN]]),
    ("hinge", [[INF]], [[1.0]], 0.0, [[0.0]]),
    ("hinge", [[-INF]], [[1.0]], INF, [[-1.0]]),
    ("hinge", [[3e38, 3e38]], [[-1.0, -1.0]], 3e38, [[0.5, 0.5]]),
    ("hinge", [[NAN]], [[1.0]], NAN, [[NAN]]),
    ("squared_hinge", [[INF]], [[1.0]], 0.0, [[0.0]]),
    ("squared_hinge", [[-INF]], [[1.0]], INF, [[-INF]]),
    ("squared_hinge", [[-1e30]], [[1.0]], 1e60, [[-2e30]]),
    ("squared_hinge", [[NAN]], [[1.0]], NAN, [[NAN]]),
    ("multi_margin", [[0.0, INF]], [0], INF, [[-0.5, 0.5]]),
    ("multi_margin", [[0.0, -INF]], [0], 0.0, [[0.0, 0.0]]),
    ("multi_margin", [[INF, 0.0]], [0], 0.0, [[0.0, 0.0]]),
    ("multi_margin", [[-INF, 0.0]], [0], INF, [[-0.5, 0.5]]),
    ("multi_margin", [[INF, INF]], [0], NAN, [[NAN, NAN]]),
    ("multi_margin", [[1e30, 0.0]], [1], 5e59, [[1e30, -1e30]], {"p": 2}),
    ("multi_margin", [[NAN, 0.0]], [0], NAN, [[NAN, NAN]]),
]


@pytest.mark.parametrize("weighted", [False, True])
def test_extreme_outputs(weighted, impl, dtype):
    """The row alone, and among rows of weight 0."""
    eps = float(np.finfo(dtype).eps)
    for name, z, t, value, slopes, *settings in EXTREMES:
        z, t, more = np.array(z, dtype), np.array(t), dict(*settings)
        expected = {MOST: -math.log1p(-eps), LEAST: -math.log(eps)}.get(value, value)
        if weighted:
            z, t = np.concatenate([z, z, z]), np.concatenate([t, t, t])
            more["sample_weight"] = [0.0, 2.0, 0.0]
        grad = np.empty_like(z)
        got = getattr(kernels, name)(z, t, grad=grad, **more)
        assert got == pytest.approx(expected, rel=1e-6, nan_ok=True), (name, z, t, more)
        if slopes is not None:
            np.testing.assert_allclose(grad[len(z) // 2], slopes[0], rtol=1e-6, err_msg=f"{name} {z} {t} {more}")


def test_every_loss_is_compared_with_its_oracle_at_extreme_outputs():
    specs = {spec.function or spec.name: spec for spec in SPECS if spec.twin == "loss"}
    assert set(specs) == set(ROWS)
    for name, spec in specs.items():
        assert ROWS[name].outputs in spec.edge_arguments
        assert {INF, -INF, 3e38} < set(spec.edge_values)


def test_log_cosh_keeps_its_digits_near_the_target(impl, dtype):
    """|d| + log1p(exp(-2 |d|)) - log(2) would lose all digits there."""
    d = np.array([[1e-6], [1e-3], [0.5], [1.2499], [1.2501], [3.0]], dtype)
    for each in d:
        wanted = np.log(np.cosh(each.astype(np.longdouble)))[0] if each > 0.01 else float(each[0]) ** 2 / 2
        got = kernels.log_cosh(each[:, None], [[0.0]])
        assert got == pytest.approx(float(wanted), rel=1e-6 if dtype == "float32" or each < 0.01 else 1e-14)


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
    for use in (fastnn.Trainer, lambda net, loss: fastnn.check_gradients(net, np.ones((2, 4)), [0, 1], loss)):
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
        r"y must be 1-dimensional, of shape \(n,\), got shape \(40, 6\)$",
    ),
    "custom of labels": (np.full(40, K), ValueError, "y must contain integers from 0 to 5, got 6$"),
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
        lambda: fastnn.check_gradients(trainer.net, X, y, loss),
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
        'with one output write loss="binary_cross_entropy" for a binary target, loss="mean_squared_error" for a real'
    )
    for y in (yr[:, None], yr, np.zeros(60, int), np.ones((60, 1))):
        for use in (
            lambda y=y: trainer.fit(X, y, verbose=0),
            lambda y=y: trainer.evaluate(X, y),
            lambda y=y: fastnn.check_gradients(net, X, y, loss),
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


# ---- losses as objects, and custom losses ----


def test_losses_are_values():
    weight = np.array([1.0, 2.0])
    loss = nn.CrossEntropyLoss(weight, 0.1)
    weight[:] = 7
    assert loss == nn.CrossEntropyLoss([1, 2], label_smoothing=0.1) != nn.CrossEntropyLoss([1.0, 2.0])
    assert repr(loss) == "CrossEntropyLoss(weight=(1.0, 2.0), label_smoothing=0.1)"
    assert repr(nn.MSELoss()) == "MSELoss()"
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert len({nn.HuberLoss(), nn.HuberLoss(1.0), nn.HuberLoss(2.0), nn.QuantileLoss([0.5, 0.7])}) == 3


@pytest.mark.parametrize("optimizer", [optim.Adam(1e-2), optim.SGD(0.1, momentum=0.9)], ids=["adam", "momentum"])
def test_a_custom_loss_trains_as_the_same_loss_does(impl, optimizer):
    rng = np.random.default_rng(0)
    X, y, weight = rng.normal(size=(50, 4)), rng.normal(size=(50, K)), rng.integers(0, 3, 50)
    own = nn.CustomLoss(lambda z, t: ((z - t) ** 2).mean(axis=1), lambda z, t: 2 * (z - t) / K)
    trainers = [fastnn.Trainer(net_of(), loss, optimizer) for loss in (own, "mean_squared_error")]
    for trainer in trainers:
        trainer.fit(X, y, epochs=4, batch_size=16, sample_weight=weight, validation_data=(X, y), verbose=0)
    np.testing.assert_allclose(trainers[0].net.params.data, trainers[1].net.params.data, rtol=1e-11)
    for key in ("loss", "val_loss"):
        np.testing.assert_allclose(trainers[0].history[key], trainers[1].history[key], rtol=1e-12)


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
        ("mse", ValueError, "'mse'"),
        (nn.MSELoss, TypeError, r"the class MSELoss: write nn.MSELoss\(\)"),
        (nn.HuberLoss, TypeError, r"the class HuberLoss: write nn.HuberLoss\(\)"),
        (nn.CustomLoss, TypeError, r"the class CustomLoss: write nn.CustomLoss\(\.\.\.\)"),
        (nn.ReLU, TypeError, "the class ReLU"),
    ],
)
def test_what_is_no_loss(loss, error, got):
    for use in (fastnn.Trainer, lambda net, loss: fastnn.check_gradients(net, np.ones((2, 4)), [0, 1], loss)):
        with pytest.raises(error, match=rf"^loss must be one of cross_entropy, .*, got {got}$"):
            use(net_of(), loss)
