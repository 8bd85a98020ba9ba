# _arrays.pxd: arrays' structs. All inline: there is no module to load, and none of the kernels.

cimport numpy as cnp
from cpython.weakref cimport PyWeakref_NewRef

from fastnn._fastnn cimport fnn_size

cdef struct plain_array:
    # An ndarray as kernels can read it: in the machine's byte order, and aligned.
    char kind               # "f" float32, "d" float64, "B" uint8, "q" int64
    char *data
    int ndim
    const Py_ssize_t *shape
    const Py_ssize_t *strides   # in bytes
    fnn_size size           # in elements
    fnn_size itemsize
    bint contiguous         # in the order of C
    bint writable


cdef inline bint can_be_read(cnp.ndarray array) noexcept:
    """Whether an array is aligned and in the machine's byte order."""
    return cnp.PyArray_FLAGS(array) & cnp.NPY_ARRAY_ALIGNED and cnp.PyArray_ISNOTSWAPPED(array)


cdef inline bint fill_plain(cnp.ndarray array, plain_array *a) noexcept:
    """Fill the struct of an array. Return whether kernels can read such elements.

    Only macros that need no `import_array` in the module.
    """
    cdef int flags = cnp.PyArray_FLAGS(array), number = cnp.PyArray_TYPE(array), i
    a.kind = (c"f" if number == cnp.NPY_FLOAT32 else c"d" if number == cnp.NPY_FLOAT64 else
              c"B" if number == cnp.NPY_UINT8 else c"q" if number == cnp.NPY_INT64 else 0)
    a.itemsize = 4 if a.kind == c"f" else 1 if a.kind == c"B" else 8
    a.data = <char *> cnp.PyArray_DATA(array)
    a.ndim, a.shape = cnp.PyArray_NDIM(array), <const Py_ssize_t *> cnp.PyArray_DIMS(array)
    a.strides = <const Py_ssize_t *> cnp.PyArray_STRIDES(array)
    a.size = 1
    for i in range(a.ndim):
        a.size *= a.shape[i]
    a.contiguous, a.writable = flags & cnp.NPY_ARRAY_C_CONTIGUOUS, flags & cnp.NPY_ARRAY_WRITEABLE
    return a.kind and can_be_read(array)


cdef inline bint apart(const plain_array *a, const plain_array *b) noexcept nogil:
    """Whether two contiguous arrays share no memory."""
    return a.data >= b.data + b.size * b.itemsize or b.data >= a.data + a.size * a.itemsize


cdef inline object guard_of(array):
    """Return a weak reference to the array that owns the memory: while it exists, NumPy refuses to resize that one.

    None for what is no array. For modules that call `import_array`.
    """
    if not cnp.PyArray_Check(array):
        return None
    owner = array
    while cnp.PyArray_Check(owner):
        array, owner = owner, owner.base
    return PyWeakref_NewRef(array, None)
