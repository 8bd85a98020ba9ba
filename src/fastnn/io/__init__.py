"""Files: nets, ensembles, trainers, estimators and checkpoints in the safetensors format."""

from fastnn.io._nets import load
from fastnn.io._tensors import load_tensors

__all__ = ["load", "load_tensors"]


def __dir__() -> list[str]:
    return __all__
