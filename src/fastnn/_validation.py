"""Every check of an argument, and every message: the argument's name, what was expected, what came.

`TypeError` tells of a wrong kind (an object array, a float where an integer belongs), `ValueError` of a wrong shape,
range or overlap. Checks run before anything is written or allocated, so that a refused call leaves its arguments as
they were.
"""

import math
import numbers
import operator
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from fastnn._activations import ACTIVATIONS
from fastnn._typing import Array

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
INT64 = np.dtype(np.int64)
MOST = 2**63 - 1

# Bits of an array's flags: C order and aligned; and writable as well; and whether the memory is its own.
READY = 0x0101
WRITABLE = READY | 0x0400
OWNER = 0x0004

CHUNK = 1 << 17  # elements that are looked at together, so that no large temporary is made


def fail(error: type[Exception], name: str, expected: str, came: object) -> NoReturn:
    """Raise the one form of message."""
    raise error(f"{name}: expected {expected}, came {shown(came, str)}")


def refuse(error: type[Exception], name: str, must_be: str, got: object) -> NoReturn:
    """Raise the form of message that users search for: ``X must be 2-dimensional, got shape (3,)``."""
    raise error(f"{name} must be {must_be}, got {shown(got, str)}")


_LONG = 300  # characters


def shown(value: object, form: Callable[[object], str] = repr) -> str:
    """Return what a message shows of a value: all of it if it is short.

    An integer of many digits is counted, as Python refuses to write one out.
    """
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {int(value.bit_length() * math.log10(2)) + 1} digits"
    try:
        text = form(value)
    except Exception:  # noqa: BLE001 - such an integer in something else, or an object's own fault
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= _LONG else f"{text[: _LONG - 30]}...{text[-20:]}"


# ---- scalars ----


def choice(name: str, value: object, among: Collection[str]) -> str:
    """Return `value`, one of the strings `among`."""
    if not isinstance(value, str):
        fail(TypeError, name, f"one of {', '.join(among)}", type(value).__name__)
    if value not in among:
        fail(ValueError, name, f"one of {', '.join(among)}", shown(value))
    return value


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return `value` as an int with low <= value <= high, by default as far as native code counts."""
    if type(value) is int and low <= value <= (MOST if high is None else high):
        return value
    expected = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
    if isinstance(value, bool | np.bool_):
        fail(TypeError, name, expected, value)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        fail(TypeError, name, expected, shown(value))
    if high is None and number > MOST:
        refuse(ValueError, name, f"an integer from {low} to {MOST}", number)
    if number < low or (high is not None and number > high):
        fail(ValueError, name, expected, number)
    return number


def real(
    name: str, value: object, low: float, high: float = math.inf, *, closed: bool = False, excluded: bool = False
) -> float:
    """Return `value` as a finite float with low <= value < high, <= high where `closed`, low < where `excluded`."""
    if type(value) is float and (low < value < high or (value == low > -math.inf and not excluded)):
        return value
    excluded = excluded or low == -math.inf
    expected = f"a finite number in {'(' if excluded else '['}{low}, {high}{']' if closed else ')'}"
    if not isinstance(value, numbers.Real):
        fail(TypeError, name, expected, shown(value))
    try:
        number = float(value)
    except OverflowError:  # an int or a fraction beyond all floats
        fail(ValueError, name, expected, "a number too large for a float")
    if not (low <= number < high or (closed and number == high)) or (excluded and number == low):
        fail(ValueError, name, expected, number)
    return number


def within_floats(name: str, value: object) -> None:
    """Refuse a number beyond all floats."""
    if isinstance(value, numbers.Real):
        try:
            float(value)
        except OverflowError:
            refuse(ValueError, name, "a number that a float holds", value)


def activation(name: object, given: Mapping[str, object]) -> tuple[str, tuple[float, ...]]:
    """Return the activation's name and the values of its parameters; those that are not `given` have their defaults."""
    known = choice("activation", name, ACTIVATIONS)
    parameters = ACTIVATIONS[known].parameters
    if len(given) == len(parameters):  # what kernels' own functions give, in less time than the activation takes
        usual: list[float] = []
        for parameter in parameters:
            value, least = given.get(parameter.name), parameter.low
            if isinstance(least, str):
                least = usual[0]  # of two parameters, the other one
            if type(value) is not float or not least < value < math.inf:
                break
            usual.append(value)
        else:
            return known, tuple(usual)
    names = [parameter.name for parameter in parameters]
    for key, value in given.items():
        if key not in names:
            fail(TypeError, key, f"parameters of {known} alone ({', '.join(names) or 'it has none'})", shown(value))
    values: dict[str, float] = {}
    for parameter in parameters:
        low = values[parameter.low] if isinstance(parameter.low, str) else parameter.low
        value = given.get(parameter.name, parameter.default)
        values[parameter.name] = real(parameter.name, value, low, excluded=parameter.excluded)
    return known, tuple(values.values())


