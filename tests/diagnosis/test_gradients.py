"""The backward pass of every layer and loss against two-sided differences."""

import numpy as np
import pytest

import fastnn
from fastnn import kernels, nn, optim

LOSSES = {
    "cross_entropy, labels": ("cross_entropy", lambda rng, n, k: rng.integers(0, k, n)),
    "cross_entropy, rows": ("cross_entropy", lambda rng, n, k: rng.dirichlet(np.ones(k), n)),
    "binary_cross_entropy": ("binary_cross_entropy", lambda rng, n, k: rng.random((n, k))),
    "log_loss, labels": ("log_loss", lambda rng, n, k: rng.integers(0, k, n)),
    "log_loss, columns": ("log_loss", lambda rng, n, k: rng.integers(0, 2, (n, k)).astype(float)),
    "mean_squared_error": ("mean_squared_error", lambda rng, n, k: rng.normal(size=(n, k))),
}
NETS = {
    "dense": lambda: [nn.Dense(5, 3)],
    "dense without bias": lambda: [nn.Dense(5, 3, bias=False)],
    "identity": lambda: [nn.Dense(5, 4), nn.Identity(), nn.Dense(4, 3)],
    "relu": lambda: [nn.Dense(5, 6), nn.ReLU(), nn.Dense(6, 3)],
    "leaky relu": lambda: [nn.Dense(5, 6), nn.LeakyReLU(0.2), nn.Dense(6, 3)],
    "sigmoid": lambda: [nn.Dense(5, 4), nn.Sigmoid(), nn.Dense(4, 3)],
    "tanh": lambda: [nn.Dense(5, 4), nn.Tanh(), nn.Dense(4, 3)],
    "prelu": lambda: [nn.Dense(5, 6), nn.PReLU(), nn.Dense(6, 3)],
    "prelu, a slope each": lambda: [
        nn.PReLU(5), nn.Dense(5, 4), nn.PReLU(4, init=-0.5), nn.Dropout(0.2), nn.Dense(4, 3),
    ],
    "softmax": lambda: [nn.Dense(5, 4), nn.Softmax(), nn.Dense(4, 3), nn.Softmax()],
    "log softmax": lambda: [nn.LogSoftmax(), nn.Dense(5, 4), nn.LogSoftmax(), nn.Dropout(0.2), nn.Dense(4, 3)],
    "batch norm": lambda: [nn.Dense(5, 4, bias=False), nn.BatchNorm(4), nn.Dense(4, 3)],
    "batch norm first": lambda: [nn.BatchNorm(5), nn.Dense(5, 3)],
    "batch norm last": lambda: [nn.Dense(5, 3, bias=False), nn.BatchNorm(3)],
    "batch norm, activation, dropout": lambda: [
        nn.Dense(5, 8, bias=False), nn.BatchNorm(8), nn.Tanh(), nn.Dropout(0.3), nn.Dense(8, 3),
    ],
    "batch norm, cumulative": lambda: [nn.BatchNorm(5, momentum=None), nn.Dense(5, 3)],
    "layer norm": lambda: [nn.Dense(5, 6), nn.LayerNorm(6), nn.GELU(), nn.Dropout(0.3), nn.Dense(6, 3)],
    "layer norm first and last": lambda: [nn.LayerNorm(5, bias=False), nn.Dense(5, 3), nn.LayerNorm(3)],
    "root mean square norm": lambda: [
        nn.RMSNorm(5), nn.Dense(5, 6), nn.RMSNorm(6, eps=1e-3), nn.ReLU(), nn.Dense(6, 3),
    ],
    "a factor for each column": lambda: [nn.ScaleColumns(5), nn.Dense(5, 4), nn.ScaleColumns(4), nn.Dense(4, 3)],
    "piecewise linear": lambda: [
        nn.PiecewiseLinear([[-1, 0.3, 1], [-2, 2], [-1, 0, 1, 2], [0, 1], [-1, 0.1, 0.5]], dim=4), nn.Dense(20, 3),
    ],
    "piecewise linear of a layer": lambda: [
        nn.Dense(5, 2), nn.Tanh(), nn.PiecewiseLinear([[-0.5, 0.1, 0.5], [-1, 1]]), nn.Dense(3, 3),
    ],
    "periodic": lambda: [nn.Periodic(5, 3, dim=2, scale=0.3, activation="tanh"), nn.Dense(10, 3)],
    "periodic of a layer": lambda: [nn.Dense(5, 2), nn.Tanh(), nn.Periodic(2, 3, scale=0.3), nn.Dense(12, 3)],
    "dropout": lambda: [nn.Dense(5, 8), nn.Dropout(0.4), nn.Dense(8, 3)],
    "dropout first": lambda: [nn.Dropout(0.2), nn.Dense(5, 3)],
    "dropout last": lambda: [nn.Dense(5, 3), nn.Dropout(0.2)],
    "dropout, then activation": lambda: [nn.Dense(5, 8), nn.Dropout(0.3), nn.Tanh(), nn.Dense(8, 3)],
    "activation and dropout, twice": lambda: [
        nn.Dense(5, 8), nn.Sigmoid(), nn.Dropout(0.2), nn.Tanh(), nn.Dropout(0.2), nn.Dense(8, 3),
    ],
    "activation first": lambda: [nn.Tanh(), nn.Dense(5, 3)],
    "activations last": lambda: [nn.Dense(5, 3), nn.Tanh(), nn.LeakyReLU(0.5)],
    "deep": lambda: [
        nn.Dense(5, 7), nn.ReLU(), nn.Dropout(0.1), nn.Dense(7, 6, bias=False), nn.BatchNorm(6), nn.LeakyReLU(),
        nn.Dense(6, 4), nn.Sigmoid(), nn.Dense(4, 3),
    ],
}  # fmt: skip


