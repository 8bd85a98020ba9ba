"""Type aliases that several modules use."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
