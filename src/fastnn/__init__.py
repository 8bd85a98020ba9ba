"""fastnn trains and serves multilayer perceptrons on CPUs."""

from fastnn import kernels, reference
from fastnn._config import backend, get_backend, get_num_threads, num_threads, set_backend, set_num_threads
from fastnn._version import __version__

__all__ = [
    "__version__",
    "backend",
    "get_backend",
    "get_num_threads",
    "kernels",
    "num_threads",
    "reference",
    "set_backend",
    "set_num_threads",
]
