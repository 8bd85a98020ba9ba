"""`History`: the figures of all epochs that a trainer has trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fastnn import _validation as v


@dataclass
class History:
    """One dict for each epoch, in order.

    Attributes
    ----------
    epochs : list of dict of str to float
        ``loss``: the mean over the epoch's rows of the loss in training mode, before each update; ``lr``: the learning
        rate of the last step; ``seconds``: the time of the steps, without validation. With validation data also
        ``val_loss``, for class labels ``val_accuracy``, and ``val_<name>`` for each metric passed to `Trainer.fit`.

    Raises
    ------
    KeyError
        From ``history[key]``, if there are epochs and none of them has this figure.

    Notes
    -----
    ``history[key]`` has one entry for each epoch. It is NaN for epochs without the figure, such as ``val_loss`` of a
    fit without validation data.

    Examples
    --------
    >>> history = History([{"loss": 2.0}, {"loss": 1.0, "val_loss": 1.5}])
    >>> history["loss"]
    [2.0, 1.0]
    >>> history["val_loss"]  # an epoch without it has NaN
    [nan, 1.5]
    >>> len(history)
    2
    >>> history  # and the figures of the last epoch
    History(2 epochs: loss=1, val_loss=1.5)
    """

    epochs: list[dict[str, float]] = field(default_factory=list)

    def __getitem__(self, key: str) -> list[float]:
        if self.epochs and not any(key in epoch for epoch in self.epochs):
            known = dict.fromkeys(each for epoch in self.epochs for each in epoch)
            fix = "pass validation_data to fit" if str(key).startswith("val_") and "val_loss" not in known else ""
            v.refuse(KeyError, "key of the history", f"be one of {', '.join(known)}", v.shown(key), fix)
        return [epoch.get(key, math.nan) for epoch in self.epochs]

    def __len__(self) -> int:
        return len(self.epochs)

    def __repr__(self) -> str:
        last = self.epochs[-1] if self.epochs else {}
        shown = [f"{key}={v.shown(last[key], '{:.4g}'.format)}" for key in last if key not in ("lr", "seconds")]
        epochs = "1 epoch" if len(self) == 1 else f"{len(self)} epochs"
        return f"History({epochs}{': ' if shown else ''}{', '.join(shown)})"
