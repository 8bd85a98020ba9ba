"""One function for each loss, made from the registry's rows.

The stub beside this file, which type checkers read, is written by ``python -m tools.stubs``.
"""

from numpy.typing import ArrayLike  # noqa: F401

from fastnn._losses import LOSSES, LossSpec
from fastnn._typing import Array  # noqa: F401
from fastnn.kernels._from_rows import define
from fastnn.kernels.losses import run_loss  # noqa: F401

__all__ = list(LOSSES)

# The source uses the names imported above.
_SOURCE = """
def {name}(
    {outputs}: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *,
    {declared}grad: Array | None = None,
) -> float:
    return run_loss("{name}", {outputs}, target, sample_weight, grad=grad{passed})
"""

_TEXT = """{row.title}: the mean over the rows{columns} of ``{row.formula}``.

{about}The gradient of a row is ``w / sum(w){width}`` times ``{row.gradient}``.

Parameters
----------
{row.outputs} : array_like, shape (B, {k})
    {z}.
target : array_like, {shapes}
    {t}.
sample_weight : array_like, shape (B,), optional
    Weights w of the rows, finite and not negative; equal by default.
{settings}grad : ndarray, shape (B, {k}), optional
    Where to write the gradient by the {outputs}: C-contiguous, of their dtype, not overlapping the inputs.

Returns
-------
float
    The loss.

Raises
------
TypeError
    If an argument is no array of real numbers, classes are no integers, a setting is of a wrong kind, or `grad` has
    another dtype.
ValueError
    If shapes do not match, there is no row or column, a class, a weight or a setting is out of range, or `grad`
    overlaps an input.

Notes
-----
{row.source}.

Examples
--------
>>> from fastnn import kernels
{examples}"""

_SHAPES = {"labels": "shape (B,) of integers", "rows": "shape (B, K)"}


def _document(name: str, row: LossSpec) -> str:
    outputs = "logits" if row.outputs == "logits" else "predictions"
    converted = f", converted to the {outputs}' dtype" if "rows" in row.kinds else ""
    return _TEXT.format(
        row=row,
        columns=" and columns" if row.averaged else "",
        about=row.about and f"{row.about}\n\n",
        width=" / K" if row.averaged else "",
        k="T * Q" if row.grouped else "K",
        z=row.z[0].upper() + row.z[1:],
        t=row.t[0].upper() + row.t[1:] + converted,
        shapes="shape (B, T)" if row.grouped else " or ".join(_SHAPES[kind] for kind in row.kinds),
        settings="".join(setting.entry for setting in row.settings),
        outputs=outputs,
        examples="".join(
            f">>> round(kernels.{name}({arguments}{given and f', {given}'}), 6)\n{loss}\n"
            for arguments, given, loss in row.examples
        ),
    )


for _name, _row in LOSSES.items():
    define(
        globals(),
        _name,
        _SOURCE.format(
            name=_name,
            outputs=_row.outputs,
            declared="".join(f"{each.name}: {each.annotation} = {each.default!r}, " for each in _row.settings),
            passed="".join(f", {each.name}={each.name}" for each in _row.settings),
        ),
        _document(_name, _row),
    )
