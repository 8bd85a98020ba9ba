/* avx512_f64.c: the kernels of the level avx512 (x86-64-v4), double. */
#define FNN_LEVEL avx512
#define FNN_VBYTES 64
#define FNN_F64
#include "../unit.inc.c"
