"""The limits of what is usual, which `diagnose` and `Watch` share.

`diagnose` tries what it suspects, and so suspects early; `Watch` tries nothing, and warns where there is little doubt.
"""

SATURATED = 0.5  # of the entries of an activation: most of its gradient is lost
DEAD = 0.4  # of the units of a layer: 10 to 20 % are common, and do no harm

# The size of the first layer's gradient over that of the last one.
VANISHED, SURELY_VANISHED = 1e-2, 1e-3
EXPLODED, SURELY_EXPLODED = 30.0, 100.0

# Root mean squares between which nets learn as they are meant to: of a column of the input, and of all entries, where
# columns of zeros and ones, and dark pixels, make it smaller.
SMALL_COLUMN, LARGE_COLUMN = 0.1, 3.0
SMALL_INPUT, LARGE_INPUT = 0.05, 5.0

# The size of an update over that of the weights: about 1e-3 is usual (Karpathy, CS231n).
SMALL_UPDATE, LARGE_UPDATE = 1e-5, 0.1
