"""Optimisers made from the rows of the registry of updates: those whose settings are the update's own.

The stub beside this file, which type checkers read, is written by ``python -m tools.stubs``.
"""

from __future__ import annotations

from fastnn import _validation as v  # noqa: F401
from fastnn._settings import settings  # noqa: F401
from fastnn._updates import UPDATES, Update
from fastnn.kernels._from_rows import define
from fastnn.optim.base import Optimizer  # noqa: F401

__all__ = [row.optimizer for row in UPDATES.values() if row.optimizer]

# The sources use the names imported above.
_SOURCE = '''
@settings()
class {row.optimizer}(Optimizer):
    """Made from a row."""

    {fields}

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("{kind}"){check}

    @property
    def kind(self) -> str:
        return "{kind}"
{decoupled}'''

_OPTION = "decoupled_weight_decay"

_DECOUPLED = """
    @property
    def decoupled(self) -> bool:
        return {}
"""

_TEXT = """{row.title}: {row.idea}.

{row.explanation}
    Parameters
    ----------
{described}    weight_decay, groups
        As in `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of a wrong kind or out of range.
    """


def _fields(row: Update) -> list[tuple[str, str, str, str]]:
    """Return name, type, default and description of each setting."""
    found = []
    for each in row.settings:
        if each.name == "beta1":
            betas = f"({each.default}, {row.defaults['beta2']})"
            text = f"`beta1` and `beta2` of the formula, {each.bounds}."
            found.append(("betas", "tuple[float, float]", betas, text))
        elif each.name != "beta2":
            found.append((each.name, "float", str(each.default), each.described))
    if row.weight_decay == "optional":
        found.append((_OPTION, "bool", "False", "Whether weight decay is decoupled, as in `AdamW`."))
    return found


def _define(kind: str, row: Update) -> None:
    found, optional = _fields(row), row.weight_decay == "optional"
    decoupled = f"bool(self.{_OPTION})" if optional else "True"
    source = _SOURCE.format(
        kind=kind,
        row=row,
        fields="\n    ".join(f"{name}: {kind} = {default}" for name, kind, default, _ in found),
        check=f'\n        v.boolean("{_OPTION}", self.{_OPTION})' if optional else "",
        decoupled="" if row.weight_decay == "coupled" else _DECOUPLED.format(decoupled),
    )
    text = _TEXT.format(
        row=row,
        described="".join(
            f"    {name} : {'(float, float)' if name == 'betas' else kind}, default {default}\n        {text}\n"
            for name, kind, default, text in found
        ),
    )
    define(globals(), row.optimizer, source, text)
    globals()[row.optimizer].__module__ = "fastnn.optim.optimizers"  # where the other optimisers are, too


for _kind, _row in UPDATES.items():
    if _row.optimizer:
        _define(_kind, _row)
