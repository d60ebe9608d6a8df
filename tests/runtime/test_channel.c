/*
 * tests/runtime/test_channel.c - channels: orders, waiting, handing over, cancellation.
 *
 * N1 to N5 are the rows of the feature contract, TC74 to TC76 the conformance cases.
 */
#define _GNU_SOURCE
#include "tests/support/channel.h"

#include <errno.h>

#include "sched/sys.h"

TestSuite(channel, .timeout = 60);

struct ranked {
    char rank;
    short number;
};

static int by_rank(const void *a, const void *b)
{
    return ((const struct ranked *)a)->rank - ((const struct ranked *)b)->rank;
}

/* N1 */
RuntimeTest(channel, items_leave_in_the_order_in_which_they_came)
{
    raddle_chan *chan = make(3);

    for (int round = 0; round < 5; round++) {
        put(chan, 1);
        put(chan, 2);
        cr_expect_eq(get(chan), 1);
        put(chan, 3);
        put(chan, 4);
        cr_expect_eq(get(chan), 2);
        cr_expect_eq(get(chan), 3);
        cr_expect_eq(get(chan), 4);
        cr_expect_eq(get(chan), -EAGAIN);
    }
    raddle_chan_unref(chan);
}

/* N1 N4 */
RuntimeTest(channel, an_unbounded_channel_grows_and_keeps_the_order)
{
    raddle_chan *chan = make(RADDLE_UNBOUNDED);
    int next = 0, wanted = 0;

    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 100; i++)
            put(chan, next++);
        for (int i = 0; i < 60; i++)
            cr_assert_eq(get(chan), wanted++);
    }
    cr_expect_eq(raddle_chan_count(chan), 2000u);
    cr_expect_eq(raddle_chan_capacity(chan), RADDLE_UNBOUNDED);
    while (wanted < next)
        cr_assert_eq(get(chan), wanted++);
    cr_expect_eq(get(chan), -EAGAIN);
    raddle_chan_unref(chan);
}

/* N2 */
RuntimeTest(channel, try_says_eagain_when_full_and_when_empty)
{
    raddle_chan *chan = make(1), *none = make(0);
    int value = 1;

    cr_expect_eq(get(chan), -EAGAIN);
    put(chan, 7);
    cr_expect_eq(raddle_try_put(chan, &value), -EAGAIN);
    cr_expect_eq(get(chan), 7);
    cr_expect_eq(raddle_try_put(none, &value), -EAGAIN);
    cr_expect_eq(get(none), -EAGAIN);
    raddle_chan_unref(chan);
    raddle_chan_unref(none);
}

RuntimeTest(channel, bad_arguments_are_einval)
{
    raddle_chan *chan = make(1);
    raddle_sender *sender;
    struct raddle_chan_options bad[] = {
        {.order = RADDLE_CHAN_PRIORITY},
        {.order = (enum raddle_chan_order)3},
        {.compare = by_rank},
        {.reserved = {0, 0, 0, 1}},
    };
    int value;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_eq(raddle_chan_create(4, 1, &bad[i], &(raddle_chan *){NULL}), -EINVAL);
    cr_expect_eq(raddle_chan_create(4, 1, NULL, NULL), -EINVAL);
    cr_expect_eq(raddle_chan_create(4, SIZE_MAX / 4, NULL, &(raddle_chan *){NULL}), -ENOMEM);
    cr_expect_eq(raddle_chan_create(SIZE_MAX, 1, NULL, &(raddle_chan *){NULL}), -ENOMEM);
    cr_expect_eq(raddle_put(NULL, &value), -EINVAL);
    cr_expect_eq(raddle_get(NULL, &value), -EINVAL);
    cr_expect_eq(raddle_put(chan, NULL), -EINVAL);
    cr_expect_eq(raddle_get(chan, NULL), -EINVAL);
    cr_expect_eq(raddle_chan_join(NULL), -EINVAL);
    cr_expect_eq(raddle_chan_task_done(NULL), -EINVAL);
    cr_expect_eq(raddle_chan_shutdown(chan, (enum raddle_chan_shutdown_mode)2), -EINVAL);
    cr_expect_eq(raddle_sender_open(NULL, &sender), -EINVAL);
    cr_expect_eq(raddle_sender_put(NULL, &value), -EINVAL);
    raddle_sender_close(NULL);
    raddle_sender_unref(NULL);
    raddle_receiver_close(NULL);
    raddle_receiver_unref(NULL);
    raddle_chan_unref(NULL);
    raddle_chan_unref(chan);
}

