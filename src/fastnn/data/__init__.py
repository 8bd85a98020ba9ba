"""Reading and scaling data."""

from fastnn.data.idx import read_idx
from fastnn.data.scaling import Scaler

__all__ = ["Scaler", "read_idx"]
