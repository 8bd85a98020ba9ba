/* gather.inc.c: rows of a batch, converted by value; strides are in bytes and nothing need be aligned. */

/* Rows lie anywhere in memory: the start of a later one is asked for while this one is copied; the rest of it follows. */
enum { AHEAD = 2, ROW_START = 1024, PIECE = 16 };
ALWAYS_INLINE void prefetch_row(const char *row, fnn_size bytes) {
    for (fnn_size at = 0; at < bytes && at < ROW_START; at += 64) __builtin_prefetch(row + at);
}

/* A short row: a call of memcpy takes longer than the copy.  The last piece may begin within the one before it. */
ALWAYS_INLINE void copy_bytes(void *to_, const char *from, fnn_size n) {
    char *to = to_;
    if (n < PIECE || n > 8 * PIECE) {
        memcpy(to, from, (size_t)n);
        return;
    }
    for (fnn_size at = 0; at < n - PIECE; at += PIECE) memcpy(to + at, from + at, PIECE);
    memcpy(to + n - PIECE, from + n - PIECE, PIECE);
}

#define GATHER(suffix, type)                                                                                             \
    static void gather_##suffix(const void *x, fnn_size x_row, fnn_size x_col, const int64_t *rows, fnn_size n_rows,     \
                                fnn_size cols, void *out) {                                                              \
        for (fnn_size i = 0; i < n_rows; i++) {                                                                          \
            const char *row = (const char *)x + rows[i] * x_row;                                                         \
            real *to = (real *)out + i * cols;                                                                           \
            type v;                                                                                                      \
            if (i + AHEAD < n_rows) prefetch_row((const char *)x + rows[i + AHEAD] * x_row, cols * (fnn_size)sizeof v);  \
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
