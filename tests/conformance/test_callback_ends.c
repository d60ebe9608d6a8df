/*
 * tests/conformance/test_callback_ends.c - callbacks: what becomes of what goes wrong in one, and what each costs.
 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <string.h>

#include "sched/sys.h"

TestSuite(callback_ends, .timeout = 60);

static raddle_loop *new_loop(void)
{
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    return loop;
}

static void counts(void *arg)
{
    ++*(unsigned *)arg;
}

/* What goes wrong. */

struct parse {
    raddle_loop *loop;
    raddle_future *result;
    unsigned before, after;
};

/* It can't throw: it tells who waits for the result. */
static void fails(void *arg)
{
    struct parse *p = arg;

    EXPECT_EQ(raddle_future_set(p->result, -EBADMSG, NULL), 0);
}

/* And this is what ends a program in asyncio: SystemExit in a callback. */
static void fails_for_good(void *arg)
{
    struct parse *p = arg;

    EXPECT_EQ(raddle_future_set(p->result, -ECONNABORTED, NULL), 0);
    raddle_loop_stop(p->loop);
}

static int waits(void *arg)
{
    return raddle_future_wait(((struct parse *)arg)->result, NULL);
}

/* B5 */
RuntimeTest(callback_ends, one_that_fails_tells_who_waits_and_the_loop_goes_on)
{
    struct parse p = {.loop = new_loop()};
    struct raddle_outcome outcome;

    cr_assert_eq(raddle_future_create(&p.result), 0);
    cr_assert_eq(raddle_call_soon(p.loop, counts, &p.before), 0);
    cr_assert_eq(raddle_call_soon(p.loop, fails, &p), 0);
    cr_assert_eq(raddle_call_soon(p.loop, counts, &p.after), 0);
    cr_assert_eq(raddle_loop_run_until_complete(p.loop, waits, &p), 0);
    cr_assert_eq(raddle_future_outcome(p.result, &outcome), 0);
    cr_assert(outcome.kind == RADDLE_FAILED && outcome.rc == -EBADMSG);
    cr_assert(p.before == 1 && p.after == 1);
    raddle_future_unref(p.result);
    cr_assert_eq(raddle_loop_close(p.loop), 0);
}

/* B5 */
RuntimeTest(callback_ends,
            one_that_ends_the_run_leaves_the_loop_usable_and_the_rest_of_its_turn_done)
{
    struct parse p = {.loop = new_loop()};
    struct raddle_outcome outcome;

    cr_assert_eq(raddle_future_create(&p.result), 0);
    cr_assert_eq(raddle_call_soon(p.loop, fails_for_good, &p), 0);
    cr_assert_eq(raddle_call_soon(p.loop, counts, &p.after), 0);
    cr_assert_eq(raddle_loop_run_forever(p.loop), 0);
    cr_assert_eq(p.after, 1);
    cr_assert_eq(raddle_future_outcome(p.result, &outcome), 0);
    cr_assert_eq(outcome.rc, -ECONNABORTED);
    cr_assert_eq(raddle_call_soon(p.loop, counts, &p.after), 0);
    cr_assert_eq(raddle_loop_run_until_complete(p.loop, test_nothing, NULL), 0);
    cr_assert_eq(p.after, 2);
    raddle_future_unref(p.result);
    cr_assert_eq(raddle_loop_close(p.loop), 0);
}

/* What it costs. */

static rdl_atomic(unsigned) allocations;

static int counts_allocations(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if (call == RDL_SYS_MALLOC || call == RDL_SYS_CALLOC || call == RDL_SYS_REALLOC)
        rdl_atomic_fetch_add_relaxed(&allocations, 1u);
    return 0;
}

enum { ASKED = 50 };

struct asked {
    raddle_loop *loop;
    raddle_handle *handles[ASKED];
    unsigned called, by_asking, by_calling;
};

/* Asks for them, and lets those run whose time has come. Two are called off. */
static int asks(void *arg)
{
    struct asked *a = arg;
    unsigned before = rdl_atomic_load_relaxed(&allocations);

    for (int i = 0; i < ASKED; i++)
        switch (i % 3) {
        case 0:
            EXPECT_EQ(raddle_call_soon(a->loop, counts, &a->called), 0);
            break;
        case 1:
            EXPECT_EQ(raddle_call_soon_handle(a->loop, counts, &a->called, &a->handles[i]), 0);
            break;
        default:
            EXPECT_EQ(raddle_call_later(a->loop, RADDLE_US(10), counts, &a->called, &a->handles[i]),
                      0);
        }
    a->by_asking = rdl_atomic_load_relaxed(&allocations) - before;
    EXPECT_EQ(raddle_handle_cancel(a->handles[1]), 0);
    EXPECT_EQ(raddle_handle_cancel(a->handles[2]), 0);
    before = rdl_atomic_load_relaxed(&allocations);
    while (a->called < ASKED - 2)
        EXPECT_EQ(raddle_sleep(RADDLE_US(10)), 0);
    a->by_calling = rdl_atomic_load_relaxed(&allocations) - before;
    for (int i = 0; i < ASKED; i++)
        raddle_handle_unref(a->handles[i]);
    return 0;
}

/* B9 */
RuntimeTest(callback_ends, each_is_one_allocation_when_it_is_asked_for_and_none_until_it_has_run)
{
    struct asked a = {.loop = new_loop()};

    cr_assert_eq(raddle_loop_run_until_complete(a.loop, test_nothing, NULL), 0);
    rdl_sys_set_hook(counts_allocations);
    cr_assert_eq(raddle_loop_run_until_complete(a.loop, asks, &a), 0);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(a.by_asking, ASKED);
    cr_assert_eq(a.by_calling, 0);
    cr_assert_eq(raddle_loop_close(a.loop), 0);
}
