/* threads.c: a small pool of workers, started when first needed, rebuilt after a fork.
 *
 * One job runs at a time; a caller that finds the pool busy runs its tasks itself, which changes no result, because what a
 * task computes never depends on who runs it.  A job opens a number of seats; a worker that takes one runs tasks until none is
 * left.  Seats and the number of the job share one atomic word, so that a worker that comes late cannot join the wrong job.
 */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200112L
#endif
#include "threads.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#if defined(_WIN32)

/* No pool here: the caller runs every task. */
#include <malloc.h>
#include <windows.h>

static _Thread_local void *scratch;

void *fnn_scratch(void) {
    if (!scratch) scratch = _aligned_malloc(FNN_SCRATCH, 64);
    return scratch;
}
void fnn_hold(void) {}
void fnn_release(void) {}
void fnn_parallel(fnn_task task, void *context, fnn_size n, int threads) {
    (void)threads;
    for (fnn_size i = 0; i < n; i++) task(context, i);
}
double fnn_clock(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

enum { MAX_WORKERS = 255, SPINS = 4000 };

static struct {
    pthread_mutex_t owner; /* held while a job runs */
    pthread_mutex_t lock;  /* guards sleeping */
    pthread_cond_t wake;
    int workers;
    /* the job; written by the owner while no seat is taken */
    fnn_task task;
    void *context;
    fnn_size n;
    uint64_t mode;            /* of the owner's arithmetic */
    atomic_ptrdiff_t next;    /* first task not yet taken */
    atomic_int seated;        /* workers that run tasks */
    atomic_uint_fast64_t job; /* number << 32 | open seats */
    atomic_int sleeping;
    atomic_int holds;
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- the mode of arithmetic: how it rounds, and what it makes of denormals ----
 *
 * Others set it, each in its own thread: whoever calls fesetround, or loads a library that was built with -ffast-math.  Workers
 * take over their job's, so that it does not show who runs a task.  Traps are no part of it: only who has asked for them has a
 * handler.
 */
#if defined(__x86_64__)
enum { MODE = 1 << 15 | 3 << 13 | 1 << 6, NO_TRAPS = 0x1F80 }; /* flush to zero, rounding, denormals are zero */
static uint64_t get_mode(void) { return _mm_getcsr() & MODE; }
static void set_mode(uint64_t mode) { _mm_setcsr((unsigned)mode | NO_TRAPS); }
#elif defined(__aarch64__)
static uint64_t get_mode(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode & ~(uint64_t)0x9F00; /* without traps */
}
static void set_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static uint64_t get_mode(void) { return 0; }
static void set_mode(uint64_t mode) { (void)mode; }
#endif

/* ---- scratch: one block a thread, freed with it ---- */

static _Thread_local void *scratch;
static pthread_key_t scratch_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- fork: the child has no workers; the parent's job, if any, ends before the fork ---- */

static void before_fork(void) { pthread_mutex_lock(&pool.owner); }
static void after_fork_in_parent(void) { pthread_mutex_unlock(&pool.owner); }
static void after_fork_in_child(void) {
    pthread_mutex_init(&pool.owner, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pool.workers = 0;
    atomic_store(&pool.job, 0);
    atomic_store(&pool.seated, 0);
    atomic_store(&pool.sleeping, 0);
    atomic_store(&pool.holds, 0);
}

static void initialize(void) {
    pthread_key_create(&scratch_key, free);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void *fnn_scratch(void) {
    if (!scratch) {
        pthread_once(&once, initialize);
        if (posix_memalign(&scratch, 64, FNN_SCRATCH) != 0) scratch = NULL;
        if (scratch) pthread_setspecific(scratch_key, scratch);
    }
    return scratch;
}

/* ---- workers ---- */

static void run_tasks(void) {
    const fnn_size n = pool.n;
    for (fnn_size i; (i = atomic_fetch_add(&pool.next, 1)) < n;) pool.task(pool.context, i);
}

static int take_seat(void) {
    uint_fast64_t job = atomic_load(&pool.job);
    while ((uint32_t)job > 0) {
        /* Counted before the seat is taken: whoever closes the job then waits for this worker too. */
        atomic_fetch_add(&pool.seated, 1);
        if (atomic_compare_exchange_strong(&pool.job, &job, job - 1)) return 1;
        atomic_fetch_sub(&pool.seated, 1);
    }
    return 0;
}

static void *work(void *ready) {
    if (!fnn_scratch()) {
        atomic_store((atomic_int *)ready, -1);
        return NULL;
    }
    atomic_store((atomic_int *)ready, 1);
    for (;;) {
        int spins = SPINS;
        while (!take_seat()) {
            if (atomic_load(&pool.holds) > 0 && spins-- > 0) {
                relax();
                continue;
            }
            pthread_mutex_lock(&pool.lock);
            atomic_fetch_add(&pool.sleeping, 1);
            while ((uint32_t)atomic_load(&pool.job) == 0) pthread_cond_wait(&pool.wake, &pool.lock);
            atomic_fetch_sub(&pool.sleeping, 1);
            pthread_mutex_unlock(&pool.lock);
            spins = SPINS;
        }
        set_mode(pool.mode);
        run_tasks();
        atomic_fetch_sub(&pool.seated, 1);
    }
}

/* What a worker has blocked: all but a thread's own faults.  The others are for the threads of whose program they are, which
 * may have blocked them to wait for them. */
static void worker_signals(sigset_t *blocked) {
    static const int faults[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    sigfillset(blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(blocked, faults[i]);
}

/* Starts one more worker and waits until it has its memory: 0, or -1 where there is none to be had. */
static int start_worker(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t blocked, before;
    atomic_int ready = 0;
    if (pool.workers >= MAX_WORKERS || pthread_attr_init(&attributes) != 0) return -1;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    worker_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before); /* which a thread has from the one that starts it */
    const int failed = pthread_create(&thread, &attributes, work, &ready);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) return -1;
    while (atomic_load(&ready) == 0) sched_yield();
    if (atomic_load(&ready) < 0) return -1;
    pool.workers++;
    return 0;
}

void fnn_hold(void) { atomic_fetch_add(&pool.holds, 1); }
void fnn_release(void) { atomic_fetch_sub(&pool.holds, 1); }

void fnn_parallel(fnn_task task, void *context, fnn_size n, int threads) {
    if (n < threads) threads = (int)n;
    if (threads > 1) pthread_once(&once, initialize);
    if (threads <= 1 || pthread_mutex_trylock(&pool.owner) != 0) {
        for (fnn_size i = 0; i < n; i++) task(context, i);
        return;
    }
    int seats = threads - 1;
    while (pool.workers < seats)
        if (start_worker() != 0) break;
    if (seats > pool.workers) seats = pool.workers;
    pool.task = task;
    pool.context = context;
    pool.n = n;
    pool.mode = get_mode();
    atomic_store(&pool.next, 0);
    const uint_fast64_t number = (atomic_load(&pool.job) >> 32) + 1;
    atomic_store(&pool.job, number << 32 | (uint_fast64_t)seats);
    if (atomic_load(&pool.sleeping) > 0) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
    run_tasks();
    atomic_store(&pool.job, number << 32); /* closed: nobody sits down any more */
    for (int spins = SPINS; atomic_load(&pool.seated) > 0;) {
        if (spins > 0)
            spins--, relax();
        else
            sched_yield();
    }
    pthread_mutex_unlock(&pool.owner);
}

double fnn_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
