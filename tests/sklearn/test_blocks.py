"""The options `norm` and `residual`: each net equals one written by hand, in NumPy and with fastnn's layers."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

import fastnn
from fastnn import kernels, nn, optim
from fastnn.sklearn import MLPClassifier, MLPRegressor, _full_batch

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
CLASSES = np.eye(3)[Y]

SGD = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1}
UNCHANGED = {"max_iter": 1, "learning_rate_init": 1e-300}  # a fit that ends with the initial values


def classifier(**parameters):
    defaults = {"random_state": 0, "max_iter": 6, "batch_size": 32, "hidden_layer_sizes": (7, 7)}
    return MLPClassifier(**defaults | parameters)


def arrays_of(estimator):
    return {
        **{f"coefs_[{i}]": each for i, each in enumerate(estimator.coefs_)},
        **{f"intercepts_[{i}]": each for i, each in enumerate(estimator.intercepts_)},
        **vars(estimator).get("other_parameters_", {}),
    }


def assert_same(one, other):
    wanted = arrays_of(other)
    assert arrays_of(one).keys() == wanted.keys()
    for name, array in arrays_of(one).items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    assert one.loss_curve_ == other.loss_curve_


# The layers that are in no container, and those whose biases are the intercepts.
TREES = [
    ({}, "0 Dense, 1 ReLU, 2 Dense, 3 ReLU, 4 Dense", "0 2 4"),
    ({"norm": "batch"}, "0 Dense, 1 BatchNorm, 2 ReLU, 3 Dense, 4 BatchNorm, 5 ReLU, 6 Dense", "1 4 6"),
    ({"norm": "Layer-Norm"}, "0 Dense, 1 LayerNorm, 2 ReLU, 3 Dense, 4 LayerNorm, 5 ReLU, 6 Dense", "0 3 6"),
    (
        {"residual": True, "hidden_layer_sizes": (7, 7, 7)},
        "0 Dense, 1 ReLU, 2.0 Dense, 2.1 ReLU, 3.0 Dense, 3.1 ReLU, 4 Dense",
        "0 2.0 3.0 4",
    ),
    (
        {"residual": True, "norm": "batch", "dropout": [0.0, 0.5], "activation": ["relu", "prelu"]},
        "0 Dense, 1 BatchNorm, 2 ReLU, 3.0 Dense, 3.1 BatchNorm, 3.2 PReLU, 3.3 Dropout, 4 Dense",
        "1 3.1 4",
    ),
    (
        {"residual": True, "norm": "layer", "dropout": [0.5, 0.0]},
        "0 Dense, 1 LayerNorm, 2 ReLU, 3 Dropout, 4.0 Dense, 4.1 LayerNorm, 4.2 ReLU, 5 Dense",
        "0 4.0 5",
    ),
    ({"residual": True, "norm": "layer", "hidden_layer_sizes": 7}, "0 Dense, 1 LayerNorm, 2 ReLU, 3 Dense", "0 3"),
    ({"residual": True, "norm": "layer", "hidden_layer_sizes": ()}, "0 Dense", "0"),
]


@pytest.mark.parametrize(("parameters", "tree", "shifts"), TREES)
def test_the_tree_of_layers(parameters, tree, shifts):
    fit = classifier(**parameters).fit(X, Y)
    leaves = {layer.path: layer for layer in fit._model.net.leaves}
    assert ", ".join(f"{path} {type(layer).__name__}" for path, layer in leaves.items()) == tree
    dense = [layer for layer in leaves.values() if isinstance(layer, nn.Dense)]
    assert fit.n_layers_ == len(dense) + 1 == len(fit.coefs_) + 1 == len(fit.intercepts_) + 1
    for layer, coef, path, intercept in zip(dense, fit.coefs_, shifts.split(), fit.intercepts_, strict=True):
        assert np.shares_memory(coef, layer.weight) and coef.shape == layer.weight.shape
        assert np.shares_memory(intercept, leaves[path].bias) and intercept.shape == leaves[path].bias.shape
    shapes = [each for layer in leaves.values() for each in (layer.parameters() | layer.buffers()).values()]
    assert sorted(array.shape for array in arrays_of(fit).values()) == sorted(shapes)
    z = fit.net_.predict(X)
    np.testing.assert_array_equal(kernels.softmax(z), fit.predict_proba(X))
    assert fit.loss_curve_[-1] < fit.loss_curve_[0]


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 37},
        {"batch_size": 49, "dropout": 0.2, "residual": True},
        {"batch_size": 19, "early_stopping": True},
    ],
    ids=str,
)
def test_norm_batch_is_batch_norm(options, kind, impl):
    """Also where one row is left for a last batch, and joins the one before: 149 = 4 * 37 + 1, 134 = 7 * 19 + 1."""
    options = {"hidden_layer_sizes": (7, 7), "random_state": 0, "max_iter": 4, **options}
    one, other = (kind(**norm, **options).fit(X[:149], Y[:149]) for norm in ({"norm": "batch"}, {"batch_norm": True}))
    assert_same(one, other)


# ---- the same nets, written by hand ----


class ByHand:
    """The net of an estimator in NumPy, in float64, from the estimator's initial values."""

    def __init__(self, start, norm, residual):
        self.w, self.b = [each.copy() for each in start.coefs_], [each.copy() for each in start.intercepts_]
        hidden = self.b[:-1]
        self.axis = {"layer": 1, "batch": 0, None: None}[norm]  # over which a norm takes its mean
        self.scale = [np.ones(len(each)) for each in hidden]
        # In place of a bias before it, batch norm has a shift that starts with the bias's value.
        self.shift = [np.zeros(len(each)) if norm == "layer" else each for each in hidden]
        self.residual = residual

    def hidden(self, i, x):
        """Return the output of a hidden layer, and the function that gives the derivatives from the output's."""
        z = x @ self.w[i]
        if self.axis is None:
            u, inv_std = z, None
        else:
            z = z + self.b[i] if self.axis == 1 else z
            centred = z - z.mean(axis=self.axis, keepdims=True)
            inv_std = 1 / np.sqrt((centred**2).mean(axis=self.axis, keepdims=True) + 1e-5)
            u = centred * inv_std
        a = np.tanh(u * self.scale[i] + self.shift[i])
        skips = self.residual and i > 0

        def backward(dy):
            dv = dy * (1 - a**2)
            du = dz = dv * self.scale[i]
            if self.axis is not None:
                mean, along = (each.mean(axis=self.axis, keepdims=True) for each in (du, du * u))
                dz = inv_std * (du - mean - u * along)
            steps = [(self.w[i], x.T @ dz), (self.shift[i], dv.sum(axis=0))]
            if self.axis is not None:
                steps.append((self.scale[i], (dv * u).sum(axis=0)))
            if self.axis == 1:
                steps.append((self.b[i], dz.sum(axis=0)))
            return dz @ self.w[i].T + (dy if skips else 0.0), steps

        return a + x if skips else a, backward

    def step(self, x, targets, rate, alpha):
        """Make one step of gradient descent, and return the loss before it."""
        backwards, rows = [], len(x)
        for i in range(len(self.scale)):
            x, backward = self.hidden(i, x)
            backwards.append(backward)
        z = x @ self.w[-1] + self.b[-1]
        logs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        loss = -np.sum(targets * logs) / rows + 0.5 * alpha * sum(np.sum(w**2) for w in self.w) / rows
        dz = (np.exp(logs) - targets) / rows
        dx, steps = dz @ self.w[-1].T, [(self.w[-1], x.T @ dz), (self.b[-1], dz.sum(axis=0))]
        for backward in reversed(backwards):
            dx, more = backward(dx)
            steps += more
        steps += [(w, alpha * w / rows) for w in self.w]
        for array, gradient in [(array, rate * gradient) for array, gradient in steps]:
            array -= gradient
        return loss

    def arrays(self):
        """Return coefs, intercepts, scales and, of layer norms, shifts."""
        shifts = self.shift if self.axis == 1 else []
        intercepts = self.b if self.axis == 1 else [*self.shift, self.b[-1]]
        return [*self.w, *intercepts, *(self.scale if self.axis is not None else []), *shifts]


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("norm", [None, "batch", "layer"])
def test_fits_follow_numpy(norm, residual, impl):
    options = {"norm": norm, "residual": residual, "activation": "tanh", "shuffle": False, "alpha": 0.1}
    options |= {"hidden_layer_sizes": (6, 6, 6), "batch_size": 50}
    want = ByHand(classifier(**options, **SGD | UNCHANGED).fit(X, Y), norm, residual)
    fit = classifier(**options, **SGD, max_iter=20).fit(X, Y)
    order = np.split(np.arange(150), 3)
    losses = [np.mean([want.step(X[rows], CLASSES[rows], 0.1, 0.1) for rows in order]) for _ in range(20)]
    np.testing.assert_allclose(fit.loss_curve_, losses, rtol=1e-12)
    others = vars(fit).get("other_parameters_", {})
    ends = ("weight", "bias")
    mine = [*fit.coefs_, *fit.intercepts_, *(each for end in ends for name, each in others.items() if end in name)]
    for have, wanted in zip(mine, want.arrays(), strict=True):
        np.testing.assert_allclose(have, wanted, rtol=0, atol=1e-11 * np.abs(wanted).max())


