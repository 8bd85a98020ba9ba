/* simd.h: the vector type of a unit, its operations (v_...), and the loop over a run of elements (FNN_RUN), written with the
 * vector extensions that gcc and clang share.
 *
 * A unit in isa/ defines FNN_LEVEL (its name), FNN_VBYTES (16, 32 or 64) and FNN_F32 or FNN_F64.  It then has real, vreal the
 * element type and a vector of LANES of them; + - * / and comparisons are operators of the language ireal, vint the signed
 * integer of the same width; a comparison gives a vint of 0 / -1 ureal, vuint the unsigned integer Intrinsics are in this file
 * only, for what the extensions lack: fused multiply-add, square root, loads of part of a vector.
 */
#ifndef FNN_SIMD_H
#define FNN_SIMD_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "fastnn.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#if defined(FNN_F32)
typedef float real;
typedef int32_t ireal;
typedef uint32_t ureal;
#define R(x) (x##f)
#define REAL_MIN FLT_MIN
#define REAL_MAX FLT_MAX
#elif defined(FNN_F64)
typedef double real;
typedef int64_t ireal;
typedef uint64_t ureal;
#define R(x) (x)
#define REAL_MIN DBL_MIN
#define REAL_MAX DBL_MAX
#else
#error "a unit sets FNN_F32 or FNN_F64"
#endif

#if defined(FNN_F32) && FNN_VBYTES == 64
#define FNN_LANES 16
#elif FNN_VBYTES == 64 || (defined(FNN_F32) && FNN_VBYTES == 32)
#define FNN_LANES 8
#elif FNN_VBYTES == 32 || defined(FNN_F32)
#define FNN_LANES 4
#else
#define FNN_LANES 2
#endif
#define LANES ((fnn_size)FNN_LANES)
typedef real vreal __attribute__((vector_size(FNN_VBYTES)));
typedef ireal vint __attribute__((vector_size(FNN_VBYTES)));
typedef ureal vuint __attribute__((vector_size(FNN_VBYTES)));
typedef uint64_t vu64 __attribute__((vector_size(FNN_VBYTES)));
/* Vectors of float and its integers, in units of either element type. */
#define FLOATS ((fnn_size)(FNN_VBYTES / sizeof(float)))
typedef float vfloat __attribute__((vector_size(FNN_VBYTES)));
typedef int32_t vi32 __attribute__((vector_size(FNN_VBYTES)));
typedef uint32_t vu32 __attribute__((vector_size(FNN_VBYTES)));

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Hides a pointer's value from the compiler, which would otherwise compute every later address from the first one and keep a
 * register for each (docs/decisions, 11 and 14). */
#define V_OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* The x86 intrinsic of this width and type: X86(add) is _mm256_add_ps in an AVX2 float unit. */
#define FNN_PASTE_(a, b, c) a##b##c
#define FNN_PASTE(a, b, c) FNN_PASTE_(a, b, c)
#if FNN_VBYTES == 64
#define FNN_MM _mm512_
#elif FNN_VBYTES == 32
#define FNN_MM _mm256_
#else
#define FNN_MM _mm_
#endif
#ifdef FNN_F32
#define FNN_PS _ps
#else
#define FNN_PS _pd
#endif
#define X86(op) FNN_PASTE(FNN_MM, op, FNN_PS)

ALWAYS_INLINE vreal v_set(real x) { return x - (vreal){0}; } /* x - 0 keeps -0 and NaN; compiles to a broadcast */
ALWAYS_INLINE vint v_iset(ireal x) { return x - (vint){0}; }

ALWAYS_INLINE vreal v_load(const real *p) {
    vreal v;
    memcpy(&v, p, sizeof v);
    return v;
}

ALWAYS_INLINE void v_store(real *p, vreal v) { memcpy(p, &v, sizeof v); }

/* Prefetch what a loop over long arrays will read or write `ahead` elements later (docs/decisions, 12 and 14).  The hardware
 * prefetcher brings it no nearer than the second-level cache.  Loops over one or two arrays use 2 KiB; with three arrays or
 * more, 2 KiB of each would be evicted again before they are used, if they come from memory. */
#define V_PREFETCH(p, ahead) __builtin_prefetch((p) + (ahead))
#define V_PREFETCH_WRITE(p, ahead) __builtin_prefetch((p) + (ahead), 1)
#define AHEAD_2_KIB (2048 / (fnn_size)sizeof(real))
#define AHEAD_1_KIB (1024 / (fnn_size)sizeof(real))

