"""Checks of arguments, and the one form of message: ``X must be 2-dimensional, got shape (3,): what to write instead``.

A wrong kind (an object array, a float for an integer) is a `TypeError`; a wrong shape, range or overlap is a
`ValueError`. Checks run before anything is written or allocated: a refused call leaves its arguments as they were.
All messages of fastnn are raised here, except scikit-learn's own (sklearn/_messages.py); a test finds any others.
"""

import contextlib
import inspect
import math
import numbers
import operator
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NoReturn, TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt

from fastnn import _foreign
from fastnn._activations import ACTIVATIONS, DEFAULTS, NAMES
from fastnn._names import Names, suggestion
from fastnn._typing import Array

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
INT64 = np.dtype(np.int64)
LARGEST_INT = 2**63 - 1

# Bits of `ndarray.flags.num`: C-contiguous and aligned; also writable; and owner of its memory.
C_ALIGNED = 0x0101
C_ALIGNED_WRITABLE = C_ALIGNED | 0x0400
OWNS_MEMORY = 0x0004

CHUNK = 1 << 17  # elements that are read at a time, so that temporaries stay small
WHOLE_NUMBERS_OF_FLOAT32 = 2**24  # float32 has every whole number up to here


def refuse(error: type[Exception], name: str, must: str, got: object, fix: str = "") -> NoReturn:
    """Raise the message about an argument: ``X must be 2-dimensional, got shape (3,)``.

    Parameters
    ----------
    error : type
        TypeError for a wrong kind, ValueError for a wrong value.
    name : str
        The argument as the caller wrote it, or a part of it: ``betas[0]``.
    must : str
        The requirement, which begins with its verb: ``"be 2-dimensional"``, ``"have 3 columns"``.
    got : object
        The value, or what is wrong with it; long values are shortened.
    fix : str
        What to write instead, where that is not obvious.
    """
    raise error(f"{name} must {must}, got {shown(got, str)}{fix and ': ' + fix}")


