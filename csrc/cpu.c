/* cpu.c: which levels this machine supports, and its cache size.  Compiled with the flags of the lowest level, because it runs
 * before the machine is known.
 */
#include "cpu.h"

#ifndef _WIN32
#include <unistd.h>
#endif

enum { DEFAULT_L2_BYTES = 1 << 20 }; /* a usual size, where the system does not report one */

ptrdiff_t fnn_cpu_l2_bytes(void) {
    long bytes = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return bytes > 0 ? bytes : DEFAULT_L2_BYTES;
}

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#include <stdint.h>

typedef struct {
    uint32_t eax, ebx, ecx, edx;
} registers;

static registers cpuid(uint32_t leaf) {
    registers r = {0, 0, 0, 0};
    __get_cpuid_count(leaf, 0, &r.eax, &r.ebx, &r.ecx, &r.edx);
    return r;
}

static int all(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

/* Whether the operating system saves these register states, bits of XCR0. */
static int os_saves(uint32_t states) {
    uint32_t low, high;
    if (!all(cpuid(1).ecx, 1u << 27)) return 0; /* OSXSAVE */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return all(low, states);
}

/* x86-64-v2: SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT */
int fnn_cpu_has_baseline(void) { return all(cpuid(1).ecx, 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23); }

/* x86-64-v3: FMA, MOVBE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; SSE and AVX state saved */
int fnn_cpu_has_avx2(void) {
    return fnn_cpu_has_baseline() && all(cpuid(1).ecx, 1u << 12 | 1u << 22 | 1u << 28 | 1u << 29) &&
           all(cpuid(7).ebx, 1u << 3 | 1u << 5 | 1u << 8) && all(cpuid(0x80000001).ecx, 1u << 5) && os_saves(0x06);
}

/* x86-64-v4: AVX512F, DQ, CD, BW, VL; opmask and upper ZMM state saved too */
int fnn_cpu_has_avx512(void) {
    return fnn_cpu_has_avx2() && all(cpuid(7).ebx, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31) && os_saves(0xe6);
}

int fnn_cpu_has_neon(void) { return 0; }

#else

int fnn_cpu_has_baseline(void) { return 0; }
int fnn_cpu_has_avx2(void) { return 0; }
int fnn_cpu_has_avx512(void) { return 0; }
int fnn_cpu_has_neon(void) { return 1; } /* part of aarch64 */

#endif
