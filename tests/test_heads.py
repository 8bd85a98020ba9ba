"""`HeadsLoss`: the sum of the losses of a net's heads, in trainers and by hand."""

import pickle
import re
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

N = 96


def classes(k):
    return lambda rng, n: rng.integers(0, k, n)[:, np.newaxis]


def numbers(k):
    return lambda rng, n: rng.normal(size=(n, k))


def bits(k):
    return lambda rng, n: rng.integers(0, 2, (n, k))


def surprise(z, t):
    """Return the negative log-likelihood of a normal distribution with weights in a second column of the target."""
    return t[:, 1] * (z[:, 1] + (t[:, 0] - z[:, 0]) ** 2 * np.exp(-z[:, 1])) / 2


def surprise_slope(z, t):
    d, scale = z[:, 0] - t[:, 0], np.exp(-z[:, 1])
    return t[:, 1:] * np.stack([d * scale, (1 - d * d * scale) / 2], axis=1)


def chosen(z, y):
    return np.cosh(z[np.arange(len(z)), y])


def chosen_slope(z, y):
    return np.sinh(z) * np.eye(z.shape[1])[y]


SURPRISE = nn.CustomLoss(surprise, surprise_slope, target_columns=2)
CHOSEN = nn.CustomLoss(chosen, chosen_slope, target="labels")
SMOOTH = nn.CrossEntropyLoss(label_smoothing=0.1)

# The heads, and what draws the targets of each.
CASES = {
    "classes and a number": ([("cross_entropy", 3), ("mse", 1, 0.5)], [classes(3), numbers(1)]),
    "a number and classes": ([("mse", 1, 2), (nn.CrossEntropyLoss(), 3, 0.25)], [numbers(1), classes(3)]),
    "numbers twice": ([("huber", 2), (nn.MSELoss(columns="sum"), 3, 0.1)], [numbers(2), numbers(3)]),
    "classes twice, and bits": (
        [(SMOOTH, 20, 1.5), ("multi_margin", 4), ("binary_cross_entropy", 2, 0.7)],
        [classes(20), classes(4), bits(2)],
    ),
    "quantiles and bits as classes": (
        [(nn.QuantileLoss([0.1, 0.5, 0.9]), 6), ("log_loss", 1)],
        [numbers(2), bits(1)],
    ),
    "with functions": (
        [("cross_entropy", 3), (SURPRISE, 2, 0.3), (CHOSEN, 4), ("mse", 1)],
        [classes(3), lambda rng, n: np.abs(rng.normal(size=(n, 2))), classes(4), numbers(1)],
    ),
    "one of classes": ([("cross_entropy", 3, 0.3)], [classes(3)]),
    "one of numbers": ([("mse", 3)], [numbers(3)]),
    "one function": ([(SURPRISE, 2, 0.3)], [numbers(2)]),
}
every = pytest.mark.parametrize("case", CASES)


def widths(case):
    return [head[1] for head in CASES[case][0]]


def problem(case, rows=N):
    rng = np.random.default_rng(7)
    heads, draw = CASES[case]
    X, y = rng.normal(size=(rows, 4)), np.hstack([each(rng, rows) for each in draw])
    weight = rng.random(rows)
    weight[::5] = 0
    return nn.HeadsLoss(heads), X, y.astype(np.float64), weight


def net_of(case, dtype="float64", seed=3):
    return nn.Sequential(nn.Dense(4, 8), nn.Tanh(), nn.Dense(8, sum(widths(case))), dtype=dtype, seed=seed)


def trainer_of(case, optimizer="adam", dtype="float64", loss=None, **settings):
    return fastnn.Trainer(net_of(case, dtype), loss or nn.HeadsLoss(CASES[case][0]), optimizer, **settings)


