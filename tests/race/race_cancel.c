/*
 * tests/race/race_cancel.c - another OS thread cancels tasks before, while and after what they wait for
 * ends, and nothing is lost and nothing happens twice.
 *
 *     race_cancel [--rounds N] [--loops N] [--kind K]
 *
 * A round is one task of one kind that waits once, and is cancelled once. Rounds come in batches: the
 * main task spawns a batch of victims, and the thread goes through their handles meanwhile. What
 * each kind counts is written at the kind.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "sched/stack.h"
#include "tests/support/counted.h"

enum { BATCH = 32, CHILDREN = 3, TOKEN = 1000, SPREAD_NS = 60 * 1000 };

struct kind;

/* One task that waits and is cancelled. */
struct victim {
    const struct kind *kind;
    raddle_task *task;
    uint32_t delay_ns; /* how long until what it waits for ends */
    int token;
    int rc;              /* what the wait returned */
    raddle_task *target; /* join: who is waited for */
    bool ended_target;
    int cancel_rc; /* the canceller's */
    rdl_atomic(unsigned) ran, ended;
    rdl_atomic(struct raddle_scope *) scope; /* scope: entered, and who takes this may cancel it */
    rdl_atomic(unsigned) scope_done;
};

struct kind {
    const char *name;
    int (*wait)(struct victim *v);
    void (*prepare)(struct raddle_group *g, struct victim *v); /* NULL: nothing */
    void (*check)(struct victim *v); /* after the batch: did it happen, or not? */
};

static struct victim victims[BATCH];
static raddle_executor *executor;
static unsigned long rounds;
static unsigned long completed, cancelled; /* of the kind that runs */

/* The canceller: a batch begins with a post of go, and is over when through counts it. */
static sem_t go;
static rdl_atomic(unsigned) through;
static rdl_atomic(unsigned) begun; /* victims of this batch that run */
static bool finished;

static void spin(uint32_t turns)
{
    for (volatile uint32_t i = 0; i < turns; i++)
        ;
}

static void *canceller(void *arg)
{
    uint32_t random = 12345;
    (void)arg;

    for (;;) {
        unsigned start, step, first;

        sem_wait(&go);
        if (finished)
            return NULL;
        start = test_random(&random) % BATCH;
        step = test_random(&random) & 1 ? 1 : BATCH - 1;
        /* Before they begin, or with some of them waiting; at times after most have ended. */
        first = test_random(&random) % (BATCH + BATCH / 2);
        while (rdl_atomic_load_acquire(&begun) < first && first <= BATCH)
            sched_yield();
        spin(test_random(&random) % (first % 4 ? 4000 : 100000));
        for (unsigned i = 0; i < BATCH; i++) {
            struct victim *v = &victims[(start + i * step) % BATCH];
            struct raddle_scope *scope = rdl_atomic_exchange_acq_rel(&v->scope, NULL);
            if (scope) {
                raddle_scope_cancel(scope, "the thread");
                rdl_atomic_store_release(&v->scope_done, 1u);
            }
            v->cancel_rc = raddle_task_cancel(v->task, "the thread");
            if (test_random(&random) % 4 == 0)
                spin(test_random(&random) % 2000);
        }
        rdl_atomic_fetch_add_acq_rel(&through, 1u);
    }
}

/* Sleep: it returns 0 when its time has come, and -ECANCELED only when the task is cancelled. */
static int wait_sleep(struct victim *v)
{
    raddle_time when = raddle_in(v->delay_ns);
    int rc = raddle_sleep_until(when);

    if (rc == 0)
        EXPECT(raddle_now() >= when);
    return rc;
}

/* Join: an outcome is written if and only if the join returned 0; the target goes on anyway. */
static int target(void *arg)
{
    struct victim *v = arg;
    int rc = raddle_sleep(v->delay_ns);

    v->ended_target = true;
    return rc < 0 ? rc : v->token;
}

