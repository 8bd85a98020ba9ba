"""Specs of the statistics of an array's entries."""

import numpy as np

from .spec import BOUND, EXACT, Spec, normal

NAMES = ("mean", "std", "min", "max", "rms", "zeros", "saturated", "nonfinite", "dead")


def make(rng, shape, dtype):
    x = normal(rng, shape, dtype)
    x += np.asarray(0.5, dtype)
    x[..., rng.random(x.shape[-1:]) < 0.25] = 0  # of a matrix: units that are dead
    return {"x": x, "low": -1.0, "high": 1.5}


def entry_statistics(x, low, high):
    """Bound: float64 adds, whatever the dtype is.

    The mean of 512 entries: 32 additions to each of 16 sums, 4 of these and a division. Joining the means of chunks
    takes 3 roundings each. So the mean is within (37 + 3 chunks) of the mean magnitude, and so is the root mean square.

    The squared differences have as many terms, 3 roundings more each. They are taken from a rounded mean, which adds
    the square of its error to all of them and takes it away again. So the deviation is within the same multiple of
    itself, and that of the added square's share in its own: it loses digits only below 37 times the last bit of the
    entries. Where all entries are the same it is 0.
    """
    x, n = np.asarray(x), np.size(x)
    in_float64 = np.finfo(np.float64).eps / np.finfo(x.dtype).eps
    counts = (np.count_nonzero(~np.isfinite(x)), np.all(x == 0, axis=0).mean() if x.ndim == 2 and n else 0.0)
    if n == 0:
        return (*[(np.nan, 0)] * 2, *[np.nan] * 2, (np.nan, 0), *[np.nan] * 2, *counts)
    long, numbers = x.astype(np.longdouble), x[~np.isnan(x)].astype(np.float64)
    finite = np.isfinite(x).all()
    mean = long.mean() if finite else np.nan
    mean = mean + (long - mean).mean()  # of large numbers it has been rounded
    std = np.sqrt(((long - mean) ** 2).mean())
    rms = np.sqrt((long * long).mean()) if finite else np.nan
    each = 45 + 3 * (n // 512 + 1)
    bound = 2 * each * in_float64 * np.nan_to_num(rms, posinf=0) * np.ones(())
    eps = np.finfo(np.float64).eps
    bound_of_std = 2 * each * in_float64 * (std + (37 * eps * rms) ** 2 / std) if std > 0 else np.zeros(())
    extremes = (numbers.min() + 0.0, numbers.max() + 0.0) if numbers.size else (np.nan, np.nan)
    shares = (np.count_nonzero(x == 0) / n, np.count_nonzero((x <= low) | (x >= high)) / n)
    return ((mean, bound), (std, bound_of_std), *extremes, (rms, bound), *shares, *counts)


def by_hand(x, low, high):
    shares = [(x == 0).mean(), ((x <= low) | (x >= high)).mean()]
    return (x.mean(), x.std(), x.min(), x.max(), np.sqrt((x * x).mean()), *shares, (~np.isfinite(x)).sum(), 0.0)


SPECS = [
    Spec(
        name="entry_statistics",
        family="statistics",
        twin="entry_statistics",
        make=make,
        oracle=entry_statistics,
        tiers={name: BOUND if name in ("mean", "std", "rms") else EXACT for name in NAMES},
        numpy=by_hand,
        returns=NAMES,
        out=None,
        edge_arguments=("x",),
        edge_values=(0.0, -0.0, 1.0, -1.0, 1.5, 1e-40, 1e10, np.nan, np.inf, -np.inf),
        shapes=(
            (0,),
            (3, 0),
            (),
            (3, 5),
            (1,),
            (16,),
            (17,),
            (31,),
            (64, 33),
            (511,),
            (513,),
            (2, 3, 7),
            (2053,),
            (9, 61),
        ),
        large_shape=(4099, 293),
        bench_shapes=((64, 64), (1024, 1024)),
    ),
]
