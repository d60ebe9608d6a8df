/*
 * tests/conformance/seeds_share.c - channels, their ends, watches, broadcasts and generators, among tasks of which
 * some are cancelled: what was put is got once, or left, or dropped, and in order; the last value is seen by all.
 */
#include "tests/conformance/seeds.h"

#include <assert.h>
#include <errno.h>

enum { MAKERS = 3, TAKERS = 3, ITEMS = 6, CREW = MAKERS + TAKERS };

struct market;

struct trader {
    struct market *market;
    unsigned number;
    uint32_t random;
    raddle_task *task;
    raddle_sender *sender;
    raddle_receiver *receiver;
    unsigned last[MAKERS]; /* by maker, of the first channel */
};

struct market {
    struct trader traders[CREW];
    raddle_chan *chans[2];
    raddle_watch *watch;
    raddle_bcast *bcast;
    uint32_t out;       /* a bit for each item that was put, */
    uint32_t back;      /* got, */
    uint32_t dropped;   /* and dropped */
    unsigned made, sum; /* of what generators hand on */
    raddle_gen *gen;
    bool cleaned_up;
};

static_assert(MAKERS * ITEMS <= 32, "an item has a bit");

static void start(struct market *m, struct raddle_group *g, unsigned number, raddle_task_fn *fn,
                  uint32_t *random)
{
    struct trader *t = &m->traders[number];

    t->market = m;
    t->number = number;
    t->random = test_random(random);
    seeds_spawn(g, &t->task, fn, t, random);
}

static void finish(struct market *m, struct raddle_group *g)
{
    EXPECT_EQ(raddle_group_close(g, 0), 0);
    for (unsigned i = 0; i < CREW; i++)
        raddle_task_unref(m->traders[i].task);
}

/* An item is not there before it is put, and is had once. */
static void note(uint32_t *where, int item)
{
    EXPECT(item >= 0 && item < MAKERS * ITEMS);
    EXPECT(!(*where & 1u << item));
    *where |= 1u << item;
}

static void drop(void *item, void *arg)
{
    struct market *m = arg;

    note(&m->dropped, *(int *)item);
}

static void open_channels(struct market *m, uint32_t *random)
{
    struct raddle_chan_options options = {.drop = drop, .drop_arg = m};

    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQ(raddle_chan_create(sizeof(int), seeds_below(random, 3), &options, &m->chans[i]),
                  0);
}

static void close_channels(struct market *m)
{
    for (unsigned i = 0; i < 2; i++)
        raddle_chan_unref(m->chans[i]);
    EXPECT_EQ(m->back & m->dropped, 0);
    EXPECT_EQ(m->back | m->dropped, m->out);
}

/* The number of an item says who made it, and when. */
static int item_of(const struct trader *t, unsigned i)
{
    return (int)(t->number * ITEMS + i);
}

/* Channels, with selects. */

static int puts_into_two(struct trader *t, int item)
{
    struct market *m = t->market;
    struct raddle_case cases[2] = {
        {.op = RADDLE_ON_PUT, .object = m->chans[0], .item = &item},
        {.op = RADDLE_ON_PUT, .object = m->chans[1], .item = &item},
    };
    int rc = raddle_select(cases, 2, RADDLE_SELECT_FAIR);

    return rc < 0 ? rc : cases[rc].rc;
}

static int makes(void *arg)
{
    struct trader *t = arg;
    struct market *m = t->market;
    int rc = 0;

    for (unsigned i = 0; i < ITEMS && rc == 0; i++) {
        int item = item_of(t, i);

        if (seeds_below(&t->random, 2))
            rc = raddle_put(m->chans[0], &item);
        else
            rc = puts_into_two(t, item);
        if (rc == 0) {
            note(&m->out, item);
            rc = raddle_sleep(seeds_while(&t->random));
        }
    }
    EXPECT(rc == 0 || rc == -ECANCELED);
    return 0;
}

