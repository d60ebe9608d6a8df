/*
 * tests/race/race_storm.c - thousands of tasks, parked in nested groups and scopes, are cancelled by two
 * foreign threads, tree by tree, while others complete and new ones are spawned.
 *
 *     race_storm [--rounds N] [--loops N] [--trees N]
 *
 * A round plants TREES trees. A tree is a task whose groups and shields have children at three
 * levels, most of them parked for ever, some completing soon, some spawning another when they do.
 * Two threads cancel every tree, in an order of their own, at times twice; only that ends them. At
 * the end as many tasks have ended as were spawned, each knows why, and no stack is left.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"
#include "tests/support/counted.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

enum { TREES_MAX = 4096, BRANCHES = 3, LEAVES = 8, CANCELLERS = 2 };

static raddle_task *trees[TREES_MAX];
static unsigned tree_count;
static rdl_atomic(unsigned long) spawned, ended, cancelled;
static rdl_atomic(unsigned) parked; /* leaves that have got as far as to wait */

static sem_t go[CANCELLERS];
static rdl_atomic(unsigned) through;
static bool finished;

static void count(rdl_atomic(unsigned long) * counter)
{
    rdl_atomic_fetch_add_relaxed(counter, 1ul);
}

static void end_of_task(int rc)
{
    count(&ended);
    if (rc == -ECANCELED) {
        count(&cancelled);
        EXPECT(raddle_cancelled());
        EXPECT_STR(raddle_cancel_reason(), "storm");
    } else {
        EXPECT_EQ(rc, 0);
    }
}

static int leaf(void *arg)
{
    uintptr_t kind = (uintptr_t)arg;
    struct raddle_scope scope, shield;
    int rc = 0;

    rdl_atomic_fetch_add_relaxed(&parked, 1u);
    switch (kind % 5) {
    case 0: /* bare */
        rc = raddle_sleep_until(RADDLE_NEVER);
        break;
    case 1: /* inside scopes with far deadlines */
        raddle_scope_enter(&scope, raddle_in(RADDLE_S(1000)), 0);
        raddle_scope_enter(&shield, raddle_in(RADDLE_S(2000)), 0);
        rc = raddle_sleep_until(RADDLE_NEVER);
        rc = raddle_scope_leave(&shield, rc);
        rc = raddle_scope_leave(&scope, rc);
        break;
    case 2: /* completes by itself, again and again */
        while (rc == 0)
            rc = raddle_sleep(RADDLE_US(50 + 13 * (kind % 7)));
        break;
    case 3: /* not before a shielded clean-up */
        rc = raddle_sleep_until(RADDLE_NEVER);
        raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
        EXPECT_EQ(raddle_sleep(RADDLE_US(20)), 0);
        EXPECT_EQ(raddle_scope_leave(&shield, 0), 0);
        break;
    case 4: /* soon over */
        rc = raddle_sleep(RADDLE_US(100 * (kind % 11)));
        break;
    }
    end_of_task(rc);
    return rc;
}

static int spawn(struct raddle_group *g, raddle_task_fn *fn, uintptr_t arg)
{
    int rc = raddle_spawn(g, NULL, fn, (void *)arg, NULL);

    EXPECT_EQ(rc, 0);
    if (rc == 0)
        count(&spawned);
    return rc;
}

/* Replaces what completes until it is cancelled. */
static int branch(void *arg)
{
    uintptr_t kind = (uintptr_t)arg;
    struct raddle_group outer, inner;
    int rc = raddle_group_open(&outer, NULL);

    EXPECT_EQ(rc, 0);
    for (unsigned i = 0; i < LEAVES; i++)
        (void)spawn(&outer, leaf, kind + i);
    EXPECT_EQ(raddle_group_open(&inner, NULL), 0);
    while (rc == 0) {
        (void)spawn(&inner, leaf, 4 + 5 * (kind++ % 11));
        rc = raddle_sleep(RADDLE_US(200));
    }
    rc = raddle_group_close(&inner, rc);
    EXPECT_EQ(rc, -ECANCELED);
    rc = raddle_group_close(&outer, rc);
    end_of_task(rc);
    return rc;
}