/* The first n <= LANES elements.  The other lanes are 0, and their memory is not accessed. */
ALWAYS_INLINE vreal v_load_part(const real *p, fnn_size n);
ALWAYS_INLINE void v_store_part(real *p, vreal v, fnn_size n);
ALWAYS_INLINE vreal v_fma(vreal a, vreal b, vreal c);          /* a * b + c, one rounding where the level has FMA */
ALWAYS_INLINE vreal v_fma_at(const real *p, vreal b, vreal c); /* *p * b + c */
ALWAYS_INLINE vreal v_sqrt(vreal a);
ALWAYS_INLINE vu64 v_mul32(vu64 a, vu64 b); /* products of the low 32 bits of each lane */

#if FNN_VBYTES == 64
#ifdef FNN_F32
#define FNN_TAIL(n) ((__mmask16)((1u << (n)) - 1))
#else
#define FNN_TAIL(n) ((__mmask8)((1u << (n)) - 1))
#endif
ALWAYS_INLINE vreal v_load_part(const real *p, fnn_size n) { return (vreal)X86(maskz_loadu)(FNN_TAIL(n), p); }
ALWAYS_INLINE void v_store_part(real *p, vreal v, fnn_size n) { X86(mask_storeu)(p, FNN_TAIL(n), v); }
#elif FNN_VBYTES == 32
static const ireal fnn_tail_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
ALWAYS_INLINE __m256i fnn_tail(fnn_size n) { return _mm256_loadu_si256((const __m256i *)(fnn_tail_mask + 8 - n)); }
ALWAYS_INLINE vreal v_load_part(const real *p, fnn_size n) { return (vreal)X86(maskload)(p, fnn_tail(n)); }
ALWAYS_INLINE void v_store_part(real *p, vreal v, fnn_size n) { X86(maskstore)(p, fnn_tail(n), v); }
#else
ALWAYS_INLINE vreal v_load_part(const real *p, fnn_size n) {
    vreal v = {0};
    for (fnn_size i = 0; i < LANES; i++) /* a constant count is unrolled, so that v stays in its register */
        if (i < n) v[i] = p[i];
    return v;
}
ALWAYS_INLINE void v_store_part(real *p, vreal v, fnn_size n) {
    for (fnn_size i = 0; i < LANES; i++)
        if (i < n) p[i] = v[i];
}
#endif

#if defined(__x86_64__) || defined(_M_X64)
#if FNN_VBYTES == 16
ALWAYS_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return a * b + c; }
#else
ALWAYS_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return (vreal)X86(fmadd)(a, b, c); }
#endif
ALWAYS_INLINE vreal v_sqrt(vreal a) { return (vreal)X86(sqrt)(a); }
ALWAYS_INLINE vfloat v_sqrt_float(vfloat a) { return (vfloat)FNN_PASTE(FNN_MM, sqrt, _ps)(a); }
#if FNN_VBYTES == 64
ALWAYS_INLINE vu64 v_mul32(vu64 a, vu64 b) { return (vu64)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
#elif FNN_VBYTES == 32
ALWAYS_INLINE vu64 v_mul32(vu64 a, vu64 b) { return (vu64)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
#else
ALWAYS_INLINE vu64 v_mul32(vu64 a, vu64 b) { return (vu64)_mm_mul_epu32((__m128i)a, (__m128i)b); }
#endif
#elif defined(__aarch64__)
ALWAYS_INLINE vfloat v_sqrt_float(vfloat a) { return (vfloat)vsqrtq_f32((float32x4_t)a); }
#ifdef FNN_F32
ALWAYS_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return (vreal)vfmaq_f32(c, a, b); }
ALWAYS_INLINE vreal v_sqrt(vreal a) { return (vreal)vsqrtq_f32(a); }
#else
ALWAYS_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return (vreal)vfmaq_f64(c, a, b); }
ALWAYS_INLINE vreal v_sqrt(vreal a) { return (vreal)vsqrtq_f64(a); }
#endif
ALWAYS_INLINE vu64 v_mul32(vu64 a, vu64 b) { return (vu64)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b)); }
#else
#error "no vector unit is known for this processor"
#endif

/* Entry i % V_TABLE of a table, for each lane.  Defined where that is one instruction: AVX-512 float (docs/decisions, 16). */
#if FNN_VBYTES == 64 && defined(FNN_F32)
#define V_TABLE 32
ALWAYS_INLINE vreal v_table(const real table[V_TABLE], vuint i) {
    return (vreal)_mm512_permutex2var_ps((__m512)v_load(table), (__m512i)i, (__m512)v_load(table + LANES));
}
#endif