@contextlib.contextmanager
def part(name: str) -> Iterator[None]:
    """Prefix the messages raised within by the name of the part that is checked: ``heads[1]: X must be ...``."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if str(error).startswith(name):
            raise
        raise prefixed(name, error) from None


def prefixed(name: str, error: Exception) -> Exception:
    """Return an error like this one, also with its notes, whose message begins with a name."""
    named = type(error)(f"{name}: {error}")
    for note in getattr(error, "__notes__", ()):
        named.add_note(note)
    return named


def refuse_state(problem: str, fix: str = "") -> NoReturn:
    """Raise RuntimeError for a call at the wrong time: ``call forward(x, training=True) before backward``."""
    raise RuntimeError(f"{problem}{fix and ': ' + fix}")


def refuse_attribute(name: str, problem: str, fix: str = "") -> NoReturn:
    """Raise AttributeError for an attribute that cannot be set: ``Dense.weight is read-only: write ...``."""
    raise AttributeError(f"{name} {problem}{fix and ': ' + fix}")


def refuse_memory(what: str) -> NoReturn:
    """Raise MemoryError for a native buffer that could not be allocated."""
    raise MemoryError(f"no memory for {what}")


def refuse_missing(feature: str, package: str, extra: str, got: str = "none") -> NoReturn:
    """Raise ImportError for a feature whose package is missing or too old."""
    raise ImportError(f"{feature} needs {package}, got {got}: {install(extra)}")


def install(extra: str) -> str:
    """Return how to install what an extra adds."""
    return f'in a checkout of fastnn run pip install ".[{extra}]"'


_PACKAGE = __file__.removesuffix("_validation.py")
# Packages that stand between the user's line and fastnn.
_BETWEEN = frozenset({"contextlib", "joblib", "numpy", "sklearn"})


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, at the line of the user's code that has called fastnn, directly or through the packages `_BETWEEN`."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE)
        or str(frame.f_globals.get("__name__")).partition(".")[0] in _BETWEEN
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


_T = TypeVar("_T")
_LONG = 300  # characters
_MOST_SHOWN = 8  # numbers of an array


def shown(value: object, form: Callable[[object], str] = repr) -> str:
    """Return a value as a message shows it: in full if it is short.

    Of an integer with many digits the message gives their number, as Python refuses to print such an integer; of an
    array with many numbers, the shape.
    """
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {int(value.bit_length() * math.log10(2)) + 1} digits"
    if isinstance(value, np.ndarray) and value.size > _MOST_SHOWN:
        return f"an array of shape {value.shape}"
    try:
        text = form(value)
    except Exception:  # noqa: BLE001 - it contains such an integer, or its __repr__ fails
        return f"a {type(value).__name__} that cannot be shown"
    if form is repr and "\n" in text:  # of a net, or of something that contains arrays
        text = " ".join(text.split())
    return text if len(text) <= _LONG else f"{text[: _LONG - 30]}...{text[-20:]}"


# Where users find what a package defines.
_PUBLIC_PREFIXES = {
    "nn.init": "nn.init.",
    "nn.scaling": "fastnn.data.",
    "nn": "nn.",
    "optim": "optim.",
    "data": "fastnn.data.",
    "training": "fastnn.",
    "diagnosis.recorders": "fastnn.diagnosis.",
    "diagnosis": "fastnn.",
}


def public_name(kind: type) -> str:
    """Return how a user writes a class: ``nn.Dense``, or the bare name of a class from outside fastnn."""
    package, _, rest = kind.__module__.partition(".")
    prefix = _PUBLIC_PREFIXES.get(rest) or _PUBLIC_PREFIXES.get(rest.partition(".")[0], "")
    return (prefix if package == "fastnn" else "") + kind.__name__


def kind_of(value: object) -> str:
    """Return the type of a value for a message, or say that the value is None or a class itself."""
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def kind_and_length(value: object) -> str:
    """Return the type of a value for a message, and the length of a list or tuple."""
    return f"a {kind_of(value)} of length {len(value)}" if isinstance(value, list | tuple) else kind_of(value)


def constructor_call(kind: type) -> str:
    """Return the call that makes an object: ``optim.Adam()``, or ``optim.StepLR(...)`` if it needs arguments."""
    parameters = inspect.signature(kind).parameters.values()
    required = any(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in parameters)
    return f"{public_name(kind)}({'...' if required else ''})"


def refuse_class(name: str, value: object, kind: type | tuple[type, ...], must: str) -> None:
    """Refuse a subclass of `kind` in place of an object: ``optimizer must be ..., got the class Adam``."""
    if isinstance(value, type) and issubclass(value, kind):
        refuse(
            TypeError,
            name,
            must,
            kind_of(value),
            "" if inspect.isabstract(value) else f"write {constructor_call(value)}",
        )


def instance(name: str, value: object, kind: type[_T], must: str, fix: str = "") -> _T:
    """Return `value`, an object of the class `kind`.

    If a class was given in place of an object, the message says how to make one; otherwise it ends with `fix`.
    """
    if not isinstance(value, kind):
        refuse_class(name, value, kind, must)
        refuse(TypeError, name, must, kind_of(value), fix)
    return value


def path(name: str, value: object, what: str = "a file") -> str:
    """Return the path of a file or a folder as text: a string or a path-like object with one, such as a `Path`."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(text, str):
        refuse(TypeError, name, "be a path: a string or a pathlib.Path", kind_of(text))
    if not text or "\0" in text:
        refuse(ValueError, name, f"be the path of {what}", shown(text))
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        refuse(ValueError, name, "have characters that the file system has", shown(text))
    return text


# ---- scalars ----


def boolean(name: str, value: object) -> bool:
    """Return `value`, a Python or NumPy bool."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        refuse(TypeError, name, "be True or False", shown(value))
    return bool(value)


def choice(name: str, value: object, among: Collection[str]) -> str:
    """Return `value`, one of the strings `among`."""
    if not isinstance(value, str):
        refuse(TypeError, name, f"be one of {', '.join(among)}", kind_of(value))
    if value not in among:
        refuse(ValueError, name, f"be one of {', '.join(among)}", shown(value), suggestion(value, among))
    return value


def named(argument: str, value: object, names: Names, must: str = "") -> str:
    """Return the known name that a string stands for, or refuse it with what to write instead.

    `must` is what the argument must be; by default it lists the names.
    """
    must = must or f"be one of {', '.join(names)}"
    if not isinstance(value, str):
        refuse(TypeError, argument, must, kind_of(value))
    known = names.find(value)
    if known is None:
        refuse(ValueError, argument, must, shown(value), names.fix(value))
    return known


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return `value` as an int with low <= value <= high; `high` is by default the largest int64."""
    if type(value) is int and low <= value <= (LARGEST_INT if high is None else high):
        return value
    must = f"be an integer of at least {low}" if high is None else f"be an integer from {low} to {high}"
    if isinstance(value, bool | np.bool_):
        refuse(TypeError, name, must, value)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        refuse(TypeError, name, must, shown(value))
    if high is None and number > LARGEST_INT:
        refuse(ValueError, name, f"be an integer from {low} to {LARGEST_INT}", number)
    if number < low or (high is not None and number > high):
        refuse(ValueError, name, must, number)
    return number


