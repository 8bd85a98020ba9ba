"""What one step of training sees: the outputs and the gradients of each layer, before anything is learnt."""

from __future__ import annotations

import fastnn
from fastnn import nn, optim
from fastnn._typing import Array
from fastnn.diagnosis._observations import Observation


def first_step(model: nn.Sequential, X: Array, y: Array) -> Observation:
    """Return what `fastnn.Watch` records of one step with all rows; the net itself stays as it is."""
    watch = fastnn.Watch()
    trainer = fastnn.Trainer(model.copy(), loss="cross_entropy", optimizer=optim.SGD())
    trainer.fit(X, y, epochs=1, batch_size=len(X), callbacks=[watch], verbose=0)
    return watch.records[0]
