"""Data: a reader of IDX files, the scalers of a net's columns, and bins of columns."""

from fastnn.data.bins import quantile_bins
from fastnn.data.idx import read_idx
from fastnn.nn.scaling import QuantileScaler, RobustScaler, Scaler

__all__ = ["QuantileScaler", "RobustScaler", "Scaler", "quantile_bins", "read_idx"]


def __dir__() -> list[str]:
    return __all__
