"""Which arrays both executors run a single step of: the plain ones. Nothing happens to others, and nothing is drawn."""

import dataclasses

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn._losses import SUM_TOLERANCE, BatchRules, ColumnRule
from fastnn.nn.loss_base import batch_rules

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
    "strided": (lambda array: np.repeat(array, 2, axis=0)[::2], True),
    "backwards": (lambda array: array[::-1], True),
    "every second number": (lambda array: np.stack([array, -array], axis=-1)[..., 0], True),
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
    "columns first": (np.asfortranarray(X), True),
    "nan in the last of rows apart": (np.repeat(changed(X, np.nan, -1), 2, axis=0)[::2], False),
    "nan in the last of rows apart, float32": (np.repeat(changed(X, np.nan, -1).astype("f"), 2, axis=0)[::2], False),
    "nan, columns first": (np.asfortranarray(changed(X, np.nan)), False),
    "vector": (X[:, 0].copy(), False),
    "column less": (X[:, 1:].copy(), False),
    "nan": (changed(X, np.nan), False),
    "inf": (changed(X, np.inf), False),
    "-inf of float32": (changed(X.astype("f"), -np.inf), False),
    "largest": (changed(X.astype("f"), np.finfo("f").max), True),
}  # fmt: skip
LABELED = in_forms(LABELS) | in_dtypes(LABELS, *"bBhHiIlLqQ") | {
    "column": (LABELS[:, np.newaxis], False),
    "below": (changed(LABELS, -1), False),
    "above": (changed(LABELS, CLASSES), False),
    "above, int32": (changed(LABELS, CLASSES).astype(np.int32), False),
    "far above": (changed(LABELS, 2**62), False),
    "above int64": (changed(LABELS.astype(np.uint64), 2**64 - 1), False),
    "below, int8": (changed(LABELS, -1).astype(np.int8), False),
    "date": (LABELS.astype("M8[s]"), False),
}  # fmt: skip
TARGETS = in_forms(NUMBERS) | in_dtypes(NUMBERS, "f", "d", "B") | {
    "columns first": (np.asfortranarray(NUMBERS), True),
    "inf, columns first": (np.asfortranarray(changed(NUMBERS, np.inf)), False),
    "vector": (ONES, False),
    "column": (ONES[:, np.newaxis], False),
    "nan": (changed(NUMBERS, np.nan), False),
    "inf": (changed(NUMBERS, np.inf), False),
}  # fmt: skip
WEIGHTS = in_forms(ONES) | in_dtypes(ONES, "f", "d") | {
    "None": (None, True),
    "column": (ONES[:, np.newaxis], False),
    "some of 0": (changed(ONES, 0.0), True),
    "zeros": (0 * ONES, False),
    "below 0": (changed(ONES, -1e-9), False),
    "below 0, float32": (changed(ONES, -1e-9).astype("f"), False),
    "nan": (changed(ONES, np.nan), False),
    "inf": (changed(ONES, np.inf), False),
    "inf of float32": (changed(ONES, np.inf).astype("f"), False),
    "sum of inf": (1e308 * ONES, False),
    "sum near inf": (2e307 * ONES, False),
}  # fmt: skip
CASES = (
    [("x", name, (each, LABELS, None), plain) for name, (each, plain) in XS.items()]
    + [("labels", name, (X, each, None), plain) for name, (each, plain) in LABELED.items()]
    + [("targets", name, (X, each, None), plain) for name, (each, plain) in TARGETS.items()]
    + [("weights", name, (X, LABELS, each), plain) for name, (each, plain) in WEIGHTS.items()]
    + [("many rows", str(n), (np.ones((n, WIDTH)), np.zeros(n, int), None), n <= CAPACITY) for n in (7, 8, 9)]
)


