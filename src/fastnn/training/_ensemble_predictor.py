"""The predictor of an ensemble."""

from __future__ import annotations

from typing import Any

from fastnn._typing import Array
from fastnn.nn.predictor import Predictor


class EnsemblePredictor(Predictor):
    """A `Predictor` of the mean of the members of an `Ensemble`."""

    def __init__(self, ensemble: Any, rows: int | None) -> None:
        super().__init__(ensemble.members, rows, *ensemble._averaged())
        self._ensemble = type(ensemble)(self._copies, ensemble.output)

    def _predict_rows(self, x: Array, out: Array | None) -> Array:
        result: Array = self._ensemble.predict_in_general("x", x, out)
        return result
