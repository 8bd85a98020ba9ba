"""The floating-point mode of the calling thread, which other libraries may set, as those built with -ffast-math do."""

import contextlib
import ctypes
import platform

import numpy as np
import pytest

# The C library's fenv_t: the offset of the control register, and the bits of each mode in it.
_REGISTER = {
    "x86_64": (28, {"flush": 1 << 15 | 1 << 6, "up": 1 << 14, "down": 1 << 13, "to zero": 3 << 13}),
    "aarch64": (0, {"flush": 1 << 24, "up": 1 << 22, "down": 1 << 23, "to zero": 3 << 22}),
}
_OFFSET, _BITS = _REGISTER.get(platform.machine(), (0, {}))
MODES = ("flush", "up", "down", "to zero")


def _environment():
    environment = ctypes.create_string_buffer(64)
    if ctypes.CDLL(None).fegetenv(environment) != 0:
        pytest.skip("fegetenv fails, so the floating-point mode is unknown")
    return environment


def control():
    """Return the control register, without the status flags of past operations."""
    register = ctypes.c_uint32.from_buffer(_environment(), _OFFSET).value
    return register & ~0x3F if platform.machine() == "x86_64" else register


@contextlib.contextmanager
def fp_mode(name):
    """Run the block with denormals flushed to zero, or with another rounding mode."""
    if name not in _BITS or not hasattr(ctypes.CDLL(None), "fesetenv"):
        pytest.skip("the floating-point mode cannot be set here")
    before, changed = _environment(), _environment()
    ctypes.c_uint32.from_buffer(changed, _OFFSET).value |= _BITS[name]
    ctypes.CDLL(None).fesetenv(changed)
    try:
        # 1 / 3 is rounded down by default, 1 / 10 up.
        small, third, tenth = np.full(4, 1e-38, np.float32) * np.float32(0.5), np.ones(4) / 3, np.ones(4) / 10
        shown = {"flush": small[0] == 0, "up": third[0] > 0.3333333333333333}.get(name, tenth[0] < 0.1)
        assert shown, f"the mode {name!r} has no effect"
        yield
    finally:
        ctypes.CDLL(None).fesetenv(before)
