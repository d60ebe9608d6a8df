/*
 * tests/sched/test_inbox.c - a loop's inbox, on one thread; tests/race/race_inbox.c races the same
 * calls.
 */
#include "sched/inbox.h"

#include <criterion/criterion.h>

TestSuite(inbox, .timeout = 10);

static struct rdl_inbox inbox;
static struct rdl_runnable items[8];

Test(inbox, a_new_inbox_is_empty_and_open)
{
    rdl_inbox_init(&inbox);
    cr_assert(rdl_inbox_empty(&inbox));
    cr_assert_null(rdl_inbox_take_all(&inbox));
    cr_assert(rdl_inbox_push(&inbox, &items[0]));
    cr_assert_not(rdl_inbox_empty(&inbox));
}

Test(inbox, everything_comes_out_in_the_order_it_went_in)
{
    struct rdl_runnable *r;

    rdl_inbox_init(&inbox);
    for (int i = 0; i < 5; i++)
        cr_assert(rdl_inbox_push(&inbox, &items[i]));
    r = rdl_inbox_take_all(&inbox);
    for (int i = 0; i < 5; i++, r = r->next)
        cr_assert_eq(r, &items[i]);
    cr_assert_null(r);
    cr_assert(rdl_inbox_empty(&inbox));
}

Test(inbox, it_is_not_closed_while_something_is_in_it)
{
    rdl_inbox_init(&inbox);
    cr_assert(rdl_inbox_push(&inbox, &items[0]));
    cr_assert_not(rdl_inbox_close(&inbox));
    cr_assert(rdl_inbox_push(&inbox, &items[1]), "still open");
    cr_assert_eq(rdl_inbox_take_all(&inbox), &items[0]);
    cr_assert(rdl_inbox_close(&inbox));
}

Test(inbox, a_closed_inbox_refuses_and_leaves_the_runnable_alone)
{
    struct rdl_runnable *next = &items[7];

    rdl_inbox_init(&inbox);
    cr_assert(rdl_inbox_close(&inbox));
    items[0].next = next;
    cr_assert_not(rdl_inbox_push(&inbox, &items[0]));
    cr_assert_eq(items[0].next, next);
    cr_assert(rdl_inbox_empty(&inbox));
    cr_assert_null(rdl_inbox_take_all(&inbox));
}

Test(inbox, closing_twice_is_closing_once)
{
    rdl_inbox_init(&inbox);
    cr_assert(rdl_inbox_close(&inbox));
    cr_assert(rdl_inbox_close(&inbox));
}

Test(inbox, init_opens_it_again)
{
    rdl_inbox_init(&inbox);
    cr_assert(rdl_inbox_close(&inbox));
    rdl_inbox_init(&inbox);
    cr_assert(rdl_inbox_push(&inbox, &items[0]));
    cr_assert_eq(rdl_inbox_take_all(&inbox), &items[0]);
}
