/* ulp.c: compares one function of csrc with an oracle of more digits; tools/ulp.py compiles and runs it.
 *
 * usage: ulp <function> <step>: every step-th bit pattern of a float32; for float64 as many values.
 * Prints the largest error in units in the last place of the exact result, its argument, how many results differ from the
 * correctly rounded one, and how many are on the wrong side of the result before.  The error is the distance of y from the
 * exact result, or, where the function's line has a `distance`, from the range of exact results of arguments at most so many
 * units from x.
 */
#include <stdio.h>
#include <stdlib.h>

#include "simd.h"

#include "math.inc.c"

#include "activations.inc.c"

#ifdef FNN_F32
typedef double wide; /* what the oracle computes in; the platform's functions err by about one unit of it */
#define WIDE(f) f
#define WIDE_CONSTANT(c) c
#define nextafter_real nextafterf
#define MIN_EXPONENT FLT_MIN_EXP
#define MAX_EXPONENT FLT_MAX_EXP
#define EXP_LARGEST 88.7228 /* e^x does not overflow yet */
#define DIGITS FLT_MANT_DIG
#else
typedef long double wide;
#define WIDE(f) f##l
#define WIDE_CONSTANT(c) c##L
#define nextafter_real nextafter
#define MIN_EXPONENT DBL_MIN_EXP
#define MAX_EXPONENT DBL_MAX_EXP
#define EXP_LARGEST 709.7827
#define DIGITS DBL_MANT_DIG
#endif

static const real parameter = FNN_PARAMETER; /* of the activations that have one */

ALWAYS_INLINE vreal exp_f(vreal x, const vreal *p) { return (void)p, v_exp(x); }
ALWAYS_INLINE vreal expm1_f(vreal x, const vreal *p) { return (void)p, v_expm1(x); }
ALWAYS_INLINE vreal log1p_f(vreal x, const vreal *p) { return (void)p, v_log1p(x); }

ALWAYS_INLINE vreal cos_turns_f(vreal x, const vreal *p) { return (void)p, v_cos_sin(x).cos; }
ALWAYS_INLINE vreal sin_turns_f(vreal x, const vreal *p) { return (void)p, v_cos_sin(x).sin; }

/* sin(2 pi x) after an exact reduction to an eighth of a turn, `quarters` quarter turns later */
static wide exact_turns(wide x, int quarters) {
    const wide n = WIDE(nearbyint)(4 * x), angle = 2 * WIDE(acos)(-1) * (x - n / 4);
    const int quarter = (int)WIDE(fmod)(n, 4) + quarters + 4;
    const wide magnitude = quarter % 2 ? WIDE(cos)(angle) : WIDE(sin)(angle);
    return quarter % 4 >= 2 ? -magnitude : magnitude;
}