def terms(case, z, y, weight, grad):
    """Return the sum of the losses, each computed alone, and write its gradient."""
    total, first, column = 0.0, 0, 0
    for (given, width, *factor), draw in zip(*CASES[case], strict=True):
        loss = given if isinstance(given, nn.Loss) else nn.losses.as_loss(given, width)
        columns = draw(np.random.default_rng(0), 1).shape[1]
        t = y[:, column : column + columns]
        if "labels" in loss.spec.kinds_of(width):
            t = t[:, 0].astype(int)
        part = np.empty((len(z), width), z.dtype)
        factor = factor[0] if factor else 1.0
        total += factor * loss(z[:, first : first + width].copy(), t, weight, grad=part)
        grad[:, first : first + width] = factor * part
        first, column = first + width, column + columns
    return total


# ---- what it computes ----


@every
def test_it_is_the_weighted_sum_of_the_losses(impl, case, dtype):
    loss, _, y, weight = problem(case)
    z = np.random.default_rng(1).normal(size=(N, sum(widths(case)))).astype(dtype)
    for weights in (None, weight):
        grad, wanted = np.full_like(z, np.nan), np.empty_like(z)
        value = loss(z, y, weights, grad=grad)
        tolerance = 1e-13 if dtype == np.float64 else 1e-6
        assert value == pytest.approx(terms(case, z, y, weights, wanted), rel=tolerance)
        assert loss(z, y, weights) == value
        assert np.abs(grad - wanted).max() <= tolerance * np.abs(wanted).max()


@every
def test_training_follows_the_sum_of_the_losses(impl, case):
    """Steps by hand, with each loss computed alone, are those of fit."""
    _, X, y, weight = problem(case)
    trainer, by_hand = trainer_of(case), trainer_of(case)
    history = trainer.fit(X, y, sample_weight=weight, epochs=3, batch_size=32, shuffle=False, verbose=0)
    for _ in range(3):
        losses = []
        for start in range(0, N, 32):
            rows = slice(start, start + 32)
            z = by_hand.net.forward(X[rows], training=True)
            dz = np.empty_like(z)
            losses.append(terms(case, z, y[rows], weight[rows], dz))
            by_hand.net.backward(dz)
            by_hand.step()
    for name, want in by_hand.net.parameters().items():
        have = trainer.net.parameters()[name]
        assert np.abs(have - want).max() <= 1e-11 * np.abs(want).max(), name
    totals = weight.reshape(3, 32).sum(axis=1)
    assert history["loss"][-1] == pytest.approx(np.dot(losses, totals) / totals.sum(), rel=1e-11)


@every
def test_trajectories_agree(native, case):
    """The reference takes the same 200 steps."""
    trainers = []
    for backend in ("reference", "native"):
        _, X, y, weight = problem(case)
        with fastnn.backend(backend):
            trainers.append(trainer_of(case, optim.Adam(1e-2)))
            trainers[-1].fit(X, y, sample_weight=weight, epochs=50, batch_size=25, verbose=0)
            assert trainers[-1].step_count == 200
    wanted, got = trainers
    for name, want in wanted.net.parameters().items():
        have = got.net.parameters()[name]
        assert np.abs(have - want).max() <= 1e-10 * np.abs(want).max(), name
    np.testing.assert_allclose(got.history["loss"], wanted.history["loss"], rtol=1e-10)
    assert got.history["loss"][-1] < got.history["loss"][0]


