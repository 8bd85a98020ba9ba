/* threads.h: the thread pool, each thread's scratch memory, and the clock.  Contracts in fastnn.h. */
#ifndef FNN_THREADS_H
#define FNN_THREADS_H

#include "fastnn.h"

void fnn_parallel(fnn_task task, void *context, fnn_size n, int threads);
void fnn_keep_workers_awake(void);
void fnn_let_workers_sleep(void);
void *fnn_scratch(void);
double fnn_clock(void);

#endif
