/*
 * tests/race/race_strand.c - tasks of a few strands suspend in every way, on all loops, and are cancelled by a
 * thread: no two of a strand run at once, none is forgotten, and plain data of a strand is nobody else's.
 *
 *     race_strand [--rounds N] [--loops N]
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "runtime/loop.h"
#include "sched/stack.h"
#include "tests/support/counted.h"

enum { STRANDS = 3, TASKS = 24, STEPS = 30 };

/* All but the last two are plain: tasks of the strand only. */
struct strand {
    raddle_strand *strand;
    unsigned inside;
    unsigned long steps, ended;
    uint32_t random;
    raddle_chan *chan;
    rdl_atomic(unsigned) overlaps;
    rdl_atomic(unsigned) begun;
};

struct worker {
    struct strand *strand;
    raddle_task *task;
};

static struct strand strands[STRANDS];
static struct worker workers[TASKS];
static rdl_atomic(unsigned)
    round_number; /* even: the thread may cancel; odd: it is between rounds */
static rdl_atomic(unsigned) cancelling;
static rdl_atomic(bool) finished;
static unsigned long rounds, steps, cancelled;

/* With the turn of its strand, and without a suspension. */
static uint32_t step(struct strand *s)
{
    uint32_t random;

    if (s->inside++)
        rdl_atomic_fetch_add_relaxed(&s->overlaps, 1u);
    s->steps++;
    random = test_random(&s->random);
    for (volatile uint32_t i = random % 200; i; i--)
        ;
    s->inside--;
    return random;
}

static int hop(uint32_t random)
{
    struct rdl_loop *here = rdl_loop_current(), *to = here;
    int rc;

    if (here->team)
        to = here->team->loops[random % here->team->count];
    rc = raddle_move_to(rdl_raddle_loop(to));
    if (rc == 0)
        EXPECT(rdl_loop_current() == to);
    return rc;
}

static int suspend(struct strand *s, uint32_t random)
{
    int item = 1;

    switch (random >> 16 & 7) {
    case 0:
        return raddle_sleep(random % 1000);
    case 1:
    case 2: /* to whoever gets */
        return random & 256 ? raddle_try_put(s->chan, &item) == -EINVAL
                            : raddle_try_get(s->chan, &item) == -EINVAL;
    case 3:
        return raddle_put(s->chan, &item);
    case 4:
        return raddle_get(s->chan, &item);
    case 5:
        return hop(random);
    default:
        return raddle_yield();
    }
}

static int work(void *arg)
{
    struct strand *s = ((struct worker *)arg)->strand;
    struct raddle_scope limit;
    int rc = 0;

    rdl_atomic_fetch_add_relaxed(&s->begun, 1u);
    for (int i = 0; i < STEPS && rc == 0; i++) {
        uint32_t random = step(s);
        /* Nobody may be there to put for, or to get from. */
        raddle_scope_enter(&limit, raddle_in(RADDLE_US(100)), RADDLE_QUIET);
        rc = raddle_scope_leave(&limit, suspend(s, random));
    }
    step(s);
    s->ended++;
    return rc;
}

/* Any task, at any moment of a round; handles live through it. */
static void *canceller(void *arg)
{
    uint32_t random = 4711;
    (void)arg;

    while (!rdl_atomic_load_acquire(&finished)) {
        rdl_atomic_store_seq_cst(&cancelling, 1u);
        if (rdl_atomic_load_seq_cst(&round_number) % 2 == 0) {
            raddle_task *task = workers[test_random(&random) % TASKS].task;
            if (raddle_task_cancel(task, "the thread") == 0)
                cancelled++;
        }
        rdl_atomic_store_release(&cancelling, 0u);
        for (volatile uint32_t i = test_random(&random) % 20000; i; i--)
            ;
    }
    return NULL;
}

static int one_round(unsigned long number)
{
    static const enum raddle_mobility mobilities[] = {RADDLE_FRESH, RADDLE_MIGRATABLE,
                                                      RADDLE_PINNED};
    struct raddle_group g;
    int rc = raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT});

    EXPECT_EQ(rc, 0);
    for (unsigned i = 0; i < TASKS; i++) {
        struct raddle_spawn_options options = {.strand = strands[i % STRANDS].strand,
                                               .mobility = mobilities[(i + number) % 3]};
        workers[i].strand = &strands[i % STRANDS];
        EXPECT_EQ(raddle_spawn(&g, &workers[i].task, work, &workers[i], &options), 0);
    }
    rdl_atomic_fetch_add_seq_cst(&round_number, 1u); /* even */
    rc = raddle_group_close(&g, 0);
    EXPECT(rc == 0 || rc == -ECANCELED);
    rdl_atomic_fetch_add_seq_cst(&round_number, 1u); /* odd */
    while (rdl_atomic_load_seq_cst(&cancelling))
        ;
    for (unsigned i = 0; i < TASKS; i++)
        raddle_task_unref(workers[i].task);
    return 0;
}

static int race(void *arg)
{
    pthread_t thread;
    (void)arg;

    for (unsigned i = 0; i < STRANDS; i++) {
        strands[i].random = i + 1;
        EXPECT_EQ(raddle_strand_create(&strands[i].strand), 0);
        EXPECT_EQ(raddle_chan_create(sizeof(int), i, NULL, &strands[i].chan), 0);
    }
    rdl_atomic_store_relaxed(&round_number, 1u);
    EXPECT_EQ(pthread_create(&thread, NULL, canceller, NULL), 0);
    for (unsigned long i = 0; i < rounds; i++)
        (void)one_round(i);
    rdl_atomic_store_release(&finished, true);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < STRANDS; i++) {
        struct strand *s = &strands[i];
        EXPECT_EQ(s->overlaps, 0);
        EXPECT_EQ(s->inside, 0);
        EXPECT_EQ(s->ended, rounds * (TASKS / STRANDS));
        EXPECT_EQ(s->begun, s->ended);
        steps += s->steps;
        raddle_chan_unref(s->chan);
        raddle_strand_unref(s->strand);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct test_footprint before;
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());

    rounds = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 60 : 300);
    EXPECT_EQ(test_run_on(1, test_nothing, NULL), 0);
    before = test_footprint();
    EXPECT_EQ(test_run_on(loops, race, NULL), 0);
    test_same_footprint(&before);
    printf("%lu steps on %u loops, %lu cancellations\n", steps, loops, cancelled);
    test_counted(steps, "steps of tasks in strands");
    return test_result();
}
