"""`until` repeats something for some time, and longer on a busy machine."""

import time


def until(seconds, enough=lambda: True):
    """Yield for that long, and for up to a minute more until it is `enough`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end or (not enough() and time.monotonic() < end + 60):
        yield
