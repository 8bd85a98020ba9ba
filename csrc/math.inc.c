/* math.inc.c: the elementary functions that the other bodies share, on whole vectors and without intrinsics: exp, expm1, log,
 * log1p, sigmoid, tanh, the tail of the normal distribution, and cos and sin of an angle in turns.
 *
 * Exponentials are computed as e^x = 2^n (1 + q) with q = e^r - 1 and r = x - n ln 2.  Adding MAGIC rounds to the integer n and
 * leaves n plus an exponent bias in the low bits of the sum; a shift of these bits makes 2^n (docs/decisions, 12).  2^n q is
 * exact, so that 2^n + 2^n q is rounded once, with FMA or without.  Errors stay below 2 ULP at every level (tools/ulp.py
 * measures them).
 *
 * Values below the normal numbers (denormals) can make an operation a hundred times as long (docs/decisions, 10).  So
 * exponentials are kept times a power of two (..._UNIT = 2^..._SCALE), which is divided out at the end.
 */
#ifdef FNN_F32
#define MANTISSA 23
#define EXPONENT_BIAS 127
#define MAGIC R(0x1.8p23) /* x + MAGIC - MAGIC is x rounded to an integer */
#define LOG2_E R(0x1.715476p+0)
#define LN2_HIGH R(0x1.62e4p-1) /* 16 bits, so that n * LN2_HIGH is exact */
#define LN2_LOW R(0x1.7f7d1cp-20)
#define EXP_UNDERFLOW R(104.7) /* e^-x rounds to 0 well before; n + EXP_SCALE + EXPONENT_BIAS is 0 here */
#define EXP_SCALE 24
#define EXP_UNIT R(0x1p24)
#define TAIL_SCALE 32
#define TAIL_UNIT R(0x1p32)
#define TAIL_LEAST R(0x1p-28) /* TAIL_LEAST / TAIL_UNIT does not change a sum with 1, and its square is normal */
#define TAIL_END R(110.2)     /* x e^-x rounds to 0 before; n + TAIL_SCALE + EXPONENT_BIAS is 0 here */
#define BELL_END R(12.36)     /* |x| = 14.55: x Phi(-x) and x phi(x) round to 0, and are normal times TAIL_UNIT */
#define BELL_TAIL R(11.0)     /* |x| = 12.95: up to here they are normal */
#define EXPM1_ONE R(20.0)     /* e^-x - 1 rounds to -1 before */
#define SIGMOID_SCALE (-23)
#define SIGMOID_UNIT R(0x1p-23)
#define SIGMOID_ONE R(64.0)   /* the sigmoid rounds to 1 well before */
#define SIGMOID_ZERO R(104.2) /* the sigmoid of -x rounds to 0, and n is still 150 */
#define TANH_ONE R(10.0)      /* tanh rounds to 1 well before */
/* (e^r - 1 - r) / r^2 on [-0.347, 0.347]; error below 2^-27.2 of e^r */
static const real exp_poly[] = {0x1.fffffep-2f, 0x1.5554b0p-3f, 0x1.555674p-5f, 0x1.1227b0p-7f, 0x1.6bec00p-10f};
/* (tanh(h) - h) / h^3 as a polynomial in h^2 on [0, 0.26^2]; error below 2^-27.8 of tanh(h) */
static const real tanh_poly[] = {-0x1.555506p-2f, 0x1.10d96cp-3f, -0x1.a3ab52p-5f};
/* (2 atanh(s) - 2s) / s^3 as a polynomial in s^2 on [0, 1/9]; error below 2^-27.7 of atanh(s) */
static const real log_poly[] = {0x1.555502p-1f, 0x1.99d1ccp-2f, 0x1.1ec03ep-2f, 0x1.1eca34p-2f};
/* (2^r - 1) / r on [-1/2, 1/2]; error below 2^-25.9 of 2^r */
static const real exp2_poly[] = {0x1.62e430p-1f, 0x1.ebfbdcp-3f,  0x1.c6aee6p-5f,
                                 0x1.3b2d52p-7f, 0x1.5f4004p-10f, 0x1.41faa4p-13f};
