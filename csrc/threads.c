/* threads.c: the thread pool, each thread's scratch memory, and the clock.
 *
 * Workers are started when they are first needed, and again in the child of a fork.  One job runs at a time.  A caller that
 * finds the pool busy runs its tasks itself; this changes no result, because a task's result does not depend on the thread that
 * runs it. A job has a number of seats.  A worker that takes a seat runs tasks until none is left.  The job's number and its
 * open seats share one atomic word, so that a late worker cannot join the wrong job.
 */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200112L
#endif
#include "threads.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#if defined(_WIN32)

/* There is no pool on Windows: the caller runs every task. */
#include <malloc.h>
#include <windows.h>

static _Thread_local void *scratch;

void *fnn_scratch(void) {
    if (!scratch) scratch = _aligned_malloc(FNN_SCRATCH, FNN_LINE);
    return scratch;
}
void fnn_keep_workers_awake(void) {}
void fnn_let_workers_sleep(void) {}
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

enum {
    MAX_WORKERS = 255,
    SPINS = 4000 /* turns of a waiting loop before a worker sleeps or the caller yields; not tuned by measurement */
};

static struct {
    pthread_mutex_t owner; /* locked by the caller whose job runs */
    pthread_mutex_t lock;  /* for `wake` and `sleeping` */
    pthread_cond_t wake;
    int workers;
    /* the job; the owner writes these while no seat is taken */
    fnn_task task;
    void *context;
    fnn_size n;
    uint64_t mode;            /* the owner's floating-point mode */
    atomic_ptrdiff_t next;    /* first task not yet taken */
    atomic_int seated;        /* workers that have a seat, or are trying to take one */
    atomic_uint_fast64_t job; /* number of the job << 32 | open seats */
    atomic_int sleeping;      /* workers that wait for `wake` */
    atomic_int awake;         /* calls of keep_workers_awake without let_workers_sleep: idle workers spin before they sleep */
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- the floating-point mode: rounding direction, and flushing of denormals to zero ----
 *
 * It belongs to a thread.  A program changes it by calling fesetround or by loading a library that was built with -ffast-math.
 * Workers take over the mode of the job's owner, so that a result does not depend on the thread that runs a task.  They do not
 * take over traps: only the thread that enabled them has a handler.
 */
#if defined(__x86_64__)
enum { MODE = 1 << 15 | 3 << 13 | 1 << 6, NO_TRAPS = 0x1F80 }; /* flush to zero, rounding, denormals are zero */
static uint64_t get_mode(void) { return _mm_getcsr() & MODE; }
static void set_mode(uint64_t mode) { _mm_setcsr((unsigned)mode | NO_TRAPS); }
#elif defined(__aarch64__)
enum { TRAPS = 0x9F00 };
static uint64_t get_mode(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode & ~(uint64_t)TRAPS;
}
static void set_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static uint64_t get_mode(void) { return 0; }
static void set_mode(uint64_t mode) { (void)mode; }
#endif

/* ---- scratch memory: one block for each thread, freed when the thread ends ---- */

static _Thread_local void *scratch;
static pthread_key_t scratch_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- fork: waits until the running job ends; the child starts without workers ---- */

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
    atomic_store(&pool.awake, 0);
}

static void initialize(void) {
    pthread_key_create(&scratch_key, free);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void *fnn_scratch(void) {
    if (!scratch) {
        pthread_once(&once, initialize);
        if (posix_memalign(&scratch, FNN_LINE, FNN_SCRATCH) != 0) scratch = NULL;
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
        /* Counted before the seat is taken, so that the owner, when it closes the job, waits for this worker too. */
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
            if (atomic_load(&pool.awake) > 0 && spins-- > 0) {
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

/* Workers block all signals except those for faults of the thread itself.  The others are for the program's threads, which may
 * have blocked them in order to wait for them. */
static void worker_signals(sigset_t *blocked) {
    static const int faults[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    sigfillset(blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(blocked, faults[i]);
}

/* Starts one more worker and waits until it has its scratch memory.  Returns 0, or -1 if there is no thread or no memory for
 * it. */
static int start_worker(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t blocked, before;
    atomic_int ready = 0;
    if (pool.workers >= MAX_WORKERS || pthread_attr_init(&attributes) != 0) return -1;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    worker_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before); /* a new thread inherits the mask */
    const int failed = pthread_create(&thread, &attributes, work, &ready);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) return -1;
    while (atomic_load(&ready) == 0) sched_yield();
    if (atomic_load(&ready) < 0) return -1;
    pool.workers++;
    return 0;
}

void fnn_keep_workers_awake(void) { atomic_fetch_add(&pool.awake, 1); }
void fnn_let_workers_sleep(void) { atomic_fetch_sub(&pool.awake, 1); }

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
    atomic_store(&pool.job, number << 32); /* closed: no worker can take a seat any more */
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
