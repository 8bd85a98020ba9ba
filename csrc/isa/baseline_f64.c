/* baseline_f64.c: the kernels of the level baseline (x86-64-v2, no FMA), double. */
#define FNN_LEVEL baseline
#define FNN_VBYTES 16
#define FNN_F64
#include "../unit.inc.c"
