"""NumPy twin of the gradient of a table of embeddings."""

import numpy as np

from fastnn._typing import Array


@np.errstate(all="ignore")
def embedding_grad(dy: Array, ids: Array, padding: int, out: Array, threads: int) -> None:
    """out[k] = the sum of dy[i] over all i with ids[i] = k, in their order; 0 for the row `padding`."""
    kept = ids != padding
    out[...] = 0
    np.add.at(out, ids[kept], dy[kept])