static int takes_one(struct trader *t, int *item)
{
    struct market *m = t->market;
    int other = -1, rc;
    struct raddle_case cases[3] = {
        {.op = RADDLE_ON_GET, .object = m->chans[0], .item = item},
        {.op = RADDLE_ON_GET, .object = m->chans[1], .item = &other},
        {.op = RADDLE_ON_TIME, .when = raddle_in(seeds_while(&t->random))},
    };

    if (seeds_below(&t->random, 3) == 0)
        return raddle_get(m->chans[0], item);
    rc = raddle_select(cases, 3, seeds_below(&t->random, 2) ? RADDLE_SELECT_FAIR : 0);
    if (rc < 0)
        return rc;
    if (rc == 1)
        *item = other;
    return rc == 2 ? -EAGAIN : cases[rc].rc;
}

static int takes(void *arg)
{
    struct trader *t = arg;
    int rc = 0;

    while (rc == 0 || rc == -EAGAIN) {
        int item = -1;

        rc = takes_one(t, &item);
        if (rc == 0)
            note(&t->market->back, item);
    }
    EXPECT(rc == -ECANCELED || rc == RADDLE_ESHUTDOWN);
    return 0;
}

/* One maker and one taker are cancelled. The others go on until the channels are shut down. */
int seeds_channels(void *random)
{
    struct market m = {.out = 0};
    struct raddle_group makers, takers;
    bool at_once = seeds_below(random, 2);

    open_channels(&m, random);
    seeds_open(&takers);
    for (unsigned i = MAKERS; i < CREW; i++)
        start(&m, &takers, i, takes, random);
    seeds_open(&makers);
    for (unsigned i = 0; i < MAKERS; i++)
        start(&m, &makers, i, makes, random);
    EXPECT_EQ(raddle_sleep(seeds_while(random)), 0);
    (void)raddle_task_cancel(m.traders[MAKERS].task, "no more");
    EXPECT_EQ(raddle_sleep(seeds_while(random)), 0);
    (void)raddle_task_cancel(m.traders[0].task, "no more");
    EXPECT_EQ(raddle_group_close(&makers, 0), 0);
    for (unsigned i = 0; i < 2; i++)
        EXPECT(raddle_chan_shutdown(m.chans[i],
                                    at_once ? RADDLE_CHAN_IMMEDIATE : RADDLE_CHAN_DRAIN) >= 0);
    finish(&m, &takers);
    EXPECT(at_once || m.dropped == 0);
    close_channels(&m);
    return 0;
}

/* Counted ends: one channel ends when its last sender has closed, or its last receiver. */

static int makes_through_an_end(void *arg)
{
    struct trader *t = arg;
    int rc = 0;

    for (unsigned i = 0; i < ITEMS && rc == 0; i++) {
        int item = item_of(t, i);

        rc = raddle_sender_put(t->sender, &item);
        if (rc == 0) {
            note(&t->market->out, item);
            rc = raddle_sleep(seeds_while(&t->random));
        }
    }
    EXPECT(rc == 0 || rc == -ECANCELED || rc == -EPIPE || rc == RADDLE_ESHUTDOWN);
    raddle_sender_unref(t->sender);
    return 0;
}

static int takes_through_an_end(void *arg)
{
    struct trader *t = arg;
    unsigned most = 1 + seeds_below(&t->random, 2 * ITEMS);
    int rc = 0, item;

    for (unsigned i = 0; i < most && rc == 0; i++) {
        rc = raddle_receiver_get(t->receiver, &item);
        if (rc == 0) {
            unsigned from = (unsigned)item / ITEMS, which = (unsigned)item % ITEMS + 1;

            note(&t->market->back, item);
            EXPECT(from < MAKERS && which > t->last[from]);
            if (from < MAKERS)
                t->last[from] = which;
        }
    }
    EXPECT(rc == 0 || rc == -ECANCELED || rc == RADDLE_ESHUTDOWN);
    raddle_receiver_unref(t->receiver);
    return 0;
}

