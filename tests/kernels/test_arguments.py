"""The checks in compiled code: they pass the usual call of every kernel, and change no error and no bit of others."""

import numpy as np
import pytest
from specs import SPECS, same_bits

import fastnn
from fastnn import _validation, kernels
from fastnn.kernels._arguments import Arguments, same_objects

# ---- what a pattern accepts ----

BASE = np.zeros((4, 6), np.float32)
LONG = np.zeros(48, np.float32)
UNALIGNED = np.zeros(97, np.uint8)[1:].view(np.float32).reshape(4, 6)
READ_ONLY = BASE.copy()
READ_ONLY.flags.writeable = False


def like(dtype=np.float32, shape=(4, 6)):
    return np.zeros(shape, dtype)


JOIN = "x[*] y[*] out![*]=x|y"
DENSE = "x[B I] w[I O] b?[O] out![B O]"
NORM = "x[B I] gamma[I] mean[B] sum&?[I] out![B I]"
LABELS = "z[B K] target[B]<K weight?[B]>=0 grad&?[B K]"
Z, CLASSES, ONES = like(shape=(3, 2)), np.array([0, 1, 1]), np.ones(3)

ACCEPTED = [
    (JOIN, (like(), like(), like())),
    (JOIN, (like(np.float64), like(np.float64), like(np.float64))),
    (JOIN, (like(shape=()), like(shape=()), like(shape=()))),
    (JOIN, (like(shape=(0, 3)), like(shape=(0, 3)), like(shape=(0, 3)))),
    (JOIN, (like(), READ_ONLY, None)),
    (JOIN, (BASE, BASE, BASE)),
    (JOIN, (LONG[24:], LONG[24:], LONG[:24])),
    (JOIN, (LONG[:24], LONG[:24].copy(), LONG[:24])),
    (DENSE, (like(shape=(2, 3)), like(shape=(3, 5)), like(shape=(5,)), like(shape=(2, 5)))),
    (DENSE, (like(shape=(2, 3)), like(shape=(3, 5)), None, None)),
    (DENSE, (like(shape=(0, 3)), like(shape=(3, 0)), like(shape=(0,)), None)),
    (NORM, (like(), like(shape=(6,)), like(shape=(4,)), like(shape=(6,)), like())),
    (NORM, (like(), like(shape=(6,)), like(shape=(4,)), None, None)),
    (LABELS, (Z, CLASSES, ONES, Z.copy())),
    (LABELS, (Z, CLASSES, None, None)),
    (LABELS, (Z, CLASSES, np.array([0.0, 1e308, 0.0]), None)),
    ("x[B I|1] y[I|1]", (like(), like(shape=(1,)))),
    ("x[B I] y[I|1]", (like(), like(shape=(6,)))),
    ("x[I K] y[B 2*I*K]", (like(shape=(2, 3)), like(shape=(5, 12)))),
    ("x[B I] n#S ids[B]<S out![S I]", (like(), 3, np.array([0, 2, 1, 0]), None)),
    ("x[B] limit[B]>0", (like(shape=(2,)), np.array([1.0, np.inf], np.float32))),
    ("x[B] share[B]:float64", (like(shape=(2,)), np.array([-1.0, np.nan]))),
]
REFUSED = [
    (JOIN, (like(), like(), READ_ONLY)),
    (JOIN, (like(), like(np.float64), like())),
    (JOIN, (like(np.int32), like(np.int32), like(np.int32))),
    (JOIN, (like(np.uint8), like(np.uint8), like(np.uint8))),
    (JOIN, (like(">f4"), like(">f4"), like(">f4"))),
    (JOIN, (like(), like(shape=(6, 4)), like())),
    (JOIN, (like(), like(), like(shape=(24,)))),
    (JOIN, (like(), like(shape=(6, 4)).T, like())),
    (JOIN, (like().T, like().T, like().T)),
    (JOIN, (like(), like(), UNALIGNED)),
    (JOIN, (UNALIGNED, like(), like())),
    (JOIN, (like().tolist(), like(), like())),
    (JOIN, (np.ma.masked_array(like()), like(), like())),
    (JOIN, (None, like(), like())),
    (JOIN, (like(), like())),
    (JOIN, (LONG[23:47], like(shape=(24,)), LONG[:24])),
    (JOIN.replace("=x|y", ""), (BASE, like(), BASE)),
    (JOIN.replace("=x|y", "=x"), (like(), BASE, BASE)),
    (DENSE, (like(shape=(2, 3)), like(shape=(4, 5)), None, None)),
    (DENSE, (like(shape=(2, 3)), like(shape=(3, 5)), like(shape=(4,)), None)),
    (DENSE, (like(shape=(2, 3)), like(shape=(3, 5)), like(shape=(1, 5)), None)),
    (DENSE, (like(shape=(3,)), like(shape=(3, 5)), None, None)),
    (DENSE, (like(shape=(2**40, 0)), like(shape=(0, 2**40)), None, None)),
    (DENSE, (LONG[:6].reshape(2, 3), like(shape=(3, 5)), None, LONG[5:15].reshape(2, 5))),
    (NORM, (like(), like(shape=(4,)), like(shape=(4,)), None, None)),
    (NORM, (like(), like(shape=(6,)), like(shape=(6,)), None, None)),
    (NORM, (BASE, BASE[0], like(shape=(4,)), BASE[0], None)),
    (LABELS, (Z, CLASSES + 1, None, None)),
    (LABELS, (Z, CLASSES - 1, None, None)),
    (LABELS, (Z, CLASSES.astype(np.int32), None, None)),
    (LABELS, (Z, CLASSES.astype(">i8"), None, None)),
    (LABELS, (Z, CLASSES.astype(float), None, None)),
    (LABELS, (Z, CLASSES[:2], None, None)),
    (LABELS, (Z, CLASSES, -ONES, None)),
    (LABELS, (Z, CLASSES, ONES * np.nan, None)),
    (LABELS, (Z, CLASSES, ONES * np.inf, None)),
    (LABELS, (Z, CLASSES, ONES * 1e308, None)),
    (LABELS, (Z, CLASSES, ONES.astype(np.float32), None)),
    (LABELS, (Z, CLASSES, None, Z)),
    ("x[B I] y[I|1]", (like(), like(shape=(2,)))),
    ("x[I K] y[B 2*I*K]", (like(shape=(2, 3)), like(shape=(5, 6)))),
    ("x[B I] n#S ids[B]<S out![S I]", (like(), 2, np.array([0, 2, 1, 0]), None)),
    ("x[B I] n#S ids[B]<S out![S I]", (like(), True, np.array([0, 0, 0, 0]), None)),
    ("x[B I] n#S ids[B]<S out![S I]", (like(), 2**70, np.array([0, 0, 0, 0]), None)),
    ("x[B] limit[B]>0", (like(shape=(2,)), np.array([1.0, np.nan], np.float32))),
    ("x[B] limit[B]>0", (like(np.float64, (2,)), np.array([1.0, 0.0]))),
    ("x[B] share[B]:float64", (like(shape=(2,)), like(shape=(2,)))),
    ("x[I] out![I K] y[B I*K]", (like(shape=(2,)), None, like(shape=(3, 8)))),
]


