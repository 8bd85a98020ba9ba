/* gather.inc.c: the rows of a batch: copies the listed rows of a data set and converts them to the unit's type.  Strides are in
 * bytes, and nothing has to be aligned.
 */

/* The rows of a batch are anywhere in memory.  While one is copied, the first ROW_START bytes of the row ROWS_AHEAD later are
 * prefetched; the hardware prefetcher brings the rest of it (docs/decisions, 11, compares other ways). */
enum { ROWS_AHEAD = 2, ROW_START = 1024 };
ALWAYS_INLINE void prefetch_row(const char *row, fnn_size bytes) {
    for (fnn_size line = 0; line < bytes && line < ROW_START; line += FNN_LINE) __builtin_prefetch(row + line);
}

/* Rows of one to MAX_PIECES pieces of PIECE bytes are copied by pieces, because a call of memcpy takes longer than such a copy
 * (docs/decisions, 16).  The last piece may overlap the one before it. */
enum { PIECE = 16, MAX_PIECES = 8 };
ALWAYS_INLINE void copy_bytes(void *to_, const char *from, fnn_size n) {
    char *to = to_;
    if (n < PIECE || n > MAX_PIECES * PIECE) {
        memcpy(to, from, (size_t)n);
        return;
    }
    for (fnn_size at = 0; at < n - PIECE; at += PIECE) memcpy(to + at, from + at, PIECE);
    memcpy(to + n - PIECE, from + n - PIECE, PIECE);
}

#define GATHER(suffix, type)                                                                                             \
    static void gather_##suffix(const void *x, fnn_size x_row, fnn_size x_col, const int64_t *rows, fnn_size n_rows,     \
                                fnn_size cols, void *out, fnn_size out_row) {                                            \
        for (fnn_size i = 0; i < n_rows; i++) {                                                                          \
            const char *row = (const char *)x + rows[i] * x_row;                                                         \
            real *to = (real *)out + i * out_row;                                                                        \
            type v;                                                                                                      \
            if (i + ROWS_AHEAD < n_rows)                                                                                 \
                prefetch_row((const char *)x + rows[i + ROWS_AHEAD] * x_row, cols * (fnn_size)sizeof v);                 \
            if (x_col == sizeof v && sizeof v == sizeof(real)) {                                                         \
                copy_bytes(to, row, cols * (fnn_size)sizeof v);                                                          \
            } else if (x_col == sizeof v) {                                                                              \
                for (fnn_size j = 0; j < cols; j++) memcpy(&v, row + j * (fnn_size)sizeof v, sizeof v), to[j] = (real)v; \
            } else {                                                                                                     \
                for (fnn_size j = 0; j < cols; j++) memcpy(&v, row + j * x_col, sizeof v), to[j] = (real)v;              \
            }                                                                                                            \
        }                                                                                                                \
    }
GATHER(f32, float)
GATHER(f64, double)
GATHER(u8, uint8_t)
#undef GATHER
