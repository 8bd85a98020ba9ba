"""The checks in compiled code: they pass the usual call of every kernel, and change no error and no bit of others."""

import contextlib
import itertools
import sys
import threading

import numpy as np
import pytest
from specs import SPECS, same_bits

import fastnn
from fastnn import _validation, kernels
from fastnn._updates import UPDATES
from fastnn.kernels import losses, optimizers
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
    ("x[B I] out+[B I]", (like(shape=(2**40, 0)),)),
    ("x[B I] out+[I 1024*I]", (like(shape=(2**40, 0)),)),
    ("x?[B] y[B] out![B]", (None, like(shape=(2,)), None)),
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
    ("x?[*] out![*]", (None, None)),
    ("n#S out![S]", (3, None)),
    ("x[B] y?[K] out![B]", (like(shape=(2,)), None, None)),
    ("x[B I] y[I O] z[B O]", (like(shape=(2**40, 0)), like(shape=(0, 2**40)), like(shape=(0, 2**40)))),
    ("x[B I] out![B B]", (like(shape=(2**40, 0)), None)),
    ("x[B I] out+[B*B*B]", (like(shape=(2**40 - 1, 0)),)),
    ("x[B I] out+[B B B]", (like(shape=(2**22, 0)),)),
    ("x[B I] out+[1024*B]", (like(shape=(2**40, 0)),)),
    ("x[B I] y[4*B]", (like(shape=(2**40, 0)), like(shape=(0,)))),
    ("x[B I] out+[B]", (like(shape=(2**41, 0)),)),
    ("x[B I] out+[B I]", (like(shape=(2**41, 0)),)),
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
    arguments = Arguments("joins", "x[B I]", B=2)
    with fastnn.backend("native"):
        assert [arguments(like(shape=(rows, 1)))[2] for rows in (1, 2)] == [False, True]


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("x[B I] w[I O", "w"),
        ("x[B I w[I O]", r"w\[I"),
        ("x B", "x"),
        ("x[B] B]", r"B\]"),
        ("x", "x"),
        ("[B]", r"\[B\]"),
        ("x[B]!", r"x\[B\]!"),
        ("x?![B]", r"x\?!\[B\]"),
        ("x&+[B]", r"x&\+\[B\]"),
        ("x%[B]", r"x%\[B\]"),
        ("x[B]>1", r"x\[B\]>1"),
        ("x[B]:int64", r"x\[B\]:int64"),
        ("x[B]<2", r"x\[B\]<2"),
        ("x[B]<B>0", r"x\[B\]<B>0"),
        ("x[B] y&[B]=", r"y&\[B\]="),
        ("x[B] y[B]|x", r"y\[B\]\|x"),
        ("n?#S", r"n\?#S"),
        ("n#2", "n#2"),
        ("x[B] n#B", "n#B"),
        ("n#B m#B", "m#B"),
        ("n#S[B]", r"n#S\[B\]"),
        ("x[B],y[B]", r"x\[B\],y\[B\]"),
        ("x[b]", "b"),
        ("x[B,I]", "B,I"),
        ("x[2]", "2"),
        ("x[B B*2]", r"B\*2"),
        ("x[B] y[2*3*B]", r"2\*3\*B"),
        ("x[B] y[B*]", r"B\*"),
        ("x[B] y[0*B]", r"0\*B"),
        ("x[B] y[9999999999*B]", r"9999999999\*B"),
        ("x[B] y[B|2]", r"B\|2"),
        ("x[* B]", r"\*"),
        ("x[2*B] y[B]", r"2\*B"),
        ("x[B] y[B*I]", r"B\*I"),
        ("x[B] y+[I]", "I"),
        ("x[B] y+[I] z[B]", r"z\[B\]"),
        ("x[B] y[B]<K", "K"),
        ("x[B] y&?&[B]", r"y&\?&\[B\]"),
        ("x[B] x[B]", r"x\[B\]"),
        ("x[B] y[B]=x", r"y\[B\]=x"),
        ("x[B] y&[B]=z", r"y&\[B\]=z"),
        ("x&[B]>0", r"x&\[B\]>0"),
        ("x[B] y![B]<B", r"y!\[B\]<B"),
        ("x[A B C D]", r"x\[A B C D\]"),
        ("x[A] y[B] z[A*B*A*B]", r"A\*B\*A\*B"),
        (" ".join(f"x{size}[{size}]" for size in "ABCDEFG"), "G"),
        (" ".join(f"x{i}[B]" for i in range(13)), r"x12\[B\]"),
        ("x[B] " + " ".join(f"x{i}+[B]" for i in range(12)), r"x11\+\[B\]"),
    ],
)
def test_malformed_patterns(pattern, part):
    with pytest.raises(ValueError, match=f"^pattern must .*, got {part}$"):
        Arguments("joins", pattern)


