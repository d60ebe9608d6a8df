/*
 * tests/runtime/test_barrier.c - the barrier: rounds, and what cancelling, resetting and aborting do to them.
 *
 * Rows M13 to M16 and M18 of asyncio's list, and TC71. Races are in tests/race/race_sync.c.
 */
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(barrier, .timeout = 60);

static const char WAITS[] = "a barrier";

enum { PARTIES = 5 };

static int waits(struct member *member)
{
    return raddle_barrier_wait(member->crew->thing);
}

static void add_waiters(struct crew *crew, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)crew_add(crew, waits, 0, true);
}

static int rounds(void *arg)
{
    struct raddle_barrier b = RADDLE_BARRIER_INIT(PARTIES);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &b, WAITS);
    for (unsigned round = 0; round < 4; round++) {
        add_waiters(&crew, PARTIES - 1);
        EXPECT_EQ(raddle_barrier_waiting(&b), PARTIES - 1);
        EXPECT_EQ(raddle_barrier_wait(&b), PARTIES - 1);
        EXPECT_EQ(raddle_barrier_waiting(&b), 0);
        for (unsigned i = 0; i < PARTIES - 1; i++)
            EXPECT_EQ(crew_join(&crew.members[round * (PARTIES - 1) + i]), i);
    }
    crew_close(&crew);
    EXPECT(!raddle_barrier_broken(&b));
    return 0;
}

/* M13 */
RuntimeTest(barrier, lets_all_go_each_with_its_number_round_after_round)
{
    cr_assert_eq(test_run(rounds, NULL), 0);
}

static int odd_sizes(void *arg)
{
    struct raddle_barrier b = {{0}}, one = RADDLE_BARRIER_INIT(1);

    (void)arg;
    EXPECT_EQ(raddle_barrier_wait(&b), -EINVAL);
    EXPECT_EQ(raddle_barrier_wait(NULL), -EINVAL);
    EXPECT_EQ(raddle_barrier_init(&b, 0), -EINVAL);
    EXPECT_EQ(raddle_barrier_init(&b, 1u << 31), -EINVAL);
    EXPECT_EQ(raddle_barrier_init(NULL, 1), -EINVAL);
    EXPECT_EQ(raddle_barrier_init(&b, 2), 0);
    EXPECT_EQ(raddle_barrier_wait(&one), 0);
    EXPECT_EQ(raddle_barrier_wait(&one), 0);
    return 0;
}

/* M13 */
RuntimeTest(barrier, has_one_party_at_least)
{
    cr_assert_eq(test_run(odd_sizes, NULL), 0);
}

/* The last to come doesn't give way, so nobody of the round has left when the next one begins. */
static int while_leaving(void *arg)
{
    struct raddle_barrier b = RADDLE_BARRIER_INIT(3);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &b, WAITS);
    add_waiters(&crew, 2);
    EXPECT_EQ(raddle_barrier_wait(&b), 2);
    EXPECT_EQ(crew.members[0].rc, 1000);
    (void)crew_add(&crew, waits, 0, true); /* of the next round */
    EXPECT_EQ(raddle_barrier_waiting(&b), 1);
    EXPECT_EQ(crew_join(&crew.members[0]), 0);
    EXPECT_EQ(crew_join(&crew.members[1]), 1);
    EXPECT_STR(test_waits_for(crew.members[2].task), WAITS);
    add_waiters(&crew, 1);
    EXPECT_EQ(raddle_barrier_wait(&b), 2);
    crew_close(&crew);
    EXPECT_EQ(crew.members[2].rc, 0);
    EXPECT_EQ(crew.members[3].rc, 1);
    return 0;
}

/* M13 TC71 */
RuntimeTest(barrier, who_comes_while_others_leave_is_of_the_next_round)
{
    cr_assert_eq(test_run_on(1, while_leaving, NULL), 0);
}

static int cancel_one(void *arg)
{
    struct raddle_barrier b = RADDLE_BARRIER_INIT(PARTIES);
    struct raddle_scope scope;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &b, WAITS);
    add_waiters(&crew, PARTIES - 1);
    crew_cancel(&crew.members[1]);
    EXPECT_EQ(crew_join(&crew.members[1]), -ECANCELED);
    EXPECT_EQ(raddle_barrier_waiting(&b), PARTIES - 2);
    EXPECT(!raddle_barrier_broken(&b));
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "enough");
    EXPECT_EQ(raddle_barrier_wait(&b), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), 0);
    EXPECT_EQ(raddle_barrier_waiting(&b), PARTIES - 2);
    add_waiters(&crew, 1);
    EXPECT_EQ(raddle_barrier_wait(&b), PARTIES - 1);
    crew_close(&crew);
    EXPECT_EQ(crew.members[0].rc, 0);
    EXPECT_EQ(crew.members[2].rc, 1);
    EXPECT_EQ(crew.members[3].rc, 2);
    EXPECT_EQ(crew.members[4].rc, 3);
    return 0;
}

/* M14 TC71 */
RuntimeTest(barrier, who_is_cancelled_was_not_there_and_the_others_wait_on)
{
    cr_assert_eq(test_run(cancel_one, NULL), 0);
}