def real(
    name: str, value: object, low: float, high: float = math.inf, *, closed: bool = False, excluded: bool = False
) -> float:
    """Return `value` as a finite float with low <= value < high.

    `closed` allows `high` itself, `excluded` excludes `low`. A bool is no number here.
    """
    if type(value) is float and (low < value < high or (value == low > -math.inf and not excluded)):
        return value
    excluded = excluded or low == -math.inf
    must = f"be {_interval(low, high, closed, excluded)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        refuse(TypeError, name, must, shown(value))
    try:
        number = float(value)
    except OverflowError:  # an int or a fraction too large for a float
        refuse(ValueError, name, must, "a number too large for a float")
    if not (low <= number < high or (closed and number == high)) or (excluded and number == low):
        refuse(ValueError, name, must, number)
    return number


def _interval(low: float, high: float, closed: bool, excluded: bool) -> str:
    if high == math.inf:
        if low == -math.inf:
            return "a finite number"
        return f"a finite number {'above' if excluded else 'of at least'} {low:g}"
    return f"a number in {'(' if excluded else '['}{low:g}, {high:g}{']' if closed else ')'}"


def interval(name: str, value: object) -> tuple[float, float]:
    """Return a pair of numbers, the lower one first."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        refuse(TypeError, name, "be a pair of numbers", kind_and_length(value), f"write {name}=(-1, 1)")
    low, high = (real(f"{name}[{index}]", each, -math.inf) for index, each in enumerate(value))
    if low >= high or math.isinf(high - low):
        refuse(ValueError, name, "begin with the lower number, and have a finite width", shown(value))
    return low, high


def within_floats(name: str, value: object) -> None:
    """Refuse a number too large for a float."""
    if isinstance(value, numbers.Real):
        try:
            float(value)
        except OverflowError:
            refuse(ValueError, name, "be a number that a float holds", value)


def activation(name: object, given: Mapping[str, object]) -> tuple[str, tuple[float, ...]]:
    """Return the activation's name and the values of its parameters: those `given`, or the defaults."""
    known = name if type(name) is str and name in DEFAULTS else named("activation", name, NAMES)
    if not given:
        return known, DEFAULTS[known]
    parameters = ACTIVATIONS[known].parameters
    # Activations' functions give all parameters: for floats in range this loop is enough, and takes little time.
    if len(given) == len(parameters):
        checked: list[float] = []
        for parameter in parameters:
            value = given.get(parameter.name)
            low = checked[0] if isinstance(parameter.low, str) else parameter.low  # the name of the one before it
            if type(value) is not float or not low < value < math.inf:
                break
            checked.append(value)
        else:
            return known, tuple(checked)
    names = [parameter.name for parameter in parameters]
    for key, value in given.items():
        if key not in names:
            taken = f"{known} takes {' and '.join(names) or 'no parameters'}"
            refuse(TypeError, key, "be left out", shown(value), taken)
    values: dict[str, float] = {}
    for parameter in parameters:
        low = values[parameter.low] if isinstance(parameter.low, str) else parameter.low
        value = given.get(parameter.name, parameter.default)
        values[parameter.name] = real(parameter.name, value, low, excluded=parameter.excluded)
    return known, tuple(values.values())


_Function = TypeVar("_Function", bound=Callable[..., object])


def is_function(value: object) -> TypeGuard[Callable[..., Any]]:
    """Whether a value can be called and is no record or net: layers, losses, schedules and nets can be called, too."""
    return callable(value) and not hasattr(value, "_saved")  # a record has it, see `_records.is_record`


def function(name: str, value: _Function) -> _Function:
    """Return `value` if it can be called."""
    if not callable(value):
        refuse(TypeError, name, "be a function", kind_of(value))
    return value


def float_dtype(name: str, value: npt.DTypeLike) -> np.dtype[Any]:
    """Return `value` as one of the two dtypes that kernels compute in."""
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError):
        refuse(TypeError, name, "be float32 or float64", shown(value))
    if dtype not in FLOATS:
        refuse(TypeError, name, "be float32 or float64", dtype)
    return dtype


# ---- arrays that are read ----


