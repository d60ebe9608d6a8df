/*
 * tests/runtime/test_once.c - once: who does it, who waits, and who tries again.
 *
 * Rows M18 and M19 of asyncio's list. Races are in tests/race/race_sync.c.
 */
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(once, .timeout = 60);

static const char WAITS[] = "something done once";

struct deed {
    struct raddle_once once;
    struct crew *crew;
    int rcs[4]; /* what each try returns */
    rdl_atomic(unsigned) tries;
};

/* Returns when go is above the number of the try. */
static int does(void *arg)
{
    struct deed *deed = arg;
    unsigned number = rdl_atomic_fetch_add_acq_rel(&deed->tries, 1u);

    test_await(&deed->crew->go, number + 1);
    return deed->rcs[number];
}

static int wants(struct member *member)
{
    struct deed *deed = member->crew->thing;
    int rc = raddle_once_run(&deed->once, does, deed);

    if (rc >= 0)
        EXPECT(raddle_once_done(&deed->once));
    return rc;
}

/* The first is at it, the others wait. */
static void begin(struct deed *deed, struct crew *crew, unsigned count)
{
    deed->crew = crew;
    crew_open(crew, deed, WAITS);
    (void)crew_add(crew, wants, 0, false);
    test_await(&deed->tries, 1);
    for (unsigned i = 1; i < count; i++)
        (void)crew_add(crew, wants, 0, true);
}

static void let_go(struct crew *crew, unsigned tries)
{
    rdl_atomic_store_release(&crew->go, tries);
}

static int once(void *arg)
{
    struct deed deed = {.once = RADDLE_ONCE_INIT, .rcs = {7}};
    struct crew crew;

    (void)arg;
    EXPECT(!raddle_once_done(&deed.once));
    begin(&deed, &crew, 20);
    EXPECT(!raddle_once_done(&deed.once));
    let_go(&crew, 1);
    crew_close(&crew);
    for (unsigned i = 0; i < 20; i++)
        EXPECT_EQ(crew.members[i].rc, 7);
    EXPECT_EQ(deed.tries, 1);
    EXPECT_EQ(raddle_once_run(&deed.once, does, &deed), 7);
    EXPECT_EQ(deed.tries, 1);
    EXPECT_EQ(raddle_once_run(NULL, does, &deed), -EINVAL);
    return 0;
}

/* M19 */
RuntimeTest(once, is_done_once_and_all_have_the_result)
{
    cr_assert_eq(test_run(once, NULL), 0);
}

static int fails(void *arg)
{
    struct deed deed = {.rcs = {-EIO, -ENOENT, 3}};
    struct crew crew;

    (void)arg;
    begin(&deed, &crew, 4);
    let_go(&crew, 3);
    crew_close(&crew);
    EXPECT_EQ(crew.members[0].rc, -EIO);
    EXPECT_EQ(crew.members[1].rc, -ENOENT);
    EXPECT_EQ(crew.members[2].rc, 3);
    EXPECT_EQ(crew.members[3].rc, 3);
    EXPECT_EQ(deed.tries, 3);
    return 0;
}

/* M19 */
RuntimeTest(once, the_next_in_line_tries_after_a_failure)
{
    cr_assert_eq(test_run(fails, NULL), 0);
}

static int fails_alone(void *arg)
{
    struct deed deed = {.rcs = {-EIO, 0}};
    struct crew crew;

    (void)arg;
    begin(&deed, &crew, 1);
    let_go(&crew, 2);
    crew_close(&crew);
    EXPECT_EQ(crew.members[0].rc, -EIO);
    EXPECT(!raddle_once_done(&deed.once));
    deed.crew = &crew;
    EXPECT_EQ(raddle_once_run(&deed.once, does, &deed), 0);
    EXPECT(raddle_once_done(&deed.once));
    return 0;
}

/* M19 */
RuntimeTest(once, whoever_comes_after_a_failure_tries)
{
    cr_assert_eq(test_run(fails_alone, NULL), 0);
}

static int cancelled(void *arg)
{
    struct deed deed = {.rcs = {-EIO, 5}};
    struct raddle_scope scope;
    struct crew crew;

    (void)arg;
    begin(&deed, &crew, 4);
    crew_cancel(&crew.members[1]);
    EXPECT_EQ(crew_join(&crew.members[1]), -ECANCELED);
    let_go(&crew, 2);
    crew_close(&crew);
    EXPECT_EQ(crew.members[2].rc, 5); /* the next that is left */
    EXPECT_EQ(crew.members[3].rc, 5);
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "enough");
    EXPECT_EQ(raddle_once_run(&deed.once, does, &deed), -ECANCELED); /* though it is done */
    EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), 0);
    return 0;
}

/* M19 */
RuntimeTest(once, a_cancelled_waiter_is_passed_over)
{
    cr_assert_eq(test_run(cancelled, NULL), 0);
}

static int recurses(void *arg)
{
    EXPECT_EQ(raddle_once_run(arg, recurses, arg), -EDEADLK);
    return 1;
}

static void in_callback(void *arg)
{
    struct crew *crew = arg;

    EXPECT_EQ(raddle_once_run(crew->thing, recurses, crew->thing), -EPERM);
    rdl_atomic_store_release(&crew->go, 1u);
}

static int misuse(void *arg)
{
    struct raddle_once o = RADDLE_ONCE_INIT;
    struct crew crew = {.thing = &o};

    (void)arg;
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), in_callback, &crew), 0);
    test_await(&crew.go, 1);
    EXPECT_EQ(raddle_once_run(&o, recurses, &o), 1);
    return 0;
}

/* M19 */
RuntimeTest(once, calling_itself_is_refused)
{
    cr_assert_eq(test_run(misuse, NULL), 0);
}

static void *thread_wants(void *arg)
{
    struct deed *deed = arg;

    return (void *)(intptr_t)raddle_once_run(&deed->once, does, deed);
}

static int beside_a_thread(void *arg)
{
    struct deed deed = {.rcs = {-EIO, 8, 8}};
    struct crew crew;
    pthread_t thread;
    void *result;

    (void)arg;
    begin(&deed, &crew, 2);
    EXPECT_EQ(pthread_create(&thread, NULL, thread_wants, &deed), 0);
    let_go(&crew, 2);
    crew_close(&crew);
    pthread_join(thread, &result);
    EXPECT_EQ((intptr_t)result, 8);
    EXPECT_EQ(deed.tries, 2);
    return 0;
}

/* M18 */
RuntimeTest(once, a_thread_waits_for_a_task_that_is_at_it)
{
    cr_assert_eq(test_run(beside_a_thread, NULL), 0);
}