static int cancel_when_complete(void *arg)
{
    struct raddle_barrier b = RADDLE_BARRIER_INIT(3);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &b, WAITS);
    add_waiters(&crew, 2);
    crew_cancel(&crew.members[0]);
    EXPECT_EQ(raddle_barrier_wait(&b), 2);
    crew_cancel(&crew.members[1]);
    crew_close(&crew);
    EXPECT_EQ(crew.members[0].rc, 0);
    EXPECT_EQ(crew.members[1].rc, 1);
    return 0;
}

/* M14 */
RuntimeTest(barrier, a_complete_round_wins_against_a_cancellation)
{
    cr_assert_eq(test_run_on(1, cancel_when_complete, NULL), 0);
}

static int resets(void *arg)
{
    struct raddle_barrier b = RADDLE_BARRIER_INIT(3);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &b, WAITS);
    add_waiters(&crew, 2);
    EXPECT_EQ(raddle_barrier_wait(&b), 2);
    add_waiters(&crew, 2); /* of the next round, with the first one half out, or all */
    raddle_barrier_reset(&b);
    EXPECT_EQ(raddle_barrier_waiting(&b), 0);
    EXPECT(!raddle_barrier_broken(&b));
    EXPECT_EQ(crew_join(&crew.members[0]), 0);
    EXPECT_EQ(crew_join(&crew.members[1]), 1);
    EXPECT_EQ(crew_join(&crew.members[2]), RADDLE_EBROKEN);
    EXPECT_EQ(crew_join(&crew.members[3]), RADDLE_EBROKEN);
    add_waiters(&crew, 2);
    EXPECT_EQ(raddle_barrier_wait(&b), 2);
    crew_close(&crew);
    EXPECT_EQ(crew.members[4].rc, 0);
    EXPECT_EQ(crew.members[5].rc, 1);
    return 0;
}

/* M15 TC71 */
RuntimeTest(barrier, a_reset_sends_those_away_who_wait_and_it_is_as_new)
{
    cr_assert_eq(test_run(resets, NULL), 0);
}

/* On one loop: complete, reset, and only then may those of the round run. */
static int resets_while_leaving(void *arg)
{
    struct raddle_barrier b = RADDLE_BARRIER_INIT(3);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &b, WAITS);
    add_waiters(&crew, 2);
    EXPECT_EQ(raddle_barrier_wait(&b), 2);
    raddle_barrier_reset(&b);
    raddle_barrier_abort(&b);
    crew_close(&crew);
    EXPECT_EQ(crew.members[0].rc, 0);
    EXPECT_EQ(crew.members[1].rc, 1);
    return 0;
}

/* M15 */
RuntimeTest(barrier, who_has_a_number_keeps_it_through_a_reset)
{
    cr_assert_eq(test_run_on(1, resets_while_leaving, NULL), 0);
}

static int aborts(void *arg)
{
    struct raddle_barrier b = RADDLE_BARRIER_INIT(PARTIES);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &b, WAITS);
    add_waiters(&crew, 3);
    raddle_barrier_abort(&b);
    EXPECT(raddle_barrier_broken(&b));
    EXPECT_EQ(raddle_barrier_wait(&b), RADDLE_EBROKEN); /* the fourth */
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(crew_join(&crew.members[i]), RADDLE_EBROKEN);
    EXPECT_EQ(raddle_barrier_waiting(&b), 0);
    raddle_barrier_abort(&b);
    EXPECT_EQ(raddle_barrier_wait(&b), RADDLE_EBROKEN);
    raddle_barrier_reset(&b);
    EXPECT(!raddle_barrier_broken(&b));
    add_waiters(&crew, PARTIES - 1);
    EXPECT_EQ(raddle_barrier_wait(&b), PARTIES - 1);
    crew_close(&crew);
    EXPECT_STR(raddle_strerror(RADDLE_EBROKEN), "the barrier is broken");
    return 0;
}

/* M16 TC71 */
RuntimeTest(barrier, an_abort_is_for_all_until_the_reset)
{
    cr_assert_eq(test_run(aborts, NULL), 0);
}

static void *thread_waits(void *arg)
{
    return (void *)(intptr_t)raddle_barrier_wait(arg);
}

static int beside_threads(void *arg)
{
    struct raddle_barrier b = RADDLE_BARRIER_INIT(PARTIES);
    pthread_t threads[2];
    struct crew crew;
    unsigned seen = 0;

    (void)arg;
    crew_open(&crew, &b, WAITS);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, thread_waits, &b), 0);
    (void)crew_add(&crew, waits, 0, false);
    (void)crew_add(&crew, waits, 0, false);
    seen |= 1u << raddle_barrier_wait(&b);
    for (unsigned i = 0; i < 2; i++) {
        void *result;
        pthread_join(threads[i], &result);
        seen |= 1u << (intptr_t)result;
        seen |= 1u << crew_join(&crew.members[i]);
    }
    EXPECT_EQ(seen, (1u << PARTIES) - 1);
    crew_close(&crew);
    return 0;
}

/* M18 */
RuntimeTest(barrier, threads_and_tasks_meet)
{
    cr_assert_eq(test_run(beside_threads, NULL), 0);
}
