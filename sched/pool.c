/*
 * sched/pool.c - the threads of a pool: how they come, sleep and go.
 *
 * Who takes which job and who has to be woken is decided in handoff.c; here its duties are done.
 *
 * Two locks. That of the hand-off is held for list surgery. The mutex threads is for coming and
 * going: it is held while a thread is created, and a new thread begins by taking it, so that it is
 * counted before it can take a job or get tired. A tired worker leaves under it as well, so that
 * the records in use are never more than max_threads. Order: threads, then the hand-off's.
 *
 * A thread has to be joined. One that ends leaves its id in zombie and joins the one it finds
 * there; so at most one ended thread is ever unjoined, and whoever has joined that has outlived all
 * before it. rdl_pool_close() waits until all have left their id, and joins the last.
 *
 * Spinning, by option (spin.h). A worker that has nothing to do looks for a signal for a while before it
 * sleeps, but only if it has had one job since it last waited: with 64 empty jobs at a time,
 * spinning after each batch made 100 ns of CPU per job into 850.
 *
 * Simulated. Where the loop that submits has a driver with a clock of its own, a worker is not a thread but a
 * chore of that driver (step()): it takes a job and runs it, and when it is called again, the job has ended.
 * The protocol is the same, only that who would sleep isn't called, and who would be woken is. All of such
 * a pool's workers belong to one thread. Whether a pool is simulated is decided by the first job.
 */
#define _GNU_SOURCE
#include "sched/pool.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sched/loop.h"
#include "sched/spin.h"
#include "sched/sys.h"

enum {
    DEFAULT_THREADS = 32,
    DEFAULT_QUEUE = 65536,
    THREADS_MAX = 16384,
    SPIN_MAX_NS = 1000000,
    NAME_BYTES = 16, /* of a thread, as the kernel has it */
};

#define DEFAULT_IDLE_NS (INT64_C(10) * 1000000000)

struct worker {
    struct rdl_handoff_worker base;
    struct rdl_pool *pool;
    struct rdl_spin spin; /* the worker's own */
    unsigned taken;       /* the worker's own: jobs since it last waited */
    bool used;            /* under threads: a thread has this record */

    /* Of one that is simulated. */
    struct rdl_chore chore;
    struct rdl_driver *driver; /* whose chore it is while that is pending */
    struct rdl_job *job;       /* has been run, and has yet to end */
};

/* What a pool's workers are. */
enum kind { UNDECIDED, THREADS, SIMULATED };

struct rdl_pool {
    struct rdl_handoff handoff;
    int64_t idle_ns;
    int nice; /* of the threads, absolute */
    bool set_nice;
    struct rdl_spin spin; /* what a worker begins with */
    char name[NAME_BYTES];
    pthread_mutex_t threads;
    pthread_cond_t gone; /* alive became 0 */
    unsigned alive;      /* threads that have not left their id in zombie */
    bool has_zombie;
    pthread_t zombie;
    unsigned max_threads;
    rdl_atomic(uint32_t) kind; /* enum kind */
    pthread_t owner;           /* SIMULATED: the thread to which its workers belong */
    struct worker workers[];   /* max_threads of them */
};

/* Sleeps while *word is value, at most for timeout_ns. May return early. */
static void futex_wait(rdl_atomic(uint32_t) * word, uint32_t value, int64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                               .tv_nsec = (long)(timeout_ns % 1000000000)};

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &timeout, NULL, 0);
}

/* Doesn't touch *word, which may be gone: then it wakes nobody, or somebody for nothing. */
static __attribute__((noinline)) void futex_wake(rdl_atomic(uint32_t) * word)
{
    int before = errno;

    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = before;
}

static void *work(void *arg);
static void step(struct rdl_chore *chore);

static struct worker *worker_of(struct rdl_chore *chore)
{
    return (struct worker *)(void *)((char *)chore - offsetof(struct worker, chore));
}

