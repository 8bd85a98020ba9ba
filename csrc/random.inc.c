/* random.inc.c: random words in vectors, with the same bits as random.h. */
#include "random.h"

#define COUNTERS (FNN_VBYTES / 8) /* blocks computed at once, one in each 64-bit lane */
#define WORDS (4 * COUNTERS)      /* words of these blocks */
#define CHUNK 1024                /* numbers drawn before they are used; docs/decisions, 7, compares lengths for dropout */

/* Lanes a0 b0 a1 b1 ... of the lower or of the upper halves of a and b */
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

/* The words of COUNTERS blocks from `block` on: word i of a block is in the low 32 bits of its lane of out[i].  The high ones
 * are arbitrary: products use only the low 32 bits of each lane, so they need no clearing. */
ALWAYS_INLINE void random_lanes(const int rounds, const fnn_stream *stream, uint64_t block, vu64 out[4]) {
    static const uint64_t lane[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const vu64 zero = {0}, m0 = zero + PHILOX_M0, m1 = zero + PHILOX_M1;
    vu64 c0, c1, c2 = zero + stream->step, c3 = zero + stream->stream;
    uint64_t k0 = (uint32_t)stream->seed, k1 = stream->seed >> 32;
    memcpy(&c0, lane, sizeof c0);
    c0 += block;
    c1 = c0 >> 32;
    UNROLL for (int round = 0; round < rounds; round++, k0 += PHILOX_K0, k1 += PHILOX_K1) {
        const vu64 p0 = v_mul32(c0, m0), p1 = v_mul32(c2, m1);
        c0 = (p1 >> 32) ^ c1 ^ k0;
        c1 = p1;
        c2 = (p0 >> 32) ^ c3 ^ k1;
        c3 = p0;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* Two words in each lane: those of a first, then those of b. */
ALWAYS_INLINE vu64 two_words(vu64 a, vu64 b) { return (a & UINT32_MAX) | (b << 32); }

/* The words of COUNTERS blocks from `block` on, in their order. */
ALWAYS_INLINE void random_blocks(const int rounds, const fnn_stream *stream, uint64_t block, void *out) {
    vu64 word[4];
    random_lanes(rounds, stream, block, word);
    const vu64 front = two_words(word[0], word[1]), back = two_words(word[2], word[3]);
    const vu64 low_words = ZIP_LOW(front, back), high_words = ZIP_HIGH(front, back);
    memcpy(out, &low_words, sizeof low_words);
    memcpy((char *)out + sizeof low_words, &high_words, sizeof high_words);
}

ALWAYS_INLINE void random_words(const int rounds, const fnn_stream *stream, uint64_t first, fnn_size n, uint32_t *out) {
    uint32_t words[WORDS];
    while (n > 0) {
        const fnn_size skip = (fnn_size)(first % 4), run = n < WORDS - skip ? n : WORDS - skip;
        if (run == WORDS) {
            random_blocks(rounds, stream, first / 4, out);
        } else {
            random_blocks(rounds, stream, first / 4, words);
            memcpy(out, words + skip, (size_t)run * sizeof *out);
        }
        first += (uint64_t)run, out += run, n -= run;
    }
}

static void random_bits(const fnn_stream *stream, uint64_t first, fnn_size n, uint32_t *out) {
    random_words(PHILOX_ROUNDS, stream, first, n, out);
}
