/*
 * tests/race/race_channel.c - many tasks and plain threads put into one channel and get from it, and are
 * cancelled at random; every value that was put is received once, and each producer's in order.
 *
 *     race_channel [--rounds N] [--values N]
 *
 * A round is a channel of another capacity and order: none, 1, 8, unbounded; LIFO and priority ones without
 * the check of the order. Producers put the values 0, 1, 2, ... of their own, each until a put has succeeded;
 * a put that is cancelled has put nothing, so the same value is put again. Consumers mark what they got: a
 * value twice, or one that never was put, is noticed at once, and one that was lost at the end. Half of the
 * waits have a deadline that is about to pass, and one task cancels the others at random.
 *
 * The round ends when the last sender closes; in every fourth round it ends early, by an immediate shutdown,
 * and then what was received and what was dropped must be what was put.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 6, THREADS = 2, SIDES = TASKS + THREADS };

struct value {
    uint32_t producer, number;
};

struct round {
    raddle_chan *chan;
    unsigned values; /* per producer */
    bool ordered, ends_early;
    rdl_atomic(uint8_t) * seen; /* by producer and number */
    rdl_atomic(unsigned long) put, got, dropped, cancelled;
};

struct side {
    struct round *round;
    raddle_sender *sender;
    raddle_receiver *receiver;
    raddle_task *task;
    uint32_t index, random;
    int64_t last[SIDES]; /* of each producer, as a consumer has seen it */
};

static void mark(struct round *round, const struct value *value)
{
    EXPECT(value->producer < SIDES && value->number < round->values);
    if (value->producer >= SIDES || value->number >= round->values)
        return;
    EXPECT_EQ(rdl_atomic_exchange_acq_rel(
                  &round->seen[value->producer * round->values + value->number], (uint8_t)1),
              0);
}

static void dropped(void *item, void *arg)
{
    struct round *round = arg;

    mark(round, item);
    rdl_atomic_fetch_add_relaxed(&round->dropped, 1ul);
}

/* One call, now and then in a scope that is about to end. The call's own result. */
static int call(struct side *side, struct value *value, bool in_task)
{
    bool puts = side->sender != NULL;
    unsigned how = test_random(&side->random) % 8;
    struct raddle_scope scope;
    int rc;

    if (how == 0) {
        rc = puts ? raddle_sender_try_put(side->sender, value)
                  : raddle_receiver_try_get(side->receiver, value);
        if (rc == -EAGAIN && in_task)
            (void)raddle_yield();
        return rc;
    }
    if (!in_task || how > 4)
        return puts ? raddle_sender_put(side->sender, value)
                    : raddle_receiver_get(side->receiver, value);
    raddle_scope_enter(&scope, raddle_in(how * 5 * 1000), RADDLE_QUIET);
    rc = puts ? raddle_sender_put(side->sender, value) : raddle_receiver_get(side->receiver, value);
    /* 0 for a deadline that passed; what the call said is what counts. */
    EXPECT(raddle_scope_leave(&scope, rc) <= 0);
    return rc;
}

static bool again(struct side *side, int rc)
{
    if (rc == -ECANCELED)
        rdl_atomic_fetch_add_relaxed(&side->round->cancelled, 1ul);
    return rc == -ECANCELED || rc == -EAGAIN;
}

/* Whether the task itself was cancelled, and has to end: its work is then nobody's. */
static bool ended(bool in_task)
{
    return in_task && raddle_cancelled();
}

static void produce(struct side *side, bool in_task)
{
    struct round *round = side->round;

    for (uint32_t i = 0; i < round->values && !ended(in_task); i++) {
        struct value value = {side->index, i};
        int rc;

        do {
            rc = call(side, &value, in_task);
        } while (again(side, rc) && !ended(in_task));
        if (rc == 0) {
            rdl_atomic_fetch_add_relaxed(&round->put, 1ul);
        } else {
            EXPECT(again(side, rc) || (round->ends_early && rc == RADDLE_ESHUTDOWN));
            break;
        }
    }
    raddle_sender_close(side->sender);
}

static void consume(struct side *side, bool in_task)
{
    struct round *round = side->round;
    struct value value;
    int rc;

    for (;;) {
        rc = call(side, &value, in_task);
        if (rc == 0) {
            mark(round, &value);
            rdl_atomic_fetch_add_relaxed(&round->got, 1ul);
            /* One consumer sees the values of one producer in order, if there are gaps. */
            if (round->ordered && value.producer < SIDES) {
                EXPECT((int64_t)value.number > side->last[value.producer]);
                side->last[value.producer] = value.number;
            }
            EXPECT_EQ(raddle_chan_task_done(round->chan), 0);
        } else if (!again(side, rc)) {
            EXPECT_EQ(rc, RADDLE_ESHUTDOWN);
            break;
        } else if (ended(in_task)) {
            break;
        }
    }
}

static int side_task(void *arg)
{
    struct side *side = arg;

    if (side->sender)
        produce(side, true);
    else
        consume(side, true);
    return 0;
}

static void *side_thread(void *arg)
{
    struct side *side = arg;

    if (side->sender)
        produce(side, false);
    else
        consume(side, false);
    return NULL;
}