/* Has a simulated worker called, on a loop of its thread. */
static void call_later(struct worker *worker)
{
    if (worker->chore.pending)
        return;
    worker->driver = rdl_loop_simulator();
    if (worker->driver)
        worker->driver->ops->later(worker->driver, &worker->chore);
}

static int start_worker(struct worker *worker)
{
    pthread_t thread;

    if (rdl_atomic_load_relaxed(&worker->pool->kind) != SIMULATED)
        return rdl_sys_thread_create(&thread, 0, work, worker);
    worker->chore = (struct rdl_chore){.call = step};
    call_later(worker);
    return 0;
}

/* Creates a thread if one is wanted; see rdl_handoff_begin_grow(). */
static int grow(struct rdl_pool *pool, bool first, struct rdl_handoff_duty *duty)
{
    struct worker *worker = NULL;
    int rc = 0;

    pthread_mutex_lock(&pool->threads);
    if (rdl_handoff_begin_grow(&pool->handoff, first)) {
        for (unsigned i = 0; !worker && i < pool->max_threads; i++)
            worker = pool->workers[i].used ? NULL : &pool->workers[i];
        /* There is a record, but while the pool closes: then a worker has left and not come here
         * yet. */
        rc = worker ? start_worker(worker) : -EAGAIN;
        if (rc == 0) {
            worker->used = true;
            worker->spin = pool->spin;
            worker->taken = 0;
            pool->alive++;
            rdl_handoff_grown(&pool->handoff, first, &worker->base);
        } else {
            rdl_handoff_not_grown(&pool->handoff, first, duty);
        }
    }
    pthread_mutex_unlock(&pool->threads);
    return rc;
}

static void perform(struct rdl_pool *pool, struct rdl_handoff_duty *duty)
{
    /* That no thread could be created is not this caller's concern: there are others. Trying may
     * find a sleeper to wake. */
    if (duty->grow)
        (void)grow(pool, false, duty);
    if (!duty->wake)
        return;
    if (rdl_atomic_load_relaxed(&pool->kind) == SIMULATED)
        call_later((struct worker *)((uintptr_t)duty->wake - offsetof(struct worker, base.signal)));
    else
        futex_wake(duty->wake);
}

/* True: the signal came. False: nothing came for as long as a spin may last. */
static bool spin(struct worker *worker)
{
    int64_t since = rdl_sys_now(), waited;
    bool came;

    do {
        for (unsigned i = 0; i < 16; i++)
            rdl_cpu_relax();
        came = rdl_handoff_signalled(&worker->base);
        waited = rdl_sys_now() - since;
    } while (!came && rdl_spin_goes_on(&worker->spin, waited));
    rdl_spin_ended(&worker->spin, came, waited);
    return came;
}

/* Waits for the worker's signal. Returns false if none came for as long as a thread may be idle. */
static bool wait_for_signal(struct worker *worker)
{
    struct rdl_pool *pool = worker->pool;
    bool single = worker->taken == 1;
    int64_t waited = 0, since;

    worker->taken = 0;
    if (single && rdl_spin_pays(&worker->spin) && spin(worker))
        return true;
    if (!rdl_handoff_sleep(&worker->base))
        return true;
    since = rdl_sys_now();
    while (waited < pool->idle_ns) {
        futex_wait(&worker->base.signal, RDL_HANDOFF_ASLEEP, pool->idle_ns - waited);
        waited = rdl_sys_now() - since;
        if (rdl_handoff_signalled(&worker->base)) {
            if (single)
                rdl_spin_slept(&worker->spin, waited);
            return true;
        }
    }
    return false;
}

/* The last that a worker does, with threads held. Its record is free for another at once. */
static void retire(struct worker *worker)
{
    struct rdl_pool *pool = worker->pool;
    bool has_zombie = pool->has_zombie;
    pthread_t zombie = pool->zombie;

    worker->used = false;
    pool->has_zombie = true;
    pool->zombie = pthread_self();
    if (--pool->alive == 0)
        pthread_cond_signal(&pool->gone);
    pthread_mutex_unlock(&pool->threads);
    if (has_zombie)
        pthread_join(zombie, NULL);
}