@pytest.mark.sampled(5)
@pytest.mark.parametrize("weighted", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["", "weights"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layers", NETS)
def test_gradients(impl, layers, loss, weighted, rng):
    name, target = LOSSES[loss]
    net = nn.Sequential(*NETS[layers](), dtype="float32", seed=11)
    for index, layer in enumerate(net.layers):
        if "bias" in layer.parameters():
            layer.bias[...] = rng.normal(size=layer.bias.shape)
        if isinstance(layer, nn.BatchNorm | nn.LayerNorm | nn.RMSNorm):
            layer.weight[...] = 1 + index / 7
    X, y = rng.normal(size=(9, 5)), target(rng, 9, 3)
    weight = rng.integers(0, 3, 9) + (np.arange(9) == 0) if weighted else None
    before = net.params.data.copy(), net.state.data.copy(), net.training_steps
    report = fastnn.check_gradients(net, X, y, loss=name, sample_weight=weight)
    assert report.ok, f"\n{report}"
    assert {block.name for block in report.blocks} == {"input", *net.parameters()}
    assert sum(block.skipped for block in report.blocks) <= 3
    assert all(block.bound <= 1e-7 * block.largest + 1e-9 for block in report.blocks)
    np.testing.assert_array_equal(net.params.data, before[0])
    np.testing.assert_array_equal(net.state.data, before[1])
    assert net.training_steps == before[2]


@pytest.mark.parametrize("block", ["0.weight", "0.bias", "2.weight"])
def test_a_wrong_gradient_is_found(monkeypatch, block):
    net = nn.Sequential(nn.Dense(3, 4), nn.Tanh(), nn.Dense(4, 2), seed=0)
    backward = nn.Sequential.backward

    def wrong(self, dz):
        dx = backward(self, dz)
        self.gradients()[block].flat[0] *= 1.00001
        return dx

    monkeypatch.setattr(nn.Sequential, "backward", wrong)
    rng = np.random.default_rng(0)
    report = fastnn.check_gradients(net, rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), loss="mean_squared_error")
    assert [each.name for each in report.blocks if not each.ok] == [block]
    assert "WRONG" in str(report)


def test_entries_at_a_kink_are_skipped_and_counted():
    net = nn.Sequential(nn.Dense(2, 2, init=nn.init.constant(0.5)), nn.ReLU(), nn.Dense(2, 1), dtype="float64", seed=0)
    X = np.array([[1.0, -1.0], [2.0, 0.5]])  # the first row is exactly at the kink
    report = {b.name: b for b in fastnn.check_gradients(net, X, [[1.0], [2.0]], loss="mean_squared_error").blocks}
    assert report["0.weight"].skipped == 4
    assert not report["0.weight"].ok  # nothing was compared
    assert report["input"].skipped == 2
    assert report["input"].checked == 2
    assert report["2.weight"].skipped == 0
    assert report["2.weight"].ok


def test_a_sample_of_a_block():
    net = nn.Sequential(nn.Dense(20, 10), nn.Tanh(), nn.Dense(10, 2), seed=0)
    report = fastnn.check_gradients(net, np.ones((3, 20)), [0, 1, 0], max_per_block=7)
    assert [block.checked for block in report.blocks] == [7, 7, 7, 7, 2]
    assert report.ok


# ---- penalties, losses with settings, custom pieces: what is right is found right, and what is wrong, wrong ----

X = np.random.default_rng(0).normal(size=(9, 4))
LABELS, NUMBERS = np.arange(9) % 3, np.random.default_rng(1).normal(size=(9, 3))


def plain(*middle):
    return nn.Sequential(nn.Dense(4, 5), *middle or [nn.Tanh()], nn.Dense(5, 3), dtype="float64", seed=3)


def cosh(factor=1.0):
    return nn.CustomLoss(lambda z, t: np.cosh(z - t).sum(axis=1), lambda z, t: factor * np.sinh(z - t))


def hinge(factor=1.0):
    """Return a loss with a kink, of which nothing is known but its values."""
    return nn.CustomLoss(lambda z, t: np.abs(z - t).sum(axis=1), lambda z, t: factor * np.sign(z - t))


def sine(factor=1.0):
    return nn.CustomActivation(np.sin, lambda dy, x, y: factor * dy * np.cos(x))


def rectifier(at_zero=0.0, factor=1.0):
    return nn.CustomActivation(
        lambda x: np.maximum(x, 0), lambda dy, x, y: factor * dy * np.where(x == 0, at_zero, x > 0)
    )


class Scaled(nn.Layer):
    """y = x @ weight, written with an op."""

    def __init__(self, features):
        super().__init__()
        self.in_features = self.out_features = features

    def parameters(self):
        return {"weight": (self.in_features, self.in_features)}

    def reset(self, seed, default):
        self.array("weight")[...] = default((self.in_features, self.in_features), nn.init.Random(seed, 1000, 0))

    def emit(self, builder, x):
        y = builder.rows(self.in_features)
        builder.op("dense", {"x": x, **self.roles(w="weight"), "y": y})
        return y


def of_columns():
    """Return a net of an id, scaled numbers and encodings, with branches."""
    numbers = nn.Parallel(
        nn.Columns([1], nn.Periodic(1, 3, dim=2, scale=0.3)),
        nn.Columns([2], nn.PiecewiseLinear([[-1, 0.1, 1]], dim=2)),
        nn.Columns([3], nn.Dense(1, 2)),
        join="concat",
    )
    net = nn.Sequential(
        nn.Parallel(nn.Columns([0], nn.Embedding(3, 2)), numbers, join="concat"),
        nn.Residual(nn.Dense(8, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(0.2)), nn.Dense(8, 3),
        dtype="float64", seed=1,
    )  # fmt: skip
    return net, np.column_stack([LABELS, X[:, 1:]])


PENALTY = optim.Penalty(l1=0.1, l2=0.3)
RIGHT = {
    "penalty": lambda: (plain(), X, LABELS, {"penalty": PENALTY}),
    "penalty per batch": lambda: (plain(), X, LABELS, {"penalty": optim.Penalty(l1=0.1, l2=3.0, per_batch=True)}),
    "penalty, weights and batch norm": lambda: (
        plain(nn.BatchNorm(5), nn.ReLU()), X, LABELS,
        {"penalty": optim.Penalty(l2=2.0, per_batch=True), "sample_weight": np.arange(9.0)},
    ),
    "label smoothing": lambda: (plain(), X, LABELS, {"loss": nn.CrossEntropyLoss(label_smoothing=0.2)}),
    "class weights": lambda: (plain(), X, LABELS, {"loss": nn.CrossEntropyLoss([1, 2, 5])}),
    "pos_weight": lambda: (plain(), X, NUMBERS > 0, {"loss": nn.BCEWithLogitsLoss(pos_weight=[1, 2, 5])}),
    "heads": lambda: (
        plain(), X, np.column_stack([LABELS % 2, NUMBERS[:, 0]]),
        {"loss": nn.HeadsLoss([("cross_entropy", 2), ("mse", 1, 0.3)]), "penalty": PENALTY},
    ),
    "custom loss": lambda: (plain(), X, NUMBERS, {"loss": cosh()}),
    "custom loss with a kink": lambda: (plain(), X, NUMBERS, {"loss": hinge()}),
    "custom activation": lambda: (plain(sine()), X, LABELS, {}),
    "custom activation with a kink": lambda: (plain(rectifier()), X, LABELS, {}),
    "custom layer": lambda: (plain(Scaled(5), nn.Tanh()), X, LABELS, {}),
    "columns": lambda: (*of_columns(), LABELS, {"penalty": PENALTY}),
    "trainer": lambda: (fastnn.Trainer(plain(), cosh(), penalty=PENALTY), X, NUMBERS, {}),
}  # fmt: skip
WRONG = {
    "custom loss": lambda: (plain(), X, NUMBERS, {"loss": cosh(1.01)}),
    "custom loss with a kink": lambda: (plain(), X, NUMBERS, {"loss": hinge(1.01)}),
    "custom loss of the wrong sign": lambda: (plain(), X, NUMBERS, {"loss": cosh(-1)}),
    "custom activation": lambda: (plain(sine(0.99)), X, LABELS, {}),
    "custom activation with a kink": lambda: (plain(rectifier(factor=1.01)), X, LABELS, {}),
    "head": lambda: (plain(), X, NUMBERS, {"loss": nn.HeadsLoss([("mse", 1), (cosh(1.01), 2)])}),
    "trainer": lambda: (fastnn.Trainer(plain(), cosh(1.01), penalty=PENALTY), X, NUMBERS, {}),
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right(impl, case):
    net, x, y, settings = RIGHT[case]()
    report = fastnn.check_gradients(net, x, y, **settings)
    assert report.ok, f"\n{report}"
    net = getattr(net, "net", net)
    assert {block.name for block in report.blocks} == {"input", *net.parameters()}
    assert report.relative_error < 1e-7
    assert sum(block.skipped for block in report.blocks) <= 3


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong(case):
    net, x, y, settings = WRONG[case]()
    report = fastnn.check_gradients(net, x, y, **settings)
    assert not report
    assert {block.name: block.verdict for block in report.blocks}["0.weight"] == "WRONG"
    assert "\n0.weight[" in str(report) and "two-sided" in str(report)


def test_a_penalty_is_the_trainers(impl):
    """The largest gradients are those of a step of gradient descent."""
    for penalty in (PENALTY, optim.Penalty(l1=0.5, l2=4.0, per_batch=True)):
        trainer = fastnn.Trainer(plain(), optimizer=optim.SGD(lr=1.0), penalty=penalty)
        before = {name: array.copy() for name, array in trainer.net.parameters().items()}
        report = fastnn.check_gradients(trainer, X, LABELS, sample_weight=np.arange(9.0))
        assert report.ok
        trainer.fit(X, LABELS, sample_weight=np.arange(9.0), epochs=1, batch_size=9, verbose=0)
        for block in report.blocks[1:]:
            moved = np.abs(trainer.net.parameters()[block.name] - before[block.name]).max()
            assert block.largest == pytest.approx(moved, rel=1e-9), block.name


def test_a_wrong_penalty_is_found(monkeypatch):
    right = kernels.regularize
    monkeypatch.setattr(kernels, "regularize", lambda w, g, l1, l2: right(w, g, l1=l1, l2=1.01 * l2))
    report = fastnn.check_gradients(plain(), X, LABELS, penalty=PENALTY)
    assert {block.name for block in report.blocks if not block.ok} == {"0.weight", "2.weight"}


def test_weights_of_0_are_at_the_kink_of_a_penalty():
    net = plain()
    net[0].weight[0] = 0
    block = fastnn.check_gradients(net, X, LABELS, penalty=PENALTY).blocks[1]
    assert (block.name, block.checked, block.reasons, block.verdict) == ("0.weight", 15, {"at a kink": 5}, "ok")
    assert "15        5  ok (5 at a kink)" in str(fastnn.check_gradients(net, X, LABELS, penalty=PENALTY))


@pytest.mark.parametrize("activation", [nn.ReLU(), rectifier(), rectifier(at_zero=0.5)], ids=["own", "custom", "half"])
def test_preactivations_of_exactly_0(activation):
    """Those of one row; a custom activation's kinks are found from the losses alone."""
    net = nn.Sequential(nn.Dense(2, 2, init=nn.init.constant(0.5)), activation, nn.Dense(2, 1), dtype="float64", seed=0)
    report = fastnn.check_gradients(net, [[1.0, -1.0], [2.0, 0.5]], [[1.0], [2.0]], loss="mse")
    counts = {block.name: (block.checked, block.reasons.get("at a kink", 0)) for block in report.blocks}
    assert counts == {"input": (2, 2), "0.weight": (0, 4), "0.bias": (0, 2), "2.weight": (2, 0), "2.bias": (1, 0)}
    assert not report.ok and "WRONG" not in str(report) and "cannot tell (4 at a kink)" in str(report)


def test_one_sided_differences_have_larger_errors():
    report = fastnn.check_gradients(plain(), X, LABELS)
    for block in report.blocks:
        assert 100 * block.error < block.one_sided < 1e-5
    wide, narrow = (fastnn.check_gradients(plain(), X, LABELS, step=h).blocks[1] for h in (1e-2, 1e-3))
    assert wide.worst.step == 1e-2 and wide.ok and narrow.ok
    assert 80 < wide.error / narrow.error < 120
    assert 8 < wide.one_sided / narrow.one_sided < 12


@pytest.mark.sampled(4)
@pytest.mark.parametrize("inside", [lambda x: np.sin(x).astype("f4"), lambda x: np.sin(x.astype("f4"))])
@pytest.mark.parametrize("factor", [1.0, 1.3])
@pytest.mark.parametrize("seed", range(8))
def test_activations_that_compute_in_single_precision(seed, factor, inside):
    """Their gradients are right, though the loss has noise that the last bits of float64 do not show."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(8, 4)), rng.integers(0, 3, 8)
    activation = nn.CustomActivation(lambda x: inside(x).astype(x.dtype), lambda dy, x, y: factor * dy * np.cos(x))
    layers = [nn.Dense(4, 6), activation, nn.Dense(6, 6), nn.Tanh(), nn.Dense(6, 3)]
    report = fastnn.check_gradients(nn.Sequential(*layers, seed=seed), X, y)
    assert any(block.wrong for block in report.blocks) == (factor != 1), str(report)


@pytest.mark.parametrize("step", [1e-17, 1e-300])
def test_steps_that_change_no_entry(step):
    net = nn.Sequential(nn.Dense(3, 2), seed=0)
    report = fastnn.check_gradients(net, np.ones((2, 3)), [0, 1], step=step)
    block = report.blocks[0]
    assert block.name == "input" and block.reasons == {"too small a step": 6} and block.verdict == "cannot tell"


def test_one_row():
    assert fastnn.check_gradients(plain(), X[:1], LABELS[:1], penalty=PENALTY).ok


REFUSED = {
    "NaN": (lambda: fastnn.check_gradients(plain(), X * np.nan, LABELS), ValueError, "X must contain finite numbers"),
    "rows": (lambda: fastnn.check_gradients(plain(), X, LABELS[:5]), ValueError, "y must have 9 rows"),
    "columns": (lambda: fastnn.check_gradients(plain(), X[:, :3], LABELS), ValueError, "X must have shape"),
    "penalty": (
        lambda: fastnn.check_gradients(plain(), X, LABELS, penalty=0.1), TypeError,
        r"penalty must be an optim.Penalty, got .*: write optim.Penalty\(l2=...\)",
    ),
    "a trainer and a loss": (
        lambda: fastnn.check_gradients(fastnn.Trainer(plain()), X, LABELS, loss="mse"), ValueError,
        "loss must be left out with a trainer, which has its own, got 'mse': pass trainer.net for another loss",
    ),
    "a trainer and a penalty": (
        lambda: fastnn.check_gradients(fastnn.Trainer(plain()), X, LABELS, penalty=PENALTY), ValueError,
        "penalty must be left out with a trainer",
    ),
    "step": (lambda: fastnn.check_gradients(plain(), X, LABELS, step=0), ValueError, "step must be"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=f"^{message}"):
        call()
