"""`augment`, `accumulate` and `average`: the trainer's, from the estimators' parameters."""

import contextlib
import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from sklearn.base import clone

import fastnn
from fastnn import data, nn, optim
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, 5))
Y = (X[:, 1] + X[:, 2] > 0).astype(int) + (X[:, 3] > 1)
CLASSES = [0, 1, 2]


def made(kind=MLPClassifier, **options):
    defaults = {"hidden_layer_sizes": (8,), "max_iter": 6, "random_state": 0, "batch_size": 16, "alpha": 0.0}
    return kind(**defaults | options)


def twin_of(model, loss, epochs, **fit):
    """Train a net of the same initial weights, in the same order of rows, with `fastnn.Trainer`."""
    first = made(**{**model.get_params(), "max_iter": 1, "augment": None, "average": None, "accumulate": 1})
    first.learning_rate_init = 1e-300  # an epoch that changes nothing
    net = first.fit(X, Y).net_
    net = nn.Sequential(*net, dtype="float64", seed=net.seed)
    optimizer = optim.Adam(lr=1e-3, eps_hat=True)
    trainer = fastnn.Trainer(net, loss, optimizer, accumulate=model.accumulate, average=model.average)
    trainer.fit(X, Y, epochs=epochs, batch_size=16, shuffle=False, verbose=0, **fit)
    return trainer


@pytest.mark.parametrize(
    "options",
    [
        {"accumulate": 3},
        {"average": optim.EMA(0.8)},
        {"average": optim.SWA(2)},
        {"accumulate": 2, "average": optim.EMA(0.8)},
        {"average": optim.EMA(0.8), "batch_norm": True},
    ],
    ids=str,
)
def test_it_is_what_a_trainer_makes(options):
    model = made(shuffle=False, **options)
    trainer = twin_of(model, "log_loss", 6)
    model.fit(X, Y)
    wanted = trainer.net if model.average is None else trainer.averaged
    for name, values in wanted.state_dict().items():
        np.testing.assert_allclose(model.net_.state_dict()[name], values, rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(model.predict_proba(X).argmax(axis=1), wanted.predict(X).argmax(axis=1))


@pytest.mark.parametrize("augment", [["noise"], [data.SwapNoise(0.3)], [lambda x, rng: x + rng.normal(size=x.shape)]])
def test_augmentation_changes_the_training_and_nothing_else(augment):
    model, plain = made(augment=augment).fit(X, Y), made().fit(X, Y)
    assert not np.allclose(model.coefs_[0], plain.coefs_[0])
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    again = made(augment=augment).fit(X, Y)
    np.testing.assert_array_equal(model.coefs_[0], again.coefs_[0])  # the seed is drawn from random_state


def noise(x, rng):
    return x + 0.1 * rng.normal(size=x.shape)


ONE = {"name": "mixup", "alias": "noise", "record": data.SwapNoise(0.3), "function": noise}


@pytest.mark.parametrize("augment", ONE.values(), ids=ONE)
def test_one_augmentation_needs_no_list(augment):
    model, listed = made(augment=augment), made(augment=[augment]).fit(X, Y)
    np.testing.assert_array_equal(clone(model).fit(X, Y).coefs_[0], listed.coefs_[0])
    assert not np.array_equal(listed.coefs_[0], made().fit(X, Y).coefs_[0])


@pytest.mark.parametrize(
    ("y", "loss"),
    [(Y, nn.CrossEntropyLoss()), (Y > 0, nn.BCEWithLogitsLoss(columns="sum")), (np.c_[Y > 0, Y > 1], None)],
    ids=["classes", "two classes", "labels"],
)
def test_mixup_takes_the_log_loss_of_soft_targets(y, loss):
    loss = loss or nn.BCEWithLogitsLoss(columns="sum")
    default, named = made(augment=["mixup"]).fit(X, y), made(augment=["mixup"], loss=loss).fit(X, y)
    np.testing.assert_array_equal(default.coefs_[0], named.coefs_[0])
    assert default.loss_ != made().fit(X, y).loss_


def test_a_regressor_mixes_its_targets():
    t = X[:, 0] - X[:, 1]
    model = made(MLPRegressor, augment=[data.Mixup(1.0)], max_iter=200, learning_rate_init=1e-2, tol=0.0).fit(X, t)
    assert model.score(X, t) > 0.9


# ---- the average between two calls ----


def part(model):
    return model.partial_fit(X, Y, classes=CLASSES)


def test_partial_fits_go_on_from_what_is_trained():
    averaged, plain = made(average=optim.EMA(0.9)), made()
    weights = []
    for _ in range(4):
        part(averaged)
        part(plain)
        weights.append(plain.coefs_[0].copy())
        assert np.abs(averaged.coefs_[0] - plain.coefs_[0]).max() > 1e-6
    averaged.set_params(average=None)
    np.testing.assert_array_equal(part(averaged).coefs_[0], part(plain).coefs_[0])


@pytest.mark.parametrize("average", [optim.EMA(0.9), optim.SWA(1)], ids=str)
@pytest.mark.parametrize("take", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_copies_go_on_alike(take, average, batch_norm):
    model = made(average=average, batch_norm=batch_norm)
    for _ in range(3):
        part(model)
    twin = take(model)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    for _ in range(2):
        part(model)
        part(twin)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))