static void dress(const struct worker *worker)
{
    const struct rdl_pool *pool = worker->pool;
    char name[NAME_BYTES];
    int number = (int)(worker - pool->workers);
    int digits = snprintf(name, sizeof(name), "-%d", number);

    /* The number stays readable when the name is long. */
    (void)snprintf(name, sizeof(name), "%.*s-%d", NAME_BYTES - 1 - digits, pool->name, number);
    (void)prctl(PR_SET_NAME, name);
    /* Linux has a nice value per thread, and calls a thread a process here. */
    if (pool->set_nice)
        (void)setpriority(PRIO_PROCESS, (id_t)rdl_sys_thread_id(), pool->nice);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct rdl_pool *pool = worker->pool;
    struct rdl_handoff_duty duty;
    struct rdl_job *job;

    /* Whoever creates this thread holds it until the thread is counted. */
    pthread_mutex_lock(&pool->threads);
    pthread_mutex_unlock(&pool->threads);
    dress(worker);
    for (;;) {
        switch (rdl_handoff_take(&pool->handoff, &worker->base, &job, &duty)) {
        case RDL_HANDOFF_RUN:
            perform(pool, &duty);
            worker->taken++;
            job->run(job);
            job->done(job);
            break;
        case RDL_HANDOFF_WAIT:
            if (wait_for_signal(worker))
                break;
            pthread_mutex_lock(&pool->threads);
            if (rdl_handoff_leave(&pool->handoff, &worker->base)) {
                retire(worker);
                return NULL;
            }
            pthread_mutex_unlock(&pool->threads);
            break;
        case RDL_HANDOFF_LEAVE:
            pthread_mutex_lock(&pool->threads);
            retire(worker);
            return NULL;
        }
    }
}

/* A simulated worker's turn. */
static void step(struct rdl_chore *chore)
{
    struct worker *worker = worker_of(chore);
    struct rdl_pool *pool = worker->pool;
    struct rdl_job *job = worker->job;
    struct rdl_handoff_duty duty;

    worker->job = NULL;
    if (job)
        job->done(job);
    switch (rdl_handoff_take(&pool->handoff, &worker->base, &job, &duty)) {
    case RDL_HANDOFF_RUN:
        perform(pool, &duty);
        job->run(job);
        worker->job = job;
        call_later(worker);
        break;
    case RDL_HANDOFF_WAIT:
        if (!rdl_handoff_sleep(&worker->base))
            call_later(worker);
        break;
    case RDL_HANDOFF_LEAVE:
        worker->used = false;
        pool->alive--;
        break;
    }
}

/* The end of a simulated pool, all jobs of which have to be done: now. */
static void finish_simulated(struct rdl_pool *pool)
{
    while (pool->alive)
        for (unsigned i = 0; i < pool->max_threads; i++) {
            struct worker *worker = &pool->workers[i];

            if (!worker->used)
                continue;
            if (worker->chore.pending)
                worker->driver->ops->forget(worker->driver, &worker->chore);
            step(&worker->chore);
        }
}

/* 0; -ENOTSUP: the pool's workers are of the other kind, or of another thread. Nothing is told with kind: who finds
 * threads needs no more, and the owner of a simulated pool is looked at under the lock. */
static int decide(struct rdl_pool *pool)
{
    uint32_t wanted = rdl_loop_simulator() ? SIMULATED : THREADS;
    uint32_t kind = rdl_atomic_load_relaxed(&pool->kind);
    bool good;

    if (kind == THREADS)
        return wanted == THREADS ? 0 : -ENOTSUP;
    pthread_mutex_lock(&pool->threads);
    kind = rdl_atomic_load_relaxed(&pool->kind);
    if (kind == UNDECIDED) {
        kind = wanted;
        pool->owner = pthread_self();
        rdl_atomic_store_relaxed(&pool->kind, kind);
    }
    good = kind == wanted && (kind == THREADS || pthread_equal(pool->owner, pthread_self()));
    pthread_mutex_unlock(&pool->threads);
    return good ? 0 : -ENOTSUP;
}

