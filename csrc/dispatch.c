/* dispatch.c: the list of levels that were built, and the choice of one for the kernel table (docs/decisions, 2). */
#include <string.h>

#include "cpu.h"
#include "fastnn.h"
#include "losses.h"
#include "random.h"
#include "threads.h"

#define FNN_NAME_1(name, derivative_from) #name,
#define FNN_DERIVATIVE_FROM(name, derivative_from) FNN_##derivative_from,
#define FNN_NAME_2(name, slots) #name,
#define FNN_SLOTS(name, slots) slots,
#define FNN_NAME_3(name) #name,
const char *const fnn_activation_names[FNN_N_ACTIVATIONS] = {FNN_ACTIVATIONS(FNN_NAME_1)};
const int fnn_activation_derivative_from[FNN_N_ACTIVATIONS] = {FNN_ACTIVATIONS(FNN_DERIVATIVE_FROM)};
const char *const fnn_update_names[FNN_N_UPDATES] = {FNN_UPDATES(FNN_NAME_2)};
const char *const fnn_loss_names[FNN_N_LOSSES] = {FNN_LOSSES(FNN_NAME_3)};
const int fnn_update_slots[FNN_N_UPDATES] = {FNN_UPDATES(FNN_SLOTS)};

/* Slowest first. */
#if defined(__x86_64__) || defined(_M_X64)
#define FNN_LEVELS(X) X(baseline) X(avx2) X(avx512)
#else
#define FNN_LEVELS(X) X(neon)
#endif

#define FNN_DECLARE(name) extern const fnn_kernels fnn_##name##_f32, fnn_##name##_f64;
#define FNN_LEVEL_ENTRY(name) {#name, &fnn_##name##_f32, &fnn_##name##_f64, 0},
#define FNN_LEVEL_PROBE(name) fnn_cpu_has_##name,
FNN_LEVELS(FNN_DECLARE)
static fnn_level levels[] = {FNN_LEVELS(FNN_LEVEL_ENTRY)};
static int (*const probes[])(void) = {FNN_LEVELS(FNN_LEVEL_PROBE)};
enum { N_LEVELS = sizeof levels / sizeof *levels };

int fnn_levels(const fnn_level **out) {
    for (int i = 0; i < N_LEVELS; i++) levels[i].supported = probes[i]();
    *out = levels;
    return N_LEVELS;
}

int fnn_choose(const char *name, fnn_table *table) {
    const fnn_level *all, *chosen = NULL;
    const int n = fnn_levels(&all);
    for (int i = 0; i < n; i++)
        if (name ? strcmp(name, all[i].name) == 0 : all[i].supported) chosen = &all[i];
    if (!chosen) return -1;
    if (!chosen->supported) return -2;
    *table = (fnn_table){
        .isa = chosen->name,
        .l2_bytes = fnn_cpu_l2_bytes(),
        .f32 = chosen->f32,
        .f64 = chosen->f64,
        .parallel = fnn_parallel,
        .keep_workers_awake = fnn_keep_workers_awake,
        .let_workers_sleep = fnn_let_workers_sleep,
        .scratch = fnn_scratch,
        .permutation = fnn_permutation,
        .swap_ids = fnn_swap_ids,
        .clock = fnn_clock,
        .loss_wide = fnn_loss_wide,
    };
    return 0;
}

const char *fnn_compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}