_Function = TypeVar("_Function", bound=Callable[..., object])


def function(name: str, value: _Function) -> _Function:
    """Return `value`, which can be called."""
    if not callable(value):
        fail(TypeError, name, "a function", type(value).__name__)
    return value


def float_dtype(name: str, value: npt.DTypeLike) -> np.dtype[Any]:
    """Return `value` as one of the two dtypes that kernels compute in."""
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError):
        fail(TypeError, name, "float32 or float64", shown(value))
    if dtype not in FLOATS:
        fail(TypeError, name, "float32 or float64", dtype)
    return dtype


# ---- arrays that come in ----


def numeric(name: str, value: npt.ArrayLike) -> Array:
    """Return `value` as an array of real numbers, without a copy where it is one."""
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):  # asking for np.ma would import it
        fail(TypeError, name, "an array without a mask", "a masked array")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        fail(ValueError, name, "an array of real numbers", f"{type(value).__name__} ({error})")
    if array.dtype.kind not in "biuf":
        fail(TypeError, name, "an array of real numbers", f"dtype {array.dtype}")
    return array


def size(name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    """Refuse an array whose bytes could not be counted."""
    if math.prod(shape) * np.dtype(dtype).itemsize > sys.maxsize:
        fail(ValueError, name, f"at most {sys.maxsize} bytes", f"shape {shape} of {np.dtype(dtype)}")


def contiguous(name: str, array: Array, dtype: npt.DTypeLike) -> Array:
    """Return `array` aligned, in C order, with this native dtype; itself where it is so already."""
    if array.dtype is dtype and array.flags.num & READY == READY:
        return array
    size(name, array.shape, dtype)
    result = np.array(array, dtype=dtype, order="C", copy=None)
    return result if result.flags.aligned else result.copy()


def floats(**values: npt.ArrayLike) -> tuple[Array, ...]:
    """Return the arguments as arrays of one float dtype, aligned and in C order.

    It is float32 if all of them are, else float64.
    """
    came = tuple(values.values())
    first = getattr(came[0], "dtype", None)
    if first is FLOATS[0] or first is FLOATS[1]:  # what nearly every call brings needs no more than a look
        for array in came:
            if type(array) is not np.ndarray or array.dtype is not first or array.flags.num & READY != READY:
                break
        else:
            return came  # type: ignore[return-value]
    arrays = {name: numeric(name, value) for name, value in values.items()}
    narrow = all(array.dtype.kind == "f" and array.dtype.itemsize == 4 for array in arrays.values())
    dtype = FLOATS[0] if narrow else FLOATS[1]
    return tuple(contiguous(name, array, dtype) for name, array in arrays.items())


def shape(name: str, array: Array, expected: tuple[int | str, ...]) -> None:
    """Compare a shape with the expected one, in which a word stands for any number."""
    came = array.shape
    if came == expected:
        return
    wrong = len(came) != len(expected)
    for want, have in zip(expected, came, strict=False):
        wrong = wrong or (want != have and not isinstance(want, str))
    if wrong:
        fail(ValueError, name, f"shape ({', '.join(map(str, expected))}{',' * (len(expected) == 1)})", array.shape)


def at_least(name: str, array: Array, axis: int, least: int, what: str) -> None:
    """Refuse an array that is too short along an axis."""
    if array.shape[axis] < least:
        fail(ValueError, name, f"at least {least} {what}", f"shape {array.shape}")


def indices(name: str, value: npt.ArrayLike, high: int, what: str) -> Array:
    """Return a 1-D array of integers from 0 to high - 1 as int64."""
    array = numeric(name, value)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)  # an empty list has no integers to show its kind
    shape(name, array, (what,))
    if array.dtype.kind not in "iu":
        fail(TypeError, name, "integers", f"dtype {array.dtype}")
    found = contiguous(name, array, INT64)
    if found.size and np.maximum.reduce(found.view(np.uint64)) >= high:  # where one below 0 is a large one
        extremes = int(array.min()), int(array.max())
        fail(ValueError, name, f"integers from 0 to {high - 1}", extremes[extremes[0] >= 0])
    return found


