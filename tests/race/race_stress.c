/*
 * tests/race/race_stress.c - everything at once: tasks of every mobility sleep, move, join, use the executor and
 * deadlines, while foreign threads cancel them, ask how they ended, and print them.
 *
 *     race_stress [--rounds N] [--loops N]
 *
 * Two kinds of rounds take turns. In one, trees of tasks do things at random until they are done or a cancel
 * or a deadline of the whole ends them. In the other, migratable tasks wait for jobs with a deadline at which
 * the job ends: its thread takes a task to another loop while the timer of the old one fires, and must not
 * end the task's next wait. Counted: as many tasks end as were spawned, a wait without a cause is never ended,
 * every job that was promised is done.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/loop.h"
#include "tests/support/counted.h"

enum {
    TREES = 6,
    LEAVES = 8,
    STEPS = 6,
    SLOTS = 64,
    THREADS = 2,
    RACERS = 8,
    LAPS = 20,
};

static rdl_atomic(raddle_task *) slots[SLOTS]; /* handles on their way to the foreign threads */
static rdl_atomic(unsigned long) spawned, ended, cancelled, jobs_done, jobs_taken_back;
static rdl_atomic(unsigned) over;

static void count(rdl_atomic(unsigned long) * counter)
{
    rdl_atomic_fetch_add_relaxed(counter, 1ul);
}

static raddle_loop *any_loop(uint32_t *random)
{
    struct rdl_loop *here = rdl_loop_current();

    return rdl_raddle_loop(here->team ? here->team->loops[test_random(random) % here->team->count]
                                      : here);
}

/* Random steps. Each returns 0 or -ECANCELED, and that only to a task that is cancelled. */

static int returns_number(void *arg)
{
    return (int)(uintptr_t)arg;
}

static int step_job(uint32_t *random)
{
    uintptr_t number = test_random(random) % 1000;
    int result = -1;
    int rc = raddle_run_in_executor(NULL, returns_number, (void *)number, &result);

    EXPECT_EQ(result, rc == 0 ? (int)number : -1);
    return rc;
}

/* A deadline that may pass before the sleep inside is over; a shield lets nothing else end it. */
static int step_deadline(uint32_t *random)
{
    unsigned flags = test_random(random) % 2 ? RADDLE_SHIELD : 0;
    struct raddle_scope limit;
    int rc;

    raddle_scope_enter(&limit, raddle_in(test_random(random) % RADDLE_US(100)), flags);
    rc = raddle_sleep(RADDLE_US(50));
    EXPECT(rc == 0 || raddle_cancelled());
    rc = raddle_scope_leave(&limit, rc);
    EXPECT(!flags || rc == 0 || rc == -ETIMEDOUT);
    return rc == -ETIMEDOUT ? 0 : rc;
}

static int step_join(void)
{
    struct raddle_group g;
    raddle_task *task;
    int rc;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, test_nothing, NULL, NULL), 0);
    rc = raddle_join(task, NULL);
    raddle_task_unref(task);
    return raddle_group_close(&g, rc);
}

static int step(uint32_t *random)
{
    switch (test_random(random) % 7) {
    case 0:
        return raddle_sleep(test_random(random) % RADDLE_US(200));
    case 1:
        return raddle_yield();
    case 2:
        return step_job(random);
    case 3:
        return raddle_move_to(any_loop(random));
    case 4:
        return step_deadline(random);
    case 5:
        return step_join();
    default:
        return raddle_checkpoint();
    }
}

static int leaf(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg;
    int rc = 0;

    for (int i = 0; i < STEPS && rc == 0; i++)
        rc = step(&random);
    if (rc != 0) {
        EXPECT_EQ(rc, -ECANCELED);
        EXPECT(raddle_cancelled());
        count(&cancelled);
    }
    count(&ended);
    return rc;
}

static void hand_over(raddle_task *task, uint32_t *random)
{
    raddle_task_unref(rdl_atomic_exchange_acq_rel(&slots[test_random(random) % SLOTS], task));
}

static int tree(void *arg)
{
    static const struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    uint32_t random = (uint32_t)(uintptr_t)arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, &collect), 0);
    for (int i = 0; i < LEAVES; i++) {
        struct raddle_spawn_options o = {
            .mobility = (enum raddle_mobility)(RADDLE_FRESH + test_random(&random) % 3)};
        uintptr_t seed = test_random(&random);
        raddle_task *task;
        EXPECT_EQ(raddle_spawn(&g, &task, leaf, (void *)seed, &o), 0);
        count(&spawned);
        hand_over(task, &random);
    }
    return raddle_group_close(&g, 0);
}

