# _activations_cy.pxd: PReLU over a whole batch, for the engine.

from fastnn._fastnn cimport fnn_kernels, fnn_size

cdef struct slopes:
    const fnn_kernels *kernels
    const char *x
    const char *slope
    fnn_size slope_col          # 1, or 0 if all columns share one slope
    fnn_size rows
    fnn_size cols
    char *y                     # forward
    const char *dy              # backward
    char *dx
    char *dslope                # an entry for each column; the first gets the gradient of a shared slope

cdef void prelu_values(slopes *p, int threads) noexcept nogil
cdef void prelu_gradients(slopes *p, int threads) noexcept nogil