/* Converts LANES 16-bit numbers.  __builtin_convertvector is not enough: for vectors of 32 bytes or more gcc 12 converts parts
 * and joins them, 5 to 12 instructions instead of one (docs/decisions, 15). */
ALWAYS_INLINE vuint v_widen(const uint16_t *p) {
#if FNN_VBYTES == 64 && defined(FNN_F32)
    return (vuint)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
#elif FNN_VBYTES == 64
    return (vuint)_mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)p));
#elif FNN_VBYTES == 32 && defined(FNN_F32)
    return (vuint)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
#elif FNN_VBYTES == 32
    return (vuint)_mm256_cvtepu16_epi64(_mm_loadl_epi64((const __m128i *)p));
#else
    uint16_t half __attribute__((vector_size(2 * FNN_LANES)));
    memcpy(&half, p, sizeof half);
    return __builtin_convertvector(half, vuint);
#endif
}

/* v_fma_at at AVX-512: a multiply-add that reads and broadcasts *p itself, without an instruction for the load (docs/decisions,
 * 13).  It is assembly because for an entry that is used twice the compiler makes one broadcast and two multiply-adds, three
 * instructions instead of two. */
#if FNN_VBYTES == 64
#ifdef FNN_F32
#define FNN_FMA_AT "vfmadd231ps %2%{1to16%}, %1, %0"
#else
#define FNN_FMA_AT "vfmadd231pd %2%{1to8%}, %1, %0"
#endif
ALWAYS_INLINE vreal v_fma_at(const real *p, vreal b, vreal c) {
    __asm__(FNN_FMA_AT : "+v"(c) : "v"(b), "m"(*p));
    return c;
}
#else
ALWAYS_INLINE vreal v_fma_at(const real *p, vreal b, vreal c) { return v_fma(v_set(*p), b, c); }
#endif

/* LANES floats as the unit's type. */
ALWAYS_INLINE vreal v_from_floats(const float *p) {
#ifdef FNN_F32
    return v_load(p);
#else
    float part __attribute__((vector_size(FNN_VBYTES / 2)));
    memcpy(&part, p, sizeof part);
    return __builtin_convertvector(part, vreal);
#endif
}

/* The first n <= LANES doubles of p times a factor, each rounded once; the other lanes are 0. */
ALWAYS_INLINE vreal v_doubles(const double *p, fnn_size n, double factor) {
    vreal v = {0};
    for (fnn_size i = 0; i < LANES; i++)
        if (i < n) v[i] = (real)(p[i] * factor);
    return v;
}

/* mask ? a : b, bit by bit */
ALWAYS_INLINE vreal v_select(vint mask, vreal a, vreal b) { return (vreal)((mask & (vint)a) | (~mask & (vint)b)); }
/* Whether a < b in any lane. */
ALWAYS_INLINE int v_any_less(vreal a, vreal b) {
#if FNN_VBYTES == 64
    return FNN_PASTE(FNN_MM, cmplt, FNN_PASTE(FNN_PS, _mask, ))(a, b) != 0;
#else
    const vint less = a < b;
#if defined(__aarch64__)
    return vmaxvq_u32((uint32x4_t)less) != 0;
#elif FNN_VBYTES == 32
    return !_mm256_testz_si256((__m256i)less, (__m256i)less);
#else
    return !_mm_testz_si128((__m128i)less, (__m128i)less);
#endif
#endif
}
/* a where the mask is set, else +0 */
ALWAYS_INLINE vreal v_keep(vint mask, vreal a) { return (vreal)(mask & (vint)a); }
ALWAYS_INLINE vreal v_abs(vreal a) { return v_keep(v_iset((ireal)(~(ureal)0 >> 1)), a); }
/* -|a| */
ALWAYS_INLINE vreal v_minus_abs(vreal a) { return (vreal)((vint)a | v_iset((ireal)((ureal)1 << (8 * sizeof(real) - 1)))); }
/* `magnitude` with the sign of `sign`.  The magnitude's sign bit must be clear, or equal to that of `sign`. */
ALWAYS_INLINE vreal v_copysign(vreal magnitude, vreal sign) {
    return (vreal)((vint)magnitude | ((vint)sign & v_iset((ireal)((ureal)1 << (8 * sizeof(real) - 1)))));
}
/* Maximum and minimum.  A NaN in b is kept, one in a is not: put the constant first.  (x86's instructions do exactly that.) */
#if defined(__x86_64__) || defined(_M_X64)
ALWAYS_INLINE vreal v_max(vreal a, vreal b) { return (vreal)X86(max)(a, b); }
ALWAYS_INLINE vreal v_min(vreal a, vreal b) { return (vreal)X86(min)(a, b); }
#else
ALWAYS_INLINE vreal v_max(vreal a, vreal b) { return v_select(a > b, a, b); }
ALWAYS_INLINE vreal v_min(vreal a, vreal b) { return v_select(a < b, a, b); }
#endif

