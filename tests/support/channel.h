/*
 * tests/support/channel.h - what the tests of channels share: one call per task, of which each tells what came
 * of it.
 */
#ifndef TESTS_SUPPORT_CHANNEL_H
#define TESTS_SUPPORT_CHANNEL_H

#include "tests/support/fixture.h"

static inline raddle_chan *make(size_t capacity)
{
    raddle_chan *chan = NULL;

    cr_assert_eq(raddle_chan_create(sizeof(int), capacity, NULL, &chan), 0);
    return chan;
}

static inline void put(raddle_chan *chan, int value)
{
    EXPECT_EQ(raddle_try_put(chan, &value), 0);
}

/* What comes out, or the error. */
static inline int get(raddle_chan *chan)
{
    int value = -1, rc = raddle_try_get(chan, &value);

    return rc < 0 ? rc : value;
}

/* One task's call on a channel. */
struct call {
    raddle_chan *chan;
    raddle_sender *sender;
    raddle_receiver *receiver;
    int value;
    int rc;
    raddle_task *task;
};

static inline int puts_one(void *arg)
{
    struct call *call = arg;

    call->rc = call->sender ? raddle_sender_put(call->sender, &call->value)
                            : raddle_put(call->chan, &call->value);
    return 0;
}

static inline int gets_one(void *arg)
{
    struct call *call = arg;

    call->rc = call->receiver ? raddle_receiver_get(call->receiver, &call->value)
                              : raddle_get(call->chan, &call->value);
    return 0;
}

static inline int joins(void *arg)
{
    struct call *call = arg;

    call->rc = raddle_chan_join(call->chan);
    return 0;
}

/* Started, and waiting. */
static inline void start(struct raddle_group *g, raddle_task_fn *fn, struct call *call)
{
    call->rc = 99;
    EXPECT_EQ(raddle_spawn(g, &call->task, fn, call, NULL), 0);
    test_let_park(call->task);
}

static inline void finish(struct raddle_group *g, struct call *calls, unsigned count)
{
    EXPECT_EQ(raddle_group_close(g, 0), 0);
    for (unsigned i = 0; i < count; i++)
        raddle_task_unref(calls[i].task);
}

static inline void join_one(struct call *call)
{
    EXPECT_EQ(raddle_join(call->task, NULL), 0);
}

#endif