def numeric(name: str, value: npt.ArrayLike, instead_of_text: str = "") -> Array:
    """Return `value` as an array of real numbers, without a copy if it is one.

    `instead_of_text` is what a message says to write in place of an array of strings.
    """
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):  # naming np.ma would import it
        refuse(TypeError, name, "be an array without a mask", "a masked array", "fill it with x.filled(value)")
    try:
        array = np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:
        ragged = "inhomogeneous" in str(error)
        got = f"a {type(value).__name__} whose parts differ in shape" if ragged else f"{kind_of(value)} ({error})"
        refuse(ValueError, name, "be an array of real numbers", got, _foreign.how_to_convert(name, value))
    if array.dtype.kind in _foreign.REAL:
        return array
    numbers_of_frame = _foreign.real_array(value)
    if numbers_of_frame is not None:
        return numbers_of_frame
    if array.ndim or isinstance(value, np.ndarray):
        got, fix = _foreign.wrong_column(value)
        got, fix = got or f"dtype {array.dtype}", (instead_of_text if array.dtype.kind in "OUS" else "") or fix
    else:
        got, fix = kind_of(value), _foreign.how_to_convert(name, value)
    refuse(TypeError, name, "be an array of real numbers", got, fix)


def size(name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    """Refuse an array with more bytes than a Py_ssize_t counts."""
    if math.prod(shape) * np.dtype(dtype).itemsize > sys.maxsize:
        refuse(ValueError, name, f"have at most {sys.maxsize} bytes", f"shape {shape} of {np.dtype(dtype)}")


def contiguous(name: str, array: Array, dtype: npt.DTypeLike) -> Array:
    """Return `array` aligned, in C order and of this native dtype: itself if it is so already, else a copy."""
    if array.dtype is dtype and array.flags.num & C_ALIGNED == C_ALIGNED:
        return array
    size(name, array.shape, dtype)
    result = np.array(array, dtype=dtype, order="C", copy=None)
    return result if result.flags.aligned else result.copy()


def floats(**values: npt.ArrayLike) -> tuple[Array, ...]:
    """Return the arguments as arrays of one float dtype, aligned and in C order.

    The dtype is float32 if all arguments are float32, else float64.
    """
    given = tuple(values.values())
    first = getattr(given[0], "dtype", None)
    if first is FLOATS[0] or first is FLOATS[1]:  # nearly every call gives arrays that are so already
        for array in given:
            if type(array) is not np.ndarray or array.dtype is not first or array.flags.num & C_ALIGNED != C_ALIGNED:
                break
        else:
            return given  # type: ignore[return-value]
    arrays = {name: numeric(name, value) for name, value in values.items()}
    narrow = all(array.dtype.kind == "f" and array.dtype.itemsize == 4 for array in arrays.values())
    dtype = FLOATS[0] if narrow else FLOATS[1]
    return tuple(contiguous(name, array, dtype) for name, array in arrays.items())


def shape(name: str, array: Array, expected: tuple[int | str, ...], fix: str = "") -> None:
    """Refuse an array of another shape than the expected one, in which a word stands for any length."""
    got = array.shape
    if got == expected:
        return
    wrong = len(got) != len(expected)
    for want, have in zip(expected, got, strict=False):
        wrong = wrong or (want != have and not isinstance(want, str))
    if wrong:
        wanted = f"shape ({', '.join(map(str, expected))}{',' * (len(expected) == 1)})"
        must = f"have {wanted}" if len(got) == len(expected) else f"be {len(expected)}-dimensional, of {wanted}"
        refuse(ValueError, name, must, f"shape {got}", fix)


def at_least(name: str, array: Array, axis: int, least: int, what: str) -> None:
    """Refuse an array that is too short along an axis."""
    if array.shape[axis] < least:
        refuse(ValueError, name, f"have at least {least} {what}", f"shape {array.shape}")


def indices(name: str, value: npt.ArrayLike, high: int, what: str, fix: str = "") -> Array:
    """Return a 1-D array of integers from 0 to high - 1 as int64; `what` stands for its length in messages."""
    array = numeric(name, value)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)  # NumPy makes an empty list float64
    shape(name, array, (what,))
    if array.dtype.kind not in "iu":
        refuse(TypeError, name, "contain integers", f"dtype {array.dtype}")
    found = contiguous(name, array, INT64)
    if found.size and np.maximum.reduce(found.view(np.uint64)) >= high:  # as uint64 a negative integer is a large one
        must = f"contain integers from 0 to {high - 1}" if high else "be empty, as there is nothing to choose from"
        lowest, highest = int(array.min()), int(array.max())
        refuse(ValueError, name, must, lowest if lowest < 0 else highest, fix)
    return found


