"""Data: a reader of IDX files, and the scaler of a net's input."""

from fastnn.data.idx import read_idx
from fastnn.nn.scaling import Scaler

__all__ = ["Scaler", "read_idx"]


def __dir__() -> list[str]:
    return __all__
