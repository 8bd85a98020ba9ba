"""Which arrays both executors run a single step of: the plain ones. Nothing happens to others, and nothing is drawn."""

import dataclasses

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn._losses import TargetLimits
from fastnn.nn.loss_base import target_limits

BACKENDS = pytest.mark.parametrize("backend", ["native", "reference"])
ROWS, CAPACITY, WIDTH, CLASSES = 6, 8, 4, 3


class Own(np.ndarray):
    """A subclass."""


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    moved = memory[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def changed(array, value, index=3):
    array = array.copy()
    array.flat[index] = value
    return array


# What can be done to any plain array, and whether it still is one.
FORMS = {
    "itself": (np.copy, True),
    "read-only": (read_only, True),
    "view": (lambda array: np.concatenate([array, array])[: len(array)], True),
    "byte-swapped": (lambda array: array.astype(array.dtype.newbyteorder()), False),
    "strided": (lambda array: np.repeat(array, 2, axis=0)[::2], False),
    "backwards": (lambda array: array[::-1], False),
    "misaligned": (misaligned, False),
    "subclass": (lambda array: array.view(Own), False),
    "masked": (np.ma.array, False),
    "list": (lambda array: array.tolist(), False),
    "one axis more": (lambda array: array[..., np.newaxis, np.newaxis], False),
    "no axis": (lambda array: array.ravel()[0] * np.ones(()), False),
    "number": (lambda array: 1.0, False),
    "text": (lambda array: array.astype(str), False),
    "objects": (lambda array: array.astype(object), False),
    "row less": (lambda array: array[1:].copy(), False),  # than the others have
    "row more": (lambda array: np.concatenate([array, array[:1]]), False),
    "no rows": (lambda array: array[:0], False),
}


def in_forms(array):
    return {name: (form(array), plain) for name, (form, plain) in FORMS.items()}


def in_dtypes(array, *plain):
    kinds = "?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "e", "f", "d", "g", "F", "m8[s]"
    arrays = {kind: array.astype(np.int64).astype(kind) for kind in kinds}
    return {kind: (each, each.dtype in list(map(np.dtype, plain))) for kind, each in arrays.items()}


X = np.random.default_rng(0).integers(1, 9, (ROWS, WIDTH)).astype(float)
LABELS, ONES = np.arange(ROWS) % CLASSES, np.ones(ROWS)
NUMBERS = np.random.default_rng(1).integers(0, 2, (ROWS, 2)).astype(float)

XS = in_forms(X) | in_dtypes(X, "f", "d", "B") | {
    "None": (None, False),
    "columns first": (np.asfortranarray(X), False),
    "vector": (X[:, 0].copy(), False),
    "column less": (X[:, 1:].copy(), False),
    "nan": (changed(X, np.nan), False),
    "inf": (changed(X, np.inf), False),
    "-inf of float32": (changed(X.astype("f"), -np.inf), False),
    "largest": (changed(X.astype("f"), np.finfo("f").max), True),
}  # fmt: skip
LABELED = in_forms(LABELS) | in_dtypes(LABELS, np.int64, np.int32) | {
    "column": (LABELS[:, np.newaxis], False),
    "below": (changed(LABELS, -1), False),
    "above": (changed(LABELS, CLASSES), False),
    "above, int32": (changed(LABELS, CLASSES).astype(np.int32), False),
    "far above": (changed(LABELS, 2**62), False),
    "date": (LABELS.astype("M8[s]"), False),
}  # fmt: skip
TARGETS = in_forms(NUMBERS) | in_dtypes(NUMBERS, "f", "d", "B") | {
    "columns first": (np.asfortranarray(NUMBERS), False),
    "vector": (ONES, False),
    "column": (ONES[:, np.newaxis], False),
    "nan": (changed(NUMBERS, np.nan), False),
    "inf": (changed(NUMBERS, np.inf), False),
}  # fmt: skip
WEIGHTS = in_forms(ONES) | in_dtypes(ONES, "d") | {
    "None": (None, True),
    "column": (ONES[:, np.newaxis], False),
    "some of 0": (changed(ONES, 0.0), True),
    "zeros": (0 * ONES, False),
    "below 0": (changed(ONES, -1e-9), False),
    "nan": (changed(ONES, np.nan), False),
    "inf": (changed(ONES, np.inf), False),
    "sum of inf": (1e308 * ONES, False),
}  # fmt: skip
CASES = (
    [("x", name, (each, LABELS, None), plain) for name, (each, plain) in XS.items()]
    + [("labels", name, (X, each, None), plain) for name, (each, plain) in LABELED.items()]
    + [("targets", name, (X, each, None), plain) for name, (each, plain) in TARGETS.items()]
    + [("weights", name, (X, LABELS, each), plain) for name, (each, plain) in WEIGHTS.items()]
    + [("many rows", str(n), (np.ones((n, WIDTH)), np.zeros(n, int), None), n <= CAPACITY) for n in (7, 8, 9)]
)


def is_taken(net, loss, target, arrays, limits=None):
    """Return whether an executor runs a step of the arrays, and check that otherwise nothing happens."""
    trainer = fastnn.Trainer(net, loss)
    executor = trainer.fit_executor(target, CAPACITY)
    scalars, row = trainer.next_scalars()
    limits = limits or target_limits(trainer.loss, target, net.out_features)
    before, drawn = net.state_dict(), []

    def draw_order():
        drawn.append(len(arrays[0]))
        return np.arange(len(arrays[0]))[::-1].copy()

    loss = executor.run_batch(
        *arrays, limits=limits, scalars=scalars, row=row, step=0, threads=1, counters=(net.forward_counter,),
        draw_order=draw_order,
    )  # fmt: skip
    taken = loss is not None
    assert len(drawn) == net.training_steps == taken
    assert taken == any((before[name] != array).any() for name, array in net.state_dict().items())
    return taken


@BACKENDS
@pytest.mark.parametrize(
    ("kind", "arrays", "plain"),
    [(case[0], *case[2:]) for case in CASES],
    ids=[f"{case[0]}, {case[1]}" for case in CASES],
)
def test_what_is_taken(kind, arrays, plain, backend):
    outputs, loss, target = CLASSES, "cross_entropy", "labels"
    if kind == "targets":
        outputs, loss, target = 2, "mean_squared_error", "rows"
    with fastnn.backend(backend), np.errstate(over="ignore"):
        assert is_taken(nn.Sequential(nn.Dense(WIDTH, outputs), seed=0), loss, target, arrays) == plain


@BACKENDS
@pytest.mark.parametrize("norm", [False, True])
def test_fewest_rows(norm, backend):
    with fastnn.backend(backend):
        for rows in (1, 2):
            net = nn.Sequential(nn.Dense(WIDTH, CLASSES), *[nn.BatchNorm(CLASSES)] * norm, seed=0)
            assert is_taken(net, "cross_entropy", "labels", (X[:rows], LABELS[:rows], None)) == (rows == 2 or not norm)


@BACKENDS
@pytest.mark.parametrize("may_be_vector", [False, True])
def test_vectors_of_targets(may_be_vector, backend):
    """A vector is a column of one number, if the limits allow it."""
    limits = TargetLimits(may_be_vector=may_be_vector)
    with fastnn.backend(backend):
        for y, columns, taken in (
            (ONES, 1, may_be_vector), (ONES[:, np.newaxis], 1, True), (np.ones((ROWS, 2)), 1, False), (ONES, 2, False),
        ):  # fmt: skip
            net = nn.Sequential(nn.Dense(WIDTH, columns), seed=0)
            assert is_taken(net, "mean_squared_error", "rows", (X, y, None), limits) == taken


def test_losses_that_take_labels_take_no_vector_of_targets():
    for loss in (nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.PoissonNLLLoss()):
        assert target_limits(loss, "rows", 1) == (loss.spec.low, loss.spec.high, True)
    assert target_limits(nn.CrossEntropyLoss(), "labels", 3) == TargetLimits()
    assert target_limits(nn.CrossEntropyLoss(), "rows", 3) is None  # their sums are checked as well
    assert target_limits(nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0]), "labels", 3) is None
    assert target_limits(nn.HingeLoss(), "rows", 1) is None

    class Both(nn.CustomLoss):
        @property
        def spec(self):
            return dataclasses.replace(super().spec, kinds={"labels": "", "rows": "custom"}, negative_weights=False)

    loss = Both(lambda z, t: ((z - t) ** 2).sum(axis=1), lambda z, t: 2 * (z - t))
    assert target_limits(loss, "rows", 1) == TargetLimits(may_be_vector=False)


