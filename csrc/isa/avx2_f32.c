/* avx2_f32.c: the kernels of the level avx2 (x86-64-v3, with FMA), float. */
#define FNN_LEVEL avx2
#define FNN_VBYTES 32
#define FNN_F32
#include "../unit.inc.c"