/* v_mills(z) as (BELL_HALF + z over) / (1 + z under) on [0, BELL_END]; error below 2^-24.4 (0.6 + 1.5 z^2) */
static const real mills_over[] = {0x1.deb236p-2f, 0x1.60b790p-3f, 0x1.b22058p-6f};
static const real mills_under[] = {0x1.bbc76cp+0f, 0x1.3a5b48p+0f, 0x1.b952d2p-2f, 0x1.1027f8p-4f};
#define TURN R(0x1.921fb6p+2) /* 2 pi = TURN + TURN_LOW */
#define TURN_LOW R(-0x1.777a5cp-23)
#define EVEN_MAGIC R(0x1.8p24) /* x + EVEN_MAGIC - EVEN_MAGIC is x rounded to an even integer */
#define ALL_INTEGERS R(0x1p23) /* from here on there are only integers */
/* (sin(2 pi s) / s - 2 pi) / s^2 as a polynomial in s^2 on [0, 1/8^2]; error below 2^-27.9 of sin(2 pi s) */
static const real sin_poly[] = {-0x1.4abbbep+5f, 0x1.466004p+6f, -0x1.2dc858p+6f};
/* (cos(2 pi s) - 1) / s^2, likewise; error below 2^-34 of cos(2 pi s) */
static const real cos_poly[] = {-0x1.3bd3ccp+4f, 0x1.03c1dep+6f, -0x1.55c664p+6f, 0x1.d9f7d2p+5f};
#else
#define MANTISSA 52
#define EXPONENT_BIAS 1023
#define MAGIC R(0x1.8p52)
#define LOG2_E R(0x1.71547652b82fep+0)
#define LN2_HIGH R(0x1.62e42fefa38p-1) /* 42 bits */
#define LN2_LOW R(0x1.ef35793c7673p-45)
#define EXP_UNDERFLOW R(745.9)
#define EXP_SCALE 53
#define EXP_UNIT R(0x1p53)
#define TAIL_SCALE 63
#define TAIL_UNIT R(0x1p63)
#define TAIL_LEAST R(0x1p-437)
#define TAIL_END R(752.7)
#define BELL_END R(32.86) /* |x| = 38.7 */
#define BELL_TAIL R(31.5)
#define EXPM1_ONE R(40.0)
#define SIGMOID_SCALE (-52)
#define SIGMOID_UNIT R(0x1p-52)
#define SIGMOID_ONE R(64.0)
#define SIGMOID_ZERO R(745.4)
#define TANH_ONE R(22.0)
/* as above; error below 2^-56 */
static const real exp_poly[] = {0x1.0000000000005p-1,  0x1.5555555555539p-3,  0x1.555555555228ep-5,  0x1.1111111119014p-7,
                                0x1.6c16c17ee7284p-10, 0x1.a01a0174f9e32p-13, 0x1.a019a74a6fc5cp-16, 0x1.71de88280a5ebp-19,
                                0x1.28a20693a0fa9p-22, 0x1.ae6ba6b3ec5a0p-26};
/* as above; error below 2^-56.7 */
static const real tanh_poly[] = {-0x1.55555555554b0p-2, 0x1.11111110f297cp-3, -0x1.ba1ba17d2f893p-5, 0x1.664f2b99c245ep-6,
                                 -0x1.2266dadb10395p-7, 0x1.d4c33432e6c96p-9, -0x1.56c14e672a84ap-10};
/* as above; error below 2^-54.1 */
static const real log_poly[] = {0x1.5555555555937p-1, 0x1.99999998ebce0p-2, 0x1.24924978306e7p-2,
                                0x1.c71c4a6ae7c7dp-3, 0x1.746250400a0a2p-3, 0x1.3aa9230d42a59p-3,
                                0x1.163f9e15beda0p-3, 0x1.959c7ffc724dap-4, 0x1.6b51b15a49b8cp-3};