def test_weights_that_somebody_has_written_are_trained():
    model = part(made(average=optim.EMA(0.9)))
    model.coefs_[0][...] = 0.5
    part(model)
    trained = model._optimizer.average.trained[0]
    assert np.abs(trained[: model.coefs_[0].size] - 0.5).max() < 0.05


def test_early_stopping_takes_the_best_average():
    options = {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 30}
    model = made(average=optim.EMA(0.9), **options)
    scores = []

    class Scores(fastnn.Callback):
        def on_epoch_end(self, trainer, logs):
            scores.append((trainer.averaged.predict(X).argmax(axis=1) == Y).mean())

    held_out = (X, Y)
    model.set_params(callbacks=[Scores()]).fit(X, Y, eval_set=held_out)
    assert model.validation_scores_ == pytest.approx(scores)
    assert model.score(X, Y) == pytest.approx(max(scores))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"average": optim.EMA(0.98)},
            r"39 % of the first update's parameters after 48 updates: write optim\.EMA\(decay=0\.9\),",
        ),
        ({"average": optim.EMA(0.9), "accumulate": 2}, "9 % of the first update's parameters after 24 updates"),
        ({"average": optim.EMA(0.98), "early_stopping": True}, "after 42 updates"),
        ({"average": optim.SWA(6)}, "averages from epoch 7 on, and 6 are trained"),
        ({"average": optim.SWA(5)}, ""),
        ({"average": optim.EMA(0.9)}, ""),
    ],
    ids=str,
)
def test_a_fit_warns_if_too_little_is_averaged(options, message):
    model = made(**options)
    with pytest.warns(UserWarning, match=message) if message else contextlib.nullcontext():  # else it is an error
        model.fit(X, Y)
    assert model.n_iter_ == 6
    for _ in range(2):
        part(made(**options | {"early_stopping": False}))  # a part of the training has no end


def test_sparse_rows_with_all_of_them():
    options = {"average": optim.EMA(0.8), "accumulate": 2, "augment": ["noise"], "batch_norm": True}
    dense, sparse = (made(**options).fit(rows, Y) for rows in (X, scipy.sparse.csr_matrix(X)))
    np.testing.assert_array_equal(dense.predict_proba(X), sparse.predict_proba(X))


def test_clones_have_the_parameters():
    model = clone(made(augment=["noise"], accumulate=2, average="ema"))
    assert (model.augment, model.accumulate, model.average) == (["noise"], 2, "ema")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augment": "mixupp"}, r"'augment' parameter .*: did you mean 'mixup'\?"),
        ({"augment": "cutmix"}, "'augment' parameter .*: write \"mixup\", which mixes whole rows"),
        ({"augment": 3}, "'augment' parameter"),
        ({"augment": data.Mixup}, "^augment must be an augmentation.*got the class"),
        ({"augment": abs}, "^augment must take two arguments"),
        ({"augment": data.Mixup(), "solver": "lbfgs"}, "^augment must be None with solver='lbfgs', got Mixup"),
        ({"average": "emma"}, r"'average' parameter .*\{'ema'\}.*: did you mean 'ema'\?"),
        ({"augment": [3]}, r"^augment\[0\] must be an augmentation"),
        ({"augment": ["mixup", "mixup"]}, "at most one Mixup"),
        ({"augment": ["mixup"], "loss": "hinge"}, "no Mixup with HingeLoss"),
        ({"augment": [data.RandomFlip((2, 2))]}, "must have 5 pixels"),
        ({"average": "swa"}, r"write optim\.SWA\(start=\.\.\.\)"),
        ({"average": 0.99}, "'average' parameter"),
        ({"accumulate": 0}, "'accumulate' parameter"),
        ({"accumulate": 2.5}, "'accumulate' parameter"),
        ({"accumulate": 2, "solver": "lbfgs"}, "^accumulate must be 1 with solver='lbfgs', got 2"),
        ({"augment": ["noise"], "solver": "lbfgs"}, "^augment must be None with solver='lbfgs'"),
        ({"average": "ema", "solver": "lbfgs"}, "^average must be None with solver='lbfgs'"),
    ],
    ids=str,
)
def test_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        made(**options).fit(X, Y)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: object.__setattr__(state, "kind", "mean"),
        lambda state: object.__setattr__(state, "average", None),
        lambda state: object.__setattr__(state, "trained", (np.zeros(3), np.zeros(0))),
        lambda state: object.__setattr__(state.average, "count", -1),
        lambda state: object.__setattr__(state.average, "values", np.zeros(2)),
    ],
)
def test_a_damaged_pickle_is_refused(damage):
    model = part(made(average="ema"))
    state = model.__getstate__()
    damage(state["_optimizer"].average)
    with pytest.raises((TypeError, ValueError), match=r"_optimizer\.average"):
        MLPClassifier().__setstate__(state)
