/*
 * tests/race/race_select.c - tasks that put into one of several channels and get from one of several, cancelled at
 * random, beside threads that do it without a select: every value that was put is received once.
 *
 *     race_select [--rounds N] [--values N]
 *
 * Beside them listeners select between a receiver of a broadcast and a watch, which two threads tell as fast as they
 * can: each has every item of each thread in its order, or is told that it missed some, and the last value of the watch.
 *
 * Channels of no, one and two places. A producer offers its next value to two channels at once, so a value that
 * is put twice is noticed; a consumer listens to all of them, and to a future that says that all is done.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CHANNELS = 3,
    PRODUCERS = 5,
    THREADS = 2,
    CONSUMERS = 4,
    LISTENERS = 3,
    SIDES = PRODUCERS + THREADS
};

struct round {
    raddle_chan *channels[CHANNELS];
    raddle_future *over;
    raddle_watch *watch;
    raddle_bcast *bcast;
    raddle_bcast_receiver *receivers[LISTENERS];
    uint32_t values, seed; /* values: per producer */
    rdl_atomic(uint8_t) * seen;
    rdl_atomic(uint32_t) got;
    rdl_atomic(unsigned long) cancelled;
    pthread_t threads[THREADS];
};

struct side {
    struct round *round;
    uint32_t index, random;
};

/* A scope that is about to end, now and then. */
static int choose(struct side *side, struct raddle_case *cases, size_t count)
{
    unsigned how = test_random(&side->random) % 8;
    struct raddle_scope scope;
    int rc;

    raddle_scope_enter(&scope, how < 3 ? raddle_in((int64_t)how * 5000) : RADDLE_NEVER,
                       RADDLE_QUIET);
    rc = raddle_select(cases, count, how % 2 ? RADDLE_SELECT_FAIR : 0);
    EXPECT(rc == -ECANCELED || (rc >= 0 && (size_t)rc < count));
    if (rc == -ECANCELED)
        rdl_atomic_fetch_add_relaxed(&side->round->cancelled, 1ul);
    EXPECT_EQ(raddle_scope_leave(&scope, rc < 0 ? rc : 0), 0);
    return rc;
}

static int produce(void *arg)
{
    struct side *side = arg;
    struct round *round = side->round;

    for (uint32_t i = 0; i < round->values;) {
        uint32_t number = side->index * round->values + i;
        unsigned first = test_random(&side->random) % CHANNELS;
        struct raddle_case cases[] = {
            {.op = RADDLE_ON_PUT, .object = round->channels[first], .item = &number},
            {.op = RADDLE_ON_PUT,
             .object = round->channels[(first + 1) % CHANNELS],
             .item = &number},
        };
        int which = choose(side, cases, 2);
        if (which >= 0)
            EXPECT_EQ(cases[which].rc, 0);
        i += which >= 0;
    }
    return 0;
}

static void *produce_in_thread(void *arg)
{
    struct side *side = arg;
    struct round *round = side->round;

    for (uint32_t i = 0; i < round->values; i++) {
        uint32_t number = side->index * round->values + i;
        EXPECT_EQ(raddle_put(round->channels[test_random(&side->random) % CHANNELS], &number), 0);
        EXPECT_EQ(raddle_bcast_send(round->bcast, &number), LISTENERS);
        EXPECT_EQ(raddle_watch_set(round->watch, &number), 0);
    }
    return NULL;
}

static int consume(void *arg)
{
    struct side *side = arg;
    struct round *round = side->round;
    uint32_t number = 0, all = SIDES * round->values;

    for (;;) {
        struct raddle_case cases[CHANNELS + 1] = {
            [CHANNELS] = {.op = RADDLE_ON_FUTURE, .object = round->over}};
        for (int i = 0; i < CHANNELS; i++)
            cases[i] = (struct raddle_case){
                .op = RADDLE_ON_GET, .object = round->channels[i], .item = &number};
        int which = choose(side, cases, CHANNELS + 1);
        if (which == CHANNELS)
            return 0;
        if (which < 0)
            continue;
        EXPECT_EQ(cases[which].rc, 0);
        EXPECT(number < all);
        if (number < all)
            EXPECT_EQ(rdl_atomic_exchange_acq_rel(&round->seen[number], (uint8_t)1), 0);
        if (rdl_atomic_fetch_add_acq_rel(&round->got, 1u) + 1 == all)
            EXPECT_EQ(raddle_future_set(round->over, 0, NULL), 0);
    }
}

/* What a listener has seen. */
struct heard {
    uint32_t next[SIDES]; /* of each thread's items */
    uint64_t items, missed;
    uint64_t version;
};

static void hear(struct heard *h, const struct round *round, uint32_t number, uint64_t missed)
{
    uint32_t from = number / round->values, which = number % round->values;

    EXPECT(from >= PRODUCERS && from < SIDES);
    EXPECT(missed || h->missed || which == h->next[from]);
    EXPECT(which >= h->next[from]);
    h->next[from] = which + 1;
    h->items++;
    h->missed += missed;
}

