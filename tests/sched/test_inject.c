/*
 * tests/sched/test_inject.c - the queue that all loops share, on one thread.
 */
#include "sched/inject.h"

#include <criterion/criterion.h>

TestSuite(inject, .timeout = 10);

enum { ITEMS = 16 };

static struct rdl_inject queue;
static struct rdl_runnable items[ITEMS];

/* Takes up to max and checks that it is count items from first on. */
static void expect(unsigned max, int first, unsigned count)
{
    unsigned said = 99;
    struct rdl_runnable *r = rdl_inject_take(&queue, max, &said);

    cr_assert_eq(said, count);
    for (unsigned i = 0; i < count; i++, r = r->next)
        cr_assert_eq(r, &items[first + (int)i]);
    cr_assert_null(r);
}

Test(inject, a_new_queue_is_empty)
{
    rdl_inject_init(&queue);
    cr_assert_eq(rdl_inject_count(&queue), 0);
    expect(8, 0, 0);
}

Test(inject, what_was_pushed_first_is_taken_first)
{
    rdl_inject_init(&queue);
    for (int i = 0; i < 5; i++)
        rdl_inject_push(&queue, &items[i]);
    cr_assert_eq(rdl_inject_count(&queue), 5);
    expect(2, 0, 2);
    cr_assert_eq(rdl_inject_count(&queue), 3);
    expect(8, 2, 3);
    expect(8, 0, 0);
}

Test(inject, a_list_is_appended_in_its_order)
{
    rdl_inject_init(&queue);
    rdl_inject_push(&queue, &items[0]);
    for (int i = 1; i < 4; i++)
        items[i].next = &items[i + 1];
    items[4].next = &items[9]; /* not part of the list, and not followed */
    rdl_inject_push_list(&queue, &items[1], &items[4], 4);
    rdl_inject_push(&queue, &items[5]);
    cr_assert_eq(rdl_inject_count(&queue), 6);
    expect(6, 0, 6);
    cr_assert_eq(rdl_inject_count(&queue), 0);
}

Test(inject, taking_none_takes_none)
{
    rdl_inject_init(&queue);
    rdl_inject_push(&queue, &items[0]);
    expect(0, 0, 0);
    cr_assert_eq(rdl_inject_count(&queue), 1);
}

Test(inject, an_emptied_queue_fills_again)
{
    rdl_inject_init(&queue);
    for (int round = 0; round < 3; round++) {
        rdl_inject_push(&queue, &items[0]);
        rdl_inject_push(&queue, &items[1]);
        expect(2, 0, 2);
    }
}
