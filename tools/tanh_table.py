"""Print the table that tanh is computed from in float32 at AVX-512 (csrc/math.inc.c).

    python tools/tanh_table.py

The exponent and the first BITS bits of the mantissa of |x| + OFFSET number the intervals. They are short where tanh
bends, and long where it is almost 1. Each interval has a centre c and a polynomial of degree 4 in |x| - c. The centre
is chosen so that a float32 holds tanh(c) almost exactly. The polynomial has the smallest possible largest relative
error (Lawson, 1961: least squares, with weights that grow where the error is large).
"""

import numpy as np
from numpy.typing import NDArray

OFFSET = 0.640625
BITS = 3
LAST = 9.25  # tanh rounds to 1 before this
DEGREE = 4
ENTRIES = 32
MARGIN = 0.3  # share of an interval at each end where the centre may not be
CENTRES = 10000  # candidates for the centre
POINTS = 400  # at which a polynomial is fitted: Chebyshev nodes
ROUNDS = 80  # of Lawson's iteration


def interval(x: float) -> int:
    """Return the number of the interval of x = |argument| + OFFSET: exponent and first bits of a float32."""
    return int(np.float32(x).view(np.uint32)) >> (23 - BITS)


def start(number: int) -> float:
    """Return the |x| at which an interval begins."""
    return max(0.0, float(np.uint32(number << (23 - BITS)).view(np.float32)) - OFFSET)


def centre(low: float, high: float) -> float:
    """Return the number, not near the ends, whose tanh is nearest to a float32."""
    margin = (high - low) * MARGIN
    candidates = np.linspace(low + margin, high - margin, CENTRES).astype(np.float32)
    exact = np.tanh(candidates.astype(np.longdouble))
    rounded = exact.astype(np.float32)
    return float(candidates[np.argmin(np.abs(exact - rounded) / np.spacing(rounded))])


def coefficients(low: float, high: float) -> tuple[list[float], float]:
    """Return an interval's column of the table, and its largest relative error before rounding."""
    c = 0.0 if low == 0 else centre(low, high)
    first = [float(np.float32(np.tanh(np.longdouble(c))))]
    if c == 0:
        first.append(1.0)  # tanh x is x itself near 0
    x = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
    y = np.tanh(x)
    powers = np.stack([(x - c) ** i / y for i in range(DEGREE + 1)], axis=1)
    rest = 1 - powers[:, : len(first)] @ first
    fitted = powers[:, len(first) :]
    size = np.abs(fitted).max(axis=0)
    weight: NDArray[np.float64] = np.ones(POINTS)
    for _ in range(ROUNDS):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(fitted / size * root[:, None], rest * root, rcond=None)[0] / size
        error = np.abs(fitted @ found - rest)
        weight *= error + 1e-30
        weight /= weight.mean()
    return [c, *first, *(float(np.float32(f)) for f in found)], float(error.max())


def main() -> None:
    columns = [[0.0] * (DEGREE + 2) for _ in range(ENTRIES)]
    worst = 0.0
    for number in range(interval(OFFSET), interval(LAST + OFFSET) + 1):
        columns[number % ENTRIES], error = coefficients(start(number), min(start(number + 1), LAST))
        worst = max(worst, error)
    print(f"/* largest relative error 2^{np.log2(worst):.1f} */")
    for row in zip(*columns, strict=True):
        print("    {" + ", ".join(f"{float(value).hex().replace('0000000p', 'p')}f" for value in row) + "},")


if __name__ == "__main__":
    main()
