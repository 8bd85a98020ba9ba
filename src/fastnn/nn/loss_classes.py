"""One class for each loss, made from the registry's rows.

The stub beside this file, which type checkers read, is written by ``python -m tools.stubs``.
"""

from __future__ import annotations

from fastnn._losses import LOSSES, LossSpec
from fastnn._settings import settings
from fastnn.nn.loss_base import ColumnsLoss, KernelLoss

__all__ = [row.torch for row in LOSSES.values()]

_TEXT = """{row.title}: ``{row.formula}``, for {row.z} and {row.t}.

{row.source}.

{about}The derivative in z is ``{row.gradient}``. See `fastnn.kernels.{name}`.
{parameters}
Raises
------
TypeError, ValueError
    If a setting is of a wrong kind or out of range.

Examples
--------
>>> from fastnn import nn
{examples}"""

_COLUMNS_ENTRIES = """columns : {"mean", "sum"}, default "mean"
    How the terms of a row are reduced; PyTorch's mean is over rows and columns.
factor : float, default 1.0
    Multiplies the loss and its gradient; above 0.
gradient_columns : {"mean", "sum"}, optional
    The same for the gradient only, if it is not to be that of the reported value; `columns` by default.
"""


def _document(name: str, row: LossSpec, base: type[KernelLoss]) -> str:
    """Return the docstring of the row's class."""
    entries = "".join(setting.entry for setting in row.settings)
    if base is ColumnsLoss:
        entries += _COLUMNS_ENTRIES
    return _TEXT.format(
        name=name,
        row=row,
        about="".join(f"{text}\n\n" for text in (row.about, row.of_class) if text),
        parameters=entries and f"\nParameters\n----------\n{entries}",
        examples="".join(
            f">>> round(nn.{row.torch}({given})({arguments}), 6)\n{loss}\n" for arguments, given, loss in row.examples
        ),
    )


def _class(name: str, row: LossSpec) -> type[KernelLoss]:
    """Return the class of one row; pickles find it in `fastnn.nn.losses`."""
    base = ColumnsLoss if row.averaged else KernelLoss
    members: dict[str, object] = {each.name: each.default for each in row.settings}
    members["__annotations__"] = {each.name: each.annotation for each in row.settings}
    members |= {"name": name, "__doc__": _document(name, row, base), "__module__": __name__}
    made: type[KernelLoss] = settings()(type(row.torch, (base,), members))
    made.__module__ = "fastnn.nn.losses"
    return made


globals().update({row.torch: _class(name, row) for name, row in LOSSES.items()})