def weights(name: str, value: npt.ArrayLike | None, rows: int, *, negative: bool = False) -> Array | None:
    """Return one weight for each row as float64, finite and, unless `negative`, not below 0; None stays None."""
    if value is None:
        return None
    array = contiguous(name, numeric(name, value), FLOATS[1])
    shape(name, array, (rows,))
    if rows > 0 and (negative or array.min() >= 0) and squares_are_finite(array):
        return array
    wrong = array[~(((array >= 0) | negative) & (abs(array) < np.inf))]
    if wrong.size:
        must = f"contain finite weights{'' if negative else ', none below 0'}"
        is_of_rows = wrong[0] < 0 and name in ("sample_weight", "validation_data[2]")
        refuse(ValueError, name, must, wrong[0], "nn.CustomLoss takes weights below 0" if is_of_rows else "")
    with np.errstate(over="ignore"):
        if abs(array).sum() == np.inf:
            refuse(ValueError, name, "have a finite sum", "inf")
    return array


def squares_are_finite(array: Array) -> bool:
    """Whether the sum of squares is finite: much faster than checking each entry."""
    return math.isfinite(np.vdot(array, array))


def all_finite(array: Array) -> bool:
    """Whether no entry is NaN or infinite."""
    return squares_are_finite(array) or bool(np.isfinite(array).all())


def in_range(
    name: str, array: Array, low: float = -math.inf, high: float = math.inf, among: tuple[float, ...] = ()
) -> None:
    """Refuse a matrix with NaN, infinity, a number outside [low, high], or one not `among` the given numbers.

    The message says where the number is.
    """
    if array.dtype == np.uint8 and low <= 0 and among in ((), (0, 1)):
        highest = max(among, default=high)
        if highest == math.inf or array.max(initial=0) <= highest:  # much faster than the comparisons below
            return
    expected = "finite numbers" if low == -math.inf else f"finite numbers of at least {low:g}"
    expected = expected if high == math.inf else f"numbers from {low:g} to {high:g}"
    expected = f"only {' and '.join(f'{each:g}' for each in among)}" if among else expected
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
            refuse(
                ValueError, name, f"contain {expected}", f"{chunk[row, column]} in row {start + row}, column {column}"
            )


# ---- arrays that are written ----


def overlap(name: str, array: Array, others: Mapping[str, Array], same: Mapping[str, Array] | None = None) -> None:
    """Refuse an array that overlaps another argument; it may share the whole memory of an array in `same`."""
    owns = array.flags.num & OWNS_MEMORY
    for group in (others, same) if same else (others,):
        for other, memory in group.items():
            if memory is array and group is same:
                continue
            if owns and memory is not array and memory.flags.num & OWNS_MEMORY:
                continue  # each owns its memory
            # All are contiguous, so that comparing bounds is enough.
            if not np.may_share_memory(array, memory):
                continue
            if group is same and array.__array_interface__["data"][0] == memory.__array_interface__["data"][0]:
                continue
            refuse(ValueError, name, f"share no memory with {other}", "an overlap")


def writable(name: str, array: object, dtype: np.dtype[Any] | None = None) -> Array:
    """Return an ndarray that can be written in place: C-contiguous, aligned, writable, of a float dtype or of `dtype`.

    Of the subclasses only memory maps are accepted: others may redefine what indexing and assignment do.
    """
    if type(array) is not np.ndarray and type(array) is not np.memmap:
        if not isinstance(array, np.ndarray):
            refuse(TypeError, name, "be an ndarray to write into", kind_of(array))
        refuse(TypeError, name, "be a plain ndarray", f"a {type(array).__name__}", "write into np.asarray(...)")
    right_dtype = array.dtype is dtype or (dtype is None and array.dtype in FLOATS)
    if right_dtype and array.flags.num & C_ALIGNED_WRITABLE == C_ALIGNED_WRITABLE:
        return array
    if array.dtype not in FLOATS if dtype is None else array.dtype != dtype:
        must = f"have dtype {dtype}" if dtype else "have dtype float32 or float64"
        refuse(TypeError, name, must, f"dtype {array.dtype}{'' if array.dtype.isnative else ', byte-swapped'}")
    flags = array.flags
    for holds, what in (
        (flags.c_contiguous, "C-contiguous"),
        (flags.aligned, "aligned"),
        (flags.writeable, "writable"),
    ):
        if not holds:
            refuse(ValueError, name, f"be {what}", "an array that is not")
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
    """Return `out` if the result can be written into it, or a new array if it is None.

    `out` must not overlap the arrays in `others`; it may be one of those in `same`.
    """
    if out is None:
        size(name, expected, dtype)
        return np.empty(expected, dtype)
    out = writable(name, out, dtype)
    if out.shape != expected:
        shape(name, out, expected)
    overlap(name, out, others, same)
    return out
