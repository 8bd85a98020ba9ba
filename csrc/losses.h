/* losses.h: functions that losses.inc.c (a row's loss in the table's type) and losses_wide.c (the same in double) share. */
#ifndef FNN_LOSSES_H
#define FNN_LOSSES_H

#include <math.h>

#include "fastnn.h"

/* scikit-learn's log loss clips probabilities to [eps, 1 - eps], where eps is that of the type.  These are the losses of the
 * probabilities 1 - eps and eps. */
#define LEAST_LOG_LOSS(itemsize) ((itemsize) == 4 ? 1.1920929665620917e-07 : 2.2204460492503133e-16)
#define LARGEST_LOG_LOSS(itemsize) ((itemsize) == 4 ? 15.942385152878742 : 36.043653389117157)

/* The log loss of the clipped probability.  The gradient stays that of the probability without clipping. */
static inline double clamp_loss(double loss, fnn_size itemsize) {
    return loss < LEAST_LOG_LOSS(itemsize)     ? LEAST_LOG_LOSS(itemsize)
           : loss > LARGEST_LOG_LOSS(itemsize) ? LARGEST_LOG_LOSS(itemsize)
                                               : loss;
}

/* The constant of a Poisson loss: the one that makes it a deviance, whose value at the target is 0, or Stirling's approximation
 * of log t!, which PyTorch adds with full=True. */
static inline double poisson_constant(double t, int deviance) {
    if (deviance) return t > 0 ? t * log(t) - t : 0 * t; /* 0, or NaN */
    return t > 1 ? t * log(t) - t + 0.5 * log(6.28318530717958647692 * t) : 0 * t;
}

double fnn_loss_wide(int kind, fnn_size itemsize, const void *z, const void *target, fnn_size n, double scale, void *grad,
                     const double *parameters);

#endif