RuntimeTest(channel, items_without_a_size_are_counted)
{
    raddle_chan *chan = NULL;

    cr_assert_eq(raddle_chan_create(0, 2, NULL, &chan), 0);
    cr_expect_eq(raddle_try_put(chan, NULL), 0);
    cr_expect_eq(raddle_try_put(chan, NULL), 0);
    cr_expect_eq(raddle_try_put(chan, NULL), -EAGAIN);
    cr_expect_eq(raddle_try_get(chan, NULL), 0);
    cr_expect_eq(raddle_try_get(chan, NULL), 0);
    cr_expect_eq(raddle_try_get(chan, NULL), -EAGAIN);
    raddle_chan_unref(chan);
}

/* N5 */
RuntimeTest(channel, lifo_hands_out_the_newest_first)
{
    struct raddle_chan_options options = {.order = RADDLE_CHAN_LIFO};
    raddle_chan *chan = NULL;

    cr_assert_eq(raddle_chan_create(sizeof(int), RADDLE_UNBOUNDED, &options, &chan), 0);
    for (int i = 0; i < 100; i++)
        put(chan, i);
    for (int i = 99; i >= 50; i--)
        cr_assert_eq(get(chan), i);
    put(chan, 1000);
    cr_expect_eq(get(chan), 1000);
    cr_expect_eq(get(chan), 49);
    raddle_chan_unref(chan);
}

/* With capacity for all, or none that is given: the heap then grows. */
static void check_priority(size_t capacity)
{
    struct raddle_chan_options options = {.order = RADDLE_CHAN_PRIORITY, .compare = by_rank};
    struct ranked item, last = {.rank = -1};
    raddle_chan *chan = NULL;
    uint32_t random = 5;
    int counts[3] = {0};

    cr_assert_eq(raddle_chan_create(sizeof(item), capacity, &options, &chan), 0);
    for (short i = 0; i < 1000; i++) {
        item = (struct ranked){.rank = (char)(test_random(&random) % 3), .number = i};
        counts[(int)item.rank]++;
        cr_assert_eq(raddle_try_put(chan, &item), 0);
    }
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(raddle_try_get(chan, &item), 0);
        cr_assert(item.rank > last.rank || (item.rank == last.rank && item.number > last.number));
        counts[(int)item.rank]--;
        last = item;
    }
    cr_expect_eq(raddle_try_get(chan, &item), -EAGAIN);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(counts[i], 0);
    raddle_chan_unref(chan);
}

/* N5 TC76 */
RuntimeTest(channel, priority_goes_first_and_equal_ones_stay_in_order)
{
    check_priority(1000);
    check_priority(RADDLE_UNBOUNDED);
}

static int hands_over(void *arg)
{
    raddle_chan *chan = arg;
    struct raddle_group g;
    struct call getters[3] = {{.chan = chan}, {.chan = chan}, {.chan = chan}};

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 3; i++)
        start(&g, gets_one, &getters[i]);
    for (int i = 0; i < 3; i++) {
        put(chan, 10 + i);
        EXPECT_EQ(get(chan), -EAGAIN); /* it is another's */
        EXPECT_EQ(raddle_chan_count(chan), 0);
    }
    finish(&g, getters, 3);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(getters[i].rc, 0);
        EXPECT_EQ(getters[i].value, 10 + i); /* first come, first served */
    }
    return 0;
}

/* N2 TC74 */
RuntimeTest(channel, what_was_put_for_a_waiting_getter_nobody_else_takes)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        raddle_chan *chan = make(capacity);
        cr_assert_eq(test_run(hands_over, chan), 0);
        raddle_chan_unref(chan);
    }
}