/* as above; error below 2^-54.7 of 2^r */
static const real exp2_poly[] = {0x1.62e42fefa39efp-1,  0x1.ebfbdff82c5a5p-3,  0x1.c6b08d7049fe4p-5,  0x1.3b2ab6fb9ffe4p-7,
                                 0x1.5d87fe78ce0a1p-10, 0x1.4309130f1c1d4p-13, 0x1.ffcbfba770821p-17, 0x1.62bfc6e82d6ffp-20,
                                 0x1.b5267f62d2613p-24, 0x1.e61c9b052033ep-28, 0x1.e79a84b69e38ap-32};
/* as above; error below 2^-55.2 */
static const real mills_over[] = {0x1.25c8a406b075bp+0,  0x1.1be75b42725bfp+0, 0x1.5f7bdf29269cdp-1, 0x1.31cebb858618ep-2,
                                  0x1.84fb9319745d5p-4,  0x1.6dcb35797e03bp-6, 0x1.f6dbd093d899ep-9, 0x1.e56be5be01cc9p-12,
                                  0x1.2b3b2b8843021p-15, 0x1.6a3909a296d3fp-20};
static const real mills_under[] = {0x1.71c3d1a2a431cp+1,  0x1.f3c613e6980eep+1,  0x1.a2084aecff7e4p+1, 0x1.e2009a67fc922p+0,
                                   0x1.935486d41b5adp-1,  0x1.f588adbc18bf3p-3,  0x1.d14867be8e940p-5, 0x1.3d3bc1a8f9577p-7,
                                   0x1.30d51839a8381p-10, 0x1.7707d6031362bp-14, 0x1.c5fa9d22abd86p-19};
#define TURN R(0x1.921fb54442d18p+2)
#define TURN_LOW R(0x1.1a62633145c07p-52)
#define EVEN_MAGIC R(0x1.8p53)
#define ALL_INTEGERS R(0x1p52)
/* as above; error below 2^-57.9 */
static const real sin_poly[] = {-0x1.4abbce625be46p+5, 0x1.466bc67758cb6p+6,  -0x1.32d2cce32450dp+6,
                                0x1.5078300c79e43p+5,  -0x1.e30098c6705f4p+3, 0x1.e3ff36c3db3a5p+1};
/* as above; error below 2^-64 */
static const real cos_poly[] = {-0x1.3bd3cc9be45dep+4, 0x1.03c1f081b5ab0p+6, -0x1.55d3c7e3c95c1p+6, 0x1.e1f50683b4977p+5,
                                -0x1.a6d1ecb78a33cp+4, 0x1.f9cc6b033cff1p+2, -0x1.b26ff68063919p+0};
#endif

#define POLY(x, c) v_poly(x, c, sizeof(c) / sizeof(*(c)))

/* c[0] + c[1] x + ...  Even and odd powers are summed separately, which costs a square and halves the chain of dependent
 * instructions.  Three coefficients use Horner's rule (docs/decisions, 12). */
ALWAYS_INLINE vreal v_poly(vreal x, const real *c, size_t n) {
    if (n == 3) return v_fma(v_fma(v_set(c[2]), x, v_set(c[1])), x, v_set(c[0]));
    const vreal square = x * x;
    vreal high = v_set(c[n - 1]), low = v_set(c[n - 2]);
    for (size_t i = n - 2; i >= 2; i -= 2) {
        high = v_fma(high, square, v_set(c[i - 1]));
        low = v_fma(low, square, v_set(c[i - 2]));
    }
    return n % 2 ? v_fma(low, x, v_fma(high, square, v_set(c[0]))) : v_fma(high, x, low);
}