static void prepare_join(struct raddle_group *g, struct victim *v)
{
    v->ended_target = false;
    EXPECT_EQ(raddle_spawn(g, &v->target, target, v, NULL), 0);
}

static int wait_join(struct victim *v)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING, .rc = -1};
    int rc = raddle_join(v->target, &outcome);

    EXPECT_EQ(outcome.kind, rc == 0 ? RADDLE_OK : RADDLE_PENDING);
    EXPECT_EQ(outcome.rc, rc == 0 ? v->token : -1);
    return rc;
}

static void check_join(struct victim *v)
{
    EXPECT(v->ended_target);
    raddle_task_unref(v->target);
}

/* Executor: the job runs once if the call returned 0, with its result, and otherwise never. */
static int job(void *arg)
{
    struct victim *v = arg;

    rdl_atomic_fetch_add_relaxed(&v->ran, 1u);
    spin(v->delay_ns / 16);
    return v->token;
}

static int wait_executor(struct victim *v)
{
    int result = -1;
    int rc = raddle_run_in_executor(executor, job, v, &result);

    EXPECT_EQ(result, rc == 0 ? v->token : -1);
    return rc;
}

static void check_executor(struct victim *v)
{
    EXPECT_EQ(v->ran, v->rc == 0 ? 1 : 0);
}

/* Group: all children have ended when the close returns, whether cancelled or not. */
static int group_child(void *arg)
{
    struct victim *v = arg;
    int rc = raddle_sleep(v->delay_ns);

    rdl_atomic_fetch_add_relaxed(&v->ended, 1u);
    return rc;
}

static int wait_group(struct victim *v)
{
    struct raddle_group g;
    int spawned = 0;
    int rc = raddle_group_open(&g, NULL);

    for (int i = 0; i < CHILDREN && rc == 0; i++) {
        rc = raddle_spawn(&g, NULL, group_child, v, NULL);
        spawned += rc == 0;
    }
    EXPECT_EQ(rc, 0);
    rc = raddle_group_close(&g, rc);
    EXPECT_EQ(v->ended, spawned);
    return rc;
}

/* Yield: as often as it takes. */
static int wait_yield(struct victim *v)
{
    raddle_time end = raddle_in(v->delay_ns);
    int rc = 0;

    while (rc == 0 && raddle_now() < end)
        rc = raddle_yield();
    return rc;
}

/* Scope: cancelled by its address, while it is entered; whoever takes the address back may leave. */
static int wait_scope(struct victim *v)
{
    struct raddle_scope scope, inner;
    bool taken;
    int rc;

    raddle_scope_enter(&scope, 0, 0);
    rdl_atomic_store_release(&v->scope, &scope);
    raddle_scope_enter(&inner, raddle_in(v->delay_ns), RADDLE_QUIET);
    rc = raddle_scope_leave(&inner, raddle_sleep_until(RADDLE_NEVER));
    taken = !rdl_atomic_exchange_acq_rel(&v->scope, NULL);
    while (taken && !rdl_atomic_load_acquire(&v->scope_done))
        sched_yield();
    if (rc == -ECANCELED)
        EXPECT(raddle_cancelled());
    if (taken)
        EXPECT(raddle_scope_cancelled(&scope));
    rc = raddle_scope_leave(&scope, rc);
    /* Only what is around the scope is left to be seen. */
    if (rc == -ECANCELED)
        EXPECT(raddle_cancelled());
    return rc;
}

/* Shield: nothing gets in until it is left, and then it is there. */
static int wait_shield(struct victim *v)
{
    struct raddle_scope shield;

    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    EXPECT_EQ(raddle_sleep(v->delay_ns / 2), 0);
    EXPECT_EQ(raddle_scope_leave(&shield, 0), 0);
    return raddle_sleep(v->delay_ns / 2);
}

/* The canceller has come before this task waits: it must not wait at all. */
static int wait_late(struct victim *v)
{
    (void)v;
    return raddle_sleep_until(RADDLE_NEVER);
}

