/* baseline_f32.c: the kernels of the level baseline (x86-64-v2, no FMA), float. */
#define FNN_LEVEL baseline
#define FNN_VBYTES 16
#define FNN_F32
#include "../unit.inc.c"