static wide exact_exp(wide x) { return WIDE(exp)(x); }
static wide exact_expm1(wide x) { return WIDE(expm1)(x); }
static wide exact_cos_turns(wide x) { return exact_turns(x, 1); }
static wide exact_sin_turns(wide x) { return exact_turns(x, 0); }
static wide exact_log1p(wide x) { return WIDE(log1p)(x); }
static wide exact_tanh(wide x) { return WIDE(tanh)(x); }
static wide exact_sigmoid(wide x) { return x > 0 ? 1 / (1 + WIDE(exp)(-x)) : WIDE(exp)(x) / (1 + WIDE(exp)(x)); }
static wide exact_elu(wide x) { return x > 0 ? x : (wide)parameter * WIDE(expm1)(x); }
static wide exact_celu(wide x) { return x > 0 ? x : (wide)parameter * WIDE(expm1)(x / (wide)parameter); }
static wide exact_selu(wide x) {
    const wide scale = WIDE_CONSTANT(1.0507009873554804934193349852946);
    return x > 0 ? scale * x : scale * (WIDE_CONSTANT(1.6732632423543772848170429916717) * WIDE(expm1)(x));
}
static wide exact_softplus(wide x) {
    return (x > 0 ? x : 0) + WIDE(log1p)(WIDE(exp)(-WIDE(fabs)((wide)parameter * x))) / (wide)parameter;
}
/* x sigmoid(s), with its limits at infinite x */
static wide exact_times_sigmoid(wide x, wide s) { return isinf(x) ? (x > 0 ? x : -(wide)0) : x * exact_sigmoid(s); }
static wide exact_silu(wide x) { return exact_times_sigmoid(x, x); }
static wide exact_gelu_tanh(wide x) {
    return exact_times_sigmoid(x, WIDE(sqrt)(8 / WIDE(acos)(-1)) * x * (1 + WIDE_CONSTANT(0.044715) * x * x));
}
static wide exact_mish(wide x) {
    const wide e = WIDE(exp)(-WIDE(fabs)(x));
    if (isinf(x)) return x > 0 ? x : -(wide)0;
    return x * (x > 0 ? (1 + 2 * e) / (1 + 2 * e + 2 * e * e) : e * (e + 2) / (e * (e + 2) + 2));
}
/* erfc falls like e^-t^2: the second factor corrects the rounding of t = x / sqrt(2). */
static wide exact_gelu(wide x) {
    const wide root = WIDE(sqrt)(2), t = -x / root, rounded = WIDE(fma)(t, root, x) / root;
    if (WIDE(fabs)(x) > 100) return x > 0 ? x : -(wide)0; /* Phi(x) is 0 or 1 in every type */
    return x / 2 * (WIDE(erfc)(t) * WIDE(exp)(t > 0 ? 2 * t * rounded : 0));
}

/* X(name, lowest, highest, units, distance): the function's domain, besides NaN; its largest error allowed, in units; and how
 * many units the argument may be moved for that */
#define FUNCTIONS(X)                        \
    X(exp, -INFINITY, EXP_LARGEST, 2, 0)    \
    X(expm1, -INFINITY, 0, 2, 0)            \
    X(log1p, 0, 1, 2, 0)                    \
    X(tanh, -INFINITY, INFINITY, 2, 0)      \
    X(sigmoid, -INFINITY, INFINITY, 2, 0)   \
    X(cos_turns, -REAL_MAX, REAL_MAX, 2, 0) \
    X(sin_turns, -REAL_MAX, REAL_MAX, 2, 0) \
    X(elu, -INFINITY, INFINITY, 4, 0)       \
    X(selu, -INFINITY, INFINITY, 4, 0)      \
    X(celu, -INFINITY, INFINITY, 4, 0)      \
    X(softplus, -INFINITY, INFINITY, 4, 2)  \
    X(silu, -INFINITY, INFINITY, 4, 0)      \
    X(mish, -INFINITY, INFINITY, 4, 0)      \
    X(gelu, -INFINITY, INFINITY, 4, 2)      \
    X(gelu_tanh, -INFINITY, INFINITY, 4, 2)

#define RUN(name, lowest, highest, units, distance)                                         \
    static void run_##name(const real *x, real *y, fnn_size n) {                            \
        const vreal p[FNN_MAX_PARAMETERS] = {v_set(parameter)};                             \
        for (fnn_size i = 0; i < n; i += LANES) v_store(y + i, name##_f(v_load(x + i), p)); \
    }
FUNCTIONS(RUN)

static const struct {
    const char *name;
    void (*run)(const real *, real *, fnn_size);
    wide (*exact)(wide);
    double lowest, highest;
    int units, distance;
} functions[] = {
#define ENTRY(name, ...) {#name, run_##name, exact_##name, __VA_ARGS__},
    FUNCTIONS(ENTRY)};

