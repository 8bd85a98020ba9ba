"""`until` repeats something for some time, and longer on a busy machine."""

import time


def until(seconds, enough=lambda: True):
    """Yield again and again for so many seconds, then until `enough()`, but at most a minute more.

    The caller asserts afterwards that it is enough.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end or (not enough() and time.monotonic() < end + 60):
        yield
