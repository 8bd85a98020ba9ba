# _statistics_cy.pxd: what the entries of an array are like, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

# The figures in the order of fastnn.kernels.EntryStatistics.
cdef enum:
    MEAN, STD, MIN, MAX, RMS, ZEROS, SATURATED, NONFINITE, DEAD, N_FIGURES

cdef struct entries_job:
    const fnn_kernels *kernels
    const char *x
    fnn_size rows
    fnn_size cols
    bint matrix                 # its columns are looked at too
    double low
    double high
    fnn_size *columns           # room for the numbers of all columns of a matrix
    double *figures             # N_FIGURES

cdef void describe_entries(entries_job *j, int threads) noexcept nogil
