/*
 * tests/runtime/test_channel_end.c - channels: work that is done, shutdown, counted ends; threads and callbacks.
 *
 * N6 to N11 are the rows of the feature contract, TC76 and TC77 the conformance cases.
 */
#define _GNU_SOURCE
#include "tests/support/channel.h"

#include <errno.h>
#include <pthread.h>

TestSuite(channel_end, .timeout = 60);

/* N6 TC76 */
RuntimeTest(channel_end, done_more_often_than_put_is_einval)
{
    raddle_chan *chan = make(4);

    cr_expect_eq(raddle_chan_task_done(chan), -EINVAL);
    put(chan, 1);
    cr_expect_eq(raddle_chan_task_done(chan), 0); /* items that were put count, not those got */
    cr_expect_eq(raddle_chan_task_done(chan), -EINVAL);
    cr_expect_eq(raddle_chan_join(chan), 0);
    raddle_chan_unref(chan);
}

static int waits_for_work(void *arg)
{
    raddle_chan *chan = arg;
    struct raddle_group g;
    struct call joiners[2] = {{.chan = chan}, {.chan = chan}};

    EXPECT_EQ(raddle_chan_join(chan), 0); /* nothing was ever put */
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    put(chan, 1);
    put(chan, 2);
    for (int i = 0; i < 2; i++)
        start(&g, joins, &joiners[i]);
    EXPECT_EQ(get(chan), 1);
    EXPECT_EQ(get(chan), 2);
    EXPECT_EQ(raddle_chan_task_done(chan), 0);
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(joiners[0].rc, 99); /* got, but not done */
    EXPECT_EQ(raddle_chan_task_done(chan), 0);
    finish(&g, joiners, 2);
    EXPECT_EQ(joiners[0].rc, 0);
    EXPECT_EQ(joiners[1].rc, 0);
    return 0;
}

/* N6 TC76 */
RuntimeTest(channel_end, a_join_waits_until_the_work_is_done)
{
    raddle_chan *chan = make(4);

    cr_assert_eq(test_run(waits_for_work, chan), 0);
    raddle_chan_unref(chan);
}

static int shuts_down(void *arg)
{
    raddle_chan *chan = arg;
    struct raddle_group g;
    struct call putter = {.chan = chan, .value = 3}, getter = {.chan = chan},
                joiner = {.chan = chan};
    int value = 4;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    put(chan, 1);
    put(chan, 2);
    start(&g, puts_one, &putter);
    start(&g, joins, &joiner);
    EXPECT_EQ(raddle_chan_shutdown(chan, RADDLE_CHAN_DRAIN), 0);
    EXPECT_EQ(raddle_chan_shutdown(chan, RADDLE_CHAN_DRAIN), 0);
    join_one(&putter);
    EXPECT_EQ(putter.rc, RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_put(chan, &value), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_try_put(chan, &value), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_get(chan, &value), 0);
    EXPECT_EQ(value, 1);
    EXPECT_EQ(get(chan), 2);
    EXPECT_EQ(get(chan), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_get(chan, &value), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_chan_task_done(chan), 0);
    EXPECT_EQ(joiner.rc, 99); /* it waits for the rest */
    EXPECT_EQ(raddle_chan_task_done(chan), 0);
    raddle_task_unref(putter.task);

    getter.chan = NULL;
    EXPECT_EQ(raddle_chan_create(sizeof(int), 2, NULL, &getter.chan), 0);
    start(&g, gets_one, &getter);
    EXPECT_EQ(raddle_chan_shutdown(getter.chan, RADDLE_CHAN_DRAIN), 0);
    join_one(&getter);
    EXPECT_EQ(getter.rc, RADDLE_ESHUTDOWN);
    raddle_chan_unref(getter.chan);
    raddle_task_unref(getter.task);
    finish(&g, &joiner, 1);
    EXPECT_EQ(joiner.rc, 0);
    raddle_chan_unref(chan);
    return 0;
}

/* N7 */
RuntimeTest(channel_end, a_drain_refuses_putters_and_lets_getters_empty_it)
{
    cr_assert_eq(test_run(shuts_down, make(2)), 0);
}

struct dropped {
    int count, values[8];
};

static void note_dropped(void *item, void *arg)
{
    struct dropped *dropped = arg;

    EXPECT(dropped->count < 8);
    dropped->values[dropped->count++] = *(int *)item;
}

