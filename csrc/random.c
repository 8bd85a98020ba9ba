/* random.c: random permutations, the order of the rows in an epoch (docs/decisions, 5). */
#include "random.h"

/* Element i of the stream chooses which of 0..i position i is exchanged with.  The bias of the product is below n / 2^32. */
void fnn_permutation(const fnn_stream *stream, fnn_size n, int64_t *rows) {
    uint32_t word[4];
    for (fnn_size i = 0; i < n; i++) rows[i] = i;
    for (fnn_size i = n - 1; i > 0; i--) {
        if (i == n - 1 || i % 4 == 3) fnn_random_block(stream, (uint64_t)i / 4, word);
        const uint64_t j = word[i % 4] * ((uint64_t)i + 1) >> 32;
        const int64_t swap = rows[i];
        rows[i] = rows[j];
        rows[j] = swap;
    }
}