ALONE = {
    "cross_entropy": ("cross_entropy", 3, classes(3)),
    "smooth": (SMOOTH, 20, classes(20)),
    "log_loss of one": ("log_loss", 1, bits(1)),
    "numbers": ("mse", 3, numbers(3)),
    "function": (SURPRISE, 2, numbers(2)),
    "function of classes": (CHOSEN, 4, classes(4)),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_single_head_is_the_loss_bit_for_bit(impl, name, dtype):
    loss, width, draw = ALONE[name]
    rng = np.random.default_rng(0)
    X, y, weight = rng.normal(size=(N, 4)), draw(rng, N), rng.random(N)
    plain = y[:, 0] if "classes" in name or name in ("cross_entropy", "smooth") else y
    bits_of = []
    for each, target in ((loss, plain), (nn.HeadsLoss([(loss, width)]), y)):
        net = nn.Sequential(nn.Dense(4, 8), nn.Tanh(), nn.Dense(8, width), dtype=dtype, seed=0)
        trainer = fastnn.Trainer(net, each, optim.SGD(0.05))
        history = trainer.fit(
            X, target, sample_weight=weight, epochs=3, batch_size=20, verbose=0, validation_data=(X, target)
        )
        bits_of.append((net.params.data.tobytes(), history["loss"], history["val_loss"]))
    assert bits_of[0] == bits_of[1]


@pytest.mark.parametrize("case", ["classes twice, and bits", "with functions"])
def test_threads_and_fits_give_the_same_bits(native, case, dtype):
    _, X, y, weight = problem(case, rows=1500)
    found = set()
    for threads, epochs in ((1, [4]), (2, [4]), (3, [4]), (1, [1, 3])):
        with fastnn.num_threads(threads):
            trainer = trainer_of(case, dtype=dtype)
            for more in epochs:
                trainer.fit(X, y, sample_weight=weight, epochs=more, batch_size=400, verbose=0)
            evaluated = trainer.evaluate(X, y)["loss"]
        found.add((trainer.net.params.data.tobytes(), tuple(trainer.history["loss"]), evaluated))
    assert len(found) == 1


@every
def test_gradients(impl, case):
    loss, X, y, weight = problem(case, rows=20)
    assert fastnn.check_gradients(net_of(case), X, y, sample_weight=weight, loss=loss)


def test_heads_are_branches_or_columns_of_one_layer(impl):
    """A net of branches takes the steps of a wide last layer with the same weights, and passes the gradient check."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, 4)), np.column_stack([rng.integers(0, 3, N), rng.normal(size=(N, 2))])
    heads = nn.Parallel(nn.Dense(8, 3), nn.Sequential(nn.Dense(8, 2)), join="concat")
    branches = nn.Sequential(nn.Dense(4, 8), nn.Tanh(), heads, dtype="float64", seed=0)
    wide = nn.Sequential(nn.Dense(4, 8), nn.Tanh(), nn.Dense(8, 5), dtype="float64", seed=0)
    of_branches = branches.parameters()
    for name, array in wide.parameters().items():
        joined = [of_branches[name.replace("2.", each)] for each in ("2.0.", "2.1.0.")]
        array[...] = np.concatenate(joined, axis=-1) if name.startswith("2") else of_branches[name]
    loss = nn.HeadsLoss([("cross_entropy", 3), ("mse", 2, 0.5)])
    assert fastnn.check_gradients(branches, X[:20], y[:20], loss=loss)
    for net in (branches, wide):
        fastnn.Trainer(net, loss, optim.SGD(0.1)).fit(X, y, epochs=3, batch_size=32, verbose=0)
    np.testing.assert_allclose(branches.predict(X), wide.predict(X), rtol=1e-10)


def test_a_wrong_gradient_of_a_head_is_found(impl):
    wrong = nn.CustomLoss(surprise, lambda z, t: 1.01 * surprise_slope(z, t), target_columns=2)
    loss = nn.HeadsLoss([("mse", 1), (wrong, 2)])
    net, rng = nn.Sequential(nn.Dense(4, 3), dtype="float64", seed=0), np.random.default_rng(0)
    assert not fastnn.check_gradients(net, rng.normal(size=(9, 4)), rng.normal(size=(9, 3)), loss=loss)


def test_two_heads_follow_pytorch():
    """100 steps of Adam with a cross entropy and a squared error."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
    rng = np.random.default_rng(2)
    X, k, t = rng.normal(size=(100, 6)), rng.integers(0, 4, 100), rng.normal(size=(100, 2))
    heads = nn.Parallel(nn.Dense(16, 4), nn.Dense(16, 2), join="concat")
    net = nn.Sequential(nn.Dense(6, 16), nn.Tanh(), heads, dtype="float64", seed=0)

    class Heads(torch.nn.ModuleList):
        def forward(self, x):
            return torch.cat([each(x) for each in self], dim=1)

    two = Heads([torch.nn.Linear(16, 4), torch.nn.Linear(16, 2)])
    theirs = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), two).double()
    theirs.load_state_dict({name: torch.tensor(value) for name, value in net.state_dict().items()})
    loss = nn.HeadsLoss([("cross_entropy", 4, 0.8), ("mean_squared_error", 2, 0.3)])
    trainer = fastnn.Trainer(net, loss, optim.Adam(1e-2))
    trainer.fit(X, np.column_stack([k, t]), epochs=20, batch_size=20, shuffle=False, verbose=0)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for _ in range(20):
        for start in range(0, 100, 20):
            rows = slice(start, start + 20)
            z = theirs(torch.tensor(X[rows]))
            value = 0.8 * torch.nn.functional.cross_entropy(z[:, :4], torch.tensor(k[rows]))
            value = value + 0.3 * torch.nn.functional.mse_loss(z[:, 4:], torch.tensor(t[rows]))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    assert trainer.step_count == 100
    for name, want in theirs.state_dict().items():
        want = want.numpy()
        assert np.abs(net.state_dict()[name] - want).max() <= 1e-10 * np.abs(want).max(), name