static int shuts_down_at_once(void *arg)
{
    struct dropped dropped = {0};
    struct raddle_chan_options options = {.drop = note_dropped, .drop_arg = &dropped};
    struct raddle_group g;
    struct call joiner = {0}, putter = {.value = 9};
    raddle_chan *chan = NULL;

    (void)arg;
    EXPECT_EQ(raddle_chan_create(sizeof(int), 3, &options, &chan), 0);
    joiner.chan = putter.chan = chan;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 3; i++)
        put(chan, i);
    EXPECT_EQ(get(chan), 0);
    EXPECT_EQ(raddle_chan_task_done(chan), 0);
    put(chan, 3);
    start(&g, joins, &joiner);
    start(&g, puts_one, &putter);
    EXPECT_EQ(raddle_chan_shutdown(chan, RADDLE_CHAN_DRAIN), 0);
    EXPECT_EQ(raddle_chan_shutdown(chan, RADDLE_CHAN_IMMEDIATE), 3);
    EXPECT_EQ(dropped.count, 3);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(dropped.values[i], i + 1);
    EXPECT_EQ(raddle_chan_shutdown(chan, RADDLE_CHAN_IMMEDIATE), 0);
    EXPECT_EQ(get(chan), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_chan_task_done(chan), -EINVAL); /* what was dropped counts as done */
    raddle_task_unref(putter.task);
    finish(&g, &joiner, 1);
    EXPECT_EQ(joiner.rc, 0);
    EXPECT_EQ(putter.rc, RADDLE_ESHUTDOWN);
    EXPECT_EQ(dropped.count, 3); /* what wasn't put is still its owner's */
    raddle_chan_unref(chan);
    return 0;
}

/* N8 */
RuntimeTest(channel_end, an_immediate_shutdown_drops_what_is_there_and_counts_it_as_done)
{
    cr_assert_eq(test_run(shuts_down_at_once, NULL), 0);
}

RuntimeTest(channel_end, what_is_left_is_dropped_with_the_channel)
{
    struct dropped dropped = {0};
    struct raddle_chan_options options = {.drop = note_dropped, .drop_arg = &dropped};
    raddle_chan *chan = NULL;

    cr_assert_eq(raddle_chan_create(sizeof(int), RADDLE_UNBOUNDED, &options, &chan), 0);
    put(chan, 4);
    put(chan, 5);
    raddle_chan_unref(raddle_chan_ref(chan));
    cr_expect_eq(dropped.count, 0);
    raddle_chan_unref(chan);
    cr_expect_eq(dropped.count, 2);
    cr_expect_eq(dropped.values[1], 5);
}

static int senders_end(void *arg)
{
    raddle_chan *chan = arg;
    raddle_sender *senders[3] = {NULL}, *late = NULL;
    struct raddle_group g;
    struct call getters[4] = {{.chan = chan}, {.chan = chan}, {.chan = chan}, {.chan = chan}};
    int value;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(raddle_sender_open(chan, &senders[i]), 0);
    for (int i = 0; i < 4; i++)
        start(&g, gets_one, &getters[i]);
    value = 1;
    EXPECT_EQ(raddle_sender_put(senders[0], &value), 0);
    raddle_sender_unref(senders[0]);
    raddle_sender_unref(senders[1]);
    EXPECT_EQ(getters[3].rc, 99); /* one sender is left */
    value = 2;
    EXPECT_EQ(raddle_sender_try_put(senders[2], &value), 0);
    raddle_sender_unref(raddle_sender_ref(senders[2]));
    EXPECT_EQ(raddle_sender_open(chan, &late), 0);
    raddle_sender_close(late);
    raddle_sender_close(late);
    EXPECT_EQ(raddle_sender_put(late, &value), RADDLE_ECLOSED);
    raddle_sender_unref(late);
    raddle_sender_unref(senders[2]);
    finish(&g, getters, 4);
    EXPECT_EQ(getters[0].value, 1);
    EXPECT_EQ(getters[1].value, 2);
    EXPECT_EQ(getters[2].rc, RADDLE_ESHUTDOWN);
    EXPECT_EQ(getters[3].rc, RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_sender_open(chan, &late), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_put(chan, &value), RADDLE_ESHUTDOWN);
    return 0;
}

/* N9 TC77 */
RuntimeTest(channel_end, receivers_end_when_the_last_sender_has_closed)
{
    raddle_chan *chan = make(2);

    cr_assert_eq(test_run(senders_end, chan), 0);
    raddle_chan_unref(chan);
}

