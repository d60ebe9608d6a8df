/*
 * tests/race/race_fanout.c - groups with a limit that several tasks spawn into, ends that are told in order, starts and
 * waits that are given up: a thread cancels all of them at any moment, and nothing is lost and nothing told twice.
 *
 *     race_fanout [--rounds N] [--loops N]
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "sched/stack.h"
#include "tests/support/counted.h"

enum { SPAWNERS = 5, STARTERS = 3, WAITERS = 3, JOBS = 12, LIMIT = 4 };
enum { VICTIMS = SPAWNERS + STARTERS + WAITERS };

/* One job is one spawn; its flags are counts, each of which is to be 1 or 0. */
struct job {
    rdl_atomic(unsigned) ran, told;
    uint32_t random;
};

struct spawner {
    struct job jobs[JOBS];
    unsigned spawned; /* the first so many */
    uint32_t random;
};

struct starter {
    rdl_atomic(unsigned) up, ended;
    unsigned started, failed;
    uint32_t random;
};

static struct raddle_group *limited, *plain;
static struct spawner spawners[SPAWNERS];
static struct starter starters[STARTERS];
static raddle_task *victims[VICTIMS];
static rdl_atomic(unsigned) running, over;
static rdl_atomic(unsigned) round_number; /* even: the thread may cancel */
static rdl_atomic(unsigned) cancelling;
static rdl_atomic(bool) finished;
static unsigned long rounds, told, cancelled;

static void dawdle(uint32_t *random)
{
    uint32_t x = test_random(random);

    for (volatile uint32_t i = x % 300; i; i--)
        ;
    if (x >> 20 & 1)
        (void)!raddle_yield();
    else if (x >> 21 & 1)
        (void)!raddle_sleep(x % 20000);
}

static int job(void *arg)
{
    struct job *j = arg;

    if (rdl_atomic_fetch_add_acq_rel(&running, 1u) >= LIMIT)
        rdl_atomic_fetch_add_relaxed(&over, 1u);
    rdl_atomic_fetch_add_relaxed(&j->ran, 1u);
    dawdle(&j->random);
    rdl_atomic_fetch_sub_acq_rel(&running, 1u);
    return 0;
}

/* Until it is cancelled. */
static int spawner(void *arg)
{
    struct spawner *s = arg;
    int rc = 0;

    for (unsigned i = 0; i < JOBS && rc == 0; i++) {
        s->jobs[i].random = test_random(&s->random);
        rc = raddle_spawn(limited, NULL, job, &s->jobs[i], NULL);
        s->spawned += rc == 0;
        dawdle(&s->random);
    }
    return rc;
}

static int service(void *arg)
{
    struct starter *s = arg;
    uint32_t random = s->random;
    int rc;

    dawdle(&random);
    rc = raddle_started(s);
    if (rc == 0)
        rdl_atomic_fetch_add_relaxed(&s->up, 1u);
    dawdle(&random);
    rdl_atomic_fetch_add_relaxed(&s->ended, 1u);
    return rc;
}

static int starter(void *arg)
{
    struct starter *s = arg;
    int rc = 0;

    for (unsigned i = 0; i < JOBS && rc == 0; i++) {
        void *ready = NULL;
        (void)test_random(&s->random);
        rc = raddle_spawn_started(plain, NULL, service, s, NULL, &ready);
        EXPECT((rc == 0) == (ready == s));
        s->started += rc == 0;
        s->failed += rc != 0;
    }
    return rc;
}

/* For any, the first error (which there is none of) or all of the spawners. */
static int waiter(void *arg)
{
    enum raddle_when when = *(enum raddle_when *)arg;
    bool done[SPAWNERS] = {false};
    unsigned count = 0;
    int rc = raddle_wait(victims, SPAWNERS, when, done);

    for (unsigned i = 0; i < SPAWNERS; i++)
        count += done[i];
    if (rc >= 0)
        EXPECT_EQ(rc, count);
    if (rc >= 0)
        EXPECT(when == RADDLE_ANY ? count > 0 : count == SPAWNERS);
    return rc < 0 ? rc : 0;
}

static void *canceller(void *arg)
{
    uint32_t random = 4711;
    (void)arg;

    while (!rdl_atomic_load_acquire(&finished)) {
        rdl_atomic_store_seq_cst(&cancelling, 1u);
        if (rdl_atomic_load_seq_cst(&round_number) % 2 == 0 &&
            raddle_task_cancel(victims[test_random(&random) % VICTIMS], "the thread") == 0)
            cancelled++;
        rdl_atomic_store_release(&cancelling, 0u);
        for (volatile uint32_t i = test_random(&random) % 100000; i; i--)
            ;
    }
    return NULL;
}

