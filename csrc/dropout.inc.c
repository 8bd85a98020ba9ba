/* dropout.inc.c: keeps an element where its random word reaches the threshold; the words are those of random.h, bit for bit. */
#include "random.h"

#define COUNTERS (FNN_VBYTES / 8) /* blocks made at once, one in each 64-bit lane */
#define CHUNK 1024                /* words made before they are used */

typedef uint32_t vu32 __attribute__((vector_size(FNN_VBYTES)));

/* Lanes a0 b0 a1 b1 ... of the lower or the upper halves */
#if COUNTERS == 8
#define ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif COUNTERS == 4
#define ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#else
#define ZIP_LOW(a, b) __builtin_shufflevector(a, b, 0, 2)
#define ZIP_HIGH(a, b) __builtin_shufflevector(a, b, 1, 3)
#endif

/* The words of COUNTERS blocks.  Products take the low halves of lanes alone, so what collects in the high ones is let be. */
ALWAYS_INLINE void random_blocks(const fnn_stream *stream, uint64_t block, uint32_t *out) {
    static const uint64_t lane[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const vu64 zero = {0}, m0 = zero + PHILOX_M0, m1 = zero + PHILOX_M1, low = zero + UINT32_MAX;
    vu64 c0, c1, c2 = zero + stream->step, c3 = zero + stream->stream;
    uint64_t k0 = (uint32_t)stream->seed, k1 = stream->seed >> 32;
    memcpy(&c0, lane, sizeof c0);
    c0 += block;
    c1 = c0 >> 32;
    for (int round = 0; round < PHILOX_ROUNDS; round++, k0 += PHILOX_K0, k1 += PHILOX_K1) {
        const vu64 p0 = v_mul32(c0, m0), p1 = v_mul32(c2, m1);
        c0 = (p1 >> 32) ^ c1 ^ k0;
        c1 = p1;
        c2 = (p0 >> 32) ^ c3 ^ k1;
        c3 = p0;
    }
    const vu64 front = (c0 & low) | (c1 << 32), back = (c2 & low) | (c3 << 32);
    const vu64 first = ZIP_LOW(front, back), second = ZIP_HIGH(front, back);
    memcpy(out, &first, sizeof first);
    memcpy(out + 2 * COUNTERS, &second, sizeof second);
}

/* Where the words reach the threshold */
ALWAYS_INLINE vint words_reach(const uint32_t *words, uint32_t threshold) {
#ifdef FNN_F32
    vu32 w;
    memcpy(&w, words, sizeof w);
    return (vint)(w >= threshold);
#else
    uint32_t half __attribute__((vector_size(FNN_VBYTES / 2)));
    memcpy(&half, words, sizeof half);
    return (vint)(__builtin_convertvector(half, vu64) >= (uint64_t)threshold);
#endif
}

static void dropout_run(const void *x_, void *y_, fnn_size n, uint64_t first, const fnn_stream *stream, uint64_t threshold,
                        double scale_) {
    const real *x = x_;
    real *y = y_;
    if (threshold > UINT32_MAX) {
        for (fnn_size i = 0; i < n; i++) y[i] = 0;
        return;
    }
    uint32_t chunk[CHUNK + FNN_VBYTES];
    const uint32_t *words = chunk + first % 4, least = (uint32_t)threshold; /* words before belong to elements before */
    uint64_t block = first / 4;
    const vreal scale = v_set((real)scale_);
    while (n > 0) {
        const fnn_size room = CHUNK - (words - chunk), run = n < room ? n : room;
        for (uint32_t *out = chunk; out < words + run; out += 4 * COUNTERS, block += COUNTERS)
            random_blocks(stream, block, out);
        FNN_RUN(i, width, run, v_store_n(y + i, v_keep(words_reach(words + i, least), v_load_n(x + i, width) * scale), width));
        x += run, y += run, n -= run, words = chunk;
    }
}
