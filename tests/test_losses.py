"""Losses: in training, compared with PyTorch and scikit-learn, at extreme outputs."""

import math
import pickle
import re

import numpy as np
import pytest
from loss_cases import ALL, HALF, LOSSES, RAMP, K, counts, labels, net_of, numbers, problem, shares
from specs import SPECS

import fastnn
from fastnn import kernels, nn, optim
from fastnn._losses import LOSSES as ROWS

every = pytest.mark.parametrize("name", ALL)

# ---- gradients and training ----


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_gradients(impl, name, weighted):
    loss, X, y, weight = problem(name, rows=12)
    report = fastnn.check_gradients(net_of(), X, y, loss=loss, sample_weight=weight if weighted else None)
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
        monkeypatch.setattr("fastnn.training.evaluation.EVALUATE_ELEMENTS", elements)
        logs = trainer.evaluate(X, y, sample_weight=weight)
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
