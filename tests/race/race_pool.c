/*
 * tests/race/race_pool.c - races submit, cancel, shutdown and the coming and going of threads:
 * every job ends exactly once, by run and then done, or by being cancelled, or by being refused.
 */
#define _GNU_SOURCE
#include "sched/pool.h"

#include <errno.h>
#include <pthread.h>
#include <raddle/error.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sched/atomic.h"
#include "sched/sys.h"
#include "tests/support/counted.h"

enum {
    SUBMITTERS = 3,
    JOBS = 200, /* per submitter and round */
    ROUNDS = 600,
};

struct item {
    struct rdl_job job;
    rdl_atomic(unsigned) runs;
    rdl_atomic(unsigned) dones;
    unsigned plain; /* written by the submitter, by run and by done: ordered, or TSan says so */
    struct rdl_pool *pool;
    int submitted; /* what submit said */
    bool cancelled;
    bool child; /* submit a job of its own from done */
};

struct submitter {
    pthread_t thread;
    struct rdl_pool *pool;
    struct item items[JOBS];
    unsigned seed;
    unsigned id;
};

static rdl_atomic(unsigned long) children_submitted;
static rdl_atomic(unsigned long) children_done;
static rdl_atomic(unsigned) creations;
static bool creations_fail;

/* Every third thread can't be created. */
static int fail_some(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if (call == RDL_SYS_THREAD_CREATE && creations_fail)
        return rdl_atomic_fetch_add_relaxed(&creations, 1u) % 3 ? -EAGAIN : 0;
    return 0;
}

static void fail(const char *what, unsigned round)
{
    fprintf(stderr, "race_pool: round %u: %s\n", round, what);
    exit(1);
}

static unsigned draw(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static void child_run(struct rdl_job *job)
{
    (void)job;
}

static void child_done(struct rdl_job *job)
{
    free(job);
    rdl_atomic_fetch_add_relaxed(&children_done, 1ul);
}

static void item_run(struct rdl_job *job)
{
    struct item *item = (struct item *)job;

    item->plain++;
    if (item->plain % 7 == 0)
        sched_yield();
    if (item->plain % 50 == 0)
        usleep(100);
    rdl_atomic_fetch_add_relaxed(&item->runs, 1u);
}

static void item_done(struct rdl_job *job)
{
    struct item *item = (struct item *)job;
    struct rdl_pool *pool = item->pool;
    bool child = item->child;

    if (rdl_atomic_load_relaxed(&item->runs) != 1)
        fail("done without one run", 0);
    item->plain++;
    /* release: the submitter may look at, or free, the item after it has seen this. */
    rdl_atomic_store_release(&item->dones, 1u);
    if (child) {
        struct rdl_job *own = calloc(1, sizeof(*own));

        if (!own)
            fail("no memory", 0);
        own->run = child_run;
        own->done = child_done;
        if (rdl_pool_submit(pool, own) == 0)
            rdl_atomic_fetch_add_relaxed(&children_submitted, 1ul);
        else
            free(own);
    }
}

static void *submit_items(void *arg)
{
    struct submitter *s = arg;

    for (unsigned i = 0; i < JOBS; i++) {
        struct item *item = &s->items[i];

        memset(item, 0, sizeof(*item));
        item->job.run = item_run;
        item->job.done = item_done;
        item->pool = s->pool;
        item->plain = i;
        item->child = draw(&s->seed) % 8 == 0;
        item->submitted = rdl_pool_submit(s->pool, &item->job);
        if (item->submitted == 0 && draw(&s->seed) % 3 == 0) {
            unsigned victim = draw(&s->seed) % (i + 1);

            if (s->items[victim].submitted == 0 && !s->items[victim].cancelled)
                s->items[victim].cancelled = rdl_pool_cancel(s->pool, &s->items[victim].job);
        }
        if (draw(&s->seed) % 32 == 0)
            usleep(draw(&s->seed) % 300);
    }
    return NULL;
}

static void *shut_down(void *arg)
{
    struct submitter *s = arg;

    usleep(draw(&s->seed) % 3000);
    rdl_pool_shutdown(s->pool);
    return NULL;
}

/* Closing wakes everybody, and would hide that nobody was coming for the last jobs. */
static void wait_until_empty(struct rdl_pool *pool, unsigned round)
{
    struct rdl_handoff_stats stats;

    for (unsigned i = 0; i < 20000; i++) {
        rdl_pool_get_stats(pool, &stats);
        if (stats.queued == 0 && stats.running == 0)
            return;
        usleep(1000);
    }
    fail("nobody comes for a queued job", round);
}

static void check(const struct submitter *s, unsigned round, unsigned *ended)
{
    for (unsigned i = 0; i < JOBS; i++) {
        const struct item *item = &s->items[i];
        unsigned runs = item->runs;
        unsigned dones = item->dones;

        if (runs != dones || runs > 1)
            fail("a job was not run once and done once", round);
        if (item->submitted == 0 && runs + item->cancelled != 1)
            fail(runs ? "a job was run and cancelled" : "a job was lost", round);
        if (item->submitted != 0 && (runs || item->cancelled))
            fail("a refused job ended", round);
        if (item->submitted != 0 && item->submitted != -EAGAIN &&
            item->submitted != RADDLE_ESHUTDOWN)
            fail("an unexpected refusal", round);
        ended[runs ? 0 : item->cancelled ? 1 : 2]++;
    }
}

int main(void)
{
    static struct submitter submitters[SUBMITTERS];
    unsigned ended[3] = {0, 0, 0};

    rdl_sys_set_hook(fail_some);
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool shutting = round % 3 == 2;
        struct submitter closer = {.seed = round};
        struct rdl_handoff_stats stats;
        struct rdl_pool *pool;

        creations_fail = round % 4 == 3;
        if (rdl_pool_create(
                &(struct rdl_pool_options){
                    .max_threads = 1 + round % 5,
                    /* Threads come and go all the time, or never: then only a wake wakes them. */
                    .idle_ns = round % 2 ? 50000 : INT64_MAX,
                    .queue_limit = round % 7 ? 0 : 10,
                    .spin_ns = round % 5 ? 0 : 20000,
                },
                &pool))
            fail("create", round);
        for (unsigned i = 0; i < SUBMITTERS; i++) {
            submitters[i].pool = pool;
            submitters[i].seed = round * SUBMITTERS + i;
            pthread_create(&submitters[i].thread, NULL, submit_items, &submitters[i]);
        }
        closer.pool = pool;
        if (shutting)
            pthread_create(&closer.thread, NULL, shut_down, &closer);
        for (unsigned i = 0; i < SUBMITTERS; i++)
            pthread_join(submitters[i].thread, NULL);
        if (shutting)
            pthread_join(closer.thread, NULL);
        wait_until_empty(pool, round);
        rdl_pool_get_stats(pool, &stats);
        if (stats.threads > 1 + round % 5)
            fail("too many threads", round);
        rdl_pool_close(pool);
        for (unsigned i = 0; i < SUBMITTERS; i++)
            check(&submitters[i], round, ended);
        if (children_submitted != children_done)
            fail("a child was lost", round);
    }
    printf("race_pool: %u run, %u cancelled, %u refused, %lu children\n", ended[0], ended[1],
           ended[2], children_done);
    test_counted(ended[0] + ended[1] + ended[2], "races");
    return ended[0] && ended[1] && ended[2] ? 0 : 1;
}
