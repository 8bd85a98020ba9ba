"""What training has recorded."""

from __future__ import annotations

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

    Examples
    --------
    >>> history = History([{"loss": 2.0}, {"loss": 1.0}])
    >>> history["loss"]
    [2.0, 1.0]
    >>> len(history)
    2
    """

    epochs: list[dict[str, float]] = field(default_factory=list)

    def __getitem__(self, key: str) -> list[float]:
        return [epoch[key] for epoch in self.epochs]

    def __len__(self) -> int:
        return len(self.epochs)
