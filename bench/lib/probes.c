/* Loops that do one thing as fast as a core can. probes.py compiles them for each ISA level with
 *
 *   REAL   float or double         VBYTES   the size of the level's vectors in bytes
 *
 * and calls name(rounds, y, x, n). The arrays are aligned to VBYTES, and n is a multiple of LANES * READS.
 */
#include <stddef.h>

typedef REAL vec __attribute__((vector_size(VBYTES)));

/* Independent chains of multiply-adds hide the latency. There are as many as the registers hold besides two constants. */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { CHAINS = 24 };
#else
enum { CHAINS = 14 };
#endif
enum { READS = 8 };
enum { LANES = VBYTES / sizeof(REAL) };

/* The compiler must assume that memory has changed: it neither drops a round nor merges it with the next. */
#define NEW_ROUND __asm__ volatile("" ::: "memory")

/* n multiply-adds in registers a round, fused by -ffp-contract=fast where the level has fused ones. */
void multiply_add(size_t rounds, REAL *y, const REAL *x, size_t n) {
    const vec a = x[0] / 2 - (vec){0}, b = x[1] - (vec){0}; /* times 1/2, plus 1: the values converge to 2 */
    vec c[CHAINS];
#pragma GCC unroll 24
    for (int k = 0; k < CHAINS; k++) c[k] = a + (REAL)k;
    for (size_t i = rounds * n / (LANES * CHAINS); i > 0; i--) {
#pragma GCC unroll 24
        for (int k = 0; k < CHAINS; k++) c[k] = c[k] * a + b;
    }
#pragma GCC unroll 24
    for (int k = 1; k < CHAINS; k++) c[0] += c[k];
    *(vec *)y = c[0];
}

/* Loops that compilers vectorise. */
#define EACH(name, value)                                                          \
    void name(size_t rounds, REAL *restrict y, const REAL *restrict x, size_t n) { \
        const REAL a = x[0] / 2, b = x[1];                                         \
        (void)a, (void)b;                                                          \
        for (; rounds > 0; rounds--) {                                             \
            for (size_t i = 0; i < n; i++) y[i] = value;                           \
            NEW_ROUND;                                                             \
        }                                                                          \
    }
EACH(division, a / x[i])
EACH(square_root, (sizeof(REAL) == sizeof(float) ? __builtin_sqrtf(x[i]) : __builtin_sqrt(x[i])))
EACH(map, a *x[i] + b)
EACH(update, a *y[i] + b)

/* Sums of n entries: one addition for each vector that is read. */
void load(size_t rounds, REAL *y, const REAL *x, size_t n) {
    vec c[READS] = {0};
    for (; rounds > 0; rounds--) {
        for (size_t i = 0; i < n; i += LANES * READS) {
#pragma GCC unroll 8
            for (int k = 0; k < READS; k++) c[k] += *(const vec *)(x + i + k * LANES);
        }
        NEW_ROUND;
    }
#pragma GCC unroll 8
    for (int k = 1; k < READS; k++) c[0] += c[k];
    *(vec *)y = c[0];
}