@pytest.mark.parametrize(("pattern", "given"), ACCEPTED)
def test_accepted(pattern, given):
    with fastnn.backend("native"), fastnn.num_threads(3):
        module, threads, ready, _ = Arguments("joins", pattern)(*given)
    assert (module.__name__, threads, ready) == ("fastnn.kernels._joins_cy", 3, True)
    with fastnn.backend("reference"):
        module, _, ready, results = Arguments("joins", pattern)(*given)
    assert (module.__name__, ready, results) == ("fastnn.kernels._joins_ref", False, None)


@pytest.mark.parametrize(("pattern", "given"), REFUSED)
def test_refused(pattern, given):
    with fastnn.backend("native"):
        assert Arguments("joins", pattern)(*given)[2:] == (False, None)


def test_least_sizes():
    call = Arguments("joins", "x[B I]", B=2)
    with fastnn.backend("native"):
        assert [call(like(shape=(rows, 1)))[2] for rows in (1, 2)] == [False, True]


def test_results():
    x, w, out = like(np.float64, (2, 3)), like(np.float64, (3, 5)), like(np.float64, (2, 5))
    with fastnn.backend("native"):
        assert Arguments("dense", DENSE)(x, w, None, out)[3] is out
        made = Arguments("dense", DENSE)(x, w, None, None)[3]
        same, mean, var = Arguments("dense", DENSE + " mean+[O] var+[B O]")(x, w, None, out)[3]
        assert Arguments("dense", "x[B I]")(x)[2:] == (True, None)
    assert same is out
    assert [(a.dtype, a.shape) for a in (made, mean, var)] == [(x.dtype, s) for s in ((2, 5), (5,), (2, 5))]


def test_same_objects():
    value = 0.5
    assert same_objects({"a": value, "b": None}, {"b": None, "a": value})
    for other in ({"a": value}, {"a": value, "c": None}, {"a": float("0.5"), "b": None}, {}):
        assert not same_objects({"a": value, "b": None}, other)


# ---- every kernel ----

CHECKS = ("floats", "numeric", "contiguous", "indices", "weights", "shape", "writable", "output", "overlap")

# Kernels whose usual call goes through `_validation`.
CHECKED = {
    "gather": "of arrays of several types; a copy",
    "quantile_normal": "quantiles are checked by NumPy, in less time than the kernel takes",
    "piecewise_linear": "bins are lists of any lengths",
    "piecewise_linear_backward": "bins are lists of any lengths",
    "random_bits": "has no input",
    "permutation": "has no input",
}


def arguments_of(spec, dtype="float32"):
    """Return arguments that need no conversion, those that are written among them."""
    arguments = spec.make(np.random.default_rng(0), spec.shapes[-2], np.dtype(dtype))
    with fastnn.backend("native"):
        results = spec.call(kernels, arguments)
    return arguments | ({spec.out: results[spec.out]} if spec.out else {})


