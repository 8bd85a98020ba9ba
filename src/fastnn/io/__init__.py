"""Files: nets, ensembles, trainers, estimators and checkpoints in the safetensors format."""

from fastnn.io._nets import load

__all__ = ["load"]


def __dir__() -> list[str]:
    return __all__
