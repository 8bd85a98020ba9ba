/* cpu.h: which levels this machine, and its operating system, can run, and its caches. */
#ifndef FNN_CPU_H
#define FNN_CPU_H

#include <stddef.h>

int fnn_cpu_has_baseline(void);
int fnn_cpu_has_avx2(void);
int fnn_cpu_has_avx512(void);
int fnn_cpu_has_neon(void);

/* Bytes of a core's second-level cache, or what is usual where the system does not tell. */
ptrdiff_t fnn_cpu_l2_bytes(void);

#endif
