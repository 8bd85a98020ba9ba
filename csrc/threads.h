/* threads.h: the pool, each thread's scratch memory, and the clock; contracts in fastnn.h. */
#ifndef FNN_THREADS_H
#define FNN_THREADS_H

#include "fastnn.h"

void fnn_parallel(fnn_task task, void *context, fnn_size n, int threads);
void fnn_hold(void);
void fnn_release(void);
void *fnn_scratch(void);
double fnn_clock(void);

#endif