# ---- where it is used ----


@every
def test_evaluation_is_the_loss_of_the_predictions(impl, case, monkeypatch):
    loss, X, y, weight = problem(case)
    trainer = trainer_of(case)
    wanted = loss(trainer.net.predict(X), y, weight)
    for elements in (1 << 18, 7 * sum(widths(case))):
        monkeypatch.setattr("fastnn.training.evaluation.EVALUATE_ELEMENTS", elements)
        assert trainer.evaluate(X, y, sample_weight=weight) == {"loss": pytest.approx(wanted, rel=1e-12)}
    history = trainer.fit(X, y, epochs=2, verbose=0, validation_data=(X, y, weight))
    assert history["val_loss"][-1] == trainer.evaluate(X, y, sample_weight=weight)["loss"]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.int8, np.uint8, np.float16, ">f8", "list"])
def test_class_numbers_of_any_dtype(impl, kind):
    case = "classes and a number"
    loss, X, y, _ = problem(case)
    y[:, 1] = np.arange(N) % 7
    given = y.tolist() if kind == "list" else y.astype(kind)
    wanted, got = trainer_of(case), trainer_of(case)
    wanted.fit(X, y, epochs=2, verbose=0)
    got.fit(X, given, epochs=2, verbose=0, validation_data=(X, given))
    np.testing.assert_array_equal(got.net.params.data, wanted.net.params.data)
    z = np.random.default_rng(0).normal(size=(N, 4))
    assert loss(z, given) == loss(z, y)


@pytest.mark.parametrize("optimizer", ["LBFGS", "Newton"])
def test_full_batch_optimizers(impl, optimizer):
    case = "classes and a number"
    _, X, y, weight = problem(case)
    trainer = trainer_of(case, optimizer)
    before = trainer.evaluate(X, y, sample_weight=weight)["loss"]
    history = trainer.fit(X, y, sample_weight=weight, epochs=8, verbose=0)
    assert history["loss"][0] == pytest.approx(before, rel=1e-12)
    assert trainer.evaluate(X, y, sample_weight=weight)["loss"] < 0.9 * before


def test_learning_rate_range_test(impl):
    _, X, y, _ = problem("classes and a number")
    found = fastnn.lr_range_test(trainer_of("classes and a number"), X, y, steps=20, batch_size=16)
    assert np.isfinite(found.losses[0])
    assert found.losses[0] > 0


def test_ensembles(impl):
    case = "classes and a number"
    loss, X, y, weight = problem(case)
    ensemble = fastnn.Ensemble([net_of(case, seed=seed) for seed in range(3)])
    wanted = loss(ensemble.predict(X), y, weight)
    assert ensemble.evaluate(X, y, loss=loss, sample_weight=weight)["loss"] == pytest.approx(wanted, rel=1e-12)
    message = "loss must be a loss of one head for the output 'softmax', got HeadsLoss.*: make the ensemble with output"
    with pytest.raises(ValueError, match=message):
        fastnn.Ensemble(ensemble.members, "softmax").evaluate(X, y, loss=loss)


