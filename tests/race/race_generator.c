/*
 * tests/race/race_generator.c - many tasks that move from loop to loop ask the same generators, which suspend, and
 * are cancelled while they do: a generator runs for one of them at a time, nothing of what it keeps on its stack is
 * lost, and each item is had once.
 *
 *     race_generator [--rounds N]
 *
 * A generator yields 0, 1, 2 and so on, and notes what it has yielded; who is cancelled in it takes its end away from
 * the others. In between a generator asks another one, so that a task stands three stacks deep when it parks.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/counted.h"

enum { GENERATORS = 4, TASKS = 16, STEPS = 40, FRAME = 300 };

struct source {
    raddle_gen *gen;
    uint32_t random;
    int next; /* plain: a generator is handed from task to task */
    rdl_atomic(unsigned) items;
    rdl_atomic(bool) ended; /* somebody was told so */
    rdl_atomic(bool) over;  /* whoever was in it was cancelled: why it has ended */
};

struct round {
    struct source sources[GENERATORS];
    raddle_task *tasks[TASKS];
    uint32_t randoms[TASKS];
    rdl_atomic(unsigned) started;
};

static unsigned long long steps;

static int inner(raddle_gen *gen, void *arg)
{
    struct source *source = arg;
    int rc = 0;

    while (rc == 0) {
        switch (test_random(&source->random) % 4) {
        case 0:
            rc = raddle_yield();
            break;
        case 1:
            rc = raddle_sleep(RADDLE_US(test_random(&source->random) % 50));
            break;
        }
        if (rc == 0)
            rc = raddle_gen_yield(gen, source, NULL);
    }
    return rc;
}

static int outer(raddle_gen *gen, void *arg)
{
    struct source *source = arg;
    raddle_gen *below = NULL;
    volatile char frame[FRAME];
    void *item = NULL;
    int rc = raddle_gen_open(&below, inner, source, NULL), got;

    memset((char *)(uintptr_t)frame, 0x5A, FRAME);
    while (rc == 0) {
        got = raddle_gen_next(below, NULL, &item);
        rc = got == 1 ? raddle_gen_yield(gen, &source->next, NULL) : got;
        source->next += rc == 0;
        EXPECT(got != 0);
    }
    for (unsigned i = 0; i < FRAME; i++)
        EXPECT(frame[i] == 0x5A);
    EXPECT_EQ(raddle_gen_close(below), 0);
    return rc;
}

struct asker {
    struct round *round;
    uint32_t random;
};

static int asks(void *arg)
{
    struct asker *asker = arg;
    struct round *round = asker->round;
    int rc = 0;

    rdl_atomic_fetch_add_relaxed(&round->started, 1u);
    for (unsigned i = 0; i < STEPS && rc == 0; i++) {
        struct source *source = &round->sources[test_random(&asker->random) % GENERATORS];
        void *item = NULL;
        rc = raddle_gen_next(source->gen, NULL, &item);
        switch (rc) {
        case 1: /* item is read by nobody: the next one may have begun another step */
            rdl_atomic_fetch_add_relaxed(&source->items, 1u);
            rc = 0;
            break;
        case 0:
            rdl_atomic_store_relaxed(&source->ended, true);
            break;
        case -EBUSY:
            rc = raddle_yield();
            break;
        case -ECANCELED: /* before or in the generator */
            rdl_atomic_store_release(&source->over, true);
            break;
        default:
            EXPECT_EQ(rc, 0);
        }
    }
    return rc;
}

static int runs(void *arg)
{
    struct raddle_spawn_options options = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct round *round = arg;
    struct asker askers[TASKS];
    struct raddle_group g;

    for (unsigned i = 0; i < GENERATORS; i++)
        EXPECT_EQ(raddle_gen_open(&round->sources[i].gen, outer, &round->sources[i], NULL), 0);
    EXPECT_EQ(raddle_group_open(&g, &collect), 0);
    for (unsigned i = 0; i < TASKS; i++) {
        askers[i] = (struct asker){round, round->randoms[i]};
        EXPECT_EQ(raddle_spawn(&g, &round->tasks[i], asks, &askers[i], &options), 0);
    }
    for (unsigned i = 0; i < TASKS / 4; i++) {
        EXPECT_EQ(raddle_sleep(RADDLE_US(100)), 0);
        (void)raddle_task_cancel(round->tasks[i], "enough");
    }
    (void)!raddle_group_close(&g, 0);
    for (unsigned i = 0; i < TASKS; i++)
        raddle_task_unref(round->tasks[i]);
    for (unsigned i = 0; i < GENERATORS; i++) {
        struct source *source = &round->sources[i];
        int items = (int)rdl_atomic_load_acquire(&source->items);
        EXPECT(rdl_atomic_load_relaxed(&source->over) || !rdl_atomic_load_relaxed(&source->ended));
        EXPECT_EQ(raddle_gen_close(source->gen), 0);
        /* The last one that was yielded is not counted by the generator before it is asked again. */
        EXPECT_IN(items - source->next, 0, 2);
        steps += (unsigned)items;
    }
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", 60);
    uint32_t random = 2463534242u;
    struct test_footprint before;

    EXPECT_EQ(test_run(test_nothing, NULL), 0);
    before = test_footprint();
    for (unsigned long i = 0; i < rounds; i++) {
        struct round round;
        memset(&round, 0, sizeof(round));
        for (unsigned j = 0; j < GENERATORS; j++)
            round.sources[j].random = test_random(&random) | 1;
        for (unsigned j = 0; j < TASKS; j++)
            round.randoms[j] = test_random(&random) | 1;
        EXPECT_EQ(test_run(runs, &round), 0);
    }
    test_same_footprint(&before);
    test_counted(steps, "steps of generators");
    return test_result();
}
