/* augmentation.inc.c: changes of a batch that is trained on: noise, entries of other rows, mixtures of rows, shifted and
 * mirrored images.  Random words come from random.inc.c.
 */

/* ---- noise ----
 *
 * Standard normal numbers in float, by Box and Muller: sqrt(-2 log u) times the cosine and the sine of a random angle.  They
 * are plain multiplications and additions, no FMA, so that every level and the NumPy twin have the same bits.
 */

/* sin(2 pi s) / s as a polynomial in s^2 for |s| <= 1/8; error below 2^-24.5 of it */
static const float noise_sine[] = {0x1.921fb6p+2f, -0x1.4abbb8p+5f, 0x1.465e90p+6f, -0x1.2d92aep+6f};
/* (cos(2 pi s) - 1) / s^2, likewise; error below 2^-24.1 of the cosine */
static const float noise_cosine[] = {-0x1.3bd39cp+4f, 0x1.03b090p+6f, -0x1.4e843ep+6f};
/* (2 atanh(s) - 2 s) / s^3 as a polynomial in s^2 for |s| <= 1/5; error below 2^-28.2 of atanh(s) */
static const float noise_logarithm[] = {0x1.5555b4p-1f, 0x1.992b42p-2f, 0x1.36e096p-2f};
#define NOISE_LN2 0x1.62e430p-1f

/* sqrt(-2 log u) for u = ((word >> 8) + 1) / 2^24.  With 2^24 u = 2^n m, 3/4 <= m < 3/2, log u is (n - 24) log 2 + log(1 + f)
 * for f = m - 1, and log(1 + f) = 2 atanh(s) for s = f / (2 + f), where 2 s = f - s f. */
ALWAYS_INLINE vfloat noise_radius(vu32 word) {
    const vu32 bits = (vu32) __builtin_convertvector((vi32)((word >> 8) + 1), vfloat), exponent = (bits + (1u << 22)) >> 23;
    const vfloat f = (vfloat)(bits - ((exponent - 127) << 23)) - 1, s = f / (f + 2), square = s * s;
    const vfloat series = (noise_logarithm[2] * square + noise_logarithm[1]) * square + noise_logarithm[0];
    const vfloat logarithm = f - s * (f - square * series), n = __builtin_convertvector((vi32)exponent - (127 + 24), vfloat);
    return v_sqrt_float((n * NOISE_LN2 + logarithm) * -2);
}

/* Cosine and sine of the angle of word / 2^32 turns: that of the nearest quarter turn plus s, from -1/8 to 1/8 of a turn. */
ALWAYS_INLINE void noise_circle(vu32 word, vfloat *cosine_, vfloat *sine_) {
    const vu32 quarter = word + (1u << 29), sign_bit = (vu32){0} + (1u << 31); /* the top two bits are the nearest quarter */
    const vfloat s = __builtin_convertvector((vi32)(word << 2), vfloat) * 0x1p-34f, square = s * s;
    const vfloat of_sine = ((noise_sine[3] * square + noise_sine[2]) * square + noise_sine[1]) * square + noise_sine[0];
    const vfloat of_cosine = (noise_cosine[2] * square + noise_cosine[1]) * square + noise_cosine[0];
    const vu32 sine = (vu32)(s * of_sine), cosine = (vu32)(square * of_cosine + 1);
    const vu32 swap = (sine ^ cosine) & (vu32)((vi32)(quarter << 1) >> 31); /* at an odd quarter they change places */
    *cosine_ = (vfloat)(cosine ^ swap ^ ((quarter + (1u << 30)) & sign_bit));
    *sine_ = (vfloat)(sine ^ swap ^ (quarter & sign_bit));
}

/* Lanes a0 b0 a1 b1 ... of the lower and of the upper halves of a and b */
#if FNN_VBYTES == 64
#define ZIP_FLOATS_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define ZIP_FLOATS_HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif FNN_VBYTES == 32
#define ZIP_FLOATS_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define ZIP_FLOATS_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define ZIP_FLOATS_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define ZIP_FLOATS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* The 2 * FLOATS normal numbers of COUNTERS blocks from `block` on */
ALWAYS_INLINE void normal_blocks(const fnn_stream *stream, uint64_t block, float *out) {
    vu64 word[4];
    vfloat cosine, sine;
    random_lanes(PHILOX_MASK_ROUNDS, stream, block, word);
    const vfloat radius = noise_radius((vu32)two_words(word[0], word[2]));
    noise_circle((vu32)two_words(word[1], word[3]), &cosine, &sine);
    const vfloat even = radius * cosine, odd = radius * sine;
    const vfloat low = ZIP_FLOATS_LOW(even, odd), high = ZIP_FLOATS_HIGH(even, odd);
    memcpy(out, &low, sizeof low);
    memcpy(out + FLOATS, &high, sizeof high);
}