/* x + MAGIC_FOR(scale) is n + MAGIC_FOR(scale), from which exp_power makes 2^(n + scale). */
#define MAGIC_FOR(scale) (MAGIC + (EXPONENT_BIAS + (scale)))
ALWAYS_INLINE vreal exp_power(vreal t) { return (vreal)((vuint)t << MANTISSA); }

/* r = x - n ln 2 */
ALWAYS_INLINE vreal exp_rest(vreal x, vreal n) { return v_fma(n, v_set(-LN2_LOW), v_fma(n, v_set(-LN2_HIGH), x)); }

/* q = e^r - 1 */
ALWAYS_INLINE vreal exp_q(vreal r) { return v_fma(r * r, POLY(r, exp_poly), r); }

/* EXP_UNIT * e^x for x <= 0.  The unit keeps all values normal down to the x where e^x itself rounds to 0. */
ALWAYS_INLINE vreal v_exp_scaled(vreal x) {
    const vreal low = v_max(v_set(-EXP_UNDERFLOW), x);
    const vreal t = v_fma(low, v_set(LOG2_E), v_set(MAGIC_FOR(EXP_SCALE))), n = t - MAGIC_FOR(EXP_SCALE), power = exp_power(t);
    return v_fma(power, exp_q(exp_rest(low, n)), power);
}

/* e^x.  For x > 0 it is the reciprocal of e^-x, which is normal for all x whose e^x does not overflow. */
ALWAYS_INLINE vreal v_exp(vreal x) {
    const vreal e = v_exp_scaled(v_minus_abs(x));
    return v_select(x > 0, EXP_UNIT / e, e * (1 / EXP_UNIT));
}

/* 1 / (1 + e^-x), numerator and denominator times SIGMOID_UNIT: then twice the denominator overflows exactly where the quotient
 * rounds to 0.  The sum 1 + 2^n is rounded for large n only; the rounding error is added again together with 2^n q. */
ALWAYS_INLINE vreal v_sigmoid(vreal x) {
    const vreal minus = -v_min(v_set(SIGMOID_ONE), v_max(v_set(-SIGMOID_ZERO), x));
    const vreal t = v_fma(minus, v_set(LOG2_E), v_set(MAGIC_FOR(SIGMOID_SCALE))), n = t - MAGIC_FOR(SIGMOID_SCALE);
    const vreal power = exp_power(t), sum = power + SIGMOID_UNIT, lost = SIGMOID_UNIT - (sum - power);
    const vreal half = sum + v_fma(power, exp_q(exp_rest(minus, n)), lost);
    return 2 * SIGMOID_UNIT / (half + half);
}

#ifdef V_TABLE
/* tanh by table (docs/decisions, 16).  The exponent of |x| + TANH_OFFSET and the first three bits of its mantissa are the
 * number of one of 32 intervals, which are short where tanh bends.  Each has a centre (row 0 of the table), chosen near its
 * middle such that the centre's tanh is almost a float, and a polynomial in the distance from the centre (rows 1 to 5).  The
 * error is below 2^-25.1 of tanh.  tools/tanh_table.py prints the table. */
