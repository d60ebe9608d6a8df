/*
 * tests/sched/test_deque.c - the ring of one loop, on one thread; tests/race/race_deque.c races the
 * same calls, and tests/model/scenario_deque.c has them in every order.
 */
#include "sched/deque.h"

#include <criterion/criterion.h>

TestSuite(deque, .timeout = 10);

enum { ITEMS = 4 * RDL_DEQUE_SLOTS };

static struct rdl_deque ring, other;
static struct rdl_runnable items[ITEMS];

static void push(int first, int count)
{
    for (int i = first; i < first + count; i++)
        cr_assert(rdl_deque_push(&ring, &items[i]));
}

static int index_of(const struct rdl_runnable *r)
{
    return r ? (int)(r - items) : -1;
}

Test(deque, a_new_ring_is_empty)
{
    struct rdl_runnable *first = &items[0];

    rdl_deque_init(&ring);
    rdl_deque_init(&other);
    cr_assert_eq(rdl_deque_count(&ring), 0);
    cr_assert_null(rdl_deque_take(&ring));
    cr_assert_null(rdl_deque_steal(&ring));
    cr_assert_eq(rdl_deque_take_half(&ring, &first), 0);
    cr_assert_eq(rdl_deque_steal_half(&ring, &other, &first), 0);
    cr_assert_eq(first, &items[0], "written only on success");
}

Test(deque, the_owner_takes_newest_first)
{
    rdl_deque_init(&ring);
    push(0, 3);
    cr_assert_eq(rdl_deque_count(&ring), 3);
    for (int i = 2; i >= 0; i--)
        cr_assert_eq(index_of(rdl_deque_take(&ring)), i);
    cr_assert_null(rdl_deque_take(&ring));
}

Test(deque, a_thief_steals_oldest_first)
{
    rdl_deque_init(&ring);
    push(0, 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(index_of(rdl_deque_steal(&ring)), i);
    cr_assert_null(rdl_deque_steal(&ring));
}

Test(deque, both_ends_meet_in_the_middle)
{
    rdl_deque_init(&ring);
    push(0, 3);
    cr_assert_eq(index_of(rdl_deque_steal(&ring)), 0);
    cr_assert_eq(index_of(rdl_deque_take(&ring)), 2);
    cr_assert_eq(index_of(rdl_deque_take(&ring)), 1);
    cr_assert_null(rdl_deque_steal(&ring));
    cr_assert_null(rdl_deque_take(&ring));
    push(3, 1);
    cr_assert_eq(index_of(rdl_deque_steal(&ring)), 3);
}

Test(deque, a_full_ring_refuses_and_loses_nothing)
{
    rdl_deque_init(&ring);
    push(0, RDL_DEQUE_SLOTS);
    cr_assert_not(rdl_deque_push(&ring, &items[RDL_DEQUE_SLOTS]));
    cr_assert_eq(rdl_deque_count(&ring), RDL_DEQUE_SLOTS);
    cr_assert_eq(index_of(rdl_deque_steal(&ring)), 0);
    cr_assert(rdl_deque_push(&ring, &items[RDL_DEQUE_SLOTS]));
    for (int i = 1; i <= RDL_DEQUE_SLOTS; i++)
        cr_assert_eq(index_of(rdl_deque_steal(&ring)), i);
}

Test(deque, it_wraps_around_many_times)
{
    rdl_deque_init(&ring);
    for (int round = 0; round < 10 * RDL_DEQUE_SLOTS; round++) {
        push(0, 3);
        cr_assert_eq(index_of(rdl_deque_steal(&ring)), 0);
        cr_assert_eq(index_of(rdl_deque_take(&ring)), 2);
        cr_assert_eq(index_of(rdl_deque_take(&ring)), 1);
    }
}

Test(deque, take_half_gives_the_oldest_half_as_a_list)
{
    struct rdl_runnable *list;

    rdl_deque_init(&ring);
    push(0, RDL_DEQUE_SLOTS);
    cr_assert_eq(rdl_deque_take_half(&ring, &list), RDL_DEQUE_SLOTS / 2);
    for (int i = 0; i < RDL_DEQUE_SLOTS / 2; i++, list = list->next)
        cr_assert_eq(index_of(list), i);
    cr_assert_null(list);
    cr_assert_eq(rdl_deque_count(&ring), RDL_DEQUE_SLOTS / 2);
    cr_assert_eq(index_of(rdl_deque_take(&ring)), RDL_DEQUE_SLOTS - 1);
}

Test(deque, half_of_one_is_one)
{
    struct rdl_runnable *r;

    rdl_deque_init(&ring);
    rdl_deque_init(&other);
    push(0, 1);
    cr_assert_eq(rdl_deque_take_half(&ring, &r), 1);
    cr_assert_eq(index_of(r), 0);
    cr_assert_null(r->next);
    push(1, 1);
    cr_assert_eq(rdl_deque_steal_half(&ring, &other, &r), 1);
    cr_assert_eq(index_of(r), 1);
    cr_assert_eq(rdl_deque_count(&other), 0);
}

Test(deque, a_thief_of_half_keeps_the_oldest_and_queues_the_rest)
{
    struct rdl_runnable *first;

    rdl_deque_init(&ring);
    rdl_deque_init(&other);
    push(0, 7);
    cr_assert_eq(rdl_deque_steal_half(&ring, &other, &first), 4);
    cr_assert_eq(index_of(first), 0);
    for (int i = 1; i < 4; i++)
        cr_assert_eq(index_of(rdl_deque_steal(&other)), i);
    cr_assert_null(rdl_deque_steal(&other));
    for (int i = 4; i < 7; i++)
        cr_assert_eq(index_of(rdl_deque_steal(&ring)), i);
}

Test(deque, a_thief_of_half_takes_no_more_than_it_has_room_for)
{
    struct rdl_runnable *first;

    rdl_deque_init(&ring);
    rdl_deque_init(&other);
    push(0, RDL_DEQUE_SLOTS);
    for (int i = 0; i < RDL_DEQUE_SLOTS - 2; i++)
        cr_assert(rdl_deque_push(&other, &items[RDL_DEQUE_SLOTS + i]));
    cr_assert_eq(rdl_deque_steal_half(&ring, &other, &first), 3);
    cr_assert_eq(rdl_deque_count(&other), RDL_DEQUE_SLOTS);
    cr_assert_eq(rdl_deque_steal_half(&ring, &other, &first), 1, "the first needs no room");
    cr_assert_eq(index_of(first), 3);
}