/* N9 */
RuntimeTest(channel_end, what_the_last_sender_has_left_is_received_first)
{
    raddle_chan *chan = make(2);
    raddle_sender *sender = NULL;
    raddle_receiver *receiver = NULL;
    int value = 6;

    cr_assert_eq(raddle_sender_open(chan, &sender), 0);
    cr_expect_eq(raddle_sender_try_put(sender, &value), 0);
    raddle_sender_unref(sender);
    cr_assert_eq(raddle_receiver_open(chan, &receiver), 0);
    value = 0;
    cr_expect_eq(raddle_receiver_get(receiver, &value), 0);
    cr_expect_eq(value, 6);
    cr_expect_eq(raddle_receiver_try_get(receiver, &value), RADDLE_ESHUTDOWN);
    raddle_receiver_unref(receiver);
    cr_expect_eq(raddle_receiver_open(chan, &receiver), RADDLE_ESHUTDOWN);
    raddle_chan_unref(chan);
}

static int receivers_end(void *arg)
{
    struct dropped dropped = {0};
    struct raddle_chan_options options = {.drop = note_dropped, .drop_arg = &dropped};
    raddle_chan *chan = NULL;
    raddle_receiver *receivers[2] = {NULL};
    struct raddle_group g;
    struct call putters[2] = {{.value = 2}, {.value = 3}};
    int value = 1;

    (void)arg;
    EXPECT_EQ(raddle_chan_create(sizeof(int), 1, &options, &chan), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(raddle_receiver_open(chan, &receivers[i]), 0);
    put(chan, value);
    for (int i = 0; i < 2; i++) {
        putters[i].chan = chan;
        start(&g, puts_one, &putters[i]);
    }
    raddle_receiver_close(receivers[0]);
    EXPECT_EQ(raddle_receiver_get(receivers[0], &value), RADDLE_ECLOSED);
    EXPECT_EQ(raddle_chan_count(chan), 1);
    raddle_receiver_unref(raddle_receiver_ref(receivers[1]));
    raddle_receiver_unref(receivers[1]);
    raddle_receiver_unref(receivers[0]);
    finish(&g, putters, 2);
    EXPECT_EQ(putters[0].rc, -EPIPE);
    EXPECT_EQ(putters[1].rc, -EPIPE);
    EXPECT_EQ(dropped.count, 1); /* what the putters wanted to put is theirs */
    EXPECT_EQ(dropped.values[0], 1);
    EXPECT_EQ(raddle_try_put(chan, &value), -EPIPE);
    EXPECT_EQ(raddle_put(chan, &value), -EPIPE);
    raddle_chan_unref(chan);
    return 0;
}

/* N9 TC77 */
RuntimeTest(channel_end, senders_get_epipe_when_the_last_receiver_has_closed)
{
    cr_assert_eq(test_run(receivers_end, NULL), 0);
}

static int closes_under_a_waiter(void *arg)
{
    raddle_chan *chan = arg;
    struct raddle_group g;
    struct call calls[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};
    raddle_sender *mine = NULL, *other = NULL;
    raddle_receiver *r = NULL, *kept = NULL;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_sender_open(chan, &mine), 0);
    EXPECT_EQ(raddle_sender_open(chan, &other), 0);
    EXPECT_EQ(raddle_receiver_open(chan, &r), 0);
    EXPECT_EQ(raddle_receiver_open(chan, &kept), 0);
    calls[0].sender = calls[2].sender = mine;
    calls[1].sender = other;
    calls[3].receiver = r;
    for (int i = 0; i < 3; i++)
        start(&g, puts_one, &calls[i]);
    raddle_sender_close(mine);
    join_one(&calls[0]);
    join_one(&calls[2]);
    EXPECT_EQ(calls[0].rc, RADDLE_ECLOSED);
    EXPECT_EQ(calls[2].rc, RADDLE_ECLOSED);
    EXPECT_EQ(get(chan), 2); /* the other end's */
    start(&g, gets_one, &calls[3]);
    raddle_receiver_close(r);
    finish(&g, calls, 4);
    EXPECT_EQ(calls[1].rc, 0);
    EXPECT_EQ(calls[3].rc, RADDLE_ECLOSED);
    raddle_sender_unref(mine);
    raddle_sender_unref(other);
    raddle_receiver_unref(r);
    raddle_receiver_unref(kept);
    return 0;
}

