"""Warnings and messages about mistakes that train a wrong net, and where warnings point."""

import importlib
import re
import signal
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import _validation as v
from fastnn import nn

N = 12
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
Y = np.arange(N) % 2


def trainer_of(*layers, loss="cross_entropy", outputs=2):
    return fastnn.Trainer(nn.Sequential(nn.Dense(3, outputs), *layers, seed=0), loss)


# ---- where a warning points ----


class Interrupt(fastnn.Callback):
    def on_epoch_begin(self, trainer):
        signal.raise_signal(signal.SIGINT)


def estimator(**settings):
    pytest.importorskip("sklearn")
    sklearn = importlib.import_module("fastnn.sklearn")
    return sklearn.MLPClassifier((4,), random_state=0, **{"max_iter": 2} | settings)


def in_pipeline():
    pipeline = pytest.importorskip("sklearn.pipeline")
    return pipeline.make_pipeline(estimator())


def searched():
    selection = pytest.importorskip("sklearn.model_selection")
    return selection.GridSearchCV(estimator(), {"alpha": [0.1]}, cv=2).fit(X, Y)


# Every warning that fastnn issues, and calls through other packages.
WARNINGS = {
    "last layer": ("the net ends in Softmax", lambda: trainer_of(nn.Softmax()).fit(X, Y, epochs=1, verbose=0)),
    "range test": ("the net ends in Softmax", lambda: fastnn.lr_range_test(trainer_of(nn.Softmax()), X, Y)),
    "not converged": ("Stochastic Optimizer: Maximum", lambda: estimator().fit(X, Y)),
    "batch size": (
        "Got `batch_size` less than 1",
        lambda: estimator(batch_size=100, tol=9.0, n_iter_no_change=1, max_iter=9).fit(X, Y),
    ),
    "interrupted": ("Training interrupted", lambda: estimator(callbacks=[Interrupt()]).fit(X, Y)),
    "in a pipeline": ("Stochastic Optimizer: Maximum", lambda: in_pipeline().fit(X, Y)),
    "in a search": ("Stochastic Optimizer: Maximum", searched),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_a_warning_points_at_the_users_line(case):
    if case in ("not converged", "batch size", "interrupted"):  # of estimators
        pytest.importorskip("sklearn")
    message, call = WARNINGS[case]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert {re.match(message, str(each.message)) is not None for each in caught} == {True}
    assert {each.filename for each in caught} == {__file__}
    lines = {each.lineno for each in caught}
    assert "Stochastic" in message or lines == {call.__code__.co_firstlineno}


@pytest.mark.parametrize("category", [UserWarning, FutureWarning])
def test_a_warning_from_within_the_package_points_outside(category):
    code = compile("def f(g):\n    return g()\n", f"{v._PACKAGE}nn/made_up.py", "exec")
    namespace = {"__name__": "fastnn.nn.made_up"}
    exec(code, namespace)  # noqa: S102
    with pytest.warns(category, match=r"^mine$") as caught:
        namespace["f"](lambda: v.warn("mine", category))
    assert [each.filename for each in caught] == [__file__]


def test_a_warning_without_a_user_is_shown_too():
    code = compile("v.warn('mine')", f"{v._PACKAGE}made_up.py", "exec")
    with pytest.warns(UserWarning, match=r"^mine$"):
        exec(code, {"__name__": "fastnn.made_up", "v": v})  # noqa: S102


# ---- the last layer ----


@pytest.mark.parametrize(
    ("layer", "loss", "outputs"),
    [
        (nn.Softmax, "cross_entropy", 2),
        (nn.Sigmoid, "cross_entropy", 2),
        (nn.ReLU, "cross_entropy", 2),
        (nn.Sigmoid, "binary_cross_entropy", 1),
        (nn.ReLU, "binary_cross_entropy", 1),
        (nn.Softmax, nn.LogLoss(), 2),
    ],
)
def test_a_net_whose_outputs_are_no_logits(impl, layer, loss, outputs):
    trainer = trainer_of(layer(), loss=loss, outputs=outputs)
    name, kind = loss if isinstance(loss, str) else loss.name, layer.__name__
    fix = rf"leave the {kind} out \(trainer\.predict_proba gives probabilities\)"
    message = f"^the net ends in {kind}, but the loss {name} takes logits: {fix}$"
    with pytest.warns(UserWarning, match=message) as caught:
        trainer.fit(X, Y, epochs=3, validation_data=(X, Y), verbose=0)
    assert len(caught) == 1
    assert trainer.epoch == 3
    with pytest.raises(UserWarning, match=message):  # warnings are errors here: nothing has changed then
        trainer.fit(X, Y, epochs=3, verbose=0)
    assert (trainer.epoch, trainer.step_count) == (3, 3)


@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        ([], "cross_entropy"),
        ([nn.LogSoftmax()], "cross_entropy"),
        ([nn.ReLU(), nn.Dense(2, 2)], "cross_entropy"),
        ([nn.Softmax()], "mean_squared_error"),
        ([nn.Sigmoid()], "huber"),
        ([nn.ReLU()], nn.PoissonNLLLoss(log_input=False)),
    ],
)
def test_nets_that_suit_their_loss(layers, loss):
    y = Y if loss == "cross_entropy" else np.eye(2)[Y]
    trainer_of(*layers, loss=loss).fit(X, y, epochs=1, verbose=0)


