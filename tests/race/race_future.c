/*
 * tests/race/race_future.c - threads set and cancel one future, tasks and threads wait for it, callbacks are
 * added and removed: one setter is first, all see the same outcome, and each callback runs once or was removed.
 *
 *     race_future [--rounds N]
 *
 * A round is one future, which the last of those who use it frees (F2, TC14). Waiting tasks are cancelled at
 * random, and some waits have a deadline that is about to pass.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { SETTERS = 4, WAITERS = 2, TASKS = 12, CALLBACKS = 3 };

struct round {
    raddle_future *future;
    raddle_loop *loop;
    rdl_atomic(unsigned) go, winners, callbacks, removed, added, readers;
    rdl_atomic(int) winner; /* what it set */
    rdl_atomic(int) seen;   /* what the first who read it read */
    rdl_atomic(unsigned) cancelled;
    uint32_t seed;
};

struct user {
    struct round *round;
    raddle_future *future; /* a reference of its own */
    int index;
    raddle_task *task;
};

static void called(void *arg)
{
    struct round *round = arg;

    rdl_atomic_fetch_add_acq_rel(&round->callbacks, 1u);
}

static void *set(void *arg)
{
    struct user *user = arg;
    struct round *round = user->round;
    uint32_t random = round->seed + (uint32_t)user->index * 7919u;
    int rc, what = user->index + 1;

    while (!rdl_atomic_load_acquire(&round->go))
        sched_yield();
    for (unsigned i = test_random(&random) % 2000; i > 0; i--)
        __asm__ volatile("");
    if (user->index % 2) {
        rc = raddle_future_cancel(user->future, "first");
        what = -ECANCELED;
    } else {
        rc = raddle_future_set(user->future, what, round);
    }
    if (rc == 0) {
        rdl_atomic_fetch_add_acq_rel(&round->winners, 1u);
        rdl_atomic_store_relaxed(&round->winner, what);
    } else {
        EXPECT_EQ(rc, -EALREADY);
    }
    raddle_future_unref(user->future);
    return NULL;
}

static void has_read(struct round *round, raddle_future *future,
                     const struct raddle_outcome *outcome)
{
    int other = 0;

    EXPECT(raddle_future_value(future) == (outcome->rc > 0 ? round : NULL));
    if (!rdl_atomic_cas_acq_rel(&round->seen, &other, outcome->rc))
        EXPECT_EQ(outcome->rc, other);
    rdl_atomic_fetch_add_relaxed(&round->readers, 1u);
}

static void *wait_in_thread(void *arg)
{
    struct user *user = arg;
    struct raddle_outcome outcome = {.rc = 0};
    int rc = -ETIMEDOUT;

    for (int i = 0; rc == -ETIMEDOUT && i < user->index; i++)
        rc = raddle_future_wait_thread(user->future, raddle_in(RADDLE_US(20 * i)), &outcome);
    if (rc == -ETIMEDOUT)
        rc = raddle_future_wait(user->future, &outcome);
    EXPECT_EQ(rc, 0);
    has_read(user->round, user->future, &outcome);
    raddle_future_unref(user->future);
    return NULL;
}

static int wait_in_task(void *arg)
{
    struct user *user = arg;
    struct round *round = user->round;
    struct raddle_outcome outcome = {.rc = 0};
    struct raddle_scope scope;
    int rc;

    for (int i = 0; i < CALLBACKS; i++) {
        EXPECT_EQ(raddle_future_on_done(user->future, round->loop, called, round), 0);
        rdl_atomic_fetch_add_relaxed(&round->added, 1u);
    }
    raddle_scope_enter(&scope, user->index % 3 ? RADDLE_NEVER : raddle_in(RADDLE_US(30)), 0);
    rc = raddle_future_wait(user->future, &outcome);
    EXPECT(raddle_scope_leave(&scope, rc) <= 0);
    if (rc == 0) {
        has_read(round, user->future, &outcome);
    } else {
        EXPECT_EQ(rc, -ECANCELED);
        rdl_atomic_fetch_add_relaxed(&round->cancelled, 1u);
    }
    if (user->index % 4 == 0)
        rdl_atomic_fetch_add_acq_rel(
            &round->removed, (unsigned)raddle_future_remove_done(user->future, called, round));
    raddle_future_unref(user->future);
    return 0;
}

static int play(void *arg)
{
    struct round *round = arg;
    uint32_t random = round->seed;
    struct user users[TASKS];
    struct raddle_group g;

    round->loop = raddle_running_loop();
    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    for (int i = 0; i < TASKS; i++) {
        struct raddle_spawn_options options = {.mobility =
                                                   (enum raddle_mobility)(i % 3 + RADDLE_FRESH)};
        users[i] =
            (struct user){.round = round, .index = i, .future = raddle_future_ref(round->future)};
        EXPECT_EQ(raddle_spawn(&g, &users[i].task, wait_in_task, &users[i], &options), 0);
    }
    for (unsigned i = test_random(&random) % 4; i > 0; i--)
        EXPECT_EQ(raddle_yield(), 0);
    raddle_future_unref(round->future);
    rdl_atomic_store_release(&round->go, 1u);
    for (int i = 0; i < 3; i++)
        (void)raddle_task_cancel(users[test_random(&random) % TASKS].task, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < TASKS; i++)
        raddle_task_unref(users[i].task);
    /* Tasks may have been cancelled before anybody has set it. */
    while (rdl_atomic_load_acquire(&round->callbacks) + rdl_atomic_load_acquire(&round->removed) !=
           rdl_atomic_load_acquire(&round->added))
        EXPECT_EQ(raddle_sleep(RADDLE_US(20)), 0);
    return 0;
}

static unsigned one_round(unsigned long number)
{
    struct round round = {.seed = (uint32_t)(number + 1) * 2654435761u | 1u};
    struct user setters[SETTERS], waiters[WAITERS];
    pthread_t threads[SETTERS + WAITERS];

    EXPECT_EQ(raddle_future_create(&round.future), 0);
    for (int i = 0; i < SETTERS; i++) {
        setters[i] =
            (struct user){.round = &round, .index = i, .future = raddle_future_ref(round.future)};
        EXPECT_EQ(pthread_create(&threads[i], NULL, set, &setters[i]), 0);
    }
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = (struct user){
            .round = &round, .index = i * 5, .future = raddle_future_ref(round.future)};
        EXPECT_EQ(pthread_create(&threads[SETTERS + i], NULL, wait_in_thread, &waiters[i]), 0);
    }
    EXPECT_EQ(test_run(play, &round), 0);
    for (int i = 0; i < SETTERS + WAITERS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(rdl_atomic_load_acquire(&round.winners), 1);
    EXPECT_EQ(rdl_atomic_load_acquire(&round.seen), rdl_atomic_load_acquire(&round.winner));
    EXPECT_EQ(rdl_atomic_load_acquire(&round.readers) + rdl_atomic_load_acquire(&round.cancelled),
              TASKS + WAITERS);
    return rdl_atomic_load_acquire(&round.cancelled);
}

/* F2 TC14 */
int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", 300);
    unsigned long cancelled = 0;

    for (unsigned long i = 0; i < rounds && !test_failures(); i++)
        cancelled += one_round(i);
    if (rounds >= 300)
        EXPECT(cancelled > 0); /* or nothing was raced */
    printf("%lu rounds, %lu waits cancelled\n", rounds, cancelled);
    return test_result();
}