/* The distance of y from the range of exact results of arguments at most `distance` units from x. */
static wide distance_from_range(wide (*exact)(wide), real x, real y, int distance) {
    real up = x, down = x;
    wide low = exact(x), high = low;
    for (int i = 0; i < distance; i++) {
        up = nextafter_real(up, (real)INFINITY), down = nextafter_real(down, -(real)INFINITY);
        const wide a = exact(up), b = exact(down);
        low = a < low ? a : low, low = b < low ? b : low;
        high = a > high ? a : high, high = b > high ? b : high;
    }
    /* Infinity is what the next number after the largest rounds to. */
    const wide value = isinf(y) && !isinf(low) && !isinf(high) ? WIDE(copysign)(WIDE(ldexp)(1, MAX_EXPONENT), y) : y;
    return value < low ? low - value : value > high ? value - high : 0;
}

static real from_bits(ureal bits) {
    real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The k-th argument: the k-th float32; or a float64 with its sign, an exponent of 11 bits, and scrambled low bits. */
static real argument(uint64_t k) {
#ifdef FNN_F32
    return from_bits((uint32_t)k);
#else
    const uint64_t noise = (k + 1) * 0x9E3779B97F4A7C15u, sign = k >> 31 << 63, exponent = k >> 20 & 2047;
    /* three quarters of the values are between 2^-12 and 2^12 */
    const uint64_t near = exponent % 4 ? 1023 - 12 + exponent / 4 % 24 : exponent;
    return from_bits(sign | near << 52 | (noise ^ noise >> 29) >> 12);
#endif
}

int main(int argc, char **argv) {
    enum { BATCH = 4096 };
    static real x[BATCH], y[BATCH];
    const uint64_t step = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    size_t f = 0;
    while (argc == 3 && f < sizeof functions / sizeof *functions && strcmp(functions[f].name, argv[1])) f++;
    if (step == 0 || f == sizeof functions / sizeof *functions) return fputs("usage: ulp <function> <step>\n", stderr), 2;

    wide worst = 0;
    real worst_x = 0;
    unsigned long long tested = 0, inexact = 0, wrong_nan = 0, steps_back = 0;
    real last_x = NAN, last_y = NAN;
    for (uint64_t k = 0; k < (uint64_t)1 << 32;) {
        fnn_size n = 0;
        for (; n < BATCH && k < (uint64_t)1 << 32; k += step) {
            const real a = argument(k);
            if (!(a < functions[f].lowest || a > functions[f].highest)) x[n++] = a;
        }
        for (fnn_size i = n; i < BATCH; i++) x[i] = 0;
        functions[f].run(x, y, BATCH);
        for (fnn_size i = 0; i < n; i++) {
            if (isnan(x[i]) || isnan(y[i])) {
                wrong_nan += isnan(x[i]) != isnan(y[i]);
                continue;
            }
            const wide exact = functions[f].exact(x[i]);
            int exponent = MIN_EXPONENT;
            if (exact != 0 && isfinite(exact)) WIDE(frexp)(exact, &exponent);
            if (exponent < MIN_EXPONENT) exponent = MIN_EXPONENT;
            const int right = y[i] == (real)exact;
            const wide away = !right           ? distance_from_range(functions[f].exact, x[i], y[i], functions[f].distance)
                              : isfinite(y[i]) ? WIDE(fabs)(y[i] - exact)
                                               : 0;
            const wide error = WIDE(ldexp)(away, DIGITS - exponent);
            tested++;
            inexact += !right || !signbit(y[i]) != !signbit((real)exact);
            if (!(error <= worst)) worst = error, worst_x = x[i];
            steps_back += (x[i] > last_x && y[i] < last_y) || (x[i] < last_x && y[i] > last_y);
            last_x = x[i], last_y = y[i];
        }
    }
    printf("%s: %llu values, largest error %.3f ULP at %a, %.2f%% not correctly rounded, %llu wrong NaN, %llu steps back\n",
           functions[f].name, tested, (double)worst, (double)worst_x, 100.0 * (double)inexact / (double)tested, wrong_nan,
           steps_back);
    return worst <= functions[f].units && wrong_nan == 0 ? 0 : 1;
}
