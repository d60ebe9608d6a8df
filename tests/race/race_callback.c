/*
 * tests/race/race_callback.c - threads ask for callbacks and call them off while the loop is about to call
 * them, and while it is closed: each runs once, or was called off, or was given up by the close, and who calls
 * off is told which (TC12).
 *
 *     race_callback [--rounds N]
 *
 * A round is the life of a loop. Half of what a thread asks for is its neighbour's to call off, which may come
 * before the loop knows of it, while it lies in a queue, when it is due, and when the loop is gone.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"
#include "tests/support/counted.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { ASKERS = 3, EACH = 400 };

struct callback {
    rdl_atomic(raddle_handle *) handle; /* a reference for whoever takes it */
    rdl_atomic(unsigned) calls;
    bool called_off; /* that was answered with a 0 */
    bool too_late;   /* that was answered with -EALREADY */
    bool refused;
};

struct life {
    raddle_loop *loop;
    pthread_t thread;
    rdl_atomic(unsigned) asking;
    struct callback callbacks[ASKERS][EACH];
    unsigned long total, ran, off, given_up, refused, late;
};

struct asker {
    struct life *life;
    unsigned number;
    uint32_t random;
};

static struct life life;

static void called(void *arg)
{
    struct callback *c = arg;

    EXPECT(pthread_equal(pthread_self(), life.thread));
    rdl_atomic_fetch_add_relaxed(&c->calls, 1u);
}

static void call_off(struct callback *c)
{
    raddle_handle *handle = rdl_atomic_exchange_acquire(&c->handle, NULL);
    int rc;

    if (!handle)
        return;
    rc = raddle_handle_cancel(handle);
    EXPECT(rc == 0 || rc == -EALREADY);
    c->called_off = rc == 0;
    c->too_late = rc != 0;
    EXPECT_EQ(raddle_handle_cancelled(handle), rc == 0);
    raddle_handle_unref(handle);
}

static void *asks(void *arg)
{
    struct asker *a = arg;
    struct callback *mine = life.callbacks[a->number];
    struct callback *others = life.callbacks[(a->number + 1) % ASKERS];

    for (unsigned i = 0; i < EACH; i++) {
        uint32_t kind = test_random(&a->random);
        raddle_handle *handle = NULL;
        int rc;

        if (kind % 4 == 0)
            rc = raddle_call_soon_handle(life.loop, called, &mine[i], &handle);
        else
            rc = raddle_call_later(life.loop, kind % 4 == 1 ? RADDLE_S(100) : kind % 100000, called,
                                   &mine[i], &handle);
        EXPECT(rc == 0 || rc == RADDLE_ESHUTDOWN);
        mine[i].refused = rc < 0;
        rdl_atomic_store_release(&mine[i].handle, handle);
        if (kind / 8 % 4 == 0)
            call_off(&mine[i]);
        if (kind / 8 % 4 == 1)
            call_off(&others[test_random(&a->random) % EACH]);
        if (kind % 16 == 0)
            sched_yield();
    }
    rdl_atomic_fetch_sub_acq_rel(&life.asking, 1u);
    /* On into the close, and after it: what is left is the first half's. */
    for (unsigned i = 0; i < EACH / 2; i++)
        call_off(&mine[i]);
    return NULL;
}

/* Lets the loop go on for as long as somebody asks; a stop of the loop's own is another race. */
static int waits(void *arg)
{
    struct life *l = arg;

    while (rdl_atomic_load_acquire(&l->asking)) {
        EXPECT_EQ(raddle_sleep(RADDLE_US(20)), 0);
        call_off(&l->callbacks[0][0]);
    }
    return 0;
}

static void count(struct callback *c)
{
    unsigned calls = rdl_atomic_load_relaxed(&c->calls);
    raddle_handle *handle = rdl_atomic_load_relaxed(&c->handle);

    life.total++;
    EXPECT(calls <= 1);
    if (handle) { /* nobody has called it off; the close may have given it up */
        EXPECT_EQ(raddle_handle_cancelled(handle), calls == 0);
        life.given_up += calls == 0;
        raddle_handle_unref(handle);
    } else if (c->refused) {
        EXPECT_EQ(calls, 0);
        life.refused++;
    } else {
        EXPECT_EQ(calls, c->too_late);
        EXPECT_EQ(!calls, c->called_off);
        life.off += c->called_off;
        life.late += c->too_late;
    }
    life.ran += calls;
    *c = (struct callback){.refused = false};
}

static void one_life(uint32_t seed)
{
    struct asker askers[ASKERS];
    pthread_t threads[ASKERS];

    life.thread = pthread_self();
    rdl_atomic_store_relaxed(&life.asking, (unsigned)ASKERS);
    EXPECT_EQ(raddle_new_loop(&life.loop), 0);
    for (unsigned i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){&life, i, seed * ASKERS + i + 1};
        EXPECT_EQ(pthread_create(&threads[i], NULL, asks, &askers[i]), 0);
    }
    EXPECT_EQ(raddle_loop_run_until_complete(life.loop, waits, &life), 0);
    EXPECT_EQ(raddle_loop_close(life.loop), 0);
    for (unsigned i = 0; i < ASKERS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < ASKERS; i++)
        for (unsigned j = 0; j < EACH; j++)
            count(&life.callbacks[i][j]);
}

/* B4 TC12 */
int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 40 : 300);
    struct test_footprint before;

    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    for (unsigned long i = 0; i < rounds && test_failures() == 0; i++)
        one_life((uint32_t)i);
    test_same_footprint(&before);
    EXPECT_EQ(life.total, life.ran + life.off + life.given_up + life.refused);
    printf("%lu callbacks: %lu ran (%lu called off too late), %lu were called off, %lu given up\n",
           life.total, life.ran, life.late, life.off, life.given_up);
    test_counted(life.total, "races");
    return test_result();
}
