# _compile_cy.pxd: a program as C structs.

cimport numpy as cnp

from fastnn._fastnn cimport fnn_size
from fastnn.engine._op_cy cimport N_SECTIONS, op, oplist, parameter_array, shared

cdef char *pointer(cnp.ndarray array) noexcept

# The pointers of some ops to one buffer, which a prediction sets to the caller's memory.
cdef struct references:
    char ***at
    int n

cdef class CompiledProgram:
    cdef readonly object program
    cdef readonly object dtype
    cdef readonly Py_ssize_t capacity
    cdef oplist sections[N_SECTIONS]
    cdef shared shared
    cdef references to_input    # of the forward ops
    cdef references to_output
    cdef char *input
    cdef char *output
    cdef fnn_size in_features
    cdef fnn_size out_features
    cdef bint calls_python
    cdef bint copies_output     # of a prediction: its ops do not write to the caller's memory
    cdef bint has_ids           # an op reads ids from the feed
    cdef fnn_size n_groups      # of parameters; each has its own scalars
    cdef fnn_size n_scalars     # of all groups and the average, or 0 where the program does not state it
    cdef bint averaged          # the last of the slots is an average of the parameters, not the optimiser's
    cdef dict buffers
    cdef object params
    cdef object grads
    cdef tuple slots
    cdef object means           # the mean gradients of several batches, or None
    cdef object state           # the net's running statistics
    cdef object state_before    # a copy, restored after a step that fails, or None
    cdef char *state_data
    cdef char *kept_state       # that copy, or NULL
    cdef fnn_size state_bytes
    cdef readonly object observations
    cdef object labels          # of a batch
    cdef object weights
    cdef list panel_params      # indices of the parameters that may be in panels
    cdef list owners            # all other objects that a pointer points into
    cdef int _make_buffers(self, state) except -1
    cdef int _make_shared(self, seed) except -1
    cdef int _make_parameters(self) except -1
    cdef int _fill_parameter(self, parameter_array *p, str name) except -1
    cdef bint _may_be_in_panels(self, str name, const parameter_array *p) except -1
    cdef int _fill_section(self, oplist *compiled, tuple ops) except -1
    cdef int _fill_op(self, op *o, source_op) except -1
    cdef int _fill_columns(self, op *o, source_op) except -1
    cdef int _fill_encoding(self, op *o, attrs) except -1
    cdef int _fill_table(self, op *o, source_op) except -1
    cdef char *_room(self, dtype) except? NULL
    cdef int _fill_call(self, op *o, source_op) except -1
    cdef int _fill_augmentation(self, op *o, source_op) except -1
    cdef int _fill_head(self, op *o, attrs) except -1
    cdef int _fill_loss(self, op *o, attrs) except -1
    cdef int _fill_updates(self, op *o, source_op) except -1
    cdef int _fill_average(self, op *o) except -1
    cdef int _fill_observation(self, op *o, source_op) except -1
    cdef int _find_references(self, references *to, str name) except -1