NETS = {
    "layer": lambda: [
        nn.Dense(4, 7), nn.LayerNorm(7), nn.ReLU(), nn.Dense(7, 7), nn.LayerNorm(7), nn.ReLU(), nn.Dense(7, 3),
    ],
    "residual": lambda: [
        nn.Dense(4, 7), nn.ReLU(), nn.Dropout(0.2), nn.Residual(nn.Dense(7, 7), nn.ReLU(), nn.Dropout(0.2)),
        nn.Dense(7, 3),
    ],
    "layer, residual": lambda: [
        nn.Dense(4, 7), nn.LayerNorm(7), nn.ReLU(), nn.Residual(nn.Dense(7, 7), nn.LayerNorm(7), nn.ReLU()),
        nn.Dense(7, 3),
    ],
    "batch, residual": lambda: [
        nn.Dense(4, 7, bias=False), nn.BatchNorm(7), nn.ReLU(),
        nn.Residual(nn.Dense(7, 7, bias=False), nn.BatchNorm(7), nn.ReLU()), nn.Dense(7, 3),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", NETS)
def test_fits_equal_those_of_a_trainer(case, impl):
    norm = case.partition(",")[0]
    options = {"norm": None if norm == "residual" else norm, "residual": "residual" in case, "alpha": 0.0}
    options |= {"optimizer": "Adam", "shuffle": False, "dropout": 0.2 if case == "residual" else 0.0}
    start, fit = classifier(**options, **UNCHANGED).fit(X, Y), classifier(**options).fit(X, Y)
    net = nn.Sequential(*NETS[case](), dtype="float64", seed=start.net_.seed)
    initial = [*start.coefs_, *start.intercepts_]
    for name, array in zip(start._model.names, initial, strict=False):
        net.params.view(name)[...] = array
    fastnn.Trainer(net, "log_loss", optim.Adam(1e-3)).fit(X, Y, epochs=6, batch_size=32, shuffle=False, verbose=0)
    have = fit.net_.state_dict()
    assert have.keys() == net.state_dict().keys()
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(have[name], array, err_msg=name)


# ---- solvers, weights, stopping, copies ----


LAYERED = {"norm": "layer", "residual": True}


def test_lbfgs_takes_layer_norm_and_blocks(impl, rng, monkeypatch):
    fit = classifier(solver="lbfgs", activation="tanh", alpha=0.3, max_iter=40, **LAYERED).fit(X, Y)
    assert fit.score(X, Y) > 0.95
    assert fit.coefs_[1].shape == (7, 7) and fit.other_parameters_.keys() >= {"1.weight", "3.1.bias"}
    columns, weight = CLASSES.astype(bool), rng.uniform(0.5, 2, 150)
    size = sum(array.size for array in arrays_of(fit).values())
    packed, along = rng.normal(size=size), rng.normal(size=size)
    along /= np.linalg.norm(along)
    _, gradient = fit._loss_grad_lbfgs(packed, X, columns, weight)
    losses = [fit._loss_grad_lbfgs(packed + s * 1e-6 * along, X, columns, weight)[0] for s in (-1, 1)]
    assert (losses[1] - losses[0]) / 2e-6 == pytest.approx(gradient @ along, rel=1e-6)
    monkeypatch.setattr(_full_batch, "BLOCK_ROWS", 7)
    np.testing.assert_allclose(fit._loss_grad_lbfgs(packed, X, columns, weight)[1], gradient, rtol=1e-9, atol=1e-12)


def test_rows_do_not_depend_on_each_other(impl):
    fit = classifier(**LAYERED).fit(X, Y)
    np.testing.assert_array_equal(fit.predict_proba(X)[3:8], fit.predict_proba(X[3:8]))
    assert classifier(**LAYERED, batch_size=1, max_iter=1).fit(X, Y).n_iter_ == 1


def test_a_regressor_of_one_column_learns_its_size():
    """With layer norm, intercepts before the first norm keep ``x`` and ``2 * x`` apart."""
    x = np.linspace(0.5, 3, 200)[:, None]
    fit = MLPRegressor(hidden_layer_sizes=(32, 32), solver="lbfgs", random_state=0, max_iter=300, **LAYERED)
    assert fit.fit(x, np.sin(2 * x[:, 0])).score(x, np.sin(2 * x[:, 0])) > 0.99


@pytest.mark.parametrize("options", [LAYERED, {"norm": "batch", "residual": True}, {"residual": True}], ids=str)
def test_sample_weights_are_repeated_rows(options):
    """In one batch of all rows, a weight of 2 counts as two rows; batch norm's statistics do not know weights."""
    weight = 1.0 + (np.arange(150) % 2) if options.get("norm") != "batch" else np.full(150, 2.0)
    options = {**options, **SGD, "shuffle": False, "alpha": 0.1, "max_iter": 5}
    have = classifier(**options, batch_size=150).fit(X, Y, sample_weight=weight)
    repeats = weight.astype(int)
    want = classifier(**options, batch_size=repeats.sum()).fit(np.repeat(X, repeats, axis=0), np.repeat(Y, repeats))
    for name, array in arrays_of(want).items():
        if "running" not in name:
            np.testing.assert_allclose(arrays_of(have)[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("options", [LAYERED, {"norm": "batch", "residual": True}], ids=str)
def test_early_stopping_takes_all_arrays_of_the_best_epoch(options):
    held_out = X[::3], Y[::3]
    options = {**options, "early_stopping": True, "scoring": "loss", "learning_rate_init": 0.5, "n_iter_no_change": 3}
    fit = classifier(**options, max_iter=40).fit(X, Y, eval_set=held_out)
    best = int(np.argmax(fit.validation_scores_))
    assert 0 < best < fit.n_iter_ - 1
    again = classifier(**options | {"early_stopping": False}, max_iter=best + 1).fit(X, Y, eval_set=held_out)
    for name, array in arrays_of(again).items():
        np.testing.assert_array_equal(arrays_of(fit)[name], array, err_msg=name)


@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
def test_batch_norm_may_be_written_in_the_other_way_later(how):
    def fit_twice(**change):
        fit = classifier(batch_norm=True, residual=True, warm_start=how == "warm_start")
        for _ in range(2):
            fit = fit.fit(X, Y) if how == "warm_start" else fit.partial_fit(X, Y, classes=[0, 1, 2])
            fit = pickle.loads(pickle.dumps(fit.set_params(**change)))
        return fit

    assert_same(fit_twice(batch_norm=False, norm="batch"), fit_twice())


def test_a_grid_over_norms_and_skips():
    grid = {"norm": [None, "batch", "layer"], "residual": [False, True]}
    search = GridSearchCV(classifier(max_iter=20, learning_rate_init=0.01), grid, cv=3, error_score="raise").fit(X, Y)
    assert len({*search.cv_results_["mean_test_score"]}) > 1
    assert search.best_estimator_.get_params().items() >= search.best_params_.items()


def test_written_weights_reach_the_blocks():
    fit = classifier(**LAYERED).fit(X, Y)
    before = fit.predict_proba(X)
    fit.coefs_[1][...] *= -1
    changed = fit.predict_proba(X)
    assert not np.array_equal(changed, before)
    fit.coefs_ = [each.copy() for each in fit.coefs_]
    fit.coefs_[1] *= -1
    np.testing.assert_array_equal(fit.predict_proba(X), before)
    fit.coefs_[1] = np.zeros((7, 8))
    with pytest.raises(ValueError, match=r"coefs_\[2\] must have 8 rows"):
        fit.predict(X)


def test_a_pickle_whose_widths_make_no_blocks_is_refused():
    state = classifier(hidden_layer_sizes=(7, 6)).fit(X, Y).__getstate__()
    state["_structure"] = state["_structure"] | {"residual": True}
    fresh = MLPClassifier.__new__(MLPClassifier)
    with pytest.raises(ValueError, match=r"^hidden_layer_sizes must have equal widths with residual=True, .* \[7, 6\]"):
        fresh.__setstate__(state)
    assert vars(fresh) == {}


BAD = [
    ({"norm": "swish"}, r"The 'norm' parameter of MLPClassifier must be a str among {'batch', 'layer'} or None. Got"),
    ({"norm": True}, "The 'norm' parameter .* Got True instead: write norm='batch' or norm='layer'$"),
    ({"norm": nn.BatchNorm(7)}, "The 'norm' parameter of MLPClassifier must be"),
    ({"norm": "layr"}, "The 'norm' parameter .* instead: did you mean 'layer'\\?$"),
    ({"batch_norm": "layer"}, "The 'batch_norm' parameter .* Got 'layer' instead: write norm='layer'$"),
    ({"residual": "yes"}, "The 'residual' parameter of MLPClassifier must be an instance of 'bool'"),
    (
        {"batch_norm": True, "norm": "batch"},
        "norm must be None with batch_norm=True, got 'batch': write norm='batch' w",
    ),
    (
        {"batch_norm": True, "norm": "layer"},
        "norm must be None with batch_norm=True, got 'layer': write norm='layer' without batch_norm$",
    ),
    (
        {"residual": True, "hidden_layer_sizes": (9, 6)},
        r"hidden_layer_sizes must have equal widths with residual=True, as .*, got \[9, 6\]: write .*=\(9,\) \* 2$",
    ),
    (
        {"residual": True, "hidden_layer_sizes": np.array([8, 8, 6])},
        r"equal widths .*, got \[8, 8, 6\]: write .* \* 3$",
    ),
    ({"norm": "batch", "batch_size": 1}, "batch_size must be at least 2 with norm='batch', got 1 with n_samples=150"),
    (
        {"norm": "batch", "solver": "lbfgs"},
        "norm must be None or 'layer' with solver='lbfgs', got 'batch': use solver='sgd' or solver='adam'$",
    ),
]


@pytest.mark.parametrize(("parameters", "message"), BAD)
@pytest.mark.parametrize("fitted", [False, True])
def test_bad_norms_and_blocks_are_refused(fitted, parameters, message):
    fit = classifier(random_state=np.random.RandomState(0))
    if fitted:
        fit.fit(X, Y)
    before, drawn = dict(vars(fit)), fit.random_state.get_state()[2]
    with pytest.raises(ValueError, match=message):
        fit.set_params(**parameters).fit(X, Y)
    after = {name: value for name, value in vars(fit).items() if name not in parameters}
    assert after == {name: value for name, value in before.items() if name not in parameters}
    assert fit.random_state.get_state()[2] == drawn