def test_pickles_and_state_dicts_continue(impl):
    case = "classes twice, and bits"
    _, X, y, _ = problem(case)
    trainer = trainer_of(case)
    trainer.fit(X, y, epochs=2, batch_size=20, verbose=0)
    copies = [pickle.loads(pickle.dumps(trainer)), trainer.copy(), trainer_of(case)]
    copies[-1].net.load_state_dict(trainer.net.state_dict())
    copies[-1].load_state_dict(trainer.state_dict())
    trainer.fit(X, y, epochs=2, batch_size=20, verbose=0)
    for each in copies:
        assert each.loss == trainer.loss
        each.fit(X, y, epochs=2, batch_size=20, verbose=0)
        np.testing.assert_array_equal(each.net.params.data, trainer.net.params.data)


def test_metrics_are_functions_of_columns(impl):
    case = "classes and a number"
    loss, X, y, _ = problem(case)

    def hits(y, z):
        return (z[:, :3].argmax(axis=1) == y[:, 0]).mean()

    trainer = trainer_of(case, metrics=[hits, loss])
    figures = trainer.evaluate(X, y)
    assert figures["hits"] == (trainer.predict(X)[:, :3].argmax(axis=1) == y[:, 0]).mean()
    assert figures["HeadsLoss"] == pytest.approx(figures["loss"], rel=1e-12)
    for name in ("accuracy", "balanced_accuracy", "r2", "root_mean_squared_error"):
        message = rf"metrics\['{name}'\] must be a function of the columns of a head for a HeadsLoss, got '{name}'"
        with pytest.raises(ValueError, match=message):
            trainer.evaluate(X, y, metrics=name)
    with pytest.raises(ValueError, match="must be a loss for targets with 2 columns, got"):
        trainer.evaluate(X, y, metrics="mean_squared_error")


def test_probabilities_are_of_a_head(impl):
    trainer = trainer_of("classes and a number")
    assert not hasattr(trainer, "predict_proba")
    with pytest.raises(AttributeError, match=r"write kernels.softmax\(trainer.predict\(X\)\[:, :3\]\) for the columns"):
        trainer.predict_proba(np.zeros((2, 4)))
    assert trainer.predict(np.zeros((2, 4))).shape == (2, 4)


def test_no_warning_of_the_last_layer(impl):
    loss, X, y, _ = problem("classes and a number")
    net = nn.Sequential(nn.Dense(4, 4), nn.ReLU(), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastnn.Trainer(net, loss).fit(X, y, epochs=1, verbose=0)


def test_estimators_refuse_heads():
    sklearn = pytest.importorskip("fastnn.sklearn", reason="scikit-learn is missing")
    rng = np.random.default_rng(0)
    loss = nn.HeadsLoss([("mse", 1), ("huber", 1)])
    with pytest.raises(ValueError, match=r"loss must be a loss of one head, got HeadsLoss.*: write fastnn.Trainer"):
        sklearn.MLPRegressor(loss, (5,)).fit(rng.normal(size=(20, 3)), rng.normal(size=(20, 2)))


# ---- what goes wrong ----


@pytest.mark.parametrize("which", ["value", "gradient"])
def test_an_exception_in_a_head_changes_nothing(impl, which):
    def fails(z, t):
        raise RuntimeError("stop")

    functions = {"value": surprise, "gradient": surprise_slope} | {which: fails}
    loss = nn.HeadsLoss([("cross_entropy", 3), (nn.CustomLoss(**functions, target_columns=2), 2)])
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, 4)), np.column_stack([rng.integers(0, 3, N), rng.normal(size=(N, 2))])
    net = nn.Sequential(nn.Dense(4, 8), nn.BatchNorm(8), nn.Dense(8, 5), seed=0)
    before = {name: value.copy() for name, value in net.state_dict().items()}
    trainer = fastnn.Trainer(net, loss)
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit(X, y, verbose=0)
    assert trainer.step_count == 0
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    grad = np.full((N, 5), 7.0)
    with pytest.raises(RuntimeError, match="stop"):
        loss(np.zeros((N, 5)), y, grad=grad)
    assert (grad == 7.0).all()


