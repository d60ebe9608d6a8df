/*
 * tests/runtime/test_abandon.c - tasks that are ended where they stand. Their stacks are kept, on purpose.
 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

#include "sched/strand.h"

TestSuite(abandon, .timeout = 30);

enum { RC = -EBADMSG };

static _Noreturn void abandon(void)
{
    EXPECT_EQ(raddle_abandon(RC), 0);
    __builtin_trap();
}

/* As fixture.h does, but with so many stacks kept. */
static void run(raddle_task_fn *fn, unsigned stacks)
{
    struct test_footprint before = fixture_begin();

    cr_assert_eq(test_run(fn, NULL), 0);
    before.stacks += stacks;
    fixture_end(&before);
}

/* A child in a group of its own ends so; returns how, and checks that its group and its joiners know. */
static void expect_abandoned(raddle_task_fn *fn, void *arg)
{
    struct raddle_group group;
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    raddle_task *task = NULL;
    int rc = raddle_group_open(&group, &(struct raddle_group_options){.mode = RADDLE_COLLECT});

    if (rc == 0)
        rc = raddle_spawn(&group, &task, fn, arg, NULL);
    if (rc == 0)
        rc = raddle_join(task, &outcome);
    EXPECT_EQ(rc, 0);
    EXPECT_EQ(outcome.kind, RADDLE_FAILED);
    EXPECT_EQ(outcome.rc, RC);
    EXPECT_EQ(raddle_group_close(&group, rc), RC);
    raddle_task_unref(task);
}

static int at_once(void *arg)
{
    (void)arg;
    abandon();
}

static int ends_as_failed(void *arg)
{
    (void)arg;
    expect_abandoned(at_once, NULL);
    return 0;
}

Test(abandon, a_task_ends_as_if_it_had_returned_that)
{
    run(ends_as_failed, 1);
}

/* Its children look at its frame until they have ended. */
static int look_at_frame(void *arg)
{
    unsigned *ended = arg;
    int rc = raddle_sleep_until(RADDLE_NEVER);

    ++*ended;
    return rc;
}

struct frames {
    unsigned *ended;
};

static int in_scopes_and_groups(void *arg)
{
    struct frames *frames = arg;
    struct raddle_group outer, inner;
    struct raddle_scope scope;
    static unsigned ended; /* children are pinned to one loop, and end one after the other */
    const struct raddle_spawn_options here = {.loop = raddle_running_loop()};

    frames->ended = &ended;
    ended = 0;
    EXPECT_EQ(raddle_group_open(&outer, NULL), 0);
    raddle_scope_enter(&scope, RADDLE_NEVER, RADDLE_SHIELD);
    EXPECT_EQ(raddle_group_open(&inner, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(raddle_spawn(&outer, NULL, look_at_frame, &ended, &here), 0);
        EXPECT_EQ(raddle_spawn(&inner, NULL, look_at_frame, &ended, &here), 0);
    }
    EXPECT_EQ(raddle_yield(), 0);
    abandon();
}

static int closes_groups(void *arg)
{
    struct frames frames = {NULL};

    (void)arg;
    expect_abandoned(in_scopes_and_groups, &frames);
    EXPECT(frames.ended && *frames.ended == 6);
    return 0;
}

Test(abandon, groups_that_are_open_in_it_are_cancelled_and_waited_for)
{
    run(closes_groups, 1);
}

struct shared {
    struct raddle_mutex *mutex;
    struct raddle_event locked;
    int told;
};

/* The mutex lies in the frame of who is abandoned, and is still there. */
static int lock_and_abandon(void *arg)
{
    struct shared *shared = arg;
    struct raddle_mutex mutex = RADDLE_MUTEX_INIT;

    EXPECT_EQ(raddle_lock(&mutex), 0);
    shared->mutex = &mutex;
    raddle_event_set(&shared->locked);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    abandon();
}

static int lock_after(void *arg)
{
    struct shared *shared = arg;
    int rc = raddle_event_wait(&shared->locked);

    if (rc == 0)
        shared->told = raddle_lock(shared->mutex);
    if (shared->told == 0 || shared->told == -EOWNERDEAD)
        raddle_unlock(shared->mutex);
    return rc;
}

static void count_report(const char *line, void *arg)
{
    (void)line;
    (void)rdl_atomic_fetch_add_relaxed((rdl_atomic(unsigned) *)arg, 1u);
}

static int hands_locks_on(void *arg)
{
    struct shared shared = {.mutex = NULL};
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, lock_after, &shared, NULL);
    EXPECT_EQ(rc, 0);
    expect_abandoned(lock_and_abandon, &shared);
    EXPECT_EQ(raddle_group_close(&group, rc), 0);
    EXPECT_EQ(shared.told, -EOWNERDEAD);
    return 0;
}

