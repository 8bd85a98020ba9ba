"""One function for each activation, and one for its derivative, made from the registry's rows.

The stub beside this file, which type checkers read, is written by ``python -m tools.stubs``.
"""

from numpy.typing import ArrayLike  # noqa: F401

from fastnn._activations import ACTIVATIONS, Activation
from fastnn._typing import Array  # noqa: F401
from fastnn.kernels._from_rows import define
from fastnn.kernels.activations import activation, activation_backward  # noqa: F401

__all__ = [name + suffix for name in sorted(ACTIVATIONS) for suffix in ("", "_backward")]

# The sources use the names imported above.
_FORWARD_SOURCE = """
def {name}(x: ArrayLike, {declared}*, out: Array | None = None) -> Array:
    return activation("{name}", x, {passed}out=out)
"""

_BACKWARD_SOURCE = """
def {name}_backward(dy: ArrayLike, {argument}: ArrayLike, {declared}*, out: Array | None = None) -> Array:
    return activation_backward("{name}", dy, {argument}, {passed}out=out)
"""

_FORWARD = """Compute y = {row.formula}.

    Parameters
    ----------
    x : array_like
        Of any shape.
{parameters}    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `x` itself, or not overlapping it.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if `x` is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `activation` does.

    Notes
    -----
    Error: {row.error[0]}{measured}.
{source}
    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.{name}([-1.0, 0.0, 2.0])
    array({row.example})
    """

_BACKWARD = """Compute dy * ({row.derivative}).

    Parameters
    ----------
    dy : array_like
        Gradient by the output of `{name}`.
    {row.derivative_argument} : array_like, of the shape of `dy`
        The {row.derivative_from} of `{name}`.
{parameters}    out : ndarray, optional
        Where to write the result: C-contiguous, of the result's shape and dtype; `dy` or `{row.derivative_argument}`
        itself, or not overlapping them.

    Returns
    -------
    ndarray
        `out`, or a new array: float32 if every array given is float32, else float64.

    Raises
    ------
    TypeError, ValueError
        As `activation_backward` does.

    Notes
    -----
    Error: {row.error[1]}.
    """


def _described(row: Activation) -> str:
    lines = []
    for parameter in row.parameters:
        if isinstance(parameter.low, str):
            least = f"At least `{parameter.low}`."
        elif parameter.low == 0:
            least = "Above 0." if parameter.excluded else "Not negative."
        else:
            least = "Any finite number."
        lines.append(f"    {parameter.name} : float, default {parameter.default}\n        {least}\n")
    return "".join(lines)


for _name, _row in ACTIVATIONS.items():
    _names = [parameter.name for parameter in _row.parameters]
    for _made, _source, _text in (
        (_name, _FORWARD_SOURCE, _FORWARD),
        (f"{_name}_backward", _BACKWARD_SOURCE, _BACKWARD),
    ):
        define(
            globals(),
            _made,
            _source.format(
                name=_name,
                argument=_row.derivative_argument,
                declared="".join(f"{parameter.name}: float = {parameter.default}, " for parameter in _row.parameters),
                passed="".join(f"{parameter}={parameter}, " for parameter in _names),
            ),
            _text.format(
                name=_name,
                row=_row,
                parameters=_described(_row),
                source=_row.source and f"    Source: {_row.source}.\n",
                measured=""
                if _row.measured_error is None
                else f"; the largest measured over all float32 arguments is {_row.measured_error} ULP",
            ),
        )