/* Takes all ends there are, until the spawners have gone. */
static void collect(struct raddle_group *spawning)
{
    raddle_task *task;
    bool last = false;
    int rc;

    while (!last) {
        last = raddle_group_live(spawning) == 0;
        while ((rc = raddle_group_next(limited, &task)) == 1) {
            struct job *j = raddle_task_arg(task);
            struct raddle_outcome outcome;
            EXPECT_EQ(raddle_outcome_of(task, &outcome), 0);
            rdl_atomic_fetch_add_relaxed(&j->told, 1u);
            raddle_task_unref(task);
            told++;
        }
        EXPECT_EQ(rc, 0);
        EXPECT_EQ(raddle_yield(), 0);
    }
}

static void check(void)
{
    for (unsigned i = 0; i < SPAWNERS; i++)
        for (unsigned k = 0; k < JOBS; k++) {
            struct job *j = &spawners[i].jobs[k];
            EXPECT_EQ(rdl_atomic_load_relaxed(&j->ran), k < spawners[i].spawned);
            EXPECT_EQ(rdl_atomic_load_relaxed(&j->told), k < spawners[i].spawned);
        }
    for (unsigned i = 0; i < STARTERS; i++) {
        EXPECT_EQ(rdl_atomic_load_relaxed(&starters[i].up), starters[i].started);
        EXPECT_IN(rdl_atomic_load_relaxed(&starters[i].ended), starters[i].started,
                  starters[i].started + starters[i].failed + 1);
    }
}

static void one_round(unsigned long number)
{
    static enum raddle_when whens[WAITERS] = {RADDLE_ANY, RADDLE_ANY_ERROR, RADDLE_ALL};
    struct raddle_group_options options = {
        .mode = RADDLE_COLLECT, .max_live = LIMIT, .as_completed = true};
    struct raddle_group_options collects = {.mode = RADDLE_COLLECT};
    struct raddle_group jobs, services, spawning, others;
    unsigned n = 0;

    EXPECT_EQ(raddle_group_open(&jobs, &options), 0);
    EXPECT_EQ(raddle_group_open(&services, &collects), 0);
    EXPECT_EQ(raddle_group_open(&spawning, &collects), 0);
    EXPECT_EQ(raddle_group_open(&others, &collects), 0);
    limited = &jobs;
    plain = &services;
    for (unsigned i = 0; i < SPAWNERS; i++) {
        spawners[i] = (struct spawner){.random = (uint32_t)(number * 31 + i + 1)};
        EXPECT_EQ(raddle_spawn(&spawning, &victims[n++], spawner, &spawners[i], NULL), 0);
    }
    for (unsigned i = 0; i < STARTERS; i++) {
        starters[i] = (struct starter){.random = (uint32_t)(number * 17 + i + 1)};
        EXPECT_EQ(raddle_spawn(&others, &victims[n++], starter, &starters[i], NULL), 0);
    }
    for (unsigned i = 0; i < WAITERS; i++)
        EXPECT_EQ(raddle_spawn(&others, &victims[n++], waiter, &whens[i], NULL), 0);
    rdl_atomic_fetch_add_seq_cst(&round_number, 1u); /* even */
    collect(&spawning);
    (void)!raddle_group_close(&others, 0);
    (void)!raddle_group_close(&spawning, 0);
    rdl_atomic_fetch_add_seq_cst(&round_number, 1u); /* odd */
    while (rdl_atomic_load_seq_cst(&cancelling))
        ;
    (void)!raddle_group_close(&services, 0);
    EXPECT_EQ(raddle_group_close(&jobs, 0), 0);
    check();
    for (unsigned i = 0; i < VICTIMS; i++)
        raddle_task_unref(victims[i]);
}

static int race(void *arg)
{
    pthread_t thread;
    (void)arg;

    rdl_atomic_store_relaxed(&round_number, 1u);
    EXPECT_EQ(pthread_create(&thread, NULL, canceller, NULL), 0);
    for (unsigned long i = 0; i < rounds; i++)
        one_round(i);
    rdl_atomic_store_release(&finished, true);
    pthread_join(thread, NULL);
    EXPECT_EQ(over, 0);
    return 0;
}

int main(int argc, char **argv)
{
    struct test_footprint before;
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());

    rounds = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 60 : 300);
    EXPECT_EQ(test_run_on(1, test_nothing, NULL), 0);
    before = test_footprint();
    EXPECT_EQ(test_run_on(loops, race, NULL), 0);
    test_same_footprint(&before);
    printf("%lu jobs on %u loops, %lu cancellations\n", told, loops, cancelled);
    test_counted(told, "jobs of limited groups");
    return test_result();
}