def test_weights_below_0_are_for_functions_alone(impl):
    case = "one function"
    _, X, y, weight = problem(case)
    trainer_of(case).fit(X, y, sample_weight=weight - 0.5, epochs=2, verbose=0)
    both = nn.HeadsLoss([(SURPRISE, 1), ("mse", 1)])
    with pytest.raises(ValueError, match="contain finite weights, none below 0"):
        trainer_of(case, loss=both).fit(X, np.zeros((N, 3)), sample_weight=weight - 0.5, verbose=0)


MSE, CE = ("mse", 1), ("cross_entropy", 3)
REFUSED = {
    "nothing": ([], ValueError, "heads must have at least one entry, got none"),
    "a name": ("mse", TypeError, r"heads must be a list of \(loss, width\) or \(loss, width, weight\), got str: write"),
    "a loss": (nn.MSELoss(), TypeError, "heads must be a list of"),
    "None": (None, TypeError, "heads must be a list of .*, got None"),
    "no tuple": ([CE, "mse"], TypeError, r"heads\[1\] must be \(loss, width\) or \(loss, width, weight\), got str: wr"),
    "no width": ([("mse",)], TypeError, r"heads\[0\] must be .*, got a tuple of length 1: write"),
    "too much": ([(*MSE, 1.0, 2)], TypeError, r"heads\[0\] must be .*, got a tuple of length 4"),
    "width 0": (
        [CE, ("mse", 0)],
        ValueError,
        r"heads\[1\]\[1\], the width, must be an integer from 1 to 16777216, got 0",
    ),
    "width 1.0": (
        [("mse", 1.0)],
        TypeError,
        r"heads\[0\]\[1\], the width, must be an integer from 1 to 16777216, got 1.0",
    ),
    "weight 0": ([(*MSE, 0)], ValueError, r"heads\[0\]\[2\], the weight, must be a finite number above 0, got 0.0"),
    "weight -1": ([(*MSE, -1.0)], ValueError, "above 0, got -1.0"),
    "weight NaN": ([(*MSE, float("nan"))], ValueError, "above 0, got nan"),
    "weight None": ([(*MSE, None)], TypeError, "above 0, got None"),
    "a misspelt name": ([("cross_entropi", 3)], ValueError, r"heads\[0\]\[0\] must be one of .*did you mean 'cross_e"),
    "a function": ([(max, 3)], TypeError, r"heads\[0\]\[0\] must be .*: write nn.CustomLoss\(value, gradient\)"),
    "a class": ([(nn.MSELoss, 3)], TypeError, r"heads\[0\]\[0\] must be .*, got the class MSELoss: write nn.MSELoss"),
    "heads within": ([(nn.HeadsLoss([MSE]), 1)], ValueError, r"heads\[0\]\[0\] must be a loss of one head, got Heads"),
    "one class": ([MSE, ("cross_entropy", 1)], ValueError, r"heads\[1\]: the number of outputs must be at least 2"),
    "quantiles": ([(nn.QuantileLoss([0.1, 0.5]), 3)], ValueError, r"heads\[0\]: quantiles must have a length that div"),
    "bits": ([(nn.BCEWithLogitsLoss([1.0, 2.0]), 3)], ValueError, r"heads\[0\]: pos_weight must have shape \(3,\)"),
    "class weights": (
        [(nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0]), 3)],
        ValueError,
        r"heads\[0\]\[0\] must have no weights of classes, got CrossEntropyLoss\(.*\): leave the weight out, and weigh",
    ),
    "classes beyond float32": ([("cross_entropy", 2**24 + 1)], ValueError, "from 1 to 16777216, got 16777217"),
    "smooth and endless": ([(SMOOTH, 10**18)], ValueError, "from 1 to 16777216, got 1000000000000000000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_heads(name):
    heads, error, message = REFUSED[name]
    with pytest.raises(error, match=message) as caught:
        nn.HeadsLoss(heads)
    assert str(caught.value).startswith("heads")


def test_widths_that_are_not_the_nets(impl):
    net = nn.Sequential(nn.Dense(4, 5), seed=0)
    trainer = fastnn.Trainer(net, "mse")
    message = r"the widths of heads must have the sum 5, the number of the net's outputs, got 3 \+ 1 = 4"
    for change in (
        lambda loss: fastnn.Trainer(net, loss),
        lambda loss: setattr(trainer, "loss", loss),
        lambda loss: trainer.evaluate(np.zeros((2, 4)), np.zeros((2, 5)), metrics=loss),
        lambda loss: fastnn.check_gradients(net, np.zeros((2, 4)), np.zeros((2, 2)), loss=loss),
    ):
        with pytest.raises(ValueError, match=message):
            change(nn.HeadsLoss([CE, MSE]))
    assert trainer.loss == nn.MSELoss()


def test_a_loss_that_a_callback_sets(impl):
    """The targets are checked again for the new loss, which trains from the next step."""

    class Change(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            trainer.loss = self.loss

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, 4)), rng.normal(size=(N, 2))
    nets = [nn.Sequential(nn.Dense(4, 2), dtype="float64", seed=0) for _ in range(2)]
    both, change = nn.HeadsLoss([MSE, ("huber", 1, 0.1)]), Change()
    change.loss = both
    fastnn.Trainer(nets[0], "mse").fit(X, y, epochs=2, verbose=0, callbacks=[change])
    trainer = fastnn.Trainer(nets[1], "mse")
    trainer.fit(X, y, epochs=1, verbose=0)
    trainer.loss = both
    trainer.fit(X, y, epochs=1, verbose=0)
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)
    change.loss = nn.HeadsLoss([("cross_entropy", 2)])
    with pytest.raises(
        ValueError, match=r"y must have shape \(n, 1\), got shape \(96, 2\): its columns are the class nu"
    ):
        trainer.fit(X, y, epochs=2, verbose=0, callbacks=[change])