static void add_noise(const void *x_, void *y_, fnn_size n, uint64_t first, const fnn_stream *stream, double std_) {
    const real *x = x_;
    real *y = y_;
    float chunk[CHUNK + FLOATS];
    const float *z = chunk + first % 4; /* the first block's numbers before this one are for elements before `first` */
    uint64_t block = first / 4;
    const vreal std = v_set((real)std_);
    while (n > 0) {
        const fnn_size room = CHUNK - (z - chunk), run = n < room ? n : room;
        for (float *out = chunk; out < z + run; out += 2 * FLOATS, block += COUNTERS) normal_blocks(stream, block, out);
        FNN_RUN(i, width, run, v_store_n(y + i, v_load_n(x + i, width) + std * v_from_floats(z + i), width));
        x += run, y += run, n -= run, z = chunk;
    }
}

/* ---- rows ---- */

static void swap_entries(const void *x_, void *y_, fnn_size n, fnn_size cols, fnn_size first, fnn_size rows,
                         const fnn_stream *stream, uint64_t threshold) {
    const real *x = x_;
    real *y = y_;
    uint32_t words[CHUNK];
    uint16_t swapped[CHUNK]; /* found without branches: one would be mispredicted at almost every swap */
    const double inverse = 1 / (double)threshold;
    const fnn_size end = (first + rows) * cols;
    fnn_size i = first, next = (first + 1) * cols; /* the first entry of the row after i */
    for (fnn_size at = first * cols; at < end; at += CHUNK) {
        const fnn_size run = end - at < CHUNK ? end - at : CHUNK;
        random_words(PHILOX_MASK_ROUNDS, stream, (uint64_t)at, run, words);
        memcpy(y + at, x + at, (size_t)run * sizeof *y);
        fnn_size count = 0;
        for (fnn_size t = 0; t < run; t++) swapped[count] = (uint16_t)t, count += words[t] < threshold;
        for (fnn_size s = 0; s < count; s++) {
            const fnn_size entry = at + swapped[s];
            while (entry >= next) next += cols, i++;
            y[entry] = x[entry + (fnn_swap_source(i, n, words[swapped[s]], threshold, inverse) - i) * cols];
        }
    }
}

static void mix(const void *x_, const void *x2_, void *y_, fnn_size n, double share) {
    const real *x = x_, *x2 = x2_;
    real *y = y_;
    const vreal a = v_set((real)share), b = v_set((real)(1 - share));
    FNN_RUN(i, width, n, v_store_n(y + i, a * v_load_n(x + i, width) + b * v_load_n(x2 + i, width), width));
}

/* ---- images ---- */

/* Writes n times the pixel of `inner` elements at `pixel`, or the fill if that is NULL. */
static void fill_pixels(real *y, fnn_size n, const real *pixel, fnn_size inner, real fill) {
    for (fnn_size i = 0; i < n; i++)
        for (fnn_size j = 0; j < inner; j++) y[i * inner + j] = pixel ? pixel[j] : fill;
}

static void shift_image(const void *x_, void *y_, const fnn_image *image, fnn_size down, fnn_size right, double fill_,
                        int edge) {
    const real *x = x_, fill = (real)fill_;
    real *y = y_;
    const fnn_size height = image->height, width = image->width, inner = image->inner, line = width * inner;
    const fnn_size left_gap = right > 0 ? right : 0, right_gap = right < 0 ? -right : 0, kept = width - left_gap - right_gap;
    for (fnn_size o = 0; o < image->outer; o++, x += height * line)
        for (fnn_size r = 0; r < height; r++, y += line) {
            const fnn_size from = r - down, nearest = from < 0 ? 0 : from < height ? from : height - 1;
            const real *source = x + nearest * line;
            if (from != nearest && !edge) {
                fill_pixels(y, width, NULL, inner, fill);
                continue;
            }
            fill_pixels(y, left_gap, edge ? source : NULL, inner, fill);
            memcpy(y + left_gap * inner, source + right_gap * inner, (size_t)(kept * inner) * sizeof *y);
            fill_pixels(y + (left_gap + kept) * inner, right_gap, edge ? source + line - inner : NULL, inner, fill);
        }
}

static void flip_image(const void *x_, void *y_, const fnn_image *image, int vertical) {
    const real *x = x_;
    real *y = y_;
    const fnn_size height = image->height, width = image->width, inner = image->inner, line = width * inner;
    for (fnn_size o = 0; o < image->outer; o++, x += height * line, y += height * line)
        for (fnn_size r = 0; r < height; r++) {
            const real *from = x + (vertical ? height - 1 - r : r) * line;
            real *to = y + r * line;
            if (vertical)
                memcpy(to, from, (size_t)line * sizeof *to);
            else if (inner == 1) /* most images: without a call of memcpy for each pixel */
                for (fnn_size c = 0; c < width; c++) to[c] = from[width - 1 - c];
            else
                for (fnn_size c = 0; c < width; c++)
                    memcpy(to + c * inner, from + (width - 1 - c) * inner, (size_t)inner * sizeof *to);
        }
}
