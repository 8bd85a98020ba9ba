"""Data: a reader of IDX files, the scalers of a net's columns, bins of columns, and augmentation of batches."""

from typing import TYPE_CHECKING

from fastnn._habits import module_getattr
from fastnn.data.augmentation import (
    Augmentation,
    FeatureDropout,
    GaussianNoise,
    Mixup,
    RandomFlip,
    RandomShift,
    SwapNoise,
)
from fastnn.data.bins import quantile_bins
from fastnn.data.idx import read_idx
from fastnn.nn.scaling import QuantileScaler, RobustScaler, Scaler

__all__ = [
    "Augmentation",
    "FeatureDropout",
    "GaussianNoise",
    "Mixup",
    "QuantileScaler",
    "RandomFlip",
    "RandomShift",
    "RobustScaler",
    "Scaler",
    "SwapNoise",
    "quantile_bins",
    "read_idx",
]

if not TYPE_CHECKING:
    __getattr__ = module_getattr("fastnn.data", __all__)


def __dir__() -> list[str]:
    return __all__
