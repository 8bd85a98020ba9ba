/* cpu.h: which levels this machine, and its operating system, can run. */
#ifndef FNN_CPU_H
#define FNN_CPU_H

int fnn_cpu_has_baseline(void);
int fnn_cpu_has_avx2(void);
int fnn_cpu_has_avx512(void);
int fnn_cpu_has_neon(void);

#endif
