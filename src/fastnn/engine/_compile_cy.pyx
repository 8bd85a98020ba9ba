"""Compilation of a program: each op becomes a C struct with a pointer for each buffer, filled once."""

import sys

import numpy as np

cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from fastnn._fastnn cimport fnn_run_of_columns, fnn_size
from fastnn._native cimport activation_index, fill_parameters, kernels_for, loss_index, reserve_scratch, update_index
from fastnn.engine._op_cy cimport FORWARD, N_SECTIONS, X, augment_op, observe_op, op, oplist, parameter_array, shared
from fastnn.kernels._augmentation_cy cimport batch_change
from fastnn.engine._ops_cy cimport body_of
from fastnn.kernels._embedding_cy cimport table_gradient
from fastnn.kernels._joins_cy cimport find_runs
from fastnn.kernels._product_cy cimport panels_pay
from fastnn.kernels._losses_cy cimport partials
from fastnn.kernels._optimizers_cy cimport COUPLED, DECOUPLED, MAX_SLOTS, NO_DECAY, chunks

from fastnn._validation import refuse, refuse_memory
from fastnn.engine.arena import aligned_zeros
from fastnn.engine.lower import SECTIONS as _SECTIONS
from fastnn.engine.observe import empty_table
from fastnn.engine.ops import ROLES as _ROLES, derivative_needs_input, output_holds_mask
from fastnn.kernels._beta import symmetric_quantiles
from fastnn.kernels._bins import table as bin_table
from fastnn.kernels.normalization import rms_eps

cdef dict ROLE_INDEX = {name: i for i, name in enumerate(_ROLES)}
cdef dict DECAY = {"": NO_DECAY, "coupled": COUPLED, "decoupled": DECOUPLED}


cdef char *pointer(cnp.ndarray array) noexcept:
    return <char *> cnp.PyArray_DATA(array)


cdef fnn_size columns(array) except -1:
    return array.shape[array.ndim - 1]


cdef int fill_epilogue(op *o, source_op) except -1:
    attrs = source_op.attrs
    o.activation = activation_index(attrs["activation"])
    o.derivative_needs_input = derivative_needs_input(source_op)
    fill_parameters(attrs["parameters"], o.constants)
    o.p, o.stream = attrs["p"], attrs["stream"]
    o.masked = o.p > 0.0 and output_holds_mask(source_op)
    return 0


