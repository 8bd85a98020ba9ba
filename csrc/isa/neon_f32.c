/* neon_f32.c: the kernels of the level neon (aarch64), float. */
#define FNN_LEVEL neon
#define FNN_VBYTES 16
#define FNN_F32
#include "../unit.inc.c"