static const struct kind kinds[] = {
    {"sleep", wait_sleep, NULL, NULL},
    {"join", wait_join, prepare_join, check_join},
    {"executor", wait_executor, NULL, check_executor},
    {"group", wait_group, NULL, NULL},
    {"yield", wait_yield, NULL, NULL},
    {"scope", wait_scope, NULL, NULL},
    {"shield", wait_shield, NULL, NULL},
    {"forever", wait_late, NULL, NULL},
};

static int victim(void *arg)
{
    struct victim *v = arg;

    rdl_atomic_fetch_add_relaxed(&begun, 1u);
    v->rc = v->kind->wait(v);
    EXPECT(v->rc == 0 || v->rc == -ECANCELED);
    if (v->rc == -ECANCELED)
        EXPECT_STR(raddle_cancel_reason(), "the thread");
    return v->rc;
}

static void end_of_victim(struct victim *v)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};

    EXPECT_EQ(raddle_outcome_of(v->task, &outcome), 0);
    EXPECT_EQ(outcome.kind, v->rc == 0 ? RADDLE_OK : RADDLE_CANCELLED);
    EXPECT_EQ(outcome.rc, v->rc);
    /* Who was told that it had ended can't have cancelled it. */
    if (v->cancel_rc == -EALREADY)
        EXPECT_EQ(v->rc, 0);
    else
        EXPECT_EQ(v->cancel_rc, 0);
    if (v->kind->check)
        v->kind->check(v);
    raddle_task_unref(v->task);
    if (v->rc == 0)
        completed++;
    else
        cancelled++;
}

static void batch(const struct kind *kind, uint32_t *random)
{
    unsigned wanted = rdl_atomic_load_relaxed(&through) + 1;
    struct raddle_group targets, g;

    rdl_atomic_store_relaxed(&begun, 0u);
    EXPECT_EQ(raddle_group_open(&targets, NULL), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < BATCH; i++) {
        struct victim *v = &victims[i];
        memset(v, 0, sizeof(*v));
        v->kind = kind;
        v->delay_ns = test_random(random) % SPREAD_NS;
        v->token = TOKEN + (int)i;
        if (kind->prepare)
            kind->prepare(&targets, v);
        EXPECT_EQ(raddle_spawn(&g, &v->task, victim, v, NULL), 0);
    }
    sem_post(&go);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    while (rdl_atomic_load_acquire(&through) != wanted)
        EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(raddle_group_close(&targets, 0), 0);
    for (unsigned i = 0; i < BATCH; i++)
        end_of_victim(&victims[i]);
}

static int run_kind(void *arg)
{
    const struct kind *kind = arg;
    uint32_t random = 4711;

    completed = cancelled = 0;
    for (unsigned long i = 0; i < rounds && test_failures() == 0; i += BATCH)
        batch(kind, &random);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    unsigned long only = test_argument(argc, argv, "--kind", sizeof(kinds) / sizeof(kinds[0]));
    struct test_footprint before;
    pthread_t thread;

    rounds = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 5000 : 20000);
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    sem_init(&go, 0, 0);
    EXPECT_EQ(raddle_executor_create(
                  &(struct raddle_executor_options){.max_threads = 2, .queue_limit = 4}, &executor),
              0);
    if (pthread_create(&thread, NULL, canceller, NULL))
        return 1;
    for (unsigned long i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (only < sizeof(kinds) / sizeof(kinds[0]) && only != i)
            continue;
        EXPECT_EQ(test_run_on(loops, run_kind, (void *)(uintptr_t)&kinds[i]), 0);
        printf("%-8s %u loops: %lu rounds, %lu completed, %lu cancelled\n", kinds[i].name, loops,
               completed + cancelled, completed, cancelled);
        test_counted(completed + cancelled, "races");
        fflush(stdout);
    }
    finished = true;
    sem_post(&go);
    pthread_join(thread, NULL);
    raddle_executor_destroy(executor);
    test_same_footprint(&before);
    return test_result();
}
