/*
 * tests/race/race_select.c - tasks that put into one of several channels and get from one of several, cancelled at
 * random, beside threads that do it without a select: every value that was put is received once.
 *
 *     race_select [--rounds N] [--values N]
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

enum { CHANNELS = 3, PRODUCERS = 5, THREADS = 2, CONSUMERS = 4, SIDES = PRODUCERS + THREADS };

struct round {
    raddle_chan *channels[CHANNELS];
    raddle_future *over;
    uint32_t values, seed; /* values: per producer */
    rdl_atomic(uint8_t) * seen;
    rdl_atomic(uint32_t) got;
    rdl_atomic(unsigned long) cancelled;
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

static int play(void *arg)
{
    struct round *round = arg;
    struct side producers[PRODUCERS], consumers[CONSUMERS];
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
    return raddle_group_close(&g, 0);
}

static unsigned long one_round(unsigned long number, uint32_t values)
{
    struct round round = {.values = values, .seed = (uint32_t)(number + 1) * 2654435761u | 1u};
    struct side sides[THREADS];
    pthread_t threads[THREADS];

    round.seen = calloc((size_t)SIDES * values, sizeof(*round.seen));
    EXPECT(round.seen != NULL);
    EXPECT_EQ(raddle_future_create(&round.over), 0);
    for (size_t i = 0; i < CHANNELS; i++)
        EXPECT_EQ(raddle_chan_create(sizeof(uint32_t), i, NULL, &round.channels[i]), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        sides[i] = (struct side){&round, PRODUCERS + i, round.seed + 200 + i};
        EXPECT_EQ(pthread_create(&threads[i], NULL, produce_in_thread, &sides[i]), 0);
    }
    EXPECT_EQ(test_run(play, &round), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
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