def test_one_column_of_targets_may_be_a_vector(impl):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, 4)), rng.integers(0, 3, N)
    trainers = [fastnn.Trainer(nn.Sequential(nn.Dense(4, 3), seed=0), nn.HeadsLoss([CE])) for _ in range(2)]
    for trainer, target in zip(trainers, (y, y[:, np.newaxis]), strict=True):
        trainer.fit(X, target, epochs=2, verbose=0)
    np.testing.assert_array_equal(trainers[0].net.params.data, trainers[1].net.params.data)


def with_entry(row, column, value):
    def change(y):
        y = y.astype(np.float64)
        y[row, column] = value
        return y

    return change


OF_COLUMNS = (
    r"its columns are the class numbers of heads\[0\], 3 columns of numbers of heads\[1\], "
    r"the class numbers of heads\[2\], 1 column of numbers of heads\[3\]"
)
WRONG = {
    "a vector": (lambda y: y[:, 0], rf"y must be 2-dimensional, of shape \(n, 6\), got shape \(96,\): {OF_COLUMNS}"),
    "too few": (lambda y: y[:, :5], rf"y must have shape \(n, 6\), got shape \(96, 5\): {OF_COLUMNS}"),
    "too many": (lambda y: np.hstack([y, y]), rf"y must have shape \(n, 6\), got shape \(96, 12\): {OF_COLUMNS}"),
    "NaN": (
        with_entry(3, 0, np.nan),
        r"y\[:, 0\] \(heads\[0\]\) must contain integers from 0 to 2, got nan in row 3: number the classes from 0, as ",
    ),
    "1.5": (with_entry(4, 4, 1.5), r"y\[:, 4\] \(heads\[2\]\) must contain integers from 0 to 3, got 1.5 in row 4"),
    "-1": (with_entry(5, 0, -1), r"y\[:, 0\] \(heads\[0\]\) must contain integers from 0 to 2, got -1.0 in row 5"),
    "width": (with_entry(6, 4, 4), r"y\[:, 4\] \(heads\[2\]\) must contain integers from 0 to 3, got 4.0 in row 6"),
    "infinity": (with_entry(7, 0, np.inf), r"y\[:, 0\] \(heads\[0\]\) must contain integers from 0 to 2, got inf in"),
    "no probability": (
        with_entry(8, 2, 1.5),
        r"y\[:, 1:4\] \(heads\[1\]\) must contain numbers from 0 to 1, got 1.5 in row 8, column 1",
    ),
    "NaN of a number": (
        with_entry(9, 5, np.nan),
        r"y\[:, 5\] \(heads\[3\]\) must contain finite numbers, got nan in row 9",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_targets(impl, name):
    change, message = WRONG[name]
    loss = nn.HeadsLoss([CE, ("binary_cross_entropy", 3), ("multi_margin", 4), MSE])
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4))
    y = np.hstack([each(rng, N) for each in (classes(3), bits(3), classes(4), numbers(1))])
    net = nn.Sequential(nn.Dense(4, 11), dtype="float64", seed=0)
    trainer, wrong = fastnn.Trainer(net, loss), change(y)
    before = net.params.data.copy()
    with pytest.raises(ValueError, match=f"^{message}"):
        trainer.fit(X, wrong, verbose=0)
    with pytest.raises(ValueError, match=f"^{message}"):
        trainer.evaluate(X, wrong)
    with pytest.raises(ValueError, match=f"^{message}".replace("y", r"validation_data\[1\]", 1)):
        trainer.fit(X, y, validation_data=(X, wrong), verbose=0)
    with pytest.raises(ValueError, match=f"^{message}"):
        fastnn.check_gradients(net, X, wrong, loss=loss)
    assert trainer.step_count == 0
    np.testing.assert_array_equal(net.params.data, before)
    if "NaN of" in name:  # a loss alone computes with NaN
        return
    grad = np.full((N, 11), 7.0)
    with pytest.raises(ValueError, match=r"^target"):
        loss(np.zeros((N, 11)), wrong, grad=grad)
    assert (grad == 7.0).all()