int seeds_ends(void *random)
{
    struct market m = {.out = 0};
    struct raddle_group g;

    open_channels(&m, random);
    for (unsigned i = 0; i < CREW; i++) {
        struct trader *t = &m.traders[i];

        if (i < MAKERS)
            EXPECT_EQ(raddle_sender_open(m.chans[0], &t->sender), 0);
        else
            EXPECT_EQ(raddle_receiver_open(m.chans[0], &t->receiver), 0);
    }
    seeds_open(&g);
    for (unsigned i = 0; i < CREW; i++)
        start(&m, &g, i, i < MAKERS ? makes_through_an_end : takes_through_an_end, random);
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQ(raddle_sleep(seeds_while(random)), 0);
        (void)raddle_task_cancel(m.traders[seeds_below(random, CREW)].task, "no more");
    }
    finish(&m, &g);
    close_channels(&m);
    return 0;
}

/* A watch: versions only grow, and the last one is seen by all that go on. */

static int sets(void *arg)
{
    struct trader *t = arg;

    for (unsigned i = 0; i < ITEMS; i++) {
        uint64_t value;

        EXPECT_EQ(raddle_watch_get(t->market->watch, &value, NULL), 0);
        value++; /* nobody else has a turn in between */
        EXPECT_EQ(raddle_watch_set(t->market->watch, &value), 0);
        EXPECT_EQ(raddle_sleep(seeds_while(&t->random)), 0);
    }
    return 0;
}

static int sees(void *arg)
{
    struct trader *t = arg;
    uint64_t version = 0, before = 0, value = 0;
    int rc;

    while ((rc = raddle_watch_wait(t->market->watch, &version, &value)) == 0) {
        EXPECT(version > before);
        EXPECT_EQ(value, version - 1);
        before = version;
        if (seeds_below(&t->random, 2))
            seeds_pause(seeds_while(&t->random));
    }
    if (rc == RADDLE_ESHUTDOWN)
        EXPECT_EQ(value, MAKERS * ITEMS);
    else
        EXPECT_EQ(rc, -ECANCELED);
    return 0;
}

int seeds_watch(void *random)
{
    struct market m = {.out = 0};
    struct raddle_group setters, watchers;

    EXPECT_EQ(raddle_watch_create(sizeof(uint64_t), NULL, &m.watch), 0);
    seeds_open(&watchers);
    for (unsigned i = MAKERS; i < CREW; i++)
        start(&m, &watchers, i, sees, random);
    seeds_open(&setters);
    for (unsigned i = 0; i < MAKERS; i++)
        start(&m, &setters, i, sets, random);
    EXPECT_EQ(raddle_sleep(seeds_while(random)), 0);
    (void)raddle_task_cancel(m.traders[MAKERS].task, "no more");
    EXPECT_EQ(raddle_group_close(&setters, 0), 0);
    raddle_watch_shutdown(m.watch);
    finish(&m, &watchers);
    raddle_watch_unref(m.watch);
    return 0;
}

/* A broadcast: each receiver gets or misses each item, in order. */

static int broadcasts(void *arg)
{
    struct trader *t = arg;
    struct market *m = t->market;

    for (unsigned i = 0; i < ITEMS; i++) {
        unsigned item = m->made++;

        EXPECT(raddle_bcast_send(m->bcast, &item) >= 0);
        EXPECT_EQ(raddle_sleep(seeds_while(&t->random)), 0);
    }
    return 0;
}

static int hears(void *arg)
{
    struct trader *t = arg;
    raddle_bcast_receiver *receiver = NULL;
    unsigned next = t->market->made, item;
    uint64_t missed = 0;
    int rc = raddle_bcast_receiver_open(t->market->bcast, &receiver);

    if (rc == RADDLE_ESHUTDOWN)
        return 0; /* it was too late */
    EXPECT_EQ(rc, 0);
    while ((rc = raddle_bcast_receive(receiver, &item, &missed)) == 0) {
        EXPECT_EQ(item, next + missed);
        next = item + 1;
        if (seeds_below(&t->random, 2))
            seeds_pause(2 * seeds_while(&t->random));
    }
    if (rc == RADDLE_ESHUTDOWN)
        EXPECT_EQ(next, MAKERS * ITEMS);
    else
        EXPECT_EQ(rc, -ECANCELED);
    raddle_bcast_receiver_unref(receiver);
    return 0;
}

