"""One function for each update of an optimiser, and one for its scalars, made from the registry's rows.

The stub beside this file, which type checkers read, is written by ``python -m tools.stubs``.
"""

import math

from numpy.typing import ArrayLike  # noqa: F401

from fastnn import _validation as check  # noqa: F401
from fastnn._typing import Array  # noqa: F401
from fastnn._updates import OPTIONS, UPDATES, Setting, Update
from fastnn.kernels._from_rows import define
from fastnn.kernels._scalars import of_a_step, scalars  # noqa: F401
from fastnn.kernels.optimizers import update  # noqa: F401

__all__ = [name + suffix for name in sorted(UPDATES) for suffix in ("", "_scalars")]

# The sources use the names imported above.
_UPDATE_SOURCE = """
def {name}(w: Array, g: ArrayLike, {slots}*, {settings}) -> Array:
    return update("{name}", w, g, ({given}), of_a_step["{name}"]({checked}))
"""

_SCALARS_SOURCE = """
def {name}_scalars({settings}) -> Array:
    return scalars("{name}", ({passed},))
"""

_UPDATE = """Update by {row.title}, in place.

{row.explanation}
    Parameters
    ----------
    w : ndarray of float32 or float64
        Parameters of any shape, C-contiguous.
    g : array_like, of the shape and dtype of `w`
        Their gradient.
{slots}{settings}
    Returns
    -------
    ndarray
        `w`.

    Raises
    ------
    TypeError
        If an array has another dtype than `w`, or `w` is no float ndarray.
    ValueError
        If shapes differ, a number is out of range, or arrays overlap.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import kernels
    >>> kernels.{row.example[0]}
    array({row.example[1]})
    """

_SCALARS = """Return the scalars of `{name}` along a last axis.

    {where}They are::

{formula}

    Parameters
    ----------
{settings}
    Returns
    -------
    ndarray of float64, shape (..., {count})
        The scalars, for each entry of the parameters' common shape.

    Notes
    -----
    The values are not checked. Plain numbers are faster than arrays.
    """

_WHERE = """With::

{where}

    """

_SLOT = """\
    {slot.name} : ndarray, of the shape and dtype of `w`
        {slot.text}, zeros at first; updated in place.
"""

_STEP = "    step : int\n        Number of the update, 1 for the first.\n"


def _checked(setting: Setting) -> str:
    """Return the call that checks a setting."""
    bounds = f"{setting.low}" + f", {setting.high}" * (setting.high < math.inf)
    flags = "".join(f", {flag}=True" for flag in ("closed", "excluded") if getattr(setting, flag))
    return f'check.real("{setting.name}", {setting.name}, {bounds}{flags})'


def _lines(lines: tuple[str, ...]) -> str:
    return "\n".join(f"        {line}" for line in lines)


def _default(setting: Setting) -> str:
    return "" if setting.default is None else f" = {setting.default}"


def _described(row: Update) -> tuple[str, str]:
    """Return what the docstring says of slots and of settings."""
    slots = [_SLOT.format(slot=slot) for slot in row.slots]
    settings = [_STEP] if row.takes_step else []
    for each in row.settings:
        default = "" if each.default is None else f", default {each.default}"
        settings.append(f"    {each.name} : float{default}\n        {each.described}\n")
    return "".join(slots), "".join(settings)


def _described_for_scalars(row: Update) -> str:
    """Return what the docstring of the scalars says of the settings."""
    lines = ["    step : int or array_like of int\n        Number of the update, 1 for the first.\n"] * row.takes_step
    for each in row.settings:
        kind = "float" if each.fixed else "float or array_like"
        default = ", default 0.0" if each.default == 0 else ""
        lines.append(f"    {each.name} : {kind}{default}\n        {each.described}\n")
    lines += [f"    {name} : bool, default False\n        {OPTIONS[name]}\n" for name in row.options]
    return "".join(lines)


def _define_update(name: str, row: Update) -> None:
    slots, settings = _described(row)
    declared = ["step: int"] if row.takes_step else []
    checked = ['check.integer("step", step, 1)'] if row.takes_step else []
    source = _UPDATE_SOURCE.format(
        name=name,
        slots="".join(f"{slot.name}: Array, " for slot in row.slots),
        settings=", ".join([*declared, *(f"{each.name}: float{_default(each)}" for each in row.settings)]),
        checked=", ".join([*checked, *map(_checked, row.settings), *("False" for _ in row.options)]),
        given="".join(f"{slot.name}, " for slot in row.slots),
    )
    define(globals(), name, source, _UPDATE.format(row=row, slots=slots, settings=settings))


def _define_scalars(name: str, row: Update) -> None:
    settings = ["step: ArrayLike"] if row.takes_step else []
    for each in row.settings:
        default = _default(each) if each.default == 0 else ""
        settings.append(f"{each.name}: {'float' if each.fixed else 'ArrayLike'}{default}")
    options = ["*", *(f"{option}: bool = False" for option in row.options)] if row.options else []
    doc = _SCALARS.format(
        name=name,
        where=_WHERE.format(where=_lines(row.where)) if row.where else "",
        formula=_lines(row.scalars),
        settings=_described_for_scalars(row),
        count=len(row.scalars),
    )
    source = _SCALARS_SOURCE.format(name=name, settings=", ".join(settings + options), passed=", ".join(row.arguments))
    define(globals(), f"{name}_scalars", source, doc)


for _name, _row in UPDATES.items():
    _define_update(_name, _row)
    _define_scalars(_name, _row)