#define TANH_OFFSET R(0.640625)
#define TANH_END R(9.25) /* tanh rounds to 1 before */
static const real tanh_table[6][V_TABLE] = {
    {0x1.7fbd40p+0, 0x1.baacd2p+0, 0x1.fe5b52p+0, 0x1.212f84p+1, 0x1.405d74p+1, 0x1.619da0p+1, 0x1.804b18p+1, 0x1.9bc98cp+1,
     0x1.d0e106p+1, 0x1.04ae06p+2, 0x1.22db08p+2, 0x1.48e28ep+2, 0x1.6a649ap+2, 0x1.81c814p+2, 0x1.ab77e2p+2, 0x1.c3837ap+2,
     0x1.f12e8cp+2, 0x1.15422ep+3, 0x0.0p+0,      0x1.34c2aep-4, 0x1.3307c8p-3, 0x1.b148c8p-3, 0x1.185516p-2, 0x1.503374p-2,
     0x1.9c823ep-2, 0x1.1ce970p-1, 0x1.4f4dd8p-1, 0x1.8ce85ep-1, 0x1.d5b660p-1, 0x1.0dacd0p+0, 0x1.305a10p+0, 0x1.4a2ae2p+0},
    {0x1.cf5772p-1, 0x1.e0bf88p-1, 0x1.ed5936p-1, 0x1.f4f422p-1, 0x1.f92f6cp-1, 0x1.fbef88p-1, 0x1.fd7ac6p-1, 0x1.fe5bbep-1,
     0x1.ff4880p-1, 0x1.ffb40cp-1, 0x1.ffe26ap-1, 0x1.fff6fcp-1, 0x1.fffcd6p-1, 0x1.fffe7ap-1, 0x1.ffff96p-1, 0x1.ffffcep-1,
     0x1.fffff4p-1, 0x1.fffffep-1, 0x0.0p+0,      0x1.342d4ep-4, 0x1.30c02ep-3, 0x1.aaeef6p-3, 0x1.11886cp-2, 0x1.449eaep-2,
     0x1.878dccp-2, 0x1.02bd90p-1, 0x1.266044p-1, 0x1.4cc61cp-1, 0x1.7307bep-1, 0x1.90f6a4p-1, 0x1.a913d4p-1, 0x1.b7d5b6p-1},
    {0x1.72c53cp-3,  0x1.e4c48cp-4,  0x1.24fccap-4,  0x1.5dab48p-5,  0x1.b13d5ep-6,  0x1.03157cp-6,  0x1.41d136p-7,
     0x1.a394d2p-8,  0x1.6eb236p-9,  0x1.2fb11ep-10, 0x1.d94ce6p-12, 0x1.2074b8p-13, 0x1.94f7dep-15, 0x1.85ff20p-16,
     0x1.a7fe0ap-18, 0x1.8ff8e0p-19, 0x1.7f6e5ep-21, 0x1.ffed6ep-24, 0x1.000000p+0,  0x1.fd1a04p-1,  0x1.f4a9b8p-1,
     0x1.e9bffep-1,  0x1.db7778p-1,  0x1.cc8bbep-1,  0x1.b523b2p-1,  0x1.7d3eb2p-1,  0x1.56bf62p-1,  0x1.27b6c6p-1,
     0x1.e6409ep-2,  0x1.8bfc5cp-2,  0x1.3e2d2ap-2,  0x1.0c515cp-2},
    {-0x1.4f8a46p-3,  -0x1.c72f02p-4,  -0x1.1a4ea6p-4,  -0x1.56178ap-5,  -0x1.ab6faap-6,  -0x1.00fdf0p-6,  -0x1.4033aep-7,
     -0x1.a2467ep-8,  -0x1.6dfdf2p-9,  -0x1.2fc2a0p-10, -0x1.d9bf66p-12, -0x1.203b6cp-13, -0x1.94734ap-15, -0x1.867c92p-16,
     -0x1.a759c2p-18, -0x1.906f5ep-19, -0x1.824768p-21, -0x1.01ac70p-23, 0x1.5141c2p-19,  -0x1.326f28p-4,  -0x1.29ff6ap-3,
     -0x1.986056p-3,  -0x1.fc0718p-3,  -0x1.23ff22p-2,  -0x1.4e4dd8p-2,  -0x1.81548ep-2,  -0x1.8a1e40p-2,  -0x1.806312p-2,
     -0x1.605e80p-2,  -0x1.361cb8p-2,  -0x1.0829ecp-2,  -0x1.ccfeecp-3},
    {0x1.67ed42p-4,  0x1.0a118ep-4,  0x1.5d7232p-5,  0x1.b5316ep-6,  0x1.16170ap-6,  0x1.51ea12p-7,  0x1.a803c0p-8,
     0x1.15e2dcp-8,  0x1.edbab8p-10, 0x1.995300p-11, 0x1.3dabacp-12, 0x1.85b8a0p-14, 0x1.107ceep-15, 0x1.04d9b2p-16,
     0x1.1c0978p-18, 0x1.0d40c4p-19, 0x1.0bb7dap-21, 0x1.5a6082p-24, -0x1.55aaa8p-2, -0x1.4d7b0cp-2, -0x1.379516p-2,
     -0x1.1be636p-2, -0x1.f2312cp-3, -0x1.acd54ep-3, -0x1.4726d6p-3, -0x1.dcc788p-5, -0x1.022312p-9, 0x1.a55f6cp-5,
     0x1.740970p-4,  0x1.babe28p-4,  0x1.c4d612p-4,  0x1.b2030ep-4},
    {-0x1.924028p-6,  -0x1.853270p-6,  -0x1.2b04e8p-6,  -0x1.9d98d0p-7,  -0x1.0f123cp-7,  -0x1.57e61ep-8,  -0x1.ad127cp-9,
     -0x1.09f2f0p-9,  -0x1.ff12d2p-11, -0x1.7e7786p-12, -0x1.1adde6p-13, -0x1.9b72eap-15, -0x1.2e2ea6p-16, -0x1.c3700ap-18,
     -0x1.46b13ap-19, -0x1.e78260p-21, -0x1.c8f6ccp-23, -0x1.10fa88p-25, 0x1.88ce52p-7,   0x1.9c1d5ep-5,   0x1.6a3170p-4,
     0x1.ed1e92p-4,   0x1.28f254p-3,   0x1.4a39fep-3,   0x1.5be0e2p-3,   0x1.40673ep-3,   0x1.fe7950p-4,   0x1.5d3182p-4,
     0x1.871de4p-5,   0x1.1f5f48p-6,   -0x1.da888ep-9,  -0x1.0dbbfcp-6},
};
ALWAYS_INLINE vreal v_tanh(vreal x) {
    const vreal low = v_min(v_set(TANH_END), v_abs(x));
    const vuint i = (vuint)(low + TANH_OFFSET) >> (MANTISSA - 3);
    const vreal r = low - v_table(tanh_table[0], i);
    vreal y = v_table(tanh_table[5], i);
    UNROLL for (int term = 4; term > 0; term--) y = v_fma(y, r, v_table(tanh_table[term], i));
    return v_copysign(y, x);
}
#else
#define TANH_OFFSET R(0.25) /* n is 0 up to |x| = 0.26 */
/* With |x| = h - n ln 2 / 2, s = 2^n and T = tanh h, the addition theorem is tanh |x| = a / (a + b), a = 1 - s + (1 + s) T and
 * b = 2 s (1 - T).  n is never above 0.  TANH_OFFSET makes it stay 0 longer near 0: there the result is T, and little cancels
 * where 1 - s and T have opposite signs.  Where tanh is near 1, b is small and the error of a has little effect. */
