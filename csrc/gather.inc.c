/* gather.inc.c: rows of a batch, converted by value; strides are in bytes and nothing need be aligned. */
#define GATHER(suffix, type)                                                                                             \
    static void gather_##suffix(const void *x, fnn_size x_row, fnn_size x_col, const int64_t *rows, fnn_size n_rows,     \
                                fnn_size cols, void *out) {                                                              \
        for (fnn_size i = 0; i < n_rows; i++) {                                                                          \
            const char *row = (const char *)x + rows[i] * x_row;                                                         \
            real *to = (real *)out + i * cols;                                                                           \
            type v;                                                                                                      \
            if (x_col == sizeof v) {                                                                                     \
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
