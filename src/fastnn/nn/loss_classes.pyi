from numpy.typing import ArrayLike

from fastnn._settings import settings
from fastnn.nn.loss_base import ColumnsLoss, KernelLoss

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HingeLoss",
    "HuberLoss",
    "L1Loss",
    "LogCoshLoss",
    "LogLoss",
    "MSELoss",
    "MultiMarginLoss",
    "PoissonNLLLoss",
    "QuantileLoss",
    "SquaredHingeLoss",
]

@settings()
class CrossEntropyLoss(KernelLoss):
    weight: ArrayLike | None = None
    label_smoothing: float = 0.0

@settings()
class BCEWithLogitsLoss(ColumnsLoss):
    pos_weight: ArrayLike | None = None

@settings()
class LogLoss(KernelLoss): ...

@settings()
class MSELoss(ColumnsLoss): ...

@settings()
class L1Loss(ColumnsLoss): ...

@settings()
class HuberLoss(ColumnsLoss):
    delta: float = 1.0

@settings()
class LogCoshLoss(ColumnsLoss): ...

@settings()
class PoissonNLLLoss(ColumnsLoss):
    log_input: bool = True
    full: bool = False
    deviance: bool = False
    eps: float = 1e-08

@settings()
class QuantileLoss(ColumnsLoss):
    quantiles: ArrayLike = 0.5

@settings()
class HingeLoss(ColumnsLoss): ...

@settings()
class SquaredHingeLoss(ColumnsLoss): ...

@settings()
class MultiMarginLoss(ColumnsLoss):
    p: int = 1
    margin: float = 1.0
