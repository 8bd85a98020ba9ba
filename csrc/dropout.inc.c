/* dropout.inc.c: dropout, which keeps an element where its 16 random bits, half of a word, are at least the threshold
 * (docs/decisions, 7).
 */

static void dropout_run(const void *x_, void *y_, fnn_size n, uint64_t first, const fnn_stream *stream, uint32_t threshold,
                        double scale_) {
    const real *x = x_;
    real *y = y_;
    uint16_t chunk[CHUNK + 4 * WORDS];
    const uint16_t *halves = chunk + first % 8; /* the first block's halves before this one are for elements before `first` */
    uint64_t block = first / 8;
    const vreal scale = v_set((real)scale_);
    while (n > 0) {
        const fnn_size room = CHUNK - (halves - chunk), run = n < room ? n : room;
        for (uint16_t *out = chunk; out < halves + run; out += 2 * WORDS, block += COUNTERS) {
            random_blocks(PHILOX_MASK_ROUNDS, stream, block, out);
            /* Prefetches the elements that these halves are for (docs/decisions, 7). */
            for (fnn_size line = out - chunk; line < out - chunk + 2 * WORDS; line += FNN_LINE / (fnn_size)sizeof(real)) {
                __builtin_prefetch(x + line, 0);
                __builtin_prefetch(y + line, 1);
            }
        }
        FNN_RUN(i, width, run,
                v_store_n(y + i, v_keep((vint)(v_widen(halves + i) >= threshold), v_load_n(x + i, width) * scale), width));
        x += run, y += run, n -= run, halves = chunk;
    }
}
