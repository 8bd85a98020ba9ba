from fastnn._settings import settings
from fastnn.optim.base import Optimizer

__all__ = [
    "Adadelta",
    "NAdam",
]

@settings()
class Adadelta(Optimizer):
    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-06
    @property
    def kind(self) -> str: ...

@settings()
class NAdam(Optimizer):
    lr: float = 0.002
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-08
    momentum_decay: float = 0.004
    decoupled_weight_decay: bool = False
    @property
    def kind(self) -> str: ...