def test_a_loss_alone_computes_with_nan(impl):
    loss = nn.HeadsLoss([CE, MSE])
    assert np.isnan(loss(np.zeros((2, 4)), [[0, 1.0], [2, np.nan]]))
    with pytest.raises(ValueError, match=r"outputs must have shape \(rows, 4\), got shape \(2, 3\)"):
        loss(np.zeros((2, 3)), np.zeros((2, 2)))


@pytest.mark.parametrize("value", [3, -1, 1.5, np.nan, np.inf, -np.inf, 1e30], ids=str)
@pytest.mark.parametrize("event", ["on_epoch_end", "on_epoch_begin", "on_batch_end"])
def test_class_numbers_that_change_during_a_fit(impl, event, value, dtype):
    case = "a number and classes"
    _, X, y, _ = problem(case)
    y = y.astype(dtype)
    trainer = trainer_of(case, optim.SGD(0.01), dtype)

    def change(self, trainer, *logs):
        self.calls += 1
        if self.calls == 2:
            y[:, 1] = value

    callback = type("Change", (fastnn.Callback,), {event: change, "calls": 0})()
    got = rf"{re.escape(f'{dtype.type(value)}')} in row \d+ \(it has changed since the training began\)"
    message = rf"^y\[:, 1\] \(heads\[1\]\) must contain integers from 0 to 2, got {got}: do not change y during a fit"
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, y, epochs=4, batch_size=7, verbose=0, callbacks=[callback])
    steps = trainer.step_count
    assert steps == trainer.net.training_steps > 0
    assert np.isfinite(trainer.net.params.data).all()
    y[:, 1] = 0
    trainer.fit(X, y, epochs=1, batch_size=7, verbose=0)  # the error has no later effect
    assert trainer.step_count == steps + 14
