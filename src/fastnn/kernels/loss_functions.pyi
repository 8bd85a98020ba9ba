import numpy.typing as npt

from fastnn._typing import Array

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "hinge",
    "huber",
    "log_cosh",
    "log_loss",
    "mean_absolute_error",
    "mean_squared_error",
    "multi_margin",
    "poisson",
    "quantile",
    "squared_hinge",
]

def cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    weight: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    grad: Array | None = None,
) -> float: ...
def binary_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    pos_weight: npt.ArrayLike | None = None,
    grad: Array | None = None,
) -> float: ...
def log_loss(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float: ...
def mean_squared_error(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float: ...
def mean_absolute_error(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float: ...
def huber(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    delta: float = 1.0,
    grad: Array | None = None,
) -> float: ...
def log_cosh(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float: ...
def poisson(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    log_input: bool = True,
    full: bool = False,
    deviance: bool = False,
    eps: float = 1e-08,
    grad: Array | None = None,
) -> float: ...
def quantile(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    quantiles: npt.ArrayLike = 0.5,
    grad: Array | None = None,
) -> float: ...
def hinge(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float: ...
def squared_hinge(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    grad: Array | None = None,
) -> float: ...
def multi_margin(
    prediction: npt.ArrayLike,
    target: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    p: int = 1,
    margin: float = 1.0,
    grad: Array | None = None,
) -> float: ...
