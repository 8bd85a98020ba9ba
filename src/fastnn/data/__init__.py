"""Data: a reader of IDX files, and the scalers of a net's input."""

from fastnn.data.idx import read_idx
from fastnn.nn.scaling import QuantileScaler, RobustScaler, Scaler

__all__ = ["QuantileScaler", "RobustScaler", "Scaler", "read_idx"]


def __dir__() -> list[str]:
    return __all__