struct sides {
    struct side producers[SIDES], consumers[SIDES];
    struct round *round;
    uint32_t random;
};

/* Cancels some tasks on each side, never the first, and shuts the channel down when the round ends early. */
static void disturb(struct sides *all)
{
    struct round *round = all->round;

    for (int i = 0; i < 4; i++) {
        unsigned which = test_random(&all->random) % (TASKS - 1) + 1;
        struct side *side = i % 2 ? &all->producers[which] : &all->consumers[which];

        EXPECT_EQ(raddle_sleep(RADDLE_US(test_random(&all->random) % 300)), 0);
        if (test_random(&all->random) % 2)
            (void)raddle_task_cancel(side->task, "at random");
    }
    if (round->ends_early)
        EXPECT(raddle_chan_shutdown(round->chan, RADDLE_CHAN_IMMEDIATE) >= 0);
}

static int play(void *arg)
{
    struct sides *all = arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    for (unsigned i = 0; i < TASKS; i++) {
        struct raddle_spawn_options options = {.mobility = i % 3 + RADDLE_FRESH};
        EXPECT_EQ(
            raddle_spawn(&g, &all->producers[i].task, side_task, &all->producers[i], &options), 0);
        EXPECT_EQ(
            raddle_spawn(&g, &all->consumers[i].task, side_task, &all->consumers[i], &options), 0);
    }
    disturb(all);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (unsigned i = 0; i < TASKS; i++) {
        raddle_task_unref(all->producers[i].task);
        raddle_task_unref(all->consumers[i].task);
    }
    EXPECT_EQ(raddle_chan_join(all->round->chan), 0);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct value *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static void open_sides(struct sides *all, struct round *round, uint32_t seed)
{
    all->round = round;
    all->random = seed;
    for (uint32_t i = 0; i < SIDES; i++) {
        struct side *p = &all->producers[i], *c = &all->consumers[i];
        *p = (struct side){.round = round, .index = i, .random = seed * 31 + i};
        *c = (struct side){.round = round, .index = i, .random = seed * 37 + i};
        for (int k = 0; k < SIDES; k++)
            c->last[k] = -1;
        EXPECT_EQ(raddle_sender_open(round->chan, &p->sender), 0);
        EXPECT_EQ(raddle_receiver_open(round->chan, &c->receiver), 0);
    }
}

static void close_sides(struct sides *all)
{
    for (uint32_t i = 0; i < SIDES; i++) {
        raddle_sender_unref(all->producers[i].sender);
        raddle_receiver_unref(all->consumers[i].receiver);
    }
}

static unsigned long one_round(unsigned long number, unsigned values)
{
    static const size_t capacities[] = {0, 1, 8, RADDLE_UNBOUNDED};
    struct round round = {.values = values, .ends_early = number % 4 == 3};
    struct raddle_chan_options options = {.drop = dropped, .drop_arg = &round};
    pthread_t threads[2 * THREADS];
    struct sides all;

    if (number % 5 == 3)
        options.order = RADDLE_CHAN_LIFO;
    if (number % 5 == 4) {
        options.order = RADDLE_CHAN_PRIORITY;
        options.compare = by_number;
    }
    round.ordered = options.order == RADDLE_CHAN_FIFO;
    round.seen = calloc((size_t)SIDES * values, sizeof(*round.seen));
    EXPECT(round.seen != NULL);
    EXPECT_EQ(raddle_chan_create(sizeof(struct value), capacities[number % 4 ^ number / 4 % 4],
                                 &options, &round.chan),
              0);
    open_sides(&all, &round, (uint32_t)(number + 1) * 2654435761u | 1u);
    for (int i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_create(&threads[2 * i], NULL, side_thread, &all.producers[TASKS + i]), 0);
        EXPECT_EQ(pthread_create(&threads[2 * i + 1], NULL, side_thread, &all.consumers[TASKS + i]),
                  0);
    }
    EXPECT_EQ(test_run(play, &all), 0);
    for (int i = 0; i < 2 * THREADS; i++)
        pthread_join(threads[i], NULL);
    close_sides(&all);
    raddle_chan_unref(round.chan);
    unsigned long put = rdl_atomic_load_acquire(&round.put);
    EXPECT_EQ(rdl_atomic_load_acquire(&round.got) + rdl_atomic_load_acquire(&round.dropped), put);
    if (!round.ends_early)
        EXPECT_EQ(rdl_atomic_load_acquire(&round.dropped), 0);
    free((void *)(uintptr_t)round.seen);
    return rdl_atomic_load_acquire(&round.cancelled);
}

/* N3 TC78 */
int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", 200);
    unsigned values = (unsigned)test_argument(argc, argv, "--values", 400);
    unsigned long cancelled = 0;

    for (unsigned long i = 0; i < rounds && !test_failures(); i++)
        cancelled += one_round(i, values);
    if (rounds >= 200)
        EXPECT(cancelled > 0); /* or nothing was raced */
    printf("%lu rounds, %lu calls cancelled\n", rounds, cancelled);
    return test_result();
}