def test_malformed_least_sizes():
    for wrong in (-1, 2**40 + 1, 1.0, True, None):
        with pytest.raises(ValueError, match=r"^B must be an integer from 0 to 1099511627776, got "):
            Arguments("joins", "x[B I]", B=wrong)
    with pytest.raises(TypeError, match=r"^K must be a size of the pattern, got x\[B I\]$"):
        Arguments("joins", "x[B I]", B=1, K=1)


def test_the_largest_patterns():
    array, pattern = like(shape=(1, 1, 1)), "x[A B C] y[A*B*C 2*A*B|1 D] z[E F A]"
    arguments = Arguments("joins", pattern + "".join(f" x{i}[A]" for i in range(8)) + " out+[A*B*C D E]")
    assert arguments.names == ("x", "y", "z", *(f"x{i}" for i in range(8)))
    with fastnn.backend("native"):
        _, _, ready, result = arguments(array, array, array, *[array.reshape(1)] * 8)
    assert ready
    assert result.shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"), [("x[B]<K n#K", 1, 2), ("x[B]>=0 n#K", 1.0, -1.0), ("x[B]>0 n#K", 1.0, 0.0)]
)
def test_every_number_is_looked_at(pattern, right, wrong):
    for size in (1, 2**15, 2**15 + 1):
        array = np.full(size, right)
        with fastnn.backend("native"):
            assert Arguments("joins", pattern)(array, 2)[2]
            for place in {0, size // 2, size - 1}:
                array[place] = wrong
                assert not Arguments("joins", pattern)(array, 2)[2]
                array[place] = right


@pytest.mark.parametrize("pattern", ["x[B]<K n#K", "x[B]>=0 n#K"])
@pytest.mark.parametrize("view", [False, True])
def test_large_arrays_do_not_hold_the_gil(pattern, view):
    """Another thread runs meanwhile, and NumPy refuses to let it resize the array."""
    if getattr(sys, "_is_gil_enabled", lambda: True)() is False:
        pytest.skip("there is no GIL")
    arguments, interval, refused = Arguments("joins", pattern), sys.getswitchinterval(), []
    sys.setswitchinterval(10)  # so that the other thread waits until the check releases the GIL
    try:
        for _ in range(20):
            array = np.zeros(2**25, np.int64 if "<" in pattern else np.float64)
            start = threading.Lock()
            start.acquire()
            thread = threading.Thread(target=resize, args=(start, array, refused))
            thread.start()
            given = array[1:] if view else array
            with fastnn.backend("native"):
                start.release()
                assert arguments(given, 1)[2]
            thread.join()
            if refused:
                break
    finally:
        sys.setswitchinterval(interval)
    assert refused


def resize(start, array, refused):
    with start:
        try:
            array.resize(1, refcheck=False)
        except ValueError as error:
            refused.append(error)


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
    "add_noise": "its settings depend on x, and are read before out is checked",
    "shift_images": "its settings depend on x, and are read before out is checked",
    "flip_images": "its settings depend on x, and are read before out is checked",
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


class Changing(float):
    """A number, or class weights, whose reading changes the arrays of the call."""

    def __new__(cls, number, change):
        made = float.__new__(cls, number)
        made.change = change
        return made

    def __float__(self):
        self.change()
        return float.__float__(self)

    def __array__(self, dtype=None, copy=None):
        self.change()
        return np.full(10, float.__float__(self))


def resized(*arrays):
    def change():
        for array in arrays:
            array.resize((1, 1), refcheck=False)

    return change


def big():
    return np.zeros((1000, 10), np.float32)


CHANGED = {
    "cross_entropy": lambda z, g, s: kernels.cross_entropy(z, np.zeros(1000, np.int64), weight=s, grad=g),
    "smoothing": lambda z, g, s: kernels.cross_entropy(z, np.zeros(1000, np.int64), label_smoothing=s, grad=g),
    "binary_cross_entropy": lambda z, g, s: kernels.binary_cross_entropy(z, big(), pos_weight=s, grad=g),
    "huber": lambda z, g, s: kernels.huber(z, big(), delta=s, grad=g),
    "clip": lambda x, o, s: kernels.clip(x, s, out=o),
    "elu": lambda x, o, s: kernels.elu(x, alpha=s, out=o),
    "dropout": lambda x, o, s: kernels.dropout(x, s, seed=0, stream=0, step=0, out=o),
    "add_noise": lambda x, o, s: kernels.add_noise(x, s, seed=0, out=o),
    "drop_features": lambda x, o, s: kernels.drop_features(x, s, seed=0, out=o),
    "swap_entries": lambda x, o, s: kernels.swap_entries(x, s, seed=0, out=o),
    "shift_images": lambda x, o, s: kernels.shift_images(x, (2, 5), 1, fill=s, seed=0, out=o),
    "flip_images": lambda x, o, s: kernels.flip_images(x, (2, 5), s, seed=0, out=o),
}


@pytest.mark.parametrize("name", CHANGED)
def test_settings_whose_reading_changes_the_arrays(impl, name):
    """The arrays are checked after it, or the numbers are not read again: no call writes to memory that is gone."""
    for which in ([0], [1], [0, 1]):
        arrays = big(), big()
        setting = Changing(0.5, resized(*(arrays[i] for i in which)))
        with contextlib.suppress(ValueError, TypeError):
            CHANGED[name](*arrays, setting)


def test_updates_of_every_number_of_slots():
    for name, row in UPDATES.items():
        names = optimizers._UPDATES[len(row.slots)].names
        assert names == ("w", "g", *(f"slot{i}" for i in range(len(row.slots)))), name


def test_strict_losses_have_the_checks_alone(monkeypatch):
    """These look at more than the compiled ones."""
    monkeypatch.setattr(losses, "_LOSSES", {})
    z, target, given = np.zeros((2, 3)), np.array([0, 2]), {"weight": None, "label_smoothing": 0.0}
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            loss = losses.run_loss("cross_entropy", z, target, strict=True, **given)
            assert loss == pytest.approx(np.log(3))
            with pytest.raises(KeyError):
                losses.run_loss("cross_entropy", z, target, **given)


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


@pytest.fixture
def little_memory():
    """Make arrays of 2**40 numbers a MemoryError, where the system would give pages as they are written."""
    resource = pytest.importorskip("resource")
    if sys.platform != "linux":
        pytest.skip("no limit of the address space")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**41, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)
def test_large_sizes_beside_0(spec):
    """Arrays without numbers, of axes of up to 2**62: the errors and shapes of the NumPy backend."""
    arguments = arguments_of(spec)
    inputs = spec.inputs(arguments)
    sizes = sorted({size for array in inputs.values() for size in array.shape})
    calls = 0
    for lengths in itertools.product((0, 2**40 - 1, 2**40, 2**41, 2**62), repeat=len(sizes)):
        shapes = {k: tuple(lengths[sizes.index(size)] for size in array.shape) for k, array in inputs.items()}
        if not all(0 in shape for shape in shapes.values()):
            continue
        try:
            arrays = {name: np.empty(shape, inputs[name].dtype) for name, shape in shapes.items()}
        except ValueError:  # too large for NumPy
            continue
        for given in (arrays, arrays | {spec.out: None} if spec.out else arrays):
            found = []
            for backend in ("native", "reference"):
                try:
                    value = outcome(spec, arguments | given, backend)
                    found.append(value if is_error(value) else [np.shape(each) for each in value])
                except MemoryError:
                    found.append(MemoryError)
            if "array is too big" not in str(found[1]):  # a temporary of the NumPy twin
                assert found[0] == found[1], shapes
                calls += 1
    assert calls
