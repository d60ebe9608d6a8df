/*
 * tests/race/race_tasks.c - tasks spawn and end on several loops while threads and a task list all of them, keep some
 * of the handles, cancel and join through them.
 *
 *     race_tasks [--rounds N] [--loops N]
 *
 * A round is one short task, in a group of its own or below one; many never ask for a handle, so that it is
 * the one who lists them that makes it, perhaps at their very end. Some tasks are parked during the whole run: each
 * list must have every one of them once. Some tasks spawn without an end until they are told to stop: a list comes
 * to an end all the same.
 */
#define _GNU_SOURCE
#include "tests/support/counted.h"
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { PARENTS = 8, PARKED = 16, KEPT = 32, THREADS = 2 };

static unsigned long rounds;
static rdl_atomic(unsigned long) spawned, ended, lists, listed, joined, stacks;
static rdl_atomic(unsigned) parked, over;

static int brief(void *arg)
{
    uintptr_t n = (uintptr_t)arg;
    int rc = 0;

    if (n % 5 == 0)
        EXPECT(raddle_self());
    if (n % 3 == 0)
        rc = raddle_yield();
    if (n % 11 == 0 && rc == 0)
        rc = raddle_sleep(RADDLE_US(n % 40));
    rdl_atomic_fetch_add_relaxed(&ended, 1ul);
    return rc;
}

static int parent(void *arg)
{
    unsigned long mine = rounds / PARENTS;

    for (uintptr_t i = 0; i < mine; i += 4) {
        struct raddle_spawn_options options = {.eager_start = i % 3 == 0};
        struct raddle_group_options collect = {.mode = RADDLE_COLLECT, .as_completed = i % 8 == 0};
        struct raddle_group g;

        EXPECT_EQ(raddle_group_open(&g, &collect), 0);
        for (uintptr_t k = 0; k < 4; k++)
            EXPECT_EQ(raddle_spawn(&g, NULL, brief, (void *)(i + k + (uintptr_t)arg), &options), 0);
        rdl_atomic_fetch_add_relaxed(&spawned, 4ul);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
    }
    return 0;
}

/* As fast as it can, into one group, in which others end meanwhile. */
static int spawns_without_end(void *arg)
{
    struct raddle_group g;
    (void)arg;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    while (!rdl_atomic_load_acquire(&over)) {
        if (raddle_group_live(&g) < 1000) {
            EXPECT_EQ(raddle_spawn(&g, NULL, brief, (void *)1, NULL), 0);
            rdl_atomic_fetch_add_relaxed(&spawned, 1ul);
        } else {
            EXPECT_EQ(raddle_yield(), 0);
        }
    }
    return raddle_group_close(&g, 0);
}

static int parked_task(void *arg)
{
    (void)arg;
    rdl_atomic_fetch_add_acq_rel(&parked, 1u);
    return raddle_sleep_until(RADDLE_NEVER);
}

/* The sleepers are cancelled after this was taken back: who has seen one that has ended sees that. */
static bool all_parked(void)
{
    return rdl_atomic_load_acquire(&parked) == PARKED;
}

/* Which may be gone, or run, while it is looked at. */
static void look_at_stack(const struct raddle_task_info *info)
{
    void *pcs[32];
    ssize_t n = raddle_task_stack(info->task, pcs, 32);

    EXPECT((n >= 0 && n <= 32) || n == -EBUSY || n == -ENOTSUP);
    if (info->fn == parked_task)
        EXPECT(n > 2 || n == -ENOTSUP || !all_parked());
    rdl_atomic_fetch_add_relaxed(&stacks, (unsigned long)(n > 0));
}

static void look_at(const struct raddle_task_info *info, unsigned seen[PARKED])
{
    struct raddle_outcome outcome;
    int rc = raddle_outcome_of(info->task, &outcome);

    EXPECT(rc == 0 || rc == -EINPROGRESS);
    EXPECT(raddle_task_name(info->task)[0]);
    EXPECT((info->state == RADDLE_TASK_WAITING) == (info->waits_for != NULL));
    if (info->state == RADDLE_TASK_WAITING && (uintptr_t)info->task / 64 % 4 == 0)
        look_at_stack(info);
    if (info->fn == parked_task) {
        EXPECT(rc == -EINPROGRESS || !all_parked());
        seen[(uintptr_t)raddle_task_arg(info->task)]++;
    }
}