def is_taken(net, loss, target, arrays, rules=None):
    """Return whether an executor runs a step of the arrays, and check that otherwise nothing happens."""
    trainer = fastnn.Trainer(net, loss)
    executor = trainer.fit_executor(target, CAPACITY)
    scalars, row = trainer.next_scalars()
    rules = rules or batch_rules(trainer.loss, target, net.out_features)
    before, drawn = net.state_dict(), []

    def draw_order():
        drawn.append(len(arrays[0]))
        return np.arange(len(arrays[0]))[::-1].copy()

    loss = executor.run_batch(
        *arrays, rules=rules, scalars=scalars, row=row, step=0, threads=1, counters=(net.forward_counter,),
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
    with fastnn.backend(backend):
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
    """A vector is a column of one number, if the rules allow it."""
    rules = BatchRules(may_be_vector=may_be_vector)
    with fastnn.backend(backend):
        for y, columns, taken in (
            (ONES, 1, may_be_vector), (ONES[:, np.newaxis], 1, True), (np.ones((ROWS, 2)), 1, False), (ONES, 2, False),
        ):  # fmt: skip
            net = nn.Sequential(nn.Dense(WIDTH, columns), seed=0)
            assert is_taken(net, "mean_squared_error", "rows", (X, y, None), rules) == taken


def test_losses_that_take_labels_take_no_vector_of_targets():
    for loss in (nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.PoissonNLLLoss()):
        assert batch_rules(loss, "rows", 1).may_be_vector
    assert not batch_rules(nn.CrossEntropyLoss(), "rows", 3).may_be_vector
    assert batch_rules(nn.CrossEntropyLoss(), "labels", 3) == BatchRules()

    class Both(nn.CustomLoss):
        @property
        def spec(self):
            return dataclasses.replace(super().spec, kinds={"labels": "", "rows": "custom"})

    loss = Both(lambda z, t: ((z - t) ** 2).sum(axis=1), lambda z, t: 2 * (z - t))
    assert batch_rules(loss, "rows", 1) == BatchRules(negative_weights=True)


def test_losses_with_checks_of_their_own_have_no_rules():
    class Even(nn.MSELoss):
        def check_rows(self, name, target, *, finite=True):
            assert not (target % 2).any()

    class Weighted(nn.MSELoss):
        def row_weights(self, y, sample_weight):
            return y[:, 0]

    class Heads(nn.HeadsLoss):
        def check_rows(self, name, target, *, finite=True):
            pass

    assert batch_rules(Even(), "rows", 1) is batch_rules(Weighted(), "rows", 1) is None
    assert batch_rules(Heads([("mean_squared_error", 1)]), "rows", 1) is None
    assert batch_rules(nn.HeadsLoss([(Even(), 1)]), "rows", 1) is None


def test_all_that_a_loss_checks_is_a_rule():
    class Mixed(nn.MSELoss):
        @property
        def spec(self):
            return dataclasses.replace(super().spec, among=(0, 1), low=0.5, probabilities=True)

    kinds = [rule.kind for rule in batch_rules(Mixed(), "rows", 1).columns]
    assert kinds == ["between", "either", "probabilities"]


def test_weights_of_classes_that_a_kernel_has():
    class Weighted(nn.CrossEntropyLoss):
        def kernel(self):
            name, given = super().kernel()
            return name, given | {"weight": (1.0, 5.0, 9.0)}

    assert batch_rules(Weighted(), "labels", 3).row_weights is not None
    assert batch_rules(nn.CrossEntropyLoss(), "labels", 3).row_weights is None


# Rows of targets that some losses take and others refuse.
ROWS_OF_TARGETS = {
    "0 and 1": [[0, 1], [1, 0], [1, 1]],
    "one-hot": [[0, 1], [1, 0], [0, 1]],
    "-1 and 1": [[-1, 1], [1, -1], [1, 1]],
    "-1 and 0": [[-1, 1], [1, 0], [1, 1]],
    "shares": [[0.25, 0.75], [0.5, 0.5], [1, 0]],
    "nearly shares": [[0.25, 0.7505], [0.5, 0.5], [1, 0]],
    "no shares": [[0.25, 0.75], [0.5, 0.25], [1, 0]],
    "one below 0": [[1.25, -0.25], [0.5, 0.5], [1, 0]],
    "counts": [[0, 1], [2, 3], [4, 255]],
    "large": [[1e30, 1], [0, 1], [0, 1]],
    "classes": [[2, 0.5], [0, 0.5], [1, -3]],
    "too high a class": [[3, 0.5], [0, 0.5], [1, 0.5]],
    "half a class": [[1.5, 0.5], [0, 0.5], [1, 0.5]],
    "a class below 0": [[-1, 0.5], [0, 0.5], [1, 0.5]],
    "nan": [[0, 1], [np.nan, 1], [0, 1]],
    "inf": [[0, 1], [0, np.inf], [0, 1]],
}
OF_ROWS = {  # losses, and the number of outputs
    **{str(loss): (loss, 2) for loss in (
        nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss(), nn.LogLoss(), nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(),
        nn.LogCoshLoss(), nn.PoissonNLLLoss(), nn.HingeLoss(), nn.SquaredHingeLoss(), nn.QuantileLoss([0.1]),
    )},
    "classes beside numbers": (nn.HeadsLoss([("cross_entropy", 3), ("mean_squared_error", 1)]), 4),
    "numbers beside signs": (nn.HeadsLoss([("mean_squared_error", 1), ("hinge", 1)]), 2),
    "counts beside yes and no": (nn.HeadsLoss([("poisson", 1), ("binary_cross_entropy", 1)]), 2),
}  # fmt: skip


@BACKENDS
@pytest.mark.parametrize("dtype", ["f", "d", "B"])
@pytest.mark.parametrize(("loss", "outputs"), OF_ROWS.values(), ids=OF_ROWS)
def test_rows_are_taken_if_the_loss_takes_them(loss, outputs, dtype, backend):
    seen = set()
    for name, rows in ROWS_OF_TARGETS.items():
        y = np.array(rows, float)
        if dtype == "B" and not np.isin(y, np.arange(256)).all():
            continue
        y = y.astype(dtype)
        try:
            loss.check_rows("y", y)
            good = True
        except ValueError:
            good = False
        for each in (y, np.asfortranarray(y), y[::-1]):
            net = nn.Sequential(nn.Dense(WIDTH, outputs), seed=0)
            with fastnn.backend(backend):
                taken = is_taken(net, loss, "rows", (X[:3], each, None))
            assert taken == good, name
        seen.add(good)
    assert seen == {True, False} or dtype == "B"


@BACKENDS
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize(
    ("kind", "low", "high", "good", "bad"),
    [
        ("between", 0.5, 1.5, [(0.5, 1.5), (1.25, 1)], [(0.25, 1), (1, 1.75)]),
        ("whole", 1, 3, [(1, 2), (3, 3)], [(0, 1), (1, 4), (1, 1.5)]),
        ("either", 1, 3, [(1, 3), (3, 3)], [(0, 1), (3, 2), (4, 3)]),
        ("probabilities", 0, np.inf, [(1, 0), (0.5, 0.501), (0.25, 0.749)], [(0, 0), (1, 0.01), (0.5, 0.49), (2, -1)]),
    ],
)
def test_rules_of_columns(kind, low, high, good, bad, dtype, backend):
    """They hold for their columns, and for no others."""
    rules = BatchRules((ColumnRule(kind, low, high, 1, 3),))
    for numbers in [*good, *bad]:
        y = np.full((ROWS, 4), 77.0, dtype)
        y[:, 1:3] = good[0]
        y[-1, 1:3] = numbers
        net = nn.Sequential(nn.Dense(WIDTH, 4), seed=0)
        with fastnn.backend(backend):
            assert is_taken(net, "mean_squared_error", "rows", (X, y, None), rules) == (numbers in good), numbers


@BACKENDS
@pytest.mark.parametrize("dtype", ["f", "d", "B"])
@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (1, 2), (0.5, 1.5), (1.5, 1.75), (-9, -1), (-9, 0), (255, 300), (255.5, 300), (256, 300), (0, np.inf)],
)
def test_limits_of_targets(low, high, dtype, backend):
    rules = BatchRules((ColumnRule("between", low, high, 0, 2),))
    with fastnn.backend(backend):
        for number in (0, 1, 2, 255):
            y = np.full((ROWS, 2), number, dtype)
            net = nn.Sequential(nn.Dense(WIDTH, 2), seed=0)
            taken = is_taken(net, "mean_squared_error", "rows", (X, y, None), rules)
            assert taken == (low <= number <= high), number


