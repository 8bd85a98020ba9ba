"""Settings with a process-wide default and an override in each context, which compiled code can read.

Every call of a kernel reads the two settings of fastnn: for small arrays in Python that would be much of its time.
"""

import contextlib
from contextvars import ContextVar

from cpython.contextvars cimport get_value


cdef class Setting:
    """A value with a process-wide default, computed at first use, and an override for each context.

    Parameters
    ----------
    name : str
        The name of the context variable.
    find_default : callable
        Computes the default.

    Attributes
    ----------
    _default
        The default, None before its first use.
    before_threads : callable or None
        Called once, before a number of threads above 1 is first returned; None for other settings, and after that.
    """

    def __init__(self, str name, find_default):
        self._find_default, self._default, self.before_threads = find_default, None, None
        self._override = ContextVar(name, default=None)

    # For annotations: the stub's class is generic, which a compiled class is not by itself.
    @classmethod
    def __class_getitem__(cls, kind):
        return cls

    def get(self):
        """Return the value of this context."""
        return value_of(self)

    def set_default(self, value):
        """Set the process-wide default; None has it computed at the next use."""
        self._default = value

    def set_current(self, value):
        """Set the override if this context has one, else the default."""
        if self._override.get() is None:
            self._default = value
        else:
            self._override.set(value)

    def override(self, value):
        """Return a context manager, within which this context has its own value."""
        return _overridden(self._override, value)


@contextlib.contextmanager
def _overridden(variable, value):
    """Set a context variable, and set it back at the end."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


cdef object value_of(Setting setting):
    value = get_value(setting._override)
    if value is None:
        if setting._default is None:
            setting._default = setting._find_default()
        value = setting._default
    if setting.before_threads is not None and value > 1:
        before, setting.before_threads = setting.before_threads, None  # it may read the setting
        before()
    return value


# The settings that compiled code reads. Before `share` they are unusable, but objects: reading them is a TypeError.
cdef Setting _backend = Setting("fastnn_unknown_backend", None)
cdef Setting _num_threads = Setting("fastnn_unknown_num_threads", None)


def share(Setting backend not None, Setting num_threads not None):
    """Make the two settings known to compiled code."""
    global _backend, _num_threads
    _backend, _num_threads = backend, num_threads


cdef bint backend_is_native() except -1:
    """Whether the current backend is the native one. The number of threads is not read, nor `before_threads` called."""
    return <str> value_of(_backend) == "native"


cdef int current_settings(bint *native, int *threads) except -1:
    """Write whether the current backend is the native one, and the number of threads."""
    native[0] = backend_is_native()
    threads[0] = value_of(_num_threads)
    return 0