/* A handle that is kept from list to list outlives its task, and its memory is somebody else's by then. */
static void keep(raddle_task **slot, const struct raddle_task_info *info, unsigned number)
{
    if (info->fn != brief)
        return;
    if (number % 4 == 0)
        (void)raddle_task_cancel(info->task, "listed");
    raddle_task_unref(*slot);
    *slot = raddle_task_ref(info->task);
}

static void list_once(raddle_loop *loop, raddle_task *kept[KEPT])
{
    bool all_there = all_parked();
    unsigned seen[PARKED] = {0};
    struct raddle_task_info *list;
    ssize_t n = raddle_all_tasks(loop, &list);

    EXPECT(n >= 0);
    for (ssize_t i = 0; i < n; i++) {
        look_at(&list[i], seen);
        keep(&kept[i % KEPT], &list[i], (unsigned)i);
    }
    if (all_there && all_parked())
        for (unsigned i = 0; i < PARKED; i++)
            EXPECT_EQ(seen[i], 1);
    rdl_atomic_fetch_add_relaxed(&lists, 1ul);
    rdl_atomic_fetch_add_relaxed(&listed, (unsigned long)n);
    raddle_all_tasks_free(list, (size_t)n);
}

static void *lister(void *arg)
{
    raddle_task *kept[KEPT] = {NULL};
    (void)arg;

    while (!rdl_atomic_load_acquire(&over)) {
        list_once(NULL, kept);
        sched_yield();
    }
    for (unsigned i = 0; i < KEPT; i++)
        raddle_task_unref(kept[i]);
    return NULL;
}

/* And joins some, also those that have ended or are about to. */
static int listing_task(void *arg)
{
    raddle_task *kept[KEPT] = {NULL};
    (void)arg;

    while (!rdl_atomic_load_acquire(&over)) {
        list_once(raddle_running_loop(), kept);
        for (unsigned i = 0; i < KEPT; i += 7)
            if (kept[i]) {
                EXPECT_EQ(raddle_join(kept[i], NULL), 0);
                rdl_atomic_fetch_add_relaxed(&joined, 1ul);
            }
        EXPECT_EQ(raddle_yield(), 0);
    }
    for (unsigned i = 0; i < KEPT; i++)
        raddle_task_unref(kept[i]);
    return 0;
}

static int run_all(void *arg)
{
    struct raddle_group sleepers, busy, parents;
    (void)arg;

    EXPECT_EQ(raddle_group_open(&sleepers, NULL), 0);
    EXPECT_EQ(raddle_group_open(&busy, NULL), 0);
    for (uintptr_t i = 0; i < PARKED; i++)
        EXPECT_EQ(raddle_spawn(&sleepers, NULL, parked_task, (void *)i, NULL), 0);
    test_await(&parked, PARKED);
    EXPECT_EQ(raddle_spawn(&busy, NULL, listing_task, NULL, NULL), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(raddle_spawn(&busy, NULL, spawns_without_end, NULL, NULL), 0);
    EXPECT_EQ(raddle_group_open(&parents, NULL), 0);
    for (uintptr_t i = 0; i < PARENTS; i++)
        EXPECT_EQ(raddle_spawn(&parents, NULL, parent, (void *)i, NULL), 0);
    EXPECT_EQ(raddle_group_close(&parents, 0), 0);
    rdl_atomic_store_release(&over, 1u);
    EXPECT_EQ(raddle_group_close(&busy, 0), 0);
    rdl_atomic_store_release(&parked, 0u);
    raddle_group_cancel(&sleepers, NULL);
    return raddle_group_close(&sleepers, 0);
}

/* G4 G7 TC19 */
int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    struct test_footprint before;
    pthread_t threads[THREADS];

    rounds = test_argument(argc, argv, "--rounds", 8000 / (unsigned long)test_slowness());
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, lister, NULL))
            return 1;
    EXPECT_EQ(test_run_on(loops, run_all, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(ended, spawned);
    test_same_footprint(&before);
    printf("%u loops: %lu tasks; %lu lists of %lu lines, %lu joined, %lu stacks\n", loops,
           rdl_atomic_load_relaxed(&spawned), rdl_atomic_load_relaxed(&lists),
           rdl_atomic_load_relaxed(&listed), rdl_atomic_load_relaxed(&joined),
           rdl_atomic_load_relaxed(&stacks));
    test_counted(rdl_atomic_load_relaxed(&lists), "races");
    return test_result();
}