# ---- targets ----

REAL = 'for real targets loss="mean_squared_error"'
# The loss, the number of outputs, y, and the end of the message.
TARGETS = {
    "real": ("cross_entropy", 2, X[:, 0], f"got dtype float32: for labels write y.astype(int), {REAL}"),
    "whole": ("cross_entropy", 2, Y.astype(float), f"got dtype float64: for labels write y.astype(int), {REAL}"),
    "real column": (
        "cross_entropy", 2, X[:, :1], f"got shape (12, 1): for labels write y.ravel().astype(int), {REAL}"
    ),
    "column": ("cross_entropy", 2, Y[:, None], "got shape (12, 1): for labels write y.ravel()"),
    "one-hot": (nn.MultiMarginLoss(), 2, np.eye(2)[Y], "(12, 2): for one-hot rows write y.argmax(axis=1)"),
    "column of classes": (nn.MultiMarginLoss(), 2, Y[:, None], "got shape (12, 1): for labels write y.ravel()"),
    "too many classes": (
        "cross_entropy", 2, Y + 1,
        "as np.unique(y, return_inverse=True)[1] does, and give the net an output for each class",
    ),
    "one output": (
        "cross_entropy", 1, Y,
        f'got 1: for labels 0 and 1 write loss="binary_cross_entropy" or end the net with nn.Dense(..., 2), {REAL}',
    ),
    "flat": (
        "mean_squared_error", 2, X[:, 0],
        "got shape (12,): for one number per row end the net with nn.Dense(..., 1)",
    ),
    "flat labels": (
        "mean_squared_error", 2, Y,
        'for one number per row end the net with nn.Dense(..., 1), for labels write loss="cross_entropy"',
    ),
    "wide": (
        "mean_squared_error", 1, X, "got shape (12, 3): for 3 numbers per row end the net with nn.Dense(..., 3)"
    ),
    "one column": (
        "mean_squared_error", 2, X[:, :1], "(12, 1): for one number per row end the net with nn.Dense(..., 1)"
    ),
    "quantiles": (
        nn.QuantileLoss([0.1, 0.9]), 2, X, "y must have shape (n, 1), got shape (12, 3)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TARGETS)
def test_targets_that_do_not_suit_the_loss(case):
    loss, outputs, y, message = TARGETS[case]
    trainer = trainer_of(loss=loss, outputs=outputs)
    with pytest.raises((TypeError, ValueError), match=f"{re.escape(message)}$"):
        trainer.fit(X, y, verbose=0)
    assert trainer.step_count == 0


@pytest.mark.parametrize(
    ("loss", "outputs", "y"),
    [
        ("cross_entropy", 2, Y),
        ("cross_entropy", 2, Y.astype(bool)),
        ("cross_entropy", 2, np.eye(2)[Y]),
        ("binary_cross_entropy", 1, Y),
        ("mean_squared_error", 1, Y),
        ("mean_squared_error", 1, X[:, 0]),
        ("mean_squared_error", 1, X[:, :1]),
        ("mean_squared_error", 3, X),
    ],
)
def test_targets_that_suit_the_loss(loss, outputs, y):
    trainer_of(loss=loss, outputs=outputs).fit(X, y, epochs=1, verbose=0)


# ---- input ----


class Tensor:
    """As a tensor of PyTorch that requires gradients."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self): ...


class Loader:
    """As PyTorch's loaders and TensorFlow's datasets."""

    def __iter__(self):
        yield X, Y


INPUTS = {
    "one row": (lambda: X[0], "got shape (3,): for a single row write X[np.newaxis]"),
    "images": (
        lambda: X.reshape(N, 3, 1),
        "X must be 2-dimensional, of shape (n, 3), got shape (12, 3, 1): write X.reshape(len(X), -1)",
    ),
    "a generator": (
        lambda: (row for row in X), "X must be an array of real numbers, got generator: write np.stack(list(X))"
    ),
    "a loader": (Loader, "got Loader: collect its batches in an array first, with np.concatenate"),
    "a tensor": (Tensor, "Tensor that requires grad.): write X.detach().cpu().numpy()"),
    "None": (lambda: None, "X must be an array of real numbers, got None"),
    "a dict": (lambda: {"a": 1}, "X must be an array of real numbers, got dict"),
    "a sparse matrix": (
        lambda: pytest.importorskip("scipy.sparse").csr_matrix(X),
        "got csr_matrix: write X.toarray(); the estimators of fastnn.sklearn take sparse matrices",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INPUTS)
def test_input_that_is_no_matrix(case):
    make, message = INPUTS[case]
    trainer = trainer_of()
    for use in (trainer.net.predict, lambda x: trainer.fit(x, Y, verbose=0)):
        with pytest.raises((TypeError, ValueError), match=f"{re.escape(message)}$"):
            use(make())
    assert trainer.step_count == 0


def test_a_column_for_a_net_with_one_input():
    net = nn.Sequential(nn.Dense(1, 2), seed=0)
    with pytest.raises(ValueError, match=r"got shape \(12,\): write X\[:, np\.newaxis\]$"):
        net.predict(X[:, 0])


def test_lists_of_arrays_are_arrays():
    net = trainer_of().net
    np.testing.assert_array_equal(net.predict(list(X)), net.predict(X))


# ---- frames ----

ENCODE = (
    "encode it, e.g. with sklearn.preprocessing.OneHotEncoder or pandas.get_dummies; nn.Embedding takes category "
    "numbers, by sklearn.preprocessing.OrdinalEncoder or pandas.factorize"
)
FRAMES = {
    "strings": (lambda pd: ["x", "y", "z"], f"the column 'city' of strings: {ENCODE}"),
    "objects": (lambda pd: pd.Series(["x", None, "y"], dtype=object), f"the column 'city' of strings: {ENCODE}"),
    "categories": (lambda pd: pd.Categorical(["x", "y", "x"]), f"the column 'city' of categories: {ENCODE}"),
    "times": (lambda pd: pd.date_range("2020", periods=3), "the column 'city' of times: convert it to numbers, such "),
    "others": (lambda pd: pd.Series([1, 2, None], dtype=object), "the column 'city' of dtype object: convert it to "),
    "complex": (lambda pd: [1j, 2, 3], "the column 'city' of dtype complex128: convert it to numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", FRAMES)
def test_the_column_of_a_frame_is_named(case):
    pd = pytest.importorskip("pandas")
    column, message = FRAMES[case]
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "city": column(pd), "flag": [True, False, True]})
    for use in (trainer_of().net.predict, lambda x: trainer_of().fit(x, [0, 1, 0], verbose=0)):
        with pytest.raises(TypeError, match=f"^X must be an array of real numbers, got {re.escape(message)}"):
            use(frame)
    y = ": number the classes from 0" if case in ("strings", "objects", "categories") else ""
    with pytest.raises(TypeError, match=f"^y must be an array of real numbers, got the column 'city' .*{y}"):
        trainer_of().fit(np.ones((3, 3)), frame[["city"]], verbose=0)


def test_frames_of_numbers_and_truth_values():
    pd = pytest.importorskip("pandas")
    columns = {"a": X[:, 0], "b": X[:, 1] > 0, "c": np.arange(N)}
    frame, array = pd.DataFrame(columns), np.stack(list(columns.values()), axis=1)
    assert np.asarray(frame).dtype == object and array.dtype == np.float64
    nullable = frame.astype({"b": "boolean", "c": "Int64", "a": "Float64"})
    repeated = frame.set_axis(["same"] * 3, axis=1)
    net = trainer_of().net
    for each in (frame, nullable, repeated):
        np.testing.assert_array_equal(v.numeric("X", each), array)
        np.testing.assert_array_equal(net.predict(each), net.predict(array))
    assert v.numeric("X", frame[["b"]]).dtype == bool
    assert v.numeric("X", frame[["a"]]).dtype == np.float32
    np.testing.assert_array_equal(v.numeric("y", nullable["c"]), columns["c"])


def test_missing_numbers_are_nan():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({name: pd.array([1, None, 0], "Int64") for name in "ab"} | {"c": [0.5, 1.0, 2.0]})
    np.testing.assert_array_equal(v.numeric("X", frame), [[1, 1, 0.5], [np.nan, np.nan, 1], [0, 0, 2]])
    fix = r'write net\.scaler = Scaler\.fit\(X, nan="center"\)'
    with pytest.raises(ValueError, match=rf"^X must contain finite numbers, got nan in row 1, column 0: {fix}$"):
        trainer_of().fit(frame, [0, 1, 0], verbose=0)


class PolarsFrame:
    """As a frame of polars: columns are taken by position with two indices."""

    columns, dtypes = ("a", "city"), ("Float64", "String")

    def __init__(self, city, dtype):
        self.city = self.Column(city, dtype)

    class Column:
        def __init__(self, values, dtype):
            self.values, self.dtype = values, dtype

        def __array__(self, dtype=None, copy=None):
            return np.array(self.values)

    def __getitem__(self, index):
        rows, column = index
        assert rows == slice(None)
        return [self.Column([1.0, 2.0], "Float64"), self.city][column]

    def __array__(self, dtype=None, copy=None):
        return np.array([[1.0, each] for each in self.city.values], dtype=object)


def test_frames_without_pandas():
    np.testing.assert_array_equal(v.numeric("X", PolarsFrame([True, False], "Boolean")), [[1, 1], [2, 0]])
    for dtype, what in (("String", "strings"), ("Categorical", "categories"), ("Enum(['x'])", "categories")):
        with pytest.raises(TypeError, match=f"got the column 'city' of {what}: encode it"):
            v.numeric("X", PolarsFrame(["x", "y"], dtype))
