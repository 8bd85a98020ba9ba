/* avx512_f32.c: the kernels of the level avx512 (x86-64-v4), float. */
#define FNN_LEVEL avx512
#define FNN_VBYTES 64
#define FNN_F32
#include "../unit.inc.c"
