/*
 * tests/runtime/test_event.c - the event: who waits when it is set goes on, whatever comes after.
 *
 * Rows M3 and M18 of asyncio's list, and TC70. Races are in tests/race/race_sync.c.
 */
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

TestSuite(event, .timeout = 60);

static const char WAITS[] = "an event";

static int waits(struct member *member)
{
    int rc = raddle_event_wait(member->crew->thing);

    if (rc == 0)
        crew_note(member);
    return rc;
}

static int wakes_all(void *arg)
{
    struct raddle_event e = RADDLE_EVENT_INIT;
    struct crew crew;

    (void)arg;
    EXPECT(!raddle_event_is_set(&e));
    crew_open(&crew, &e, WAITS);
    for (unsigned i = 0; i < 40; i++) /* more than one batch of calls */
        (void)crew_add(&crew, waits, 0, true);
    EXPECT_EQ(crew.served, 0);
    raddle_event_set(&e);
    raddle_event_set(&e);
    EXPECT(raddle_event_is_set(&e));
    crew_close(&crew);
    EXPECT_EQ(crew.served, 40);
    EXPECT_EQ(raddle_event_wait(&e), 0);
    return 0;
}

/* M3 */
RuntimeTest(event, wakes_all_that_wait)
{
    cr_assert_eq(test_run(wakes_all, NULL), 0);
}

static int in_order(void *arg)
{
    struct raddle_event e = RADDLE_EVENT_INIT;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &e, WAITS);
    for (unsigned i = 0; i < 40; i++)
        (void)crew_add(&crew, waits, 0, true);
    raddle_event_set(&e);
    crew_close(&crew);
    for (unsigned i = 0; i < 40; i++)
        EXPECT_EQ(crew.order[i], i);
    return 0;
}

/* M3 */
RuntimeTest(event, wakes_first_who_came_first)
{
    cr_assert_eq(test_run_on(1, in_order, NULL), 0);
}

static int set_and_clear(void *arg)
{
    struct raddle_event e = RADDLE_EVENT_INIT;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &e, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    (void)crew_add(&crew, waits, 0, true);
    raddle_event_set(&e);
    raddle_event_clear(&e);
    raddle_event_set(&e);
    raddle_event_clear(&e);
    EXPECT(!raddle_event_is_set(&e));
    (void)crew_add(&crew, waits, 0, true);
    EXPECT_EQ(crew_join(&crew.members[0]), 0);
    EXPECT_EQ(crew_join(&crew.members[1]), 0);
    EXPECT_EQ(crew.served, 2);
    EXPECT_STR(test_waits_for(crew.members[2].task), WAITS);
    raddle_event_set(&e);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 3);
    return 0;
}

/* M3 TC70 */
RuntimeTest(event, set_and_cleared_at_once_it_has_woken_those_of_that_moment)
{
    cr_assert_eq(test_run(set_and_clear, NULL), 0);
}

static int other_ran;

static int notes_running(void *arg)
{
    (void)arg;
    other_ran++;
    return 0;
}

static int no_yield(void *arg)
{
    struct raddle_event e = RADDLE_EVENT_INIT;
    struct raddle_scope scope;
    struct raddle_group g;

    (void)arg;
    other_ran = 0;
    raddle_event_set(&e);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, notes_running, NULL, NULL), 0);
    EXPECT_EQ(raddle_event_wait(&e), 0);
    EXPECT_EQ(other_ran, 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "enough");
    EXPECT_EQ(raddle_event_wait(&e), -ECANCELED); /* a cancellation point all the same */
    EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), 0);
    EXPECT_EQ(raddle_event_wait(NULL), -EINVAL);
    return 0;
}

/* M3 */
RuntimeTest(event, that_is_set_makes_nobody_give_way_but_is_a_cancellation_point)
{
    cr_assert_eq(test_run_on(1, no_yield, NULL), 0);
}

static int cancelled(void *arg)
{
    struct raddle_event e = RADDLE_EVENT_INIT;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &e, WAITS);
    for (unsigned i = 0; i < 3; i++)
        (void)crew_add(&crew, waits, 0, true);
    crew_cancel(&crew.members[1]);
    EXPECT_EQ(crew_join(&crew.members[1]), -ECANCELED);
    raddle_event_set(&e);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 2);
    return 0;
}

/* M3 */
RuntimeTest(event, a_waiter_that_is_cancelled_leaves_the_others_waiting)
{
    cr_assert_eq(test_run(cancelled, NULL), 0);
}

static int set_and_cancelled(void *arg)
{
    struct raddle_event e = RADDLE_EVENT_INIT;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &e, WAITS);
    for (unsigned i = 0; i < 20; i++)
        (void)crew_add(&crew, waits, 0, true);
    for (unsigned i = 0; i < 20; i += 2)
        crew_cancel(&crew.members[i]);
    raddle_event_set(&e); /* before any of them can run */
    raddle_event_clear(&e);
    for (unsigned i = 1; i < 20; i += 2)
        crew_cancel(&crew.members[i]);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 20);
    return 0;
}

/* M3 */
RuntimeTest(event, set_wins_against_a_cancellation)
{
    cr_assert_eq(test_run_on(1, set_and_cancelled, NULL), 0);
}

static void in_callback(void *arg)
{
    struct crew *crew = arg;

    EXPECT_EQ(raddle_event_wait(crew->thing), -EPERM);
    raddle_event_set(crew->thing);
}

static void *thread_waits(void *arg)
{
    struct crew *crew = arg;

    rdl_atomic_store_release(&crew->go, 1u);
    EXPECT_EQ(raddle_event_wait(crew->thing), 0);
    EXPECT_EQ(raddle_event_wait(crew->thing), 0);
    rdl_atomic_store_release(&crew->go, 2u);
    return NULL;
}

static int beside_a_thread(void *arg)
{
    struct raddle_event e = RADDLE_EVENT_INIT;
    struct crew crew;
    pthread_t thread;

    (void)arg;
    crew_open(&crew, &e, WAITS);
    EXPECT_EQ(pthread_create(&thread, NULL, thread_waits, &crew), 0);
    test_await(&crew.go, 1);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(2)), 0);
    EXPECT_EQ(crew.go, 1);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), in_callback, &crew), 0);
    test_await(&crew.go, 2);
    pthread_join(thread, NULL);
    crew_close(&crew);
    return 0;
}

/* M18 */
RuntimeTest(event, a_thread_waits_and_a_callback_sets)
{
    cr_assert_eq(test_run(beside_a_thread, NULL), 0);
}

/* In memory that is given back as soon as the wait returns. */
static int sets(void *arg)
{
    raddle_event_set(arg);
    return 0;
}

static int gives_back(void *arg)
{
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < 2000; i++) {
        struct raddle_event *e = calloc(1, sizeof(*e));
        EXPECT_EQ(raddle_spawn(&g, NULL, sets, e, NULL), 0);
        EXPECT_EQ(raddle_event_wait(e), 0);
        free(e);
    }
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* M3 */
RuntimeTest(event, who_is_woken_may_free_it)
{
    cr_assert_eq(test_run(gives_back, NULL), 0);
}