@BACKENDS
@pytest.mark.parametrize("dtype", ["f", "d", "B"])
@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (1, 2), (0.5, 1.5), (1.5, 1.75), (-9, -1), (-9, 0), (255, 300), (255.5, 300), (256, 300), (0, np.inf)],
)
def test_limits_of_targets(low, high, dtype, backend):
    with fastnn.backend(backend):
        for number in (0, 1, 2, 255):
            y = np.full((ROWS, 2), number, dtype)
            net = nn.Sequential(nn.Dense(WIDTH, 2), seed=0)
            taken = is_taken(net, "mean_squared_error", "rows", (X, y, None), TargetLimits(low, high))
            assert taken == (low <= number <= high), number


@pytest.mark.parametrize("order", [np.arange(ROWS - 1), np.arange(ROWS, dtype=np.int16), np.arange(ROWS)[::-1], [0]])
def test_orders_that_are_refused(order, native):
    must = "draw_order must return a vector of 6 numbers of int64"
    refused(must + ", C-contiguous, got (dtype int|list)", draw_order=lambda: order)


def test_scalars_and_losses_that_are_refused(native):
    refused(r"scalars must be a matrix of float64, .* got dtype float32, shape \(1, 2\)", scalars=np.zeros((1, 2), "f"))
    refused(r"scalars must be a matrix of float64, .* got list", scalars=[[1.0]])
    refused(r"losses must be a vector of float64, .* got dtype int64, shape \(1,\)", losses=np.zeros(1, int))
    refused(r"losses must be a vector of float64, .* got dtype float64, shape \(0,\)", losses=np.zeros(0))


def refused(message, **arguments):
    net = nn.Sequential(nn.Dense(WIDTH, CLASSES), seed=0)
    trainer = fastnn.Trainer(net)
    scalars, row = trainer.next_scalars()
    executor = trainer.fit_executor("labels", CAPACITY)
    usual = {"limits": TargetLimits(), "scalars": scalars, "row": row, "step": 0, "threads": 1}
    with pytest.raises(ValueError, match=message):
        executor.run_batch(X, LABELS, None, **usual | arguments)
    assert net.training_steps == 0