ALWAYS_INLINE vreal v_tanh(vreal x) {
    const vreal low = v_min(v_set(TANH_ONE), v_abs(x));
    const vreal t = v_fma(low, v_set(-2 * LOG2_E), v_set(TANH_OFFSET)) + MAGIC_FOR(1), n = t - MAGIC_FOR(1),
                twice_s = exp_power(t);
    const vreal h = v_fma(n, v_set(LN2_LOW / 2), v_fma(n, v_set(LN2_HIGH / 2), low)), square = h * h;
    const vreal part = v_fma(h * square, POLY(square, tanh_poly), h);
    const vreal one = v_set(1), half = v_set(R(0.5));
    const vreal a = v_fma(v_fma(twice_s, half, one), part, v_fma(twice_s, -half, one));
    return v_copysign(a / v_fma(twice_s, 1 - part, a), x);
}
#endif

/* log(1 + u) for -1/4 <= u <= 1: with s = u / (2 + u) it is 2 atanh(s) = 2s + s^3 P(s^2), and 2s = u - s u. */
ALWAYS_INLINE vreal v_log1p(vreal u) {
    const vreal s = u / (2 + u), magnitude = v_max(v_set(R(0x1p-30)), v_abs(s)),
                square = magnitude * magnitude; /* at least 2^-60, normal */
    return v_fma(-s, v_fma(-square, POLY(square, log_poly), u), u);
}