static void round_of_trees(uint32_t *random)
{
    static const struct raddle_spawn_options migratable = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group_options o = {.mode = RADDLE_COLLECT, .deadline = raddle_in(RADDLE_MS(30))};
    struct raddle_group g;
    int rc;

    EXPECT_EQ(raddle_group_open(&g, &o), 0);
    for (int i = 0; i < TREES; i++) {
        uintptr_t seed = test_random(random);
        EXPECT_EQ(raddle_spawn(&g, NULL, tree, (void *)seed, &migratable), 0);
    }
    if (test_random(random) % 5 == 0)
        raddle_group_cancel(&g, "the round");
    rc = raddle_group_close(&g, 0);
    EXPECT(rc == 0 || rc == -ETIMEDOUT);
}

/* Jobs against deadlines. */

static int naps(void *arg)
{
    struct timespec nap = {.tv_nsec = 250000};
    (void)arg;
    nanosleep(&nap, NULL);
    return 3;
}

/* A job that runs is waited for, however late it is: the deadline ends the wait, and the next begins. */
static int racer(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg;

    for (int i = 0; i < LAPS; i++) {
        struct raddle_scope limit;
        raddle_time began;
        int result = 0, rc;

        raddle_scope_enter(&limit, raddle_in(RADDLE_US(250 + test_random(&random) % 150)), 0);
        rc = raddle_run_in_executor(NULL, naps, NULL, &result);
        EXPECT_EQ(result, rc == 0 ? 3 : 0);
        rc = raddle_scope_leave(&limit, rc);
        EXPECT(rc == 0 || rc == -ETIMEDOUT);
        count(rc == 0 ? &jobs_done : &jobs_taken_back);
        /* Nothing may end this one but its own timer. */
        began = raddle_now();
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
        EXPECT(raddle_now() - began >= RADDLE_MS(1));
    }
    return 0;
}

static void round_of_races(void)
{
    static const struct raddle_spawn_options migratable = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (uintptr_t i = 0; i < RACERS; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, racer, (void *)(i + 1), &migratable), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
}

/* The threads. */

static void *foreign(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg;
    struct timespec nap = {.tv_nsec = 100000};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    EXPECT(null >= 0);
    while (!rdl_atomic_load_acquire(&over)) {
        raddle_task *task = rdl_atomic_exchange_acq_rel(&slots[test_random(&random) % SLOTS], NULL);
        struct raddle_outcome outcome;
        int rc;

        if (task && test_random(&random) % 3 == 0) {
            rc = raddle_task_cancel(task, "a foreign thread");
            EXPECT(rc == 0 || rc == -EALREADY);
        }
        if (task) {
            rc = raddle_outcome_of(task, &outcome);
            EXPECT(rc == -EINPROGRESS || (rc == 0 && outcome.kind != RADDLE_FAILED));
            raddle_task_unref(task);
        }
        if (test_random(&random) % 50 == 0)
            EXPECT(raddle_print_tasks(null) > 0);
        nanosleep(&nap, NULL);
    }
    close(null);
    return NULL;
}

static int runs_rounds(void *arg)
{
    unsigned long rounds = *(unsigned long *)arg;
    uint32_t random = 12345;
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, foreign, (void *)(i + 1)))
            return -EAGAIN;
    for (unsigned long i = 0; i < rounds && test_failures() == 0; i++) {
        round_of_trees(&random);
        if (i % 20 == 0)
            round_of_races();
    }
    rdl_atomic_store_release(&over, 1u);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SLOTS; i++)
        raddle_task_unref(rdl_atomic_exchange_acq_rel(&slots[i], NULL));
    return 0;
}

int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    unsigned long rounds = test_argument(argc, argv, "--rounds", 200);
    struct test_footprint before;

    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    EXPECT_EQ(test_run_on(loops, runs_rounds, &rounds), 0);
    EXPECT_EQ(ended, spawned);
    test_same_footprint(&before);
    printf("%u loops: %lu leaves, %lu of them cancelled; %lu jobs done, %lu taken back\n", loops,
           rdl_atomic_load_relaxed(&spawned), rdl_atomic_load_relaxed(&cancelled),
           rdl_atomic_load_relaxed(&jobs_done), rdl_atomic_load_relaxed(&jobs_taken_back));
    test_counted(rdl_atomic_load_relaxed(&spawned), "races");
    return test_result();
}
