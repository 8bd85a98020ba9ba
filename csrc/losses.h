/* losses.h: what a row's loss in the table's type and the same in double (losses_wide.c) share. */
#ifndef FNN_LOSSES_H
#define FNN_LOSSES_H

#include <math.h>

#include "fastnn.h"

/* The losses of probabilities of 1 - epsilon and epsilon of the type, within which scikit-learn holds those of a log loss.  Its
 * gradient is that of the probabilities as they are. */
#define LOSS_OF_MOST(itemsize) ((itemsize) == 4 ? 1.1920929665620917e-07 : 2.2204460492503133e-16)
#define LOSS_OF_LEAST(itemsize) ((itemsize) == 4 ? 15.942385152878742 : 36.043653389117157)

static inline double held(double loss, fnn_size itemsize) {
    return loss < LOSS_OF_MOST(itemsize)    ? LOSS_OF_MOST(itemsize)
           : loss > LOSS_OF_LEAST(itemsize) ? LOSS_OF_LEAST(itemsize)
                                            : loss;
}

/* What PyTorch's `full` adds (Stirling's approximation of log t!), or what makes the loss 0 at the target (the deviance's). */
static inline double poisson_constant(double t, int deviance) {
    if (deviance) return t > 0 ? t * log(t) - t : 0 * t; /* 0, or NaN */
    return t > 1 ? t * log(t) - t + 0.5 * log(6.28318530717958647692 * t) : 0 * t;
}

double fnn_loss_wide(int kind, fnn_size itemsize, const void *z, const void *target, fnn_size n, double scale, void *grad,
                     const double *parameters);

#endif