cdef class CompiledProgram:
    """A program's ops as C structs, and the memory that they point into."""

    def __cinit__(self):
        memset(self.sections, 0, sizeof(self.sections))
        memset(&self.shared, 0, sizeof(shared))
        self.to_input.at, self.to_output.at = NULL, NULL

    def __dealloc__(self):
        for i in range(N_SECTIONS):
            PyMem_Free(self.sections[i].ops)
        PyMem_Free(self.shared.params)
        PyMem_Free(self.to_input.at)
        PyMem_Free(self.to_output.at)

    def __init__(self, program, dtype, Py_ssize_t capacity, params, state, grads=None, tuple slots=(), seed=0,
                 means=None):
        self.program = program
        self.dtype = np.dtype(dtype)
        self.capacity = capacity
        if capacity * sum(program.batch.values()) * self.dtype.itemsize > sys.maxsize:
            refuse(ValueError, "capacity", f"need buffers of at most {sys.maxsize} bytes", f"{capacity} rows")
        if len(slots) > MAX_SLOTS:
            refuse(ValueError, "slots", f"be at most {MAX_SLOTS} arrays", len(slots))
        program.check(params, state, slots, means)
        reserve_scratch()
        self.params, self.grads, self.slots, self.owners, self.panel_params = params, grads, slots, [], []
        self.means = means if program.accumulates else None
        self.calls_python, self.has_ids = program.calls_python, len(program.ids) > 0
        self.copies_output = program.calls_python or program.output == program.input
        self.n_groups = program.update.n_groups if program.update is not None else 1
        self.averaged = program.update is not None and program.update.averaged
        self.n_scalars = program.update.n_scalars if program.update is not None else 0
        self.observations = empty_table(program.measured)
        self._make_buffers(state)
        self._make_shared(seed)
        self._make_parameters()
        for i, name in enumerate(_SECTIONS):
            self._fill_section(&self.sections[i], program.sections.get(name, ()))
        self._find_references(&self.to_input, program.input)
        self._find_references(&self.to_output, program.output)

    cdef int _make_buffers(self, state) except -1:
        program = self.program
        self.buffers = {name: aligned_zeros(self.capacity * width, self.dtype).reshape(self.capacity, width)
                        for name, width in program.batch.items()}
        self.buffers.update({name: aligned_zeros(width, self.dtype) for name, width in program.vectors.items()})
        self.buffers.update({name: np.zeros(self.capacity, np.int64) for name in program.ids})
        for space, arena in (("param", self.params), ("state", state), ("grad", self.grads)):
            if arena is not None:
                self.owners.append(arena)
                self.buffers.update({f"{space}:{name}": view for name, view in arena.views().items()})
        if program.input:
            self.input, self.in_features = pointer(self.buffers[program.input]), program.batch[program.input]
            self.output, self.out_features = pointer(self.buffers[program.output]), program.batch[program.output]
        self.state, self.state_data, self.state_bytes = state.data, NULL, 0
        if self.state.size and (program.calls_python or program.target):
            self.state_before = self.state.copy()
            self.state_data, self.kept_state = pointer(self.state), pointer(self.state_before)
            self.state_bytes = self.state.nbytes
        self.labels, self.weights = np.zeros((program.n_heads, self.capacity), np.int64), np.zeros(self.capacity)
        return 0

    cdef int _make_shared(self, seed) except -1:
        cdef shared *s = &self.shared
        cdef fnn_size widest = max(self.program.batch.values(), default=0)
        vectors, partial = aligned_zeros(3 * widest, self.dtype), np.zeros(partials(self.capacity) + 1)
        self.owners += [vectors, partial]
        s.kernels = kernels_for(self.dtype.itemsize)
        s.stream.seed = seed
        s.vectors = pointer(vectors)
        s.zeros = s.vectors + 2 * widest * s.kernels.itemsize
        s.partial = <double *> pointer(partial)
        s.labels, s.weights = <int64_t *> pointer(self.labels), <double *> pointer(self.weights)
        s.n_classes = self.out_features
        s.update.clip = s.share = 1.0
        s.group_batches = 1
        return 0

    # ---- parameters ----

    cdef int _make_parameters(self) except -1:
        cdef shared *s = &self.shared
        cdef int i
        if self.program.update is None or self.grads is None:
            return 0
        s.clip_norm = self.program.update.clip_norm
        layout = self.params.layout
        names = tuple(layout)
        sums = np.zeros(2 * chunks(max((layout.elements(name) for name in names), default=0)) + 1)
        self.owners.append(sums)
        s.sums = <double *> pointer(sums)
        s.params = <parameter_array *> PyMem_Calloc(max(1, len(names)), sizeof(parameter_array))
        if s.params is NULL:
            refuse_memory("a program's parameters")
        s.n_params = len(names)
        for i, name in enumerate(names):
            self._fill_parameter(&s.params[i], name)
            if self._may_be_in_panels(name, &s.params[i]):
                self.panel_params.append(i)
        return 0

    cdef int _fill_parameter(self, parameter_array *p, str name) except -1:
        """Fill the struct of one array of parameters and of its update."""
        cdef fnn_size offset = self.params.layout.offsets[name] * self.dtype.itemsize
        update = self.program.update
        p.kernels, p.step = self.shared.kernels, &self.shared.update
        p.kind, p.n_slots = update_index(update.kind), len(self.slots) - self.averaged
        p.size, p.width = self.params.layout.elements(name), columns(self.params.view(name))
        if update.has_penalty and name in update.penalized:
            p.l1, p.l2, p.per_batch = update.l1, update.l2, update.per_batch
        p.group, p.clip_value = update.groups.get(name, 0), update.clip_value
        p.decay, p.max_norm = DECAY[update.decay], update.max_norms.get(name, INFINITY)
        p.has_preparation = p.l1 > 0 or p.l2 > 0 or update.decay or min(update.clip_value, update.clip_norm) < INFINITY
        if name in update.sparse:
            p.marks = <const uint8_t *> pointer(self.grads.marks(name))
        p.frozen = name in update.frozen
        p.w, p.g = pointer(self.params.data) + offset, pointer(self.grads.data) + offset
        for i in range(len(self.slots)):
            p.slots[i] = pointer(self.slots[i]) + offset
        p.mean = NULL if self.means is None else pointer(self.means) + offset
        return 0

    cdef bint _may_be_in_panels(self, str name, const parameter_array *p) except -1:
        """Return whether a weight may be in panels.

        It may if it is large enough, and only products, elementwise updates and a penalty use it during steps
        (docs/decisions, 14).
        """
        if (self.calls_python or min(p.max_norm, self.shared.clip_norm) < INFINITY
                or not panels_pay(p.kernels, p.size // p.width, p.width)):
            return False
        arrays = {f"param:{name}", f"grad:{name}"}
        users = [op for ops in self.program.sections.values() for op in ops
                 if not arrays.isdisjoint(op.buffers.values())]
        return len(users) > 0 and all([op.spec.weight_in_panels for op in users])

    # ---- ops ----

    cdef int _fill_section(self, oplist *compiled, tuple ops) except -1:
        compiled.ops = <op *> PyMem_Calloc(max(1, len(ops)), sizeof(op))
        if compiled.ops is NULL:
            refuse_memory("a program's ops")
        compiled.n = len(ops)
        for i, source_op in enumerate(ops):
            self._fill_op(&compiled.ops[i], source_op)
        return 0

    cdef int _fill_op(self, op *o, source_op) except -1:
        attrs, names = source_op.attrs, list(self.params.layout)
        o.run = body_of(source_op.kind)
        for role, where in source_op.buffers.items():
            k = ROLE_INDEX[role]
            o.data[k], o.width[k] = pointer(self.buffers[where]), columns(self.buffers[where])
        if source_op.spec.epilogue:
            fill_epilogue(o, source_op)
        if source_op.spec.weight_in_panels:
            o.w_panels = names.index(source_op.buffers["w"].partition(":")[2]) in self.panel_params
        o.eps, o.momentum = rms_eps(attrs.get("eps", 0.0), self.dtype), attrs.get("momentum", 0.0)
        if "head" in attrs:
            self._fill_head(o, attrs)
        o.factor, o.clear = attrs.get("factor", 1.0), attrs.get("clear", False)
        if "own_row" in attrs:
            o.column, o.table_rows, o.own_row = attrs["column"], attrs["size"], attrs["own_row"]
        if "padding_idx" in attrs:
            self._fill_table(o, source_op)
        elif "columns" in attrs:
            self._fill_columns(o, source_op)
        if "n_columns" in attrs:
            self._fill_encoding(o, attrs)
        if source_op.spec.augments:
            self._fill_augmentation(o, source_op)
        if "function" in attrs:
            self._fill_call(o, source_op)
        if "loss" in attrs:
            self._fill_loss(o, attrs)
        if source_op.updatable and attrs["update"]:
            self._fill_updates(o, source_op)
        if source_op.kind == "average":
            self._fill_average(o)
        if "entry" in attrs or source_op.kind == "keep":
            self._fill_observation(o, source_op)
        return 0

    cdef int _fill_columns(self, op *o, source_op) except -1:
        """Store the columns of a copy as runs of neighbours."""
        cdef const int64_t[::1] columns = np.array(source_op.attrs["columns"], np.int64)
        cdef fnn_run_of_columns *runs
        memory = np.empty((len(columns), 3), np.intp)
        self.owners.append(memory)
        runs = <fnn_run_of_columns *> pointer(memory)
        o.runs, o.n_runs = runs, find_runs(&columns[0], len(columns), source_op.spec.writes_columns, runs)
        return 0

    cdef int _fill_table(self, op *o, source_op) except -1:
        """Store the table of an embedding, and room for the lists of rows with the same id if it is a gradient."""
        cdef table_gradient *t = &o.table
        attrs, name = source_op.attrs, source_op.buffers["w"].partition(":")[2]
        o.first_column, o.sparse = attrs["columns"][0], attrs["sparse"]
        if source_op.kind == "embedding":
            return 0
        t.kernels, t.update = self.shared.kernels, &o.first
        t.n, t.width = self.params.layout.shapes[name]
        t.padding = -1 if attrs["padding_idx"] is None else attrs["padding_idx"]
        lists = np.full(t.n, -1, np.int32), np.zeros(self.capacity + 1, np.int32), np.zeros(self.capacity + 1, np.int64)
        self.owners.append(lists)
        t.first, t.next = <int32_t *> pointer(lists[0]), <int32_t *> pointer(lists[1])
        t.found = <int64_t *> pointer(lists[2])
        if o.sparse:
            t.marks = <uint8_t *> pointer(self.grads.marks(name))
        return 0

    cdef int _fill_encoding(self, op *o, attrs) except -1:
        """Store which columns are encoded, and the numbers of their bins."""
        o.first_column, o.n_columns = attrs["column"], attrs["n_columns"]
        if "bins" in attrs:
            numbers, starts = bin_table(attrs["bins"], self.dtype)
            self.owners += [numbers, starts]
            o.bins, o.starts = pointer(numbers), <const int64_t *> pointer(starts)
        return 0

    cdef int _fill_augmentation(self, op *o, source_op) except -1:
        """Store the settings of an augmentation, the columns that stay as they are, and room for what it draws."""
        cdef batch_change *a
        cdef augment_op *m
        attrs = source_op.attrs
        kept = np.array([(each, each, 1) for each in attrs.get("kept", ())], np.intp)
        memory = np.zeros(sizeof(augment_op), np.uint8)
        self.owners += [kept, memory]
        o.augmentation = m = <augment_op *> pointer(memory)
        o.runs, o.n_runs = <const fnn_run_of_columns *> pointer(kept), len(kept)
        o.stream, o.column, o.n_columns = attrs["stream"], attrs.get("id_column", 0), attrs.get("in_features", 0)
        if source_op.kind == "mixup":
            quantiles = symmetric_quantiles(attrs["alpha"])
            self.owners.append(quantiles)
            m.quantiles = <const double *> pointer(quantiles)
            m.partner, m.share = <int64_t *> self._room(np.int64), <double *> self._room(np.float64)
            m.weight = <double *> self._room(np.float64)
        elif source_op.kind == "swap_ids":
            m.ids = <int64_t *> self._room(np.int64)
        a = &m.settings
        a.kernels, a.std, a.p = self.shared.kernels, attrs.get("std", 0.0), attrs.get("p", 0.0)
        a.fill, a.edge, a.vertical = attrs.get("fill", 0.0), attrs.get("edge", False), attrs.get("vertical", False)
        a.image.outer, a.image.height, a.image.width, a.image.inner = attrs.get("layout", (1, 1, 1, 1))
        a.most_down, a.most_right = attrs.get("most", (0, 0))
        return 0

    cdef char *_room(self, dtype) except? NULL:
        """Return memory for a number of each row of a batch."""
        room = np.zeros(self.capacity, dtype)
        self.owners.append(room)
        return pointer(room)

    cdef int _fill_call(self, op *o, source_op) except -1:
        """Store the function, its buffers in the order of the op table, and the weights; labels are a target."""
        given = [self.buffers[source_op.buffers[role]] if role in source_op.buffers
                 else self.labels[source_op.attrs["head"]] for role in source_op.spec.buffers]
        call = source_op.attrs["function"], tuple(given), self.weights
        self.owners.append(call)
        o.call = <void *> call
        return 0

    cdef int _fill_head(self, op *o, attrs) except -1:
        o.labels, o.adds = <int64_t *> pointer(self.labels[attrs["head"]]), attrs.get("adds", False)
        o.column, o.n_classes = attrs.get("column", 0), attrs.get("classes", 0)
        return 0

    cdef int _fill_loss(self, op *o, attrs) except -1:
        constants = np.array(attrs["loss_parameters"], dtype=np.float64)
        self.owners.append(constants)
        o.loss, o.value, o.slope = loss_index(attrs["loss"]), attrs["value"], attrs["slope"]
        if len(constants):
            o.loss_constants = <const double *> pointer(constants)
        return 0

    cdef int _fill_updates(self, op *o, source_op) except -1:
        cdef parameter_array *p
        o.updates = True
        first_updated = next(iter(source_op.spec.updates))
        for name, role in source_op.updatable.items():
            p = &o.first if role == first_updated else &o.second
            self._fill_parameter(p, name)
        return 0

    cdef int _fill_average(self, op *o) except -1:
        """Store all parameters as one array, whose only slot is their average; its scalar follows all groups'."""
        cdef parameter_array *p = &o.first
        p.w, p.size, p.group = pointer(self.params.data), self.params.layout.size, self.n_groups
        p.slots[0] = pointer(self.slots[len(self.slots) - 1])
        return 0

    cdef int _fill_observation(self, op *o, source_op) except -1:
        """Store the limits, the row of the table and room for the numbers of columns; `keep` has none of these."""
        cdef observe_op *m
        attrs, x = source_op.attrs, source_op.buffers["x"]
        memory, columns = np.zeros(sizeof(observe_op), np.uint8), np.zeros(o.width[X], np.intp)
        self.owners += [memory, columns]
        o.observed = m = <observe_op *> pointer(memory)
        m.entries = 0 if x.startswith("batch:") else self.buffers[x].size
        m.columns = <fnn_size *> pointer(columns)
        if "entry" in attrs:
            m.low, m.high = attrs["low"], attrs["high"]
            m.figures = <double *> pointer(self.observations[attrs["entry"]])
        return 0

    cdef int _find_references(self, references *to, str name) except -1:
        """Find the pointers of the forward ops to a buffer."""
        found = [(i, ROLE_INDEX[role]) for i, source_op in enumerate(self.program.sections.get("forward", ()))
                 for role, where in source_op.buffers.items() if where == name]
        to.at = <char ***> PyMem_Calloc(max(1, len(found)), sizeof(char **))
        if to.at is NULL:
            refuse_memory("a program's ops")
        to.n = len(found)
        for n, (i, k) in enumerate(found):
            to.at[n] = &self.sections[FORWARD].ops[i].data[k]
        return 0
