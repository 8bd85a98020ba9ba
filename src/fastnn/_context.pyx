"""Settings with a process-wide default and an override in each context, which compiled code can read.

A call of a small kernel takes a microsecond. In Python, reading the two settings took a fifth of it.
"""

from contextvars import ContextVar

from cpython.contextvars cimport get_value


cdef class Setting:
    """A value with a process-wide default, computed at first use, and an override for each context.

    Attributes
    ----------
    _default
        The default, None before its first use.
    on_several : callable or None
        Is called once, before compiled code or `get_announced` returns the first value above 1.
    """

    def __init__(self, str name, find_default):
        self._find_default, self._default, self.on_several = find_default, None, None
        self._override = ContextVar(name, default=None)

    @classmethod
    def __class_getitem__(cls, kind):
        return cls

    def get(self):
        """Return the value of this context."""
        return value_of(self)

    def get_announced(self):
        """Return the value, an integer, and call `on_several` if it is the first above 1."""
        return announced_value_of(self)


cdef object value_of(Setting setting):
    value = get_value(setting._override)
    if value is not None:
        return value
    if setting._default is None:
        setting._default = setting._find_default()
    return setting._default


cdef int announced_value_of(Setting setting) except -1:
    cdef int value = value_of(setting)
    if value > 1 and setting.on_several is not None:
        announce, setting.on_several = setting.on_several, None
        announce()
    return value


cdef Setting _backend
cdef Setting _num_threads


def share(Setting backend, Setting num_threads):
    """Make the two settings known to `current_settings`."""
    global _backend, _num_threads
    _backend, _num_threads = backend, num_threads


cdef int current_settings(bint *native, int *threads) except -1:
    """Write whether the current backend is the native one, and the number of threads."""
    native[0] = <str> value_of(_backend) == "native"
    threads[0] = announced_value_of(_num_threads)
    return 0
