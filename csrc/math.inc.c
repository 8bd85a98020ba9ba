/* math.inc.c: the elementary functions that the other bodies share, on whole vectors, without tables or intrinsics.
 *
 * All rest on e^x = 2^n (1 + q) with q = e^r - 1 and r = x - n ln 2: n is rounded by adding MAGIC, which also leaves n in the
 * low bits of the sum, from where a shift makes 2^n.  1 + q is never formed where q alone is enough, so results near 0 keep
 * their digits.  2 ULP hold at every level, with FMA or without (tools/ulp.py measures it).
 */
#ifdef FNN_F32
#define MANTISSA 23
#define EXPONENT_BIAS 127
#define MAGIC R(0x1.8p23)
#define LOG2_E R(0x1.715476p+0)
#define LN2_HIGH R(0x1.62e4p-1) /* 16 bits: n * LN2_HIGH is exact */
#define LN2_LOW R(0x1.7f7d1cp-20)
#define EXP_UNDERFLOW R(104.7) /* e^-x rounds to 0 from here on, and n + bias + EXP_SCALE is 0 */
#define EXP_SCALE 24
#define EXP_UNIT R(0x1p24)
#define TANH_ONE R(10.0) /* tanh rounds to 1 long before */
/* (e^r - 1 - r) / r^2 on [-0.347, 0.694]; error of e^r - 1 below 2^-27.3 of it */
static const real exp_poly[] = {0x1.fffffep-2f,  0x1.55557ap-3f,  0x1.555794p-5f,
                                0x1.10df52p-7f,  0x1.6b0c0cp-10f, 0x1.e41f1ap-13f};
/* (2 atanh(s) - 2s) / s^3 as a polynomial in s^2 on [0, 1/9]; error of atanh below 2^-27.7 of it */
static const real log_poly[] = {0x1.555502p-1f, 0x1.99d1ccp-2f, 0x1.1ec03ep-2f, 0x1.1eca34p-2f};
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
#define TANH_ONE R(22.0)
/* as above; error below 2^-59.1 */
static const real exp_poly[] = {0x1.0000000000000p-1,  0x1.5555555555561p-3,  0x1.5555555555547p-5,  0x1.111111110e2bfp-7,
                                0x1.6c16c16c3054ep-10, 0x1.a01a01ae664eap-13, 0x1.a01a00c6e2ca6p-16, 0x1.71de20e63a29ep-19,
                                0x1.27e756d132498p-22, 0x1.ae6e0f0372f1ep-26, 0x1.1aeca159b948ep-29, 0x1.ab6cf1e06afe7p-33};
/* as above; error below 2^-54.1 */
static const real log_poly[] = {0x1.5555555555937p-1, 0x1.99999998ebce0p-2, 0x1.24924978306e7p-2,
                                0x1.c71c4a6ae7c7dp-3, 0x1.746250400a0a2p-3, 0x1.3aa9230d42a59p-3,
                                0x1.163f9e15beda0p-3, 0x1.959c7ffc724dap-4, 0x1.6b51b15a49b8cp-3};
#endif

#define POLY(x, c) v_poly(x, c, sizeof(c) / sizeof(*(c)))

/* c[0] + c[1] x + ...: even and odd powers apart, which costs nothing and halves the chain. */
ALWAYS_INLINE vreal v_poly(vreal x, const real *c, size_t n) {
    const vreal square = x * x;
    vreal high = v_set(c[n - 1]), low = v_set(c[n - 2]);
    for (size_t i = n - 2; i >= 2; i -= 2) {
        high = v_fma(high, square, v_set(c[i - 1]));
        low = v_fma(low, square, v_set(c[i - 2]));
    }
    return n % 2 ? v_fma(low, x, v_fma(high, square, v_set(c[0]))) : v_fma(high, x, low);
}

/* q for x, where t = n + MAGIC */
ALWAYS_INLINE vreal exp_q(vreal x, vreal t) {
    const vreal n = t - MAGIC;
    const vreal r = v_fma(n, v_set(-LN2_LOW), v_fma(n, v_set(-LN2_HIGH), x));
    return v_fma(r * r, POLY(r, exp_poly), r);
}

/* 2^n as bits, but for the bias */
ALWAYS_INLINE vuint exp_power(vreal t) { return (vuint)t << MANTISSA; }

/* For x <= 0: EXP_UNIT * e^x = power * (1 + q).  The factor keeps everything normal down to where e^x itself rounds to 0. */
ALWAYS_INLINE vreal exp_parts(vreal x, vreal *power) {
    const vreal low = v_max(v_set(-EXP_UNDERFLOW), x);
    const vreal t = v_fma(low, v_set(LOG2_E), v_set(MAGIC));
    *power = (vreal)(exp_power(t) + ((ureal)(EXPONENT_BIAS + EXP_SCALE) << MANTISSA));
    return exp_q(low, t);
}

/* EXP_UNIT * e^x for x <= 0 */
ALWAYS_INLINE vreal v_exp_scaled(vreal x) {
    vreal power;
    const vreal q = exp_parts(x, &power);
    return v_fma(power, q, power);
}

/* 1 / (1 + e^-x), and EXP_UNIT * e^-|x| beside it.  The last division alone may go below the normal numbers. */
ALWAYS_INLINE vreal v_sigmoid(vreal x, vreal *e) {
    vreal power;
    const vreal q = exp_parts(-v_abs(x), &power);
    *e = v_fma(power, q, power);
    return v_select(x < 0, *e, v_set(EXP_UNIT)) / v_fma(power, q, power + EXP_UNIT);
}

/* With 2|x| = n ln 2 + r and s = 2^-n, tanh |x| = (1 - s + q) / (1 + s + q).  n is rounded down, so that q >= 0 and nothing
 * cancels. */
ALWAYS_INLINE vreal v_tanh(vreal x) {
    const vreal twice = 2 * v_min(v_set(TANH_ONE), v_abs(x));
    const vreal t = v_fma(twice, v_set(LOG2_E), v_set(R(-0.5))) + MAGIC;
    const vreal s = (vreal)(((ureal)EXPONENT_BIAS << MANTISSA) - exp_power(t));
    const vreal q = exp_q(twice, t);
    return v_copysign((1 - s + q) / (1 + s + q), x);
}

/* log(1 + u) for 0 <= u <= 1: with s = u / (2 + u) it is 2 atanh(s) = 2s + s^3 P(s^2), and 2s = u - s u. */
ALWAYS_INLINE vreal v_log1p(vreal u) {
    const vreal s = u / (2 + u), square = s * s;
    return v_fma(-s, v_fma(-square, POLY(square, log_poly), u), u);
}
