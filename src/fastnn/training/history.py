"""`History`: the figures of all epochs that a trainer has trained."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, SupportsIndex, overload

from fastnn import _validation as v
from fastnn._names import suggestion
from fastnn._settings import PublicDir

__all__ = ["FIGURES", "History"]

FIGURES = ("loss", "lr", "seconds")  # of every epoch


def shown_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures of an epoch that fit a line: not those of single layers, as `Watch` adds them."""
    return {name: value for name, value in figures.items() if name not in ("lr", "seconds") and "." not in name}


class History(PublicDir, dict[str, list[float]]):  # a dict, as pandas and plotting libraries ask for one
    """The figures of all epochs by name: a read-only mapping to lists with one number for each epoch.

    ``loss`` is the mean over the epoch's rows of the loss in training mode, before each update; ``lr`` the learning
    rate of the last step; ``seconds`` the time of the steps, without evaluations. With validation data there are also
    ``val_loss``, for class labels ``val_accuracy``, and ``val_<name>`` for each metric; with ``train_metrics=True``
    those of the training rows, without ``val_``. A `fastnn.Watch` adds figures of single layers, such as ``1.mean``.

    Parameters
    ----------
    epochs : list of dict of str to float, optional
        The figures of each epoch, in order.

    Attributes
    ----------
    epochs : list of dict of str to float
        The same.

    Raises
    ------
    KeyError
        From ``history[name]``, if there are epochs and none of them has this figure.
    IndexError
        From ``history[i]``, if there is no such epoch.

    Notes
    -----
    It is a dict, as pandas, json and plotting libraries look for one. Each list is a copy; `epochs` is not.
    An epoch without a figure, such as ``val_loss`` in a fit without validation data, has NaN for it. An integer index
    gives the figures of one epoch: ``history[-1]``. ``len(history)`` is the number of figures, as for any mapping;
    ``len(history.epochs)`` is that of the epochs. ``pandas.DataFrame(history)`` has a row for each epoch.

    Examples
    --------
    >>> history = History([{"loss": 2.0}, {"loss": 1.0, "val_loss": 1.5}])
    >>> history["loss"]
    [2.0, 1.0]
    >>> history["val_loss"]  # an epoch without it has NaN
    [nan, 1.5]
    >>> history[-1]
    {'loss': 1.0, 'val_loss': 1.5}
    >>> list(history)
    ['loss', 'val_loss']
    >>> history  # and the figures of the last epoch
    History(2 epochs: loss=1, val_loss=1.5)
    """

    epochs: list[dict[str, float]]
    _internal = frozenset({"clear", "pop", "popitem", "refresh", "setdefault", "update"})

    def __init__(self, epochs: list[dict[str, float]] | None = None) -> None:
        super().__init__()
        self.epochs = [] if epochs is None else epochs
        self._kept: list[dict[str, float]] = []
        self._kept_epochs = 0
        self.refresh()

    def refresh(self) -> None:
        """Bring the dict itself up to date with `epochs`: C code, such as json's, looks into it."""
        epochs = self.epochs
        if self._kept is not epochs or len(epochs) < self._kept_epochs:
            dict.clear(self)
            self._kept, self._kept_epochs = epochs, 0
        for index in range(self._kept_epochs, len(epochs)):
            epoch = epochs[index]
            for name in epoch:
                if not dict.__contains__(self, name):
                    dict.__setitem__(self, name, [math.nan] * index)
            for name, figures in dict.items(self):
                figures.append(epoch.get(name, math.nan))
        self._kept_epochs = len(epochs)

    def _names(self) -> dict[str, None]:
        return dict.fromkeys(name for epoch in self.epochs for name in epoch)

    @overload
    def __getitem__(self, key: str) -> list[float]: ...

    @overload
    def __getitem__(self, key: SupportsIndex) -> dict[str, float]: ...

    @overload
    def __getitem__(self, key: slice) -> list[dict[str, float]]: ...

    def __getitem__(self, key: str | SupportsIndex | slice) -> list[float] | dict[str, float] | list[dict[str, float]]:
        """Return a figure of all epochs, or all figures of one epoch or of several."""
        epochs = self.epochs
        if isinstance(key, slice):
            return [dict(epoch) for epoch in epochs[key]]
        if not isinstance(key, str):
            try:
                index = operator.index(key)
            except TypeError:
                v.refuse(KeyError, "key of the history", "be a name, an integer or a slice", v.shown(key))
            if not -len(epochs) <= index < len(epochs):
                v.refuse(IndexError, "index of an epoch", f"be below {len(epochs)}, the number of epochs", index)
            return dict(epochs[index])
        if epochs and not any(key in epoch for epoch in epochs):
            known = self._names()
            fix = "pass validation_data to fit" if key.startswith("val_") and "val_loss" not in known else ""
            fix = fix or ("pass train_metrics=True to fit" if f"val_{key}" in known else suggestion(key, known))
            v.refuse(KeyError, "key of the history", f"be one of {', '.join(known)}", v.shown(key), fix)
        return [epoch.get(key, math.nan) for epoch in epochs]

    # Mapping's, which call the methods below; dict's own would not.
    get, keys, items, values = Mapping.get, Mapping.keys, Mapping.items, Mapping.values  # type: ignore[assignment]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return any(name in epoch for epoch in self.epochs)

    def __eq__(self, other: object) -> bool:
        return self.epochs == other.epochs if isinstance(other, History) else dict(self.items()) == other

    def __or__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        return {**dict(self.items()), **other}

    def __ror__(self, other: Any) -> dict[str, Any]:  # type: ignore[override]
        return {**other, **dict(self.items())}

    def __reduce__(self) -> tuple[Any, ...]:
        return History, (self.epochs,)

    def copy(self) -> dict[str, list[float]]:
        """Return the figures as a dict of their own."""
        return dict(self.items())

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write a page that shows the training: one file that needs no other one, and no network.

        It has the losses, the figures of metrics, the learning rates and a table of the epochs, and the figures of a
        `fastnn.Watch` if there are some. Pictures need matplotlib; without it the page has the tables alone.

        Parameters
        ----------
        path : str or os.PathLike
            Of the file, which is replaced if it exists.

        Raises
        ------
        TypeError, ValueError, OSError
            If `path` is not that of a file, or the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> history = History([{"loss": 2.0}, {"loss": 1.0, "val_loss": 1.5}])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     history.to_html(f"{folder}/training.html")
        ...     Path(folder, "training.html").read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'
        """
        from fastnn.plot._history_page import write

        write(self, path)

    def _repr_html_(self) -> str:
        """Return what notebooks show: the losses, and the first and the last epoch."""
        from fastnn.plot._history_page import fragment

        return fragment(self)

    def _refuse(self, *unused: object, **also_unused: object) -> NoReturn:
        """Refuse to change the history."""
        v.refuse(TypeError, "History", "be left as it is", "a change", "change a copy, dict(history)")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __repr__(self) -> str:
        last = self.epochs[-1] if self.epochs else {}
        shown = [f"{key}={v.shown(value, '{:.4g}'.format)}" for key, value in shown_figures(last).items()]
        epochs = "1 epoch" if len(self.epochs) == 1 else f"{len(self.epochs)} epochs"
        return f"History({epochs}{': ' if shown else ''}{', '.join(shown)})"