@BACKENDS
def test_sums_at_the_edge_of_the_tolerance_are_left_to_the_loss(backend):
    """There the order of adding decides."""
    in_order, rng = {True: [], False: []}, np.random.default_rng(0)
    for y in rng.multinomial(998, rng.dirichlet(np.ones(20), 100)) / 1000:
        in_order[abs(sum(y.tolist()) - 1) <= SUM_TOLERANCE].append(y)
    for rows in in_order.values():
        assert len(rows) > 5
        for y in rows[:5]:
            net = nn.Sequential(nn.Dense(WIDTH, 20), seed=0)
            with fastnn.backend(backend):
                assert not is_taken(net, "cross_entropy", "rows", (np.ones((1, WIDTH)), y[np.newaxis], None))


@BACKENDS
@pytest.mark.parametrize(("first", "last"), [(0, 3), (-1, 1), (2, 1)])
def test_rules_of_columns_that_do_not_exist(first, last, backend):
    rules = BatchRules((ColumnRule("between", 0, 1, first, last),))
    net = nn.Sequential(nn.Dense(WIDTH, 2), seed=0)
    with fastnn.backend(backend), pytest.raises(ValueError, match="rules must have columns from 0 to 2, got"):
        is_taken(net, "mean_squared_error", "rows", (X, NUMBERS, None), rules)
    assert net.training_steps == 0


