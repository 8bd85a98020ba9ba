from numpy.typing import ArrayLike

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
    logits: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    grad: Array | None = None,
) -> float: ...
def binary_cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    pos_weight: ArrayLike | None = None,
    grad: Array | None = None,
) -> float: ...
def log_loss(
    logits: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, grad: Array | None = None
) -> float: ...
def mean_squared_error(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, grad: Array | None = None
) -> float: ...
def mean_absolute_error(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, grad: Array | None = None
) -> float: ...
def huber(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    delta: float = 1.0,
    grad: Array | None = None,
) -> float: ...
def log_cosh(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, grad: Array | None = None
) -> float: ...
def poisson(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    log_input: bool = True,
    full: bool = False,
    deviance: bool = False,
    eps: float = 1e-08,
    grad: Array | None = None,
) -> float: ...
def quantile(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    quantiles: ArrayLike = 0.5,
    grad: Array | None = None,
) -> float: ...
def hinge(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, grad: Array | None = None
) -> float: ...
def squared_hinge(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, grad: Array | None = None
) -> float: ...
def multi_margin(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    p: int = 1,
    margin: float = 1.0,
    grad: Array | None = None,
) -> float: ...
