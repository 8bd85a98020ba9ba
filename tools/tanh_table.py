"""Print the table that tanh is computed from in float32 at AVX-512 (csrc/math.inc.c).

    python tools/tanh_table.py

Of |x| + OFFSET, an exponent and BITS bits of the mantissa number the intervals: short ones where tanh bends, long
ones where it is all but 1.  Each has a centre c with a tanh that a float32 all but holds, and a polynomial of degree 4
in |x| - c, whose largest relative error is the least there is (Lawson, 1961: least squares, with weights that grow
where the error is large).
"""

import numpy as np
from numpy.typing import NDArray

OFFSET = 0.640625
BITS = 3
LAST = 9.25  # tanh rounds to 1 before
DEGREE = 4
ENTRIES = 32
AWAY = 0.3  # parts of an interval between its ends and its centre, at least
CENTRES = 10000  # how many numbers are tried
POINTS = 400
ROUNDS = 80


def number_of(x: float) -> int:
    """Return the exponent and the first bits of x in float32, which number an interval."""
    return int(np.float32(x).view(np.uint32)) >> (23 - BITS)


def edge(number: int) -> float:
    """Return the |x| at which an interval begins."""
    return max(0.0, float(np.uint32(number << (23 - BITS)).view(np.float32)) - OFFSET)


def centre(low: float, high: float) -> float:
    """Return the number, not near the ends, whose tanh is nearest to a float32."""
    part = (high - low) * AWAY
    near = np.linspace(low + part, high - part, CENTRES).astype(np.float32)
    exact = np.tanh(near.astype(np.longdouble))
    held = exact.astype(np.float32)
    return float(near[np.argmin(np.abs(exact - held) / np.spacing(held))])


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
    for number in range(number_of(OFFSET), number_of(LAST + OFFSET) + 1):
        columns[number % ENTRIES], error = coefficients(edge(number), min(edge(number + 1), LAST))
        worst = max(worst, error)
    print(f"/* largest relative error 2^{np.log2(worst):.1f} */")
    for row in zip(*columns, strict=True):
        print("    {" + ", ".join(f"{float(value).hex().replace('0000000p', 'p')}f" for value in row) + "},")


if __name__ == "__main__":
    main()
