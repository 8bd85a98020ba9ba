"""What training has recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class History:
    """One dict for each epoch, in order.

    Attributes
    ----------
    epochs : list of dict of str to float
        ``loss``: mean over the epoch's rows of the loss in training mode, before each update; ``lr``: learning rate of
        the last step; ``seconds``: time spent on steps, without validation; with validation data ``val_loss``, and for
        class labels ``val_accuracy``, and ``val_<name>`` of each metric that `Trainer.fit` was given.

    Raises
    ------
    KeyError
        If no epoch has a figure that is asked for.

    Examples
    --------
    >>> history = History([{"loss": 2.0}, {"loss": 1.0, "val_loss": 1.5}])
    >>> history["loss"]
    [2.0, 1.0]
    >>> history["val_loss"]  # an epoch without it has NaN
    [nan, 1.5]
    >>> len(history)
    2
    """

    epochs: list[dict[str, float]] = field(default_factory=list)

    def __getitem__(self, key: str) -> list[float]:
        known = dict.fromkeys(name for epoch in self.epochs for name in epoch)
        if self.epochs and key not in known:
            raise KeyError(f"{key!r} must be one of {', '.join(known)}")
        return [epoch.get(key, math.nan) for epoch in self.epochs]

    def __len__(self) -> int:
        return len(self.epochs)