static int makes_room(void *arg)
{
    raddle_chan *chan = arg;
    struct raddle_group g;
    struct call putters[3] = {
        {.chan = chan, .value = 2}, {.chan = chan, .value = 3}, {.chan = chan, .value = 4}};
    int value = 99;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    put(chan, 1);
    for (int i = 0; i < 3; i++)
        start(&g, puts_one, &putters[i]);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(get(chan), i + 1);
        EXPECT_EQ(raddle_try_put(chan, &value), -EAGAIN); /* the room is another's */
    }
    EXPECT_EQ(get(chan), 4);
    EXPECT_EQ(get(chan), -EAGAIN);
    finish(&g, putters, 3);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(putters[i].rc, 0);
    return 0;
}

/* N2 TC74 */
RuntimeTest(channel, room_that_a_waiting_putter_gets_nobody_else_takes)
{
    raddle_chan *chan = make(1);

    cr_assert_eq(test_run(makes_room, chan), 0);
    raddle_chan_unref(chan);
}

static int meets(void *arg)
{
    raddle_chan *chan = arg;
    struct raddle_group g;
    struct call putter = {.chan = chan, .value = 5}, getter = {.chan = chan};

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    start(&g, puts_one, &putter);
    EXPECT_STR(test_waits_for(putter.task), "room in a channel");
    EXPECT_EQ(raddle_chan_count(chan), 0);
    EXPECT_EQ(get(chan), 5);
    join_one(&putter);
    start(&g, gets_one, &getter);
    EXPECT_STR(test_waits_for(getter.task), "a value from a channel");
    put(chan, 6);
    join_one(&getter);
    EXPECT_EQ(getter.value, 6);
    raddle_task_unref(putter.task);
    finish(&g, &getter, 1);
    EXPECT_EQ(putter.rc, 0);
    return 0;
}

RuntimeTest(channel, a_rendezvous_keeps_nothing)
{
    raddle_chan *chan = make(0);

    cr_assert_eq(test_run(meets, chan), 0);
    raddle_chan_unref(chan);
}

static int cancels(void *arg)
{
    raddle_chan *chan = arg;
    struct raddle_group g;
    struct call getters[3] = {{.chan = chan}, {.chan = chan}, {.chan = chan}};
    struct call putters[3] = {
        {.chan = chan, .value = 20}, {.chan = chan, .value = 21}, {.chan = chan, .value = 22}};

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 3; i++)
        start(&g, gets_one, &getters[i]);
    EXPECT_EQ(raddle_task_cancel(getters[0].task, NULL), 0);
    join_one(&getters[0]);
    EXPECT_EQ(getters[0].rc, -ECANCELED);
    put(chan, 1); /* for the second */
    (void)raddle_task_cancel(getters[1].task, NULL);
    join_one(&getters[1]);
    EXPECT_EQ(getters[1].rc, 0); /* what was handed over is taken: completion wins */
    EXPECT_EQ(getters[1].value, 1);
    put(chan, 2);
    join_one(&getters[2]);
    EXPECT_EQ(getters[2].value, 2);

    put(chan, 3);
    for (int i = 0; i < 3; i++)
        start(&g, puts_one, &putters[i]);
    EXPECT_EQ(raddle_task_cancel(putters[1].task, NULL), 0);
    join_one(&putters[1]);
    EXPECT_EQ(putters[1].rc, -ECANCELED);
    EXPECT_EQ(get(chan), 3);
    (void)raddle_task_cancel(putters[0].task, NULL);
    join_one(&putters[0]);
    EXPECT_EQ(putters[0].rc, 0);
    EXPECT_EQ(get(chan), 20);
    EXPECT_EQ(get(chan), 22);
    EXPECT_EQ(get(chan), -EAGAIN);
    for (int i = 0; i < 3; i++)
        raddle_task_unref(getters[i].task);
    finish(&g, putters, 3);
    EXPECT_EQ(putters[2].rc, 0);
    return 0;
}