/* All bits set in the first n lanes, 0 <= n <= LANES, clear in the others. */
ALWAYS_INLINE vint v_first(fnn_size n) {
    static const ireal ones_then_zeros[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    vint v;
    memcpy(&v, ones_then_zeros + 16 - n, sizeof v);
    return v;
}

/* Lane i of the result is lane (i + by) % LANES of v. */
#define FNN_ROTATE_2(v, by) __builtin_shufflevector(v, v, (by) % 2, (1 + (by)) % 2)
#define FNN_ROTATE_4(v, by) __builtin_shufflevector(v, v, (by) % 4, (1 + (by)) % 4, (2 + (by)) % 4, (3 + (by)) % 4)
#define FNN_ROTATE_8(v, by)                                                                                                 \
    __builtin_shufflevector(v, v, (by) % 8, (1 + (by)) % 8, (2 + (by)) % 8, (3 + (by)) % 8, (4 + (by)) % 8, (5 + (by)) % 8, \
                            (6 + (by)) % 8, (7 + (by)) % 8)
#define FNN_ROTATE_16(v, by)                                                                                          \
    __builtin_shufflevector(v, v, (by) % 16, (1 + (by)) % 16, (2 + (by)) % 16, (3 + (by)) % 16, (4 + (by)) % 16,      \
                            (5 + (by)) % 16, (6 + (by)) % 16, (7 + (by)) % 16, (8 + (by)) % 16, (9 + (by)) % 16,      \
                            (10 + (by)) % 16, (11 + (by)) % 16, (12 + (by)) % 16, (13 + (by)) % 16, (14 + (by)) % 16, \
                            (15 + (by)) % 16)
#define V_ROTATE(v, by) FNN_PASTE(FNN_ROTATE_, FNN_LANES, )(v, by)

/* Combines all lanes, always in the same order: first the halves of the vector, then the halves of those, until every lane
 * holds the result. */
#define FNN_FOLD(v, COMBINE)                           \
    do {                                               \
        if (LANES > 8) v = COMBINE(v, V_ROTATE(v, 8)); \
        if (LANES > 4) v = COMBINE(v, V_ROTATE(v, 4)); \
        if (LANES > 2) v = COMBINE(v, V_ROTATE(v, 2)); \
        v = COMBINE(v, V_ROTATE(v, 1));                \
    } while (0)
ALWAYS_INLINE vreal v_add(vreal a, vreal b) { return a + b; }
ALWAYS_INLINE real v_sum(vreal v) {
    FNN_FOLD(v, v_add);
    return v[0];
}
/* The largest lane, in every lane; a NaN may be lost. */
ALWAYS_INLINE vreal v_largest(vreal v) {
    FNN_FOLD(v, v_max);
    return v;
}

/* The first n elements.  Where the compiler knows that n is LANES, this is a whole vector without a mask. */
ALWAYS_INLINE vreal v_load_n(const real *p, fnn_size n) { return n == LANES ? v_load(p) : v_load_part(p, n); }
ALWAYS_INLINE void v_store_n(real *p, vreal v, fnn_size n) {
    if (n == LANES) {
        v_store(p, v);
    } else {
        v_store_part(p, v, n);
    }
}

/* The loop over n elements: runs the statements with width = LANES for i = 0, LANES, ..., and for the rest with a smaller
 * width. */
#define FNN_RUN(i, width, n, ...)              \
    do {                                       \
        fnn_size i = 0;                        \
        for (; i + LANES <= (n); i += LANES) { \
            const fnn_size width = LANES;      \
            __VA_ARGS__;                       \
        }                                      \
        if (i < (n)) {                         \
            const fnn_size width = (n) - i;    \
            __VA_ARGS__;                       \
        }                                      \
    } while (0)

#endif
