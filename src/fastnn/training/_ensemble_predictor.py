"""The predictor of an ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.nn.predictor import NetPredictor, Snapshot

if TYPE_CHECKING:
    from fastnn.engine._plain_calls import PlainNet
    from fastnn.nn._predictions import Predictions


class EnsemblePredictor(NetPredictor):
    """A `Predictor` of the mean of the members of an `Ensemble`."""

    _article, _source = "an", "ensemble"

    def __init__(self, ensemble: Any, rows: int | None) -> None:
        self._kind, self._output = type(ensemble), ensemble.output
        super().__init__(ensemble.members, rows, *ensemble.result_and_link)

    def _snapshot(self, copies: tuple[Predictions, ...], plain: tuple[PlainNet, ...]) -> Snapshot:
        net, ensemble = copies[0], self._kind(copies, self._output)
        dtype = np.dtype(np.float64)
        return Snapshot(copies, plain, ensemble.predict_any_rows, net.in_features, net.out_features, dtype)