/* N9 */
RuntimeTest(channel_end, closing_an_end_ends_the_waits_in_it_and_no_others)
{
    raddle_chan *chan = make(0);

    cr_assert_eq(test_run(closes_under_a_waiter, chan), 0);
    raddle_chan_unref(chan);
}

struct pump {
    raddle_chan *in, *out;
    int count;
    long sum;
};

static void *adds_one(void *arg)
{
    struct pump *pump = arg;
    int value, rc;

    while ((rc = raddle_get(pump->in, &value)) == 0) {
        value++;
        EXPECT_EQ(raddle_put(pump->out, &value), 0);
    }
    EXPECT_EQ(rc, RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_chan_shutdown(pump->out, RADDLE_CHAN_DRAIN), 0);
    return NULL;
}

static int feeds(void *arg)
{
    struct pump *pump = arg;

    for (int i = 0; i < pump->count; i++)
        EXPECT_EQ(raddle_put(pump->in, &i), 0);
    EXPECT_EQ(raddle_chan_shutdown(pump->in, RADDLE_CHAN_DRAIN), 0);
    return 0;
}

static int task_to_thread_and_back(void *arg)
{
    struct pump *pump = arg;
    struct raddle_group g;
    int value, rc, wanted = 1;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, feeds, pump, NULL), 0);
    while ((rc = raddle_get(pump->out, &value)) == 0) /* N10: iteration */
        EXPECT_EQ(value, wanted++);
    EXPECT_EQ(rc, RADDLE_ESHUTDOWN);
    EXPECT_EQ(wanted, pump->count + 1);
    return raddle_group_close(&g, 0);
}

/* N10 N11 */
RuntimeTest(channel_end, a_thread_and_tasks_use_the_same_channels_in_order)
{
    for (size_t capacity = 0; capacity <= 4; capacity += 2) {
        struct pump pump = {.in = make(capacity), .out = make(capacity), .count = 500};
        pthread_t thread;

        cr_assert_eq(pthread_create(&thread, NULL, adds_one, &pump), 0);
        cr_assert_eq(test_run(task_to_thread_and_back, &pump), 0);
        pthread_join(thread, NULL);
        raddle_chan_unref(pump.in);
        raddle_chan_unref(pump.out);
    }
}

struct in_callback {
    raddle_chan *chan;
    rdl_atomic(unsigned) called;
};

static void from_a_callback(void *arg)
{
    struct in_callback *in = arg;
    int value = 3;

    EXPECT_EQ(raddle_put(in->chan, &value), -EPERM);
    EXPECT_EQ(raddle_get(in->chan, &value), -EPERM);
    EXPECT_EQ(raddle_chan_join(in->chan), -EPERM);
    put(in->chan, 3);
    rdl_atomic_store_release(&in->called, 1u);
}

static int gets_from_a_callback(void *arg)
{
    struct in_callback *in = arg;
    int value = 0;

    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), from_a_callback, in), 0);
    EXPECT_EQ(raddle_get(in->chan, &value), 0);
    EXPECT_EQ(value, 3);
    test_await(&in->called, 1);
    return 0;
}

RuntimeTest(channel_end, a_callback_may_try_but_not_wait)
{
    struct in_callback in = {.chan = make(1)};

    cr_assert_eq(test_run(gets_from_a_callback, &in), 0);
    raddle_chan_unref(in.chan);
}

struct busy {
    raddle_chan *chan;
    rdl_atomic(unsigned) stop;
};

static int stops_it(void *arg)
{
    struct busy *busy = arg;

    rdl_atomic_store_release(&busy->stop, 1u);
    return 0;
}

static int never_waits(void *arg)
{
    struct busy *busy = arg;
    struct raddle_spawn_options pinned = {.mobility = RADDLE_PINNED};
    struct raddle_group g;
    unsigned long rounds = 0;
    int value = 0;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, stops_it, busy, &pinned), 0);
    while (!rdl_atomic_load_acquire(&busy->stop) && rounds++ < 1000ul * 1000 * 1000) {
        EXPECT_EQ(raddle_put(busy->chan, &value), 0);
        EXPECT_EQ(raddle_get(busy->chan, &value), 0);
    }
    EXPECT_EQ(rdl_atomic_load_acquire(&busy->stop), 1);
    return raddle_group_close(&g, 0);
}

RuntimeTest(channel_end, who_never_has_to_wait_lets_others_run_nevertheless)
{
    struct busy busy = {.chan = make(1)};

    cr_assert_eq(test_run(never_waits, &busy), 0);
    raddle_chan_unref(busy.chan);
}