int rdl_pool_create(const struct rdl_pool_options *options, struct rdl_pool **out)
{
    static const struct rdl_pool_options defaults;
    const struct rdl_pool_options *o = options ? options : &defaults;
    unsigned cpus = rdl_sys_cpus(0);
    unsigned max_threads = o->max_threads;
    struct rdl_pool *pool;

    if (max_threads > THREADS_MAX || o->idle_ns < 0 || o->nice < -20 || o->nice > 19 ||
        o->spin_ns < 0 || o->spin_ns > SPIN_MAX_NS)
        return -EINVAL;
    if (!max_threads)
        max_threads = cpus + 4 < DEFAULT_THREADS ? cpus + 4 : DEFAULT_THREADS;
    pool = rdl_sys_calloc(1, sizeof(*pool) + max_threads * sizeof(pool->workers[0]));
    if (!pool)
        return -ENOMEM;
    rdl_handoff_init(&pool->handoff, max_threads, o->queue_limit ? o->queue_limit : DEFAULT_QUEUE);
    pool->idle_ns = o->idle_ns ? o->idle_ns : DEFAULT_IDLE_NS;
    pool->set_nice = o->nice != 0;
    /* Of this thread, once: a worker may be created by another, whose value is raised already. */
    pool->nice = getpriority(PRIO_PROCESS, (id_t)rdl_sys_thread_id()) + o->nice;
    rdl_spin_init(&pool->spin, o->spin_ns);
    (void)snprintf(pool->name, sizeof(pool->name), "%s", o->name ? o->name : "raddle-pool");
    pthread_mutex_init(&pool->threads, NULL);
    pthread_cond_init(&pool->gone, NULL);
    pool->max_threads = max_threads;
    for (unsigned i = 0; i < max_threads; i++)
        pool->workers[i].pool = pool;
    *out = pool;
    return 0;
}

int rdl_pool_submit(struct rdl_pool *pool, struct rdl_job *job)
{
    struct rdl_handoff_duty duty;
    int rc = decide(pool);

    assert(job->run && job->done);
    if (rc < 0)
        return rc;
    while ((rc = rdl_handoff_submit(&pool->handoff, job, &duty)) == -ESRCH) {
        rc = grow(pool, true, &duty);
        if (rc < 0)
            return rc;
    }
    if (rc == 0)
        perform(pool, &duty);
    return rc;
}

bool rdl_pool_cancel(struct rdl_pool *pool, struct rdl_job *job)
{
    return rdl_handoff_cancel(&pool->handoff, job);
}

void rdl_pool_shutdown(struct rdl_pool *pool)
{
    struct rdl_handoff_duty duty;

    while (rdl_handoff_close(&pool->handoff, &duty))
        perform(pool, &duty);
}

void rdl_pool_close(struct rdl_pool *pool)
{
    if (!pool)
        return;
    rdl_pool_shutdown(pool);
    if (rdl_atomic_load_relaxed(&pool->kind) == SIMULATED)
        finish_simulated(pool);
    pthread_mutex_lock(&pool->threads);
    while (pool->alive)
        pthread_cond_wait(&pool->gone, &pool->threads);
    pthread_mutex_unlock(&pool->threads);
    if (pool->has_zombie)
        pthread_join(pool->zombie, NULL);
    pthread_cond_destroy(&pool->gone);
    pthread_mutex_destroy(&pool->threads);
    rdl_sys_free(pool);
}

void rdl_pool_abandon(struct rdl_pool *pool)
{
    /* Its locks may be held by threads that don't exist here. */
    rdl_sys_free(pool);
}

void rdl_pool_get_stats(struct rdl_pool *pool, struct rdl_handoff_stats *out)
{
    rdl_handoff_get_stats(&pool->handoff, out);
}