static int tree(void *arg)
{
    uintptr_t kind = (uintptr_t)arg;
    struct raddle_group g;
    struct raddle_scope scope;
    int rc;

    raddle_scope_enter(&scope, raddle_in(RADDLE_S(500)), 0);
    EXPECT_EQ(
        raddle_group_open(&g, &(struct raddle_group_options){.mode = kind & 1 ? RADDLE_COLLECT
                                                                              : RADDLE_FAIL_FAST}),
        0);
    for (unsigned i = 0; i < BRANCHES; i++)
        (void)spawn(&g, branch, kind * 7 + i);
    for (unsigned i = 0; i < LEAVES; i++)
        (void)spawn(&g, leaf, kind + i);
    rc = raddle_group_close(&g, kind & 2 ? 0 : raddle_sleep_until(RADDLE_NEVER));
    rc = raddle_scope_leave(&scope, rc);
    end_of_task(rc);
    return rc;
}

static void *canceller(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    uint32_t random = 99 + me;

    for (;;) {
        sem_wait(&go[me]);
        if (finished)
            return NULL;
        for (unsigned i = 0; i < tree_count; i++) {
            /* One upwards, one downwards: they meet on the same tree. */
            raddle_task *task = trees[me ? tree_count - 1 - i : i];
            int rc = raddle_task_cancel(task, "storm");
            EXPECT(rc == 0 || rc == -EALREADY);
            if (test_random(&random) % 16 == 0)
                sched_yield();
        }
        rdl_atomic_fetch_add_acq_rel(&through, 1u);
    }
}

static int storm(void *arg)
{
    unsigned wanted = rdl_atomic_load_relaxed(&through) + CANCELLERS;
    struct raddle_group g;
    (void)arg;

    rdl_atomic_store_relaxed(&parked, 0u);
    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    for (unsigned i = 0; i < tree_count; i++) {
        EXPECT_EQ(raddle_spawn(&g, &trees[i], tree, (void *)(uintptr_t)i, NULL), 0);
        count(&spawned);
    }
    /* Not all may have begun. */
    test_await(&parked, tree_count * LEAVES);
    for (unsigned i = 0; i < CANCELLERS; i++)
        sem_post(&go[i]);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    while (rdl_atomic_load_acquire(&through) != wanted)
        EXPECT_EQ(raddle_yield(), 0);
    for (unsigned i = 0; i < tree_count; i++) {
        struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
        EXPECT_EQ(raddle_outcome_of(trees[i], &outcome), 0);
        EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
        raddle_task_unref(trees[i]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    unsigned long rounds = test_argument(argc, argv, "--rounds", 3);
    unsigned trees_wanted = (unsigned)test_argument(argc, argv, "--trees", 300);
    struct test_footprint before;
    pthread_t threads[CANCELLERS];

    tree_count = trees_wanted < TREES_MAX ? trees_wanted : TREES_MAX;
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    for (unsigned i = 0; i < CANCELLERS; i++) {
        sem_init(&go[i], 0, 0);
        if (pthread_create(&threads[i], NULL, canceller, (void *)(uintptr_t)i))
            return 1;
    }
    for (unsigned long i = 0; i < rounds && test_failures() == 0; i++) {
        EXPECT_EQ(test_run_on(loops, storm, NULL), 0);
        EXPECT_EQ(ended, spawned);
        test_same_footprint(&before);
    }
    finished = true;
    for (unsigned i = 0; i < CANCELLERS; i++) {
        sem_post(&go[i]);
        pthread_join(threads[i], NULL);
    }
    printf("%u loops: %lu tasks, %lu of them cancelled\n", loops, rdl_atomic_load_relaxed(&spawned),
           rdl_atomic_load_relaxed(&cancelled));
    test_counted(rdl_atomic_load_relaxed(&spawned), "races");
    return test_result();
}
