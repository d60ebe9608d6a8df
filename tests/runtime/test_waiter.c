/*
 * tests/runtime/test_waiter.c - waiting in line: the moments between a grant, a move and a call, in which a
 * cancellation must not end the wait.
 *
 * They are held open here; that they pass in races is in tests/race/race_sync.c.
 */
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>

#include "runtime/waiter.h"

TestSuite(waiter, .timeout = 60);

static const char WAITS[] = "a test";

struct lines {
    struct rdl_queue first, second;
    bool moves; /* who waits is moved from first to second before it sleeps */
};

static int waits(struct member *member)
{
    struct lines *lines = member->crew->thing;
    struct rdl_waiter waiter;
    struct rdl_fiber *fiber;

    EXPECT_EQ(rdl_waiter_check(&fiber), 0);
    rdl_lock_acquire(&lines->first.lock);
    rdl_waiter_join(&waiter, &lines->first, fiber, RDL_PARK_CANCELLABLE);
    if (lines->moves) {
        rdl_lock_acquire(&lines->second.lock);
        rdl_queue_move(&lines->first, &lines->second);
        rdl_queue_release(&lines->second);
    }
    rdl_queue_release(&lines->first);
    if (rdl_waiter_sleep(&waiter, WAITS))
        return waiter.result;
    rdl_queue_release(&lines->first);
    return -ECANCELED;
}

/* Long enough for the task to have left, if it would. */
static void expect_stays(struct member *member)
{
    crew_cancel(member);
    for (unsigned i = 0; i < 20; i++)
        EXPECT_EQ(raddle_sleep(RADDLE_US(50)), 0);
    EXPECT_STR(test_waits_for(member->task), WAITS);
    EXPECT_EQ(member->rc, 1000);
}

static int granted(void *arg)
{
    struct lines lines = {.moves = false};
    struct crew crew;

    (void)arg;
    crew_open(&crew, &lines, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    (void)crew_add(&crew, waits, 0, true);
    rdl_lock_acquire(&lines.first.lock);
    lines.first.calling = true; /* as if somebody were at it, who has not come to these two */
    rdl_queue_grant(&lines.first, 5);
    rdl_queue_grant(&lines.first, 6);
    rdl_queue_release(&lines.first);
    expect_stays(&crew.members[0]);
    rdl_lock_acquire(&lines.first.lock);
    lines.first.calling = false;
    rdl_queue_release(&lines.first);
    EXPECT_EQ(crew_join(&crew.members[0]), 5);
    EXPECT_EQ(crew_join(&crew.members[1]), 6);
    crew_close(&crew);
    return 0;
}

/* M2 */
RuntimeTest(waiter, who_was_granted_something_and_not_called_yet_cannot_be_cancelled)
{
    cr_assert_eq(test_run(granted, NULL), 0);
}

static int moved(void *arg)
{
    struct lines lines = {.moves = true};
    struct crew crew;

    (void)arg;
    crew_open(&crew, &lines, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    expect_stays(&crew.members[0]);
    rdl_lock_acquire(&lines.second.lock);
    rdl_queue_grant(&lines.second, 7);
    rdl_queue_release(&lines.second);
    EXPECT_EQ(crew_join(&crew.members[0]), 7);
    crew_close(&crew);
    return 0;
}

/* M4 */
RuntimeTest(waiter, who_was_moved_before_it_slept_cannot_be_cancelled)
{
    cr_assert_eq(test_run(moved, NULL), 0);
}