def weights(name: str, value: npt.ArrayLike | None, rows: int) -> Array | None:
    """Return one weight a row as float64, finite and not negative; None stays None."""
    if value is None:
        return None
    array = contiguous(name, numeric(name, value), FLOATS[1])
    shape(name, array, (rows,))
    if rows > 0 and array.min() >= 0 and squares_are_finite(array):
        return array
    wrong = array[~((array >= 0) & (array < np.inf))]
    if wrong.size:
        fail(ValueError, name, "finite weights, none below 0", wrong[0])
    with np.errstate(over="ignore"):
        if array.sum() == np.inf:
            fail(ValueError, name, "weights with a finite sum", "inf")
    return array


def squares_are_finite(array: Array) -> bool:
    """Whether the sum of squares is a number, in a fraction of the time that a look at each entry takes."""
    return math.isfinite(np.vdot(array, array))


def all_finite(array: Array) -> bool:
    """Whether no entry is NaN or infinite."""
    return squares_are_finite(array) or bool(np.isfinite(array).all())


def in_range(
    name: str, array: Array, low: float = -math.inf, high: float = math.inf, among: tuple[float, ...] = ()
) -> None:
    """Refuse NaN, infinity and what is outside [low, high] or not `among` these, and say where it is."""
    if array.dtype == np.uint8 and low <= 0 and among in ((), (0, 1)):
        highest = max(among, default=high)
        if highest == math.inf or array.max(initial=0) <= highest:  # in a fraction of the time of the look below
            return
    expected = "finite numbers" if low == -math.inf else f"finite numbers of at least {low:g}"
    expected = expected if high == math.inf else f"numbers from {low:g} to {high:g}"
    expected = " or ".join(f"{each:g}" for each in among) or expected
    step = max(1, CHUNK // max(1, array.shape[1]))
    for start in range(0, len(array), step):
        chunk = array[start : start + step]
        if expected == "finite numbers" and squares_are_finite(chunk):
            continue
        good = np.isfinite(chunk) & (chunk >= low) & (chunk <= high)
        if among:
            good &= np.isin(chunk, among)
        if not good.all():
            row, column = np.argwhere(~good)[0]
            fail(ValueError, name, expected, f"{chunk[row, column]} in row {start + row}, column {column}")


# ---- arrays that are written ----


def overlap(name: str, array: Array, others: Mapping[str, Array], same: Mapping[str, Array] | None = None) -> None:
    """Refuse memory that overlaps another argument's; it may be all of that of one in `same`."""
    owner = array.flags.num & OWNER
    for group in (others, same) if same else (others,):
        for other, memory in group.items():
            if memory is array and group is same:
                continue
            if owner and memory is not array and memory.flags.num & OWNER:
                continue  # two arrays with memory of their own
            # All are contiguous, so that bounds decide.
            if not np.may_share_memory(array, memory):
                continue
            if group is same and array.__array_interface__["data"][0] == memory.__array_interface__["data"][0]:
                continue
            fail(ValueError, name, f"memory apart from {other}", "an overlap")


def writable(name: str, array: object, dtype: np.dtype[Any] | None = None) -> Array:
    """Return an ndarray that can be written in place: C-contiguous, aligned, writable, float (`dtype`, if given).

    Of its subclasses, which may give indices and what is written a meaning of their own, only memory maps will do.
    """
    if type(array) is not np.ndarray and type(array) is not np.memmap:
        if not isinstance(array, np.ndarray):
            fail(TypeError, name, "an ndarray to write into", type(array).__name__)
        refuse(TypeError, name, "a plain ndarray, as np.asarray makes of it", f"a {type(array).__name__}")
    if (array.dtype is dtype or (dtype is None and array.dtype in FLOATS)) and array.flags.num & WRITABLE == WRITABLE:
        return array
    if array.dtype not in FLOATS if dtype is None else array.dtype != dtype:
        expected = f"dtype {dtype}" if dtype else "dtype float32 or float64"
        fail(TypeError, name, expected, f"dtype {array.dtype}{'' if array.dtype.isnative else ', byte-swapped'}")
    for flag in ("C_CONTIGUOUS", "ALIGNED", "WRITEABLE"):
        if not array.flags[flag]:
            fail(ValueError, name, f"an array with the flag {flag}", "one without it")
    return array


def output(
    out: Array | None,
    expected: tuple[int, ...],
    dtype: np.dtype[Any],
    others: Mapping[str, Array],
    same: Mapping[str, Array] | None = None,
    *,
    name: str = "out",
) -> Array:
    """Return `out` if it can take the result, or a new array if it is None."""
    if out is None:
        size(name, expected, dtype)
        return np.empty(expected, dtype)
    out = writable(name, out, dtype)
    if out.shape != expected:
        shape(name, out, expected)
    overlap(name, out, others, same)
    return out
