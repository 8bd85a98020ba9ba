/* random.h: the random number generator, Philox 4x32, of which all randomness comes (Salmon, Moraes, Dror, Shaw: "Parallel
 * random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * A block is four 32-bit words: the cipher of (block low, block high, step, stream) under the key (seed low, seed high).
 * Element i of a stream is word i % 4 of block i / 4, with ten rounds, as the authors advise.  A dropout mask takes 16 bits for
 * each element: half i % 8 of block i / 8 (the low half of a word first), with seven rounds, the fewest that passed the
 * authors' tests (docs/decisions, 7).  Augmentation also uses seven rounds where it draws for each entry: a word for a swap,
 * two words for two normal numbers.  Draws for each row have ten.
 */
#ifndef FNN_RANDOM_H
#define FNN_RANDOM_H

#include "fastnn.h"

#define PHILOX_ROUNDS 10
#define PHILOX_MASK_ROUNDS 7
#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_K0 0x9E3779B9u
#define PHILOX_K1 0xBB67AE85u

static inline void fnn_random_block(const int rounds, const fnn_stream *stream, uint64_t block, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = stream->step, c3 = stream->stream;
    uint32_t k0 = (uint32_t)stream->seed, k1 = (uint32_t)(stream->seed >> 32);
    for (int round = 0; round < rounds; round++, k0 += PHILOX_K0, k1 += PHILOX_K1) {
        const uint64_t p0 = (uint64_t)PHILOX_M0 * c0, p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* The row of n that an entry of row i is replaced with, for its word below the threshold: words in equal parts choose row i +
 * 1, i + 2, ..., and a single row itself.  The quotient is computed in double, which is much faster than in integers, and
 * corrected: it is off by one at most. */
static inline fnn_size fnn_swap_source(fnn_size i, fnn_size n, uint32_t word, uint64_t threshold, double inverse) {
    const uint64_t product = word * (uint64_t)(n - 1);
    uint64_t quotient = (uint64_t)((double)product * inverse);
    const int64_t rest = (int64_t)(product - quotient * threshold);
    if (rest < 0) quotient--;
    if (rest >= (int64_t)threshold) quotient++;
    const fnn_size row = i + 1 + (fnn_size)quotient;
    return row < n ? row : row - n;
}

/* Contracts in fastnn.h. */
void fnn_permutation(const fnn_stream *stream, fnn_size n, int64_t *rows);
void fnn_swap_ids(const fnn_stream *stream, uint64_t threshold, const int64_t *ids, int64_t *out, fnn_size n, fnn_size cols,
                  fnn_size column);

#endif
