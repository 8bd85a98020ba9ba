"""Numbers of columns: what arguments called `columns` may be."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastnn import _validation as v

_MOST_COLUMNS = 1 << 24
_NAMED = "for names of columns write df.columns.get_indexer(names)"


def column_numbers(columns: Any, width: int | None) -> tuple[int, ...]:
    """Return which columns of an input of this width are meant, as numbers: the check of all arguments `columns`.

    Parameters
    ----------
    columns : sequence of int, range or slice
    width : int or None
        None if it is not known; then a slice needs an end.

    Raises
    ------
    TypeError, ValueError
        If there is no column, or one is no integer, below 0, not below `width` or given twice.
    """
    if isinstance(columns, slice):
        columns = _range(columns, width)
    if isinstance(columns, range) and columns[_MOST_COLUMNS:]:
        v.refuse(ValueError, "columns", f"be at most {_MOST_COLUMNS:,} numbers", columns)
    array = v.numeric("columns", list(columns) if isinstance(columns, range) else columns, _NAMED)
    if array.ndim != 1 or array.size == 0:
        fix = f"write [{array}]" if array.ndim == 0 else "write [0, 2], for example"
        v.refuse(ValueError, "columns", "be at least one number in a list", v.shown(columns), fix)
    if array.dtype.kind not in "iu":
        fix = "write np.flatnonzero(columns)" if array.dtype.kind == "b" else ""
        v.refuse(TypeError, "columns", "be integers", v.shown(columns), fix)
    numbers = tuple(int(each) for each in array)
    if min(numbers) < 0:
        v.refuse(ValueError, "columns", "be numbers from 0", min(numbers), "count from the first column")
    if len(set(numbers)) != len(numbers):
        twice = next(each for each, count in Counter(numbers).items() if count > 1)
        v.refuse(ValueError, "columns", "be different", f"{twice} twice")
    check_columns("columns", numbers, width)
    return numbers


def check_columns(name: str, columns: tuple[int, ...], width: int | None) -> None:
    """Refuse columns that an input of this width, if it is known, does not have."""
    if width is not None and max(columns) >= width:
        got = f"the column {max(columns)} of an input of width {width}"
        v.refuse(ValueError, name, f"be numbers from 0 to {width - 1}" if width else "be left out", got)


def _range(columns: slice, width: int | None) -> range:
    """Return the numbers of a slice, of an input of this width if it is known."""
    numbers = columns.start, columns.stop, columns.step
    if not all(each is None or hasattr(each, "__index__") for each in numbers) or columns.step == 0:
        v.refuse(TypeError, "columns", "be a slice of integers, with a step other than 0", columns)
    if width is not None:
        return range(*columns.indices(width))
    start, stop, step = numbers[0] or 0, numbers[1], 1 if numbers[2] is None else numbers[2]
    if stop is None or min(start, stop) < 0 or step < 1:
        fix = "give in_features, or write range(start, stop)"
        v.refuse(ValueError, "columns", "have a start and an end of at least 0, if a slice", columns, fix)
    return range(start, stop, step)
