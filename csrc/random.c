/* random.c: random permutations, the order of the rows in an epoch (docs/decisions, 5), and swaps of ids between rows. */
#include "random.h"

/* Element i of the stream chooses which of 0..i position i is exchanged with.  The bias of the product is below n / 2^32. */
void fnn_permutation(const fnn_stream *stream, fnn_size n, int64_t *rows) {
    uint32_t word[4];
    for (fnn_size i = 0; i < n; i++) rows[i] = i;
    for (fnn_size i = n - 1; i > 0; i--) {
        if (i == n - 1 || i % 4 == 3) fnn_random_block(PHILOX_ROUNDS, stream, (uint64_t)i / 4, word);
        const uint64_t j = word[i % 4] * ((uint64_t)i + 1) >> 32;
        const int64_t swap = rows[i];
        rows[i] = rows[j];
        rows[j] = swap;
    }
}

void fnn_swap_ids(const fnn_stream *stream, uint64_t threshold, const int64_t *ids, int64_t *out, fnn_size n, fnn_size cols,
                  fnn_size column) {
    uint32_t word[4];
    const double inverse = 1 / (double)threshold;
    for (fnn_size i = 0; i < n; i++) {
        const uint64_t entry = (uint64_t)i * (uint64_t)cols + (uint64_t)column;
        fnn_random_block(PHILOX_MASK_ROUNDS, stream, entry / 4, word);
        out[i] = ids[word[entry % 4] < threshold ? fnn_swap_source(i, n, word[entry % 4], threshold, inverse) : i];
    }
}
