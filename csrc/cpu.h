/* cpu.h: which levels this machine and its operating system support, and the size of the second-level cache. */
#ifndef FNN_CPU_H
#define FNN_CPU_H

#include <stddef.h>

int fnn_cpu_has_baseline(void);
int fnn_cpu_has_avx2(void);
int fnn_cpu_has_avx512(void);
int fnn_cpu_has_neon(void);

/* Bytes of a core's second-level cache, or a usual size where the system does not report it. */
ptrdiff_t fnn_cpu_l2_bytes(void);

#endif