/* log x for normal x and NaN: with x = 2^n m, 3/4 <= m < 3/2, it is n ln 2 + log(1 + u), where u = m - 1 is exact.  Near x = 1,
 * n is 0. */
ALWAYS_INLINE vreal v_log(vreal x) {
    const vuint biased =
        ((vuint)x + ((ureal)1 << (MANTISSA - 1))) >> MANTISSA; /* a mantissa from 3/2 on counts to the next exponent */
    const vreal n = (vreal)((vuint)v_set(MAGIC) + biased) - (MAGIC + EXPONENT_BIAS);
    const vreal u = (vreal)((vuint)x - ((biased - EXPONENT_BIAS) << MANTISSA)) - 1;
    return v_fma(n, v_set(LN2_HIGH), v_fma(n, v_set(LN2_LOW), v_log1p(u))) + (x - x);
}

/* TAIL_UNIT * e^x for x <= 0.  The unit is large enough for x e^x to keep all its digits until it rounds to 0. */
ALWAYS_INLINE vreal v_exp_tail(vreal x) {
    const vreal low = v_max(v_set(-TAIL_END), x);
    const vreal t = v_fma(low, v_set(LOG2_E), v_set(MAGIC_FOR(TAIL_SCALE))), n = t - MAGIC_FOR(TAIL_SCALE),
                power = exp_power(t);
    return v_fma(power, exp_q(exp_rest(low, n)), power);
}

/* tail / TAIL_UNIT for a sum of it, or of its square, with 1: bounded below so that neither is denormal. */
ALWAYS_INLINE vreal v_normal_tail(vreal tail) { return v_max(v_set(TAIL_LEAST), tail) * (1 / TAIL_UNIT); }

/* y / TAIL_UNIT.  Where the result is denormal, the mantissa of y + limit has exactly its bits; the division would be as exact
 * but can take a hundred times as long. */
ALWAYS_INLINE vreal v_remove_unit(vreal y) {
    const vreal limit = v_set(TAIL_UNIT * REAL_MIN), magnitude = v_abs(y);
    if (!v_any_less(magnitude, limit)) return y * (1 / TAIL_UNIT);
    const vreal low = (vreal)((vint)(magnitude + limit) - (vint)limit), high = v_max(limit, magnitude) * (1 / TAIL_UNIT);
    return v_copysign(v_select(magnitude < limit, low, high), y);
}

/* e^x - 1 for x <= 0.  2^n - 1 is exact, or so near -1 that its error has no effect. */
ALWAYS_INLINE vreal v_expm1(vreal x) {
    const vreal low = v_max(v_set(-EXPM1_ONE), x);
    const vreal t = v_fma(low, v_set(LOG2_E), v_set(MAGIC_FOR(0))), n = t - MAGIC_FOR(0), power = exp_power(t);
    return v_fma(power, exp_q(exp_rest(low, n)), power - 1);
}

/* The bell curve of the normal distribution, in z = |x| sqrt(log2(e) / 2): e^(-x^2 / 2) = 2^(-z^2) (docs/decisions, 12).  The
 * rounding of z changes the result no more than a step from x to its neighbour does. */
#define BELL_ROOT R(0.84932180028801904272150283410289)
#define BELL_HALF R(0.58870501125773734550578466322982)    /* 1 / (2 BELL_ROOT) */
#define BELL_DENSITY R(0.46971863934982566688617016420509) /* 1 / (BELL_ROOT sqrt(2 pi)) */
ALWAYS_INLINE vreal bell_argument(vreal x) {
    return v_abs(v_max(v_set(-BELL_END / BELL_ROOT), v_min(v_set(BELL_TAIL / BELL_ROOT - R(0.1)), x))) * BELL_ROOT;
}