def function_of(spec):
    return getattr(kernels, spec.function or spec.name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)
def test_usual_calls_need_no_checks(spec, dtype, monkeypatch):
    arguments, used = arguments_of(spec, dtype), []
    for name in CHECKS:
        check = getattr(_validation, name)
        monkeypatch.setattr(
            _validation, name, lambda *a, _name=name, _check=check, **k: (used.append(_name), _check(*a, **k))[1]
        )
    with fastnn.backend("native"):
        function_of(spec)(**arguments)
    array_settings = spec.family == "losses" and any(isinstance(a, list | tuple) for a in arguments.values())
    if (spec.function or spec.name) in CHECKED or array_settings:
        assert used
    else:
        assert not used


class Own(np.ndarray):
    pass


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    raw[...] = array
    return raw


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


# Other arrays of the same numbers, and wrong ones.
SAME_NUMBERS = {
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "unaligned": unaligned,
    "not contiguous": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "transposed": lambda a: np.asfortranarray(a),
    "read-only": read_only,
    "subclass": lambda a: a.copy().view(Own),
    "plain": lambda a: a.copy(),
}
OTHERS = {
    "float64": lambda a: a.astype(np.float64),
    "float16": lambda a: a.astype(np.float16),
    "int32": lambda a: np.zeros(a.shape, np.int32),
    "bool": lambda a: np.zeros(a.shape, bool),
    "list": lambda a: a.tolist(),
    "one more": lambda a: np.concatenate([a, a[..., -1:]], axis=-1),
    "one axis more": lambda a: a[None].copy(),
    "no rows": lambda a: a[:0].copy(),
    "no columns": lambda a: a[..., :0].copy(),
    "one row": lambda a: a[:1].copy(),
    "NaN": lambda a: np.full(a.shape, np.nan, a.dtype if a.dtype.kind == "f" else float),
    "below 0": lambda a: -abs(a) - 1,
    "large": lambda a: np.full(a.shape, 1e30 if a.dtype.kind == "f" else np.iinfo(a.dtype).max, a.dtype),
    "object": lambda a: a.astype(object),
    "complex": lambda a: a.astype(complex),
    "none": lambda a: None,
}


def outcome(spec, arguments, backend):
    """Return what a call returns, or its error with the message."""
    with fastnn.backend(backend), np.errstate(all="ignore"):
        try:
            value = function_of(spec)(**arguments)
        except (TypeError, ValueError) as error:
            return type(error), str(error)
    return value if isinstance(value, tuple) else (value,)


def given_to(spec, arguments, name, change):
    """Return copies of the arguments, one of them changed."""
    copies = {k: a.copy() if isinstance(a, np.ndarray) else a for k, a in arguments.items()}
    with np.errstate(all="ignore"):
        return copies | {name: change(copies[name])}


def is_error(found):
    return isinstance(found[0], type)


NAMES = [pytest.param(spec, name, id=f"{spec.id}-{name}") for spec in SPECS for name in spec.inputs(arguments_of(spec))]


@pytest.mark.parametrize(("spec", "name"), NAMES)
def test_other_arrays(spec, name):
    """Every call has the same error as on the NumPy backend, which has no compiled checks; or the bits of the usual."""
    arguments = arguments_of(spec)
    usual = outcome(spec, given_to(spec, arguments, name, np.copy), "native")
    assert not is_error(usual)
    for kind, change in (SAME_NUMBERS | OTHERS).items():
        native = outcome(spec, given_to(spec, arguments, name, change), "native")
        reference = outcome(spec, given_to(spec, arguments, name, change), "reference")
        assert is_error(native) == is_error(reference), (kind, native, reference)
        if is_error(native):
            assert native == reference, kind
        elif kind in SAME_NUMBERS:
            for got, expected in zip(native, usual, strict=True):
                same_bits(got, expected, kind)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.out], ids=lambda spec: spec.id)
def test_shared_memory(spec):
    """`out` or `grad` that is an input, or overlaps one: the same error as on the NumPy backend, or the same bits."""
    arguments = arguments_of(spec)
    out = arguments[spec.out]
    usual = outcome(spec, given_to(spec, arguments, spec.out, np.copy), "native")
    for name, array in spec.inputs(arguments).items():
        if name == spec.out or array.dtype != out.dtype:
            continue
        for shift in (0, 1, array.size, array.size + 1):
            found = []
            for backend in ("native", "reference"):
                room = np.zeros(array.size + out.size + 2, out.dtype)
                inside = room[: array.size].reshape(array.shape)
                inside[...] = array
                shared = {name: inside, spec.out: room[shift : shift + out.size].reshape(out.shape)}
                found.append(outcome(spec, given_to(spec, arguments, name, np.copy) | shared, backend))
            assert is_error(found[0]) == is_error(found[1]), (name, shift, found)
            if is_error(found[0]):
                assert found[0] == found[1], (name, shift)
            else:
                for got, expected in zip(found[0], usual, strict=True):
                    same_bits(got, expected, f"{name} {shift}")
