/*
 * tests/race/race_scope.c - scopes come and go at the same address while a thread cancels them by it: a cancellation
 * ends the scope that it was meant for, and never the one that lies there next.
 *
 *     race_scope [--rounds N]
 *
 * A task enters a scope, publishes its address, and does something that suspends, or nothing. Then it takes the address
 * back. If the thread was quicker, the scope is cancelled, and the task waits until that call has returned: so long
 * the scope has to stay (raddle/scope.h). It leaves it and at once enters another in the same memory, which nobody
 * knows and which nothing may end. As many scopes have caught a cancellation as were cancelled in time to be seen.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "tests/support/counted.h"

enum { TASKS = 4, SPREAD = 400 };

struct user {
    rdl_atomic(struct raddle_scope *)
        scope;                 /* whoever takes it: the task to leave it, the thread to cancel it */
    rdl_atomic(unsigned) done; /* the thread is through with what it took */
    uint32_t random;
    unsigned long cancelled, caught; /* scopes */
};

static unsigned long rounds;
static struct user users[TASKS];
static rdl_atomic(bool) over;

static void spin(uint32_t turns)
{
    for (volatile uint32_t i = 0; i < turns; i++)
        ;
}

static void *cancels(void *arg)
{
    uint32_t random = 99;

    while (!rdl_atomic_load_acquire(&over)) {
        struct user *user = &users[test_random(&random) % TASKS];
        struct raddle_scope *scope = rdl_atomic_exchange_acq_rel(&user->scope, NULL);

        if (!scope) {
            sched_yield();
            continue;
        }
        spin(test_random(&random) % SPREAD);
        raddle_scope_cancel(scope, "the thread");
        rdl_atomic_store_release(&user->done, 1u);
    }
    return arg;
}

/* In the scope that is published, or in the one that isn't. */
static int suspends(struct user *user)
{
    switch (test_random(&user->random) % 4) {
    case 0:
        return 0;
    case 1:
        return raddle_checkpoint();
    case 2:
        return raddle_sleep(RADDLE_US(test_random(&user->random) % 20));
    default:
        return raddle_yield();
    }
}

/* Enters scope, and leaves it when nobody else knows it any more. */
static void is_published(struct user *user, struct raddle_scope *scope)
{
    int rc;

    raddle_scope_enter(scope, 0, 0);
    rdl_atomic_store_release(&user->scope, scope);
    rc = suspends(user);
    if (!rdl_atomic_exchange_acq_rel(&user->scope, NULL)) {
        user->cancelled++;
        while (!rdl_atomic_load_acquire(&user->done))
            sched_yield();
        rdl_atomic_store_relaxed(&user->done, 0u);
        EXPECT(raddle_scope_cancelled(scope));
        EXPECT_EQ(raddle_yield(), -ECANCELED); /* it holds when the call has returned */
        EXPECT_STR(raddle_cancel_reason(), "the thread");
        rc = -ECANCELED;
    } else {
        EXPECT(!raddle_scope_cancelled(scope));
    }
    EXPECT_EQ(raddle_scope_leave(scope, rc), 0);
    user->caught += raddle_scope_caught(scope);
}

static void is_unknown(struct user *user, struct raddle_scope *scope)
{
    raddle_scope_enter(scope, 0, 0);
    EXPECT_EQ(suspends(user), 0);
    EXPECT(!raddle_cancelled() && !raddle_scope_cancelled(scope));
    EXPECT_EQ(raddle_scope_leave(scope, 0), 0);
}

static int comes_and_goes(void *arg)
{
    struct user *user = arg;
    struct raddle_scope scope;

    for (unsigned long i = 0; i < rounds / TASKS && !test_failures(); i++) {
        is_published(user, &scope);
        is_unknown(user, &scope);
    }
    return 0;
}

static int all(void *arg)
{
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < TASKS; i++) {
        users[i].random = i * 7919 + 1;
        EXPECT_EQ(raddle_spawn(&g, NULL, comes_and_goes, &users[i], NULL), 0);
    }
    return raddle_group_close(&g, 0);
}

/* TC39 */
int main(int argc, char **argv)
{
    unsigned long cancelled = 0;
    pthread_t thread;

    rounds = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 20000 : 200000);
    if (pthread_create(&thread, NULL, cancels, NULL))
        return 1;
    EXPECT_EQ(test_run(all, NULL), 0);
    rdl_atomic_store_release(&over, true);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        EXPECT_EQ(users[i].caught, users[i].cancelled);
        cancelled += users[i].cancelled;
    }
    if (rounds >= 20000)
        EXPECT(cancelled > 0); /* or nothing was raced */
    printf("%lu scopes, %lu cancelled\n", 2 * rounds, cancelled);
    test_counted(rounds, "races");
    return test_result();
}