/* N3 */
RuntimeTest(channel, a_cancelled_get_takes_nothing_and_a_cancelled_put_puts_nothing)
{
    raddle_chan *chan = make(1);

    cr_assert_eq(test_run(cancels, chan), 0);
    raddle_chan_unref(chan);
}

static int in_a_cancelled_scope(void *arg)
{
    raddle_chan *chan = arg;
    struct raddle_scope scope;
    int value = 8;

    raddle_scope_enter(&scope, RADDLE_NEVER, 0);
    raddle_scope_cancel(&scope, NULL);
    EXPECT_EQ(raddle_put(chan, &value), -ECANCELED);
    put(chan, 9); /* the try functions are no cancellation points */
    EXPECT_EQ(raddle_get(chan, &value), -ECANCELED);
    EXPECT_EQ(value, 8);
    EXPECT_EQ(raddle_chan_join(chan), -ECANCELED);
    EXPECT_EQ(raddle_chan_count(chan), 1);
    EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), 0);

    EXPECT_EQ(get(chan), 9);
    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(5)), 0);
    EXPECT_EQ(raddle_scope_leave(&scope, raddle_get(chan, &value)), -ETIMEDOUT);
    put(chan, 10);
    EXPECT_EQ(get(chan), 10); /* who gave up isn't in line any more */
    return 0;
}

RuntimeTest(channel, a_put_and_a_get_are_cancellation_points_and_obey_deadlines)
{
    raddle_chan *chan = make(1);

    cr_assert_eq(test_run(in_a_cancelled_scope, chan), 0);
    raddle_chan_unref(chan);
}

static int no_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_MALLOC || call == RDL_SYS_CALLOC ? -ENOMEM : 0;
}

RuntimeTest(channel, a_put_without_memory_puts_nothing_and_a_bounded_one_needs_none)
{
    raddle_chan *chan = make(RADDLE_UNBOUNDED), *bounded = make(1), *none = NULL;
    int value = 1;

    rdl_sys_set_hook(no_memory);
    EXPECT_EQ(raddle_chan_create(4, 1, NULL, &none), -ENOMEM);
    EXPECT_EQ(raddle_try_put(chan, &value), -ENOMEM);
    EXPECT_EQ(raddle_put(chan, &value), -ENOMEM);
    EXPECT_EQ(raddle_try_put(bounded, &value), 0);
    rdl_sys_set_hook(NULL);
    cr_expect_null(none);
    cr_expect_eq(get(chan), -EAGAIN);
    cr_expect_eq(raddle_chan_task_done(chan), -EINVAL); /* it doesn't count either */
    put(chan, 2);
    cr_expect_eq(get(chan), 2);
    raddle_chan_unref(chan);
    raddle_chan_unref(bounded);
}

static int puts_by_rank(void *arg)
{
    struct call *call = arg;
    struct ranked item = {.rank = (char)call->value, .number = (short)call->value};

    call->rc = raddle_put(call->chan, &item);
    return 0;
}

static int ranks_what_is_stored(void *arg)
{
    static const char wanted[] = {2, 3, 1, 9};
    struct call putters[2] = {{.chan = arg, .value = 3}, {.chan = arg, .value = 1}};
    struct ranked item = {.rank = 2};
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_put(arg, &item), 0);
    item.rank = 9;
    EXPECT_EQ(raddle_put(arg, &item), 0);
    for (int i = 0; i < 2; i++)
        start(&g, puts_by_rank, &putters[i]);
    /* Who waits for room comes in its turn, whatever its rank: the 3 with the first room. */
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(raddle_get(arg, &item), 0);
        EXPECT_EQ(item.rank, wanted[i]);
    }
    finish(&g, putters, 2);
    return 0;
}

/* N5 */
RuntimeTest(channel, senders_that_wait_for_room_are_served_in_their_own_order)
{
    struct raddle_chan_options options = {.order = RADDLE_CHAN_PRIORITY, .compare = by_rank};
    raddle_chan *chan = NULL;

    cr_assert_eq(raddle_chan_create(sizeof(struct ranked), 2, &options, &chan), 0);
    cr_assert_eq(test_run(ranks_what_is_stored, chan), 0);
    raddle_chan_unref(chan);
}