static int listens(void *arg)
{
    struct side *side = arg;
    struct round *round = side->round;
    struct heard h = {.items = 0};
    bool watch_over = false, bcast_over = false;

    while (!watch_over || !bcast_over) {
        uint64_t missed = 0, before = h.version;
        uint32_t item = 0, value = 0;
        struct raddle_case cases[] = {
            {.op = RADDLE_ON_WATCH,
             .object = watch_over ? NULL : round->watch,
             .item = &value,
             .number = &h.version},
            {.op = RADDLE_ON_BROADCAST,
             .object = bcast_over ? NULL : round->receivers[side->index],
             .item = &item,
             .number = &missed},
        };
        int which = choose(side, cases, 2);

        if (which == 0 && cases[0].rc == 0)
            EXPECT(h.version > before);
        else
            EXPECT_EQ(h.version, before);
        watch_over |= which == 0 && cases[0].rc == RADDLE_ESHUTDOWN;
        if (which == 1 && cases[1].rc == 0)
            hear(&h, round, item, missed);
        bcast_over |= which == 1 && cases[1].rc == RADDLE_ESHUTDOWN;
        EXPECT(which < 0 || cases[which].rc == 0 || cases[which].rc == RADDLE_ESHUTDOWN);
    }
    EXPECT_EQ(h.items + h.missed, (uint64_t)THREADS * round->values);
    EXPECT_EQ(h.version, 1 + (uint64_t)THREADS * round->values);
    return 0;
}

static int play(void *arg)
{
    struct round *round = arg;
    struct side producers[PRODUCERS], consumers[CONSUMERS], listeners[LISTENERS];
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        struct raddle_spawn_options options = {.mobility =
                                                   (enum raddle_mobility)(i % 3 + RADDLE_FRESH)};
        producers[i] = (struct side){round, i, round->seed + i};
        EXPECT_EQ(raddle_spawn(&g, NULL, produce, &producers[i], &options), 0);
    }
    for (uint32_t i = 0; i < CONSUMERS; i++) {
        consumers[i] = (struct side){round, i, round->seed + 100 + i};
        EXPECT_EQ(raddle_spawn(&g, NULL, consume, &consumers[i], NULL), 0);
    }
    for (uint32_t i = 0; i < LISTENERS; i++) {
        listeners[i] = (struct side){round, i, round->seed + 300 + i};
        EXPECT_EQ(raddle_spawn(&g, NULL, listens, &listeners[i], NULL), 0);
    }
    return raddle_group_close(&g, 0);
}

/* When the threads have ended, so has what they told. */
static void *ends_news(void *arg)
{
    struct round *round = arg;

    for (int i = 0; i < THREADS; i++)
        pthread_join(round->threads[i], NULL);
    raddle_bcast_shutdown(round->bcast);
    raddle_watch_shutdown(round->watch);
    return NULL;
}

static unsigned long one_round(unsigned long number, uint32_t values)
{
    struct round round = {.values = values, .seed = (uint32_t)(number + 1) * 2654435761u | 1u};
    struct side sides[THREADS];
    pthread_t ender;

    round.seen = calloc((size_t)SIDES * values, sizeof(*round.seen));
    EXPECT(round.seen != NULL);
    EXPECT_EQ(raddle_future_create(&round.over), 0);
    for (size_t i = 0; i < CHANNELS; i++)
        EXPECT_EQ(raddle_chan_create(sizeof(uint32_t), i, NULL, &round.channels[i]), 0);
    EXPECT_EQ(raddle_watch_create(sizeof(uint32_t), NULL, &round.watch), 0);
    /* In every second round some are missed. */
    EXPECT_EQ(raddle_bcast_create(sizeof(uint32_t), number % 2 ? 8 : (size_t)THREADS * values,
                                  &round.bcast),
              0);
    for (int i = 0; i < LISTENERS; i++)
        EXPECT_EQ(raddle_bcast_receiver_open(round.bcast, &round.receivers[i]), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        sides[i] = (struct side){&round, PRODUCERS + i, round.seed + 200 + i};
        EXPECT_EQ(pthread_create(&round.threads[i], NULL, produce_in_thread, &sides[i]), 0);
    }
    EXPECT_EQ(pthread_create(&ender, NULL, ends_news, &round), 0);
    EXPECT_EQ(test_run(play, &round), 0);
    pthread_join(ender, NULL);
    for (int i = 0; i < LISTENERS; i++)
        raddle_bcast_receiver_unref(round.receivers[i]);
    raddle_bcast_unref(round.bcast);
    raddle_watch_unref(round.watch);
    EXPECT_EQ(rdl_atomic_load_acquire(&round.got), SIDES * values);
    for (int i = 0; i < CHANNELS; i++) {
        EXPECT_EQ(raddle_chan_count(round.channels[i]), 0);
        raddle_chan_unref(round.channels[i]);
    }
    raddle_future_unref(round.over);
    free((void *)(uintptr_t)round.seen);
    return rdl_atomic_load_acquire(&round.cancelled);
}

int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", 50);
    uint32_t values = (uint32_t)test_argument(argc, argv, "--values", 300);
    unsigned long cancelled = 0;

    for (unsigned long i = 0; i < rounds && !test_failures(); i++)
        cancelled += one_round(i, values);
    EXPECT(cancelled > 0 || rounds < 50); /* or nothing was raced */
    printf("%lu rounds, %lu selects cancelled\n", rounds, cancelled);
    return test_result();
}
