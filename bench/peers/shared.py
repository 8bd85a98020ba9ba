"""What the peers share: Adam's settings, the order of the batches, and the exception for a peer that is left out."""

import itertools

LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8  # Adam's settings in every library


class Missing(Exception):
    """A peer cannot take part; the message says why."""


def first_batches(config, order, steps):
    """Yield the first batch of each call, over and over through the epoch."""
    return itertools.cycle(range(0, len(order) // config.batch - steps + 1, steps))