/* Mills' ratio, e^(x^2 / 2) Phi(-|x|) / BELL_ROOT, where Phi is the normal distribution function.  All coefficients are
 * positive, so that nothing cancels. */
ALWAYS_INLINE vreal v_mills(vreal z) {
    return v_fma(z, POLY(z, mills_over), v_set(BELL_HALF)) / v_fma(z, POLY(z, mills_under), v_set(1));
}

/* -z^2 - n, rounded once */
ALWAYS_INLINE vreal bell_rest(vreal z, vreal n) {
#if FNN_VBYTES > 16 || defined(__aarch64__)
    return v_fma(-z, z, -n);
#else /* the square of z's high half is exact */
    const vreal high = (vreal)((vint)z & v_iset((ireal)(~(ureal)0 << (MANTISSA + 2) / 2)));
    return (-n - high * high) - (z - high) * (z + high);
#endif
}

/* y + a 2^(-z^2), where a is 0, or not small for z < BELL_TAIL.  2^(-z^2) = 2^n part with part near 1, so that adding n to the
 * exponent of part is enough.  A NaN is in a.  Vectors with an entry beyond BELL_TAIL, where the result may be denormal, take
 * the longer path. */
ALWAYS_INLINE vreal v_add_bell(vreal y, vreal a, vreal z) {
    const vreal t = v_fma(-z, z, v_set(MAGIC)), r = bell_rest(z, t - MAGIC), part = v_fma(r, POLY(r, exp2_poly), v_set(1));
    const vuint e = (vuint)part + ((vuint)t << MANTISSA);
    if (!v_any_less(v_set(BELL_TAIL), z)) return v_fma(a, (vreal)e, y);
    const vint small = z > BELL_TAIL; /* other entries have the same bits as on the short path */
    const vreal tail = v_remove_unit(a * (vreal)(e + ((ureal)TAIL_SCALE << MANTISSA)));
    return v_select(small, y + tail, v_fma(a, v_select(small, v_set(1), (vreal)e), y));
}

typedef struct {
    vreal cos, sin;
} cos_sin;

/* cos(2 pi t) and sin(2 pi t), for an angle of t turns.  The reduction is exact for every t: from ALL_INTEGERS on t is an
 * integer; else an even integer is subtracted, then n / 4, the nearest quarter turn, which leaves s from -1/8 to 1/8.  The low
 * bits of n say whether sine and cosine change places and signs.  Infinity gives NaN. */
ALWAYS_INLINE cos_sin v_cos_sin(vreal t) {
    const vreal finite = v_keep(v_abs(t) < ALL_INTEGERS, t);
    const vreal near = finite - ((finite + EVEN_MAGIC) - EVEN_MAGIC); /* from -1 to 1 */
    const vreal shifted = v_fma(near, v_set(4), v_set(MAGIC)), s = v_fma(shifted - MAGIC, v_set(R(-0.25)), near);
    const vreal magnitude = v_max(v_set(R(0x1p-30)), v_abs(s)), square = magnitude * magnitude; /* normal */
    const vreal sine = v_fma(s, v_set(TURN), s * v_fma(square, POLY(square, sin_poly), v_set(TURN_LOW)));
    const vreal cosine = v_fma(square, POLY(square, cos_poly), v_set(1));
    const vuint n = (vuint)shifted;
    const vint swap = -(vint)(n & 1);
    const vuint sin_sign = (n & 2) << (8 * sizeof(real) - 2), cos_sign = ((n + 1) & 2) << (8 * sizeof(real) - 2);
    const vreal nan = t - t; /* or 0 */
    return (cos_sin){(vreal)((vuint)v_select(swap, sine, cosine) ^ cos_sign) + nan,
                     (vreal)((vuint)v_select(swap, cosine, sine) ^ sin_sign) + nan};
}
