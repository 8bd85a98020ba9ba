"""The ops that call Python functions: custom augmentations, custom layers and custom losses.

An exception is kept for the caller of the run, which ends at once.
"""

from cpython.ref cimport Py_DECREF, Py_INCREF

from fastnn.engine._augment_ops_cy cimport keep_columns
from fastnn.engine._op_cy cimport add_loss, op, shared


cdef void keep_error(shared *s, error) noexcept:
    """Store a Python function's exception for the caller of the run."""
    Py_INCREF(error)
    s.error = <void *> error


cdef take_error(shared *s):
    """Return the exception that a Python function has raised, or None, and forget it."""
    if s.error is NULL:
        return None
    error = <object> s.error
    s.error = NULL
    Py_DECREF(error)
    return error


cdef void run_call(op *o, shared *s) noexcept with gil:
    """Call the function of a custom layer."""
    try:
        function, arrays, _ = <tuple> o.call
        function(*[array[:s.rows] for array in arrays])
    except BaseException as error:
        keep_error(s, error)


cdef void run_custom_augmentation(op *o, shared *s) noexcept with gil:
    """Call a function that augments the batch, unless a number of the batch is out of range: then the run ends."""
    if s.feed is NULL or not s.in_range:
        return
    try:
        function, (x, y), _ = <tuple> o.call
        function(x[:s.rows], y[:s.rows], s.stream.seed, o.stream, s.stream.step)
        keep_columns(o, s)
    except BaseException as error:
        keep_error(s, error)


cdef void run_custom_loss(op *o, shared *s) noexcept with gil:
    """Call the function of a custom loss."""
    try:
        function, (z, target, dz), weight = <tuple> o.call
        z, dz, target = z[:s.rows], dz[:s.rows], target[:s.rows]
        weight = None if s.weight is NULL else weight[:s.rows]
        add_loss(o, s, function(z, dz, target, weight))
        s.loss_weight = s.rows if weight is None else abs(weight).sum()
    except BaseException as error:
        keep_error(s, error)
