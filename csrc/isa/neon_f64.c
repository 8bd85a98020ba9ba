/* neon_f64.c: the kernels of the level neon (aarch64), double. */
#define FNN_LEVEL neon
#define FNN_VBYTES 16
#define FNN_F64
#include "../unit.inc.c"