Test(abandon, its_locks_go_to_the_next_who_is_told_and_may_lie_in_its_frame)
{
    static rdl_atomic(unsigned) reports;

    raddle_on_report(count_report, &reports);
    run(hands_locks_on, 1);
    cr_assert_eq(rdl_atomic_load_relaxed(&reports), 1);
}

static int yield_and_abandon(raddle_gen *gen, void *arg)
{
    EXPECT_EQ(raddle_gen_yield(gen, arg, NULL), 0);
    EXPECT_EQ(raddle_yield(), 0);
    abandon();
}

static int in_a_generator(void *arg)
{
    raddle_gen *gen;
    void *item;
    int rc = raddle_gen_open(&gen, yield_and_abandon, arg, NULL);

    if (rc == 0)
        rc = raddle_gen_next(gen, NULL, &item);
    EXPECT_EQ(rc, 1);
    rc = raddle_gen_next(gen, NULL, &item);
    EXPECT(false);
    return rc;
}

static int abandons_in_a_generator(void *arg)
{
    (void)arg;
    expect_abandoned(in_a_generator, NULL);
    return 0;
}

Test(abandon, a_task_may_be_ended_inside_of_a_generator)
{
    run(abandons_in_a_generator, 2);
}

static int in_a_strand(void *arg)
{
    raddle_strand *strand = NULL;
    struct raddle_group group;
    int rc = raddle_group_open(&group, &(struct raddle_group_options){.mode = RADDLE_COLLECT});

    (void)arg;
    if (rc == 0)
        rc = raddle_strand_create(&strand);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, i == 1 ? at_once : test_nothing, NULL,
                          &(struct raddle_spawn_options){.strand = strand});
    EXPECT_EQ(raddle_group_close(&group, rc), RC);
    raddle_strand_unref(strand);
    return 0;
}

Test(abandon, others_of_its_strand_go_on)
{
    run(in_a_strand, 1);
}

/* The turn is its spawner's, and stays that. */
static int keeps_its_turn(void *arg)
{
    struct rdl_strand *strand = (struct rdl_strand *)(void *)raddle_running_strand();
    struct raddle_group group;
    int rc = raddle_group_open(&group, &(struct raddle_group_options){.mode = RADDLE_COLLECT});

    if (rc == 0)
        rc = raddle_spawn(&group, NULL, at_once, arg,
                          &(struct raddle_spawn_options){.eager_start = true});
    EXPECT_EQ(rc, 0);
    EXPECT_EQ(raddle_group_errors(&group), 1);
    EXPECT(strand->taken);
    EXPECT_EQ(raddle_group_close(&group, rc), RC);
    return 0;
}

static int started_eagerly(void *arg)
{
    raddle_strand *strand = NULL;
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    (void)arg;
    if (rc == 0)
        rc = raddle_strand_create(&strand);
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, keeps_its_turn, NULL,
                          &(struct raddle_spawn_options){.strand = strand});
    EXPECT_EQ(raddle_group_close(&group, rc), 0);
    raddle_strand_unref(strand);
    return 0;
}

Test(abandon, one_that_was_started_eagerly_leaves_its_spawner_the_turn_of_their_strand)
{
    struct test_footprint before = fixture_begin();

    cr_assert_eq(test_run_on(1, started_eagerly, NULL), 0);
    before.stacks += 1;
    fixture_end(&before);
}

static void *run_there(void *loop)
{
    EXPECT_EQ(raddle_loop_run_until_complete(loop, ends_as_failed, NULL), 0);
    return NULL;
}

/* Nothing is left on it. */
Test(abandon, its_loop_can_be_closed_by_another_thread)
{
    struct test_footprint before = fixture_begin();
    raddle_loop *loop;
    pthread_t thread;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(pthread_create(&thread, NULL, run_there, loop), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    before.stacks += 1;
    fixture_end(&before);
}

static int many(void *arg)
{
    struct raddle_group group;
    int rc = raddle_group_open(&group, &(struct raddle_group_options){.mode = RADDLE_COLLECT});

    for (int i = 0; i < 50 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, i % 2 ? at_once : test_nothing, arg, NULL);
    EXPECT_EQ(raddle_group_close(&group, rc), RC);
    EXPECT_EQ(raddle_group_errors(&group), 25);
    return 0;
}

Test(abandon, many_on_all_loops)
{
    run(many, 25);
}

static int refused(void *arg)
{
    (void)arg;
    EXPECT_EQ(raddle_abandon(0), -EINVAL);
    EXPECT_EQ(raddle_abandon(RC), -EPERM);
    return 0;
}

Test(abandon, a_main_task_and_what_is_no_task_are_refused)
{
    cr_assert_eq(raddle_abandon(RC), -EPERM);
    run(refused, 0);
}
