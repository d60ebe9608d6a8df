/*
 * tests/race/race_post.c - threads post callbacks and tasks to lone loops while these run, stop, run
 * again and are closed; what was accepted is run, once, on the loop's thread.
 *
 *     race_post [--rounds N] [--loops N]
 *
 * A round is the life of a loop. Its owner runs it now for a task, now for ever until a poster stops
 * it, and then closes it while the posters still post: a task of the loop that shields itself keeps
 * the loop there until all of them have stopped.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"
#include "tests/support/counted.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { POSTERS = 3, RUNS = 4, OWNERS_MAX = 16, TASKS_MAX = 1000 };

struct life {
    raddle_loop *loop;
    pthread_t thread; /* of the loop */
    rdl_atomic(unsigned) posting, stop_posting, forever;
    rdl_atomic(unsigned long) accepted, refused, called, tasks_accepted, tasks_run;
    rdl_atomic(unsigned long) calls_of[POSTERS]; /* in order */
    unsigned long rounds;
    unsigned index;
};

struct poster {
    struct life *life;
    unsigned number;
    unsigned long posted;
};

/* One callback in flight. */
struct message {
    struct life *life;
    unsigned poster;
    unsigned long number;
};

struct memory {
    struct message messages[4096];
};

static void called(void *arg)
{
    struct message m = *(struct message *)arg; /* its poster's again when it is counted */
    struct life *life = m.life;

    EXPECT(pthread_equal(pthread_self(), life->thread));
    EXPECT(raddle_running_loop() == life->loop);
    /* After what the same thread had posted before. */
    EXPECT_EQ(rdl_atomic_fetch_add_acq_rel(&life->calls_of[m.poster], 1ul), m.number);
    rdl_atomic_fetch_add_acq_rel(&life->called, 1ul);
}

static int task(void *arg)
{
    struct life *life = arg;

    EXPECT(pthread_equal(pthread_self(), life->thread));
    if (raddle_yield() == 0 && raddle_sleep(RADDLE_US(20)) != 0)
        EXPECT(raddle_cancelled());
    EXPECT(pthread_equal(pthread_self(), life->thread));
    rdl_atomic_fetch_add_relaxed(&life->tasks_run, 1ul);
    return 0;
}

static unsigned long tasks_waiting(struct life *life)
{
    unsigned long run = rdl_atomic_load_acquire(&life->tasks_run);

    return rdl_atomic_load_relaxed(&life->tasks_accepted) - run;
}

static void *post(void *arg)
{
    struct poster *p = arg;
    struct life *life = p->life;
    static _Thread_local struct memory memory; /* a message is used again when it is back */
    uint32_t random = 77 + p->number;

    while (!rdl_atomic_load_acquire(&life->stop_posting)) {
        /* No more in flight than there are messages. */
        unsigned long back = rdl_atomic_load_acquire(&life->calls_of[p->number]);
        struct message *m = &memory.messages[p->posted % 4096];
        int rc;

        if (p->posted - back < 4096) {
            *m = (struct message){.life = life, .poster = p->number, .number = p->posted};
            rc = raddle_call_soon(life->loop, called, m);
            EXPECT(rc == 0 || rc == RADDLE_ESHUTDOWN);
            p->posted += rc == 0;
            rdl_atomic_fetch_add_relaxed(rc == 0 ? &life->accepted : &life->refused, 1ul);
        }
        /* Nor more tasks than a slow build on a busy machine has memory for. */
        if (test_random(&random) % 4 == 0 && tasks_waiting(life) < TASKS_MAX) {
            rc = raddle_loop_spawn(life->loop, task, life, NULL);
            EXPECT(rc == 0 || rc == RADDLE_ESHUTDOWN || rc == -ENOMEM);
            rdl_atomic_fetch_add_relaxed(rc == 0 ? &life->tasks_accepted : &life->refused, 1ul);
        }
        if (rdl_atomic_load_relaxed(&life->forever) && test_random(&random) % 8 == 0)
            raddle_loop_stop(life->loop);
        if (test_random(&random) % 16 == 0)
            sched_yield();
    }
    rdl_atomic_fetch_sub_acq_rel(&life->posting, 1u);
    /* The messages are this thread's: until they have been used. */
    while (rdl_atomic_load_acquire(&life->called) != rdl_atomic_load_acquire(&life->accepted))
        sched_yield();
    return NULL;
}

/* Lets posters go on while the loop closes, and then not. */
static int keeper(void *arg)
{
    struct life *life = arg;
    struct raddle_scope shield;

    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "its loop is closing");
    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    EXPECT_EQ(raddle_sleep(RADDLE_US(300)), 0);
    rdl_atomic_store_release(&life->stop_posting, 1u);
    while (rdl_atomic_load_acquire(&life->posting))
        EXPECT_EQ(raddle_sleep(RADDLE_US(20)), 0);
    return raddle_scope_leave(&shield, 0);
}

static int for_a_while(void *arg)
{
    EXPECT_EQ(raddle_sleep(RADDLE_US(*(unsigned *)arg)), 0);
    return 17;
}

static void one_life(struct life *life)
{
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];

    memset(life->calls_of, 0, sizeof(life->calls_of));
    life->thread = pthread_self();
    rdl_atomic_store_relaxed(&life->stop_posting, 0u);
    rdl_atomic_store_relaxed(&life->posting, (unsigned)POSTERS);
    EXPECT_EQ(raddle_new_loop(&life->loop), 0);
    EXPECT_EQ(raddle_loop_spawn(life->loop, keeper, life, NULL), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.life = life, .number = i};
        EXPECT_EQ(pthread_create(&threads[i], NULL, post, &posters[i]), 0);
    }
    for (unsigned i = 0; i < RUNS; i++) {
        unsigned us = 50 * i;
        EXPECT_EQ(raddle_loop_run_until_complete(life->loop, for_a_while, &us), 17);
        rdl_atomic_store_release(&life->forever, 1u);
        EXPECT_EQ(raddle_loop_run_forever(life->loop), 0);
        rdl_atomic_store_release(&life->forever, 0u);
    }
    EXPECT_EQ(raddle_loop_close(life->loop), 0);
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(life->called, life->accepted);
    EXPECT_EQ(life->tasks_run, life->tasks_accepted);
}

static void *owner(void *arg)
{
    struct life *life = arg;

    for (unsigned long i = 0; i < life->rounds && test_failures() == 0; i++)
        one_life(life);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned long owners = test_argument(argc, argv, "--loops", test_loops());
    unsigned long rounds = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 6 : 20);
    static struct life lives[OWNERS_MAX];
    unsigned long accepted = 0, refused = 0, tasks = 0;
    struct test_footprint before;
    pthread_t threads[OWNERS_MAX];

    if (owners > OWNERS_MAX)
        owners = OWNERS_MAX;
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    for (unsigned long i = 0; i < owners; i++) {
        lives[i].rounds = rounds;
        if (pthread_create(&threads[i], NULL, owner, &lives[i]))
            return 1;
    }
    for (unsigned long i = 0; i < owners; i++) {
        pthread_join(threads[i], NULL);
        accepted += rdl_atomic_load_relaxed(&lives[i].accepted);
        refused += rdl_atomic_load_relaxed(&lives[i].refused);
        tasks += rdl_atomic_load_relaxed(&lives[i].tasks_accepted);
    }
    test_same_footprint(&before);
    printf("%lu loops, %lu lives each: %lu callbacks, %lu tasks; %lu refused\n", owners, rounds,
           accepted, tasks, refused);
    test_counted(accepted + tasks, "races");
    return test_result();
}