@BACKENDS
@pytest.mark.parametrize(("value", "taken"), [(1.0, True), (2.0, False), (np.nan, False)])
def test_the_last_of_many_numbers(value, taken, backend):
    """So many are checked without the GIL."""
    y = np.ones((20000, 4))
    y[-1, -1] = value
    trainer = fastnn.Trainer(nn.Sequential(nn.Dense(1, 4), seed=0), "binary_cross_entropy")
    with fastnn.backend(backend):
        executor = trainer.fit_executor("rows", len(y))
        scalars, row = trainer.next_scalars()
        loss = executor.run_batch(
            np.ones((len(y), 1)), y, None, rules=batch_rules(trainer.loss, "rows", 4), scalars=scalars, row=row, step=0,
            threads=1,
        )  # fmt: skip
    assert (loss is not None) == taken


@BACKENDS
@pytest.mark.parametrize("dtype", ["f", "d"])
def test_weights_below_0(dtype, backend):
    rules = BatchRules(negative_weights=True)
    arrays = {"some": (changed(ONES, -2), True), "all": (-ONES, True), "none": (ONES, True), "zeros": (0 * ONES, False)}
    arrays |= {"inf": (changed(ONES, -np.inf), False), "nan": (changed(ONES, np.nan), False)}
    for name, (weight, taken) in arrays.items():
        net = nn.Sequential(nn.Dense(WIDTH, 2), seed=0)
        loss = nn.CustomLoss(lambda z, t: ((z - t) ** 2).sum(axis=1), lambda z, t: 2 * (z - t))
        with fastnn.backend(backend):
            assert is_taken(net, loss, "rows", (X, NUMBERS, weight.astype(dtype)), rules) == taken, name


@BACKENDS
def test_weights_of_classes(backend):
    """They are asked for once the arrays have been checked, and checked themselves."""
    asked = []

    def row_weights(labels, weight):
        assert labels.dtype == np.int64 and (weight is None or weight.dtype == np.float64)
        asked.append((labels.tolist(), weight))
        return result

    rules = BatchRules(negative_weights=True, row_weights=row_weights)
    for result, taken in ((ONES, True), (2 * ONES, True), (0 * ONES, False), (-ONES, False), (np.inf * ONES, False)):
        net = nn.Sequential(nn.Dense(WIDTH, CLASSES), seed=0)
        with fastnn.backend(backend):
            assert is_taken(net, "cross_entropy", "labels", (X, LABELS.astype("h"), None), rules) == taken, result
    assert asked == [(LABELS.tolist(), None)] * 5
    with fastnn.backend(backend):
        assert not is_taken(net, "cross_entropy", "labels", (X, LABELS + 1, None), rules)
        assert not is_taken(net, "cross_entropy", "labels", (X, LABELS, 0 * ONES), rules)
    assert len(asked) == 5
    result = ONES
    with fastnn.backend(backend):
        assert is_taken(net, "cross_entropy", "labels", (X, LABELS, ONES.astype("f")), rules)


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
    usual = {"rules": BatchRules(), "scalars": scalars, "row": row, "step": 0, "threads": 1}
    with pytest.raises(ValueError, match=message):
        executor.run_batch(X, LABELS, None, **usual | arguments)
    assert net.training_steps == 0