int seeds_broadcast(void *random)
{
    struct market m = {.out = 0};
    struct raddle_group senders, receivers;

    EXPECT_EQ(raddle_bcast_create(sizeof(unsigned), 1 + seeds_below(random, 4), &m.bcast), 0);
    seeds_open(&receivers);
    for (unsigned i = MAKERS; i < CREW; i++)
        start(&m, &receivers, i, hears, random);
    seeds_open(&senders);
    for (unsigned i = 0; i < MAKERS; i++)
        start(&m, &senders, i, broadcasts, random);
    EXPECT_EQ(raddle_sleep(seeds_while(random)), 0);
    (void)raddle_task_cancel(m.traders[MAKERS].task, "no more");
    EXPECT_EQ(raddle_group_close(&senders, 0), 0);
    raddle_bcast_shutdown(m.bcast);
    finish(&m, &receivers);
    raddle_bcast_unref(m.bcast);
    return 0;
}

/* A generator that gets from a channel, one step in this task and one in that, until it is closed. */

static int hands_on(raddle_gen *gen, void *arg)
{
    struct market *m = arg;
    int rc = 0, item;

    while (rc == 0 && (rc = raddle_get(m->chans[0], &item)) == 0) {
        note(&m->back, item);
        rc = raddle_gen_yield(gen, &item, NULL);
    }
    EXPECT(!m->cleaned_up);
    m->cleaned_up = true;
    return rc == RADDLE_ESHUTDOWN ? 0 : rc;
}

static int asks(void *arg)
{
    struct trader *t = arg;
    struct market *m = t->market;
    int rc = 1;
    void *item;

    while (rc == 1 || rc == -EBUSY) {
        rc = raddle_gen_next(m->gen, NULL, &item);
        if (rc == 1)
            m->sum++;
        if (raddle_sleep(1 + seeds_while(&t->random)) < 0)
            break;
    }
    EXPECT(rc == 1 || rc == 0 || rc == -EBUSY || rc == -ECANCELED);
    return 0;
}

int seeds_generators(void *random)
{
    struct market m = {.out = 0};
    struct raddle_group makers, askers;
    unsigned count = 0;

    open_channels(&m, random);
    EXPECT_EQ(raddle_gen_open(&m.gen, hands_on, &m, NULL), 0);
    seeds_open(&askers);
    for (unsigned i = MAKERS; i < CREW; i++)
        start(&m, &askers, i, asks, random);
    seeds_open(&makers);
    for (unsigned i = 0; i < MAKERS; i++) {
        EXPECT_EQ(raddle_sender_open(m.chans[0], &m.traders[i].sender), 0);
        start(&m, &makers, i, makes_through_an_end, random);
    }
    EXPECT_EQ(raddle_sleep(seeds_while(random)), 0);
    (void)raddle_task_cancel(m.traders[MAKERS].task, "no more");
    if (seeds_below(random, 2))
        (void)raddle_chan_shutdown(m.chans[0], RADDLE_CHAN_IMMEDIATE);
    /* When the generator has ended with its asker, by the cancellation, nobody gets any more. */
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    (void)raddle_chan_shutdown(m.chans[0], RADDLE_CHAN_IMMEDIATE);
    EXPECT_EQ(raddle_group_close(&makers, 0), 0);
    finish(&m, &askers);
    EXPECT(raddle_gen_close(m.gen) <= 0);
    for (uint32_t bits = m.back; bits; bits &= bits - 1)
        count++;
    EXPECT_EQ(m.sum, count);
    close_channels(&m);
    return 0;
}
