/*
 * tests/runtime/test_latch.c - the latch, which is a wait group as well: what is outstanding keeps all waiting.
 *
 * Rows M18 and M19 of asyncio's list. Races are in tests/race/race_sync.c.
 */
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(latch, .timeout = 60);

static const char WAITS[] = "a latch";

static int waits(struct member *member)
{
    int rc = raddle_latch_wait(member->crew->thing);

    if (rc == 0)
        crew_note(member);
    return rc;
}

static int counts_down(void *arg)
{
    struct raddle_latch l = RADDLE_LATCH_INIT(3);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &l, WAITS);
    for (unsigned i = 0; i < 20; i++)
        (void)crew_add(&crew, waits, 0, true);
    EXPECT_EQ(raddle_latch_done(&l, 4), -EINVAL);
    EXPECT_EQ(raddle_latch_done(&l, 1), 0);
    EXPECT_EQ(raddle_latch_count(&l), 2);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    EXPECT_EQ(crew.served, 0);
    EXPECT_EQ(raddle_latch_done(&l, 2), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 20);
    EXPECT_EQ(raddle_latch_wait(&l), 0);
    EXPECT_EQ(raddle_latch_done(&l, 1), -EINVAL);
    EXPECT_EQ(raddle_latch_count(&l), 0);
    return 0;
}

/* M19 */
RuntimeTest(latch, lets_all_go_when_the_last_is_done)
{
    cr_assert_eq(test_run(counts_down, NULL), 0);
}

static int works(void *arg)
{
    EXPECT_EQ(raddle_sleep(RADDLE_US(100)), 0);
    EXPECT_EQ(raddle_latch_done(arg, 1), 0);
    return 0;
}

static int wait_group(void *arg)
{
    struct raddle_latch l;
    struct raddle_group g;

    (void)arg;
    raddle_latch_init(&l, 0);
    EXPECT_EQ(raddle_latch_wait(&l), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 20; i++) {
            EXPECT_EQ(raddle_latch_add(&l, 1), 0);
            EXPECT_EQ(raddle_spawn(&g, NULL, works, &l, NULL), 0);
        }
        EXPECT_EQ(raddle_latch_wait(&l), 0);
        EXPECT_EQ(raddle_latch_count(&l), 0);
    }
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_latch_add(&l, SIZE_MAX), 0);
    EXPECT_EQ(raddle_latch_add(&l, 1), -EOVERFLOW);
    EXPECT(raddle_latch_count(&l) == SIZE_MAX);
    EXPECT_EQ(raddle_latch_add(NULL, 1), -EINVAL);
    EXPECT_EQ(raddle_latch_done(NULL, 1), -EINVAL);
    EXPECT_EQ(raddle_latch_wait(NULL), -EINVAL);
    return 0;
}

/* M19 */
RuntimeTest(latch, is_a_wait_group_that_is_used_again)
{
    cr_assert_eq(test_run(wait_group, NULL), 0);
}

static int cancelled(void *arg)
{
    struct raddle_latch l = RADDLE_LATCH_INIT(1);
    struct raddle_scope limit;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &l, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    (void)crew_add(&crew, waits, 0, true);
    crew_cancel(&crew.members[0]);
    EXPECT_EQ(crew_join(&crew.members[0]), -ECANCELED);
    raddle_scope_enter(&limit, raddle_in(RADDLE_MS(1)), 0);
    EXPECT_EQ(raddle_scope_leave(&limit, raddle_latch_wait(&l)), -ETIMEDOUT);
    EXPECT_EQ(raddle_latch_done(&l, 1), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 1);
    raddle_scope_enter(&limit, 0, 0);
    raddle_scope_cancel(&limit, "enough");
    EXPECT_EQ(raddle_latch_wait(&l), -ECANCELED); /* a cancellation point all the same */
    EXPECT_EQ(raddle_scope_leave(&limit, -ECANCELED), 0);
    return 0;
}

/* M19 */
RuntimeTest(latch, a_cancelled_waiter_leaves_the_others_waiting)
{
    cr_assert_eq(test_run(cancelled, NULL), 0);
}

/* Done and cancelled, then added to, all before those that wait can run. */
static int done_and_cancelled(void *arg)
{
    struct raddle_latch l = RADDLE_LATCH_INIT(1);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &l, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    (void)crew_add(&crew, waits, 0, true);
    crew_cancel(&crew.members[0]);
    EXPECT_EQ(raddle_latch_done(&l, 1), 0);
    crew_cancel(&crew.members[1]);
    EXPECT_EQ(raddle_latch_add(&l, 1), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 2);
    EXPECT_EQ(raddle_latch_count(&l), 1);
    return 0;
}

/* M19 */
RuntimeTest(latch, being_done_wins_against_a_cancellation)
{
    cr_assert_eq(test_run_on(1, done_and_cancelled, NULL), 0);
}

static void *thread_waits(void *arg)
{
    struct crew *crew = arg;

    rdl_atomic_store_release(&crew->go, 1u);
    EXPECT_EQ(raddle_latch_wait(crew->thing), 0);
    rdl_atomic_store_release(&crew->go, 2u);
    return NULL;
}

static void in_callback(void *arg)
{
    EXPECT_EQ(raddle_latch_wait(arg), -EPERM);
    EXPECT_EQ(raddle_latch_done(arg, 1), 0);
}

static int beside_a_thread(void *arg)
{
    struct raddle_latch l = RADDLE_LATCH_INIT(1);
    struct crew crew = {.thing = &l};
    pthread_t thread;

    (void)arg;
    EXPECT_EQ(pthread_create(&thread, NULL, thread_waits, &crew), 0);
    test_await(&crew.go, 1);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(2)), 0);
    EXPECT_EQ(crew.go, 1);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), in_callback, &l), 0);
    test_await(&crew.go, 2);
    pthread_join(thread, NULL);
    return 0;
}

/* M18 */
RuntimeTest(latch, a_thread_waits_and_a_callback_is_done)
{
    cr_assert_eq(test_run(beside_a_thread, NULL), 0);
}
