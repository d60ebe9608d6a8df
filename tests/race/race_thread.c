/*
 * tests/race/race_thread.c - threads with loops of their own are started, posted to, cancelled and joined by several
 * threads at once: what was accepted is run, what comes late is refused, and nothing is left.
 *
 *     race_thread [--rounds N]
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"
#include "tests/support/counted.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { OWNERS = 3 };

struct owner {
    unsigned long rounds;
    uint32_t random;
    raddle_loop_thread *thread;
    rdl_atomic(unsigned long) called, accepted, late;
};

static void called(void *arg)
{
    rdl_atomic_fetch_add_relaxed(&((struct owner *)arg)->called, 1ul);
}

static int works(void *arg)
{
    int rc = 0;

    (void)arg;
    for (unsigned i = 0; i < 40 && rc == 0; i++)
        rc = raddle_sleep(RADDLE_US(20));
    return rc;
}

/* Posts from before the loop's first turn until after its last one. */
static void *posts(void *arg)
{
    struct owner *o = arg;
    raddle_loop *loop = raddle_loop_thread_loop(o->thread);

    for (unsigned late = 0; late < 3;) {
        int rc = raddle_call_soon(loop, called, o);

        if (rc == RADDLE_ESHUTDOWN)
            late++;
        else
            EXPECT_EQ(rc, 0);
        rdl_atomic_fetch_add_relaxed(rc ? &o->late : &o->accepted, 1ul);
        if (rc == 0)
            sched_yield();
    }
    return NULL;
}

static int joins(void *arg)
{
    struct owner *o = arg;
    int result = 1, rc = raddle_loop_thread_join(o->thread, &result);

    EXPECT(result == 0 || result == -ECANCELED);
    return rc;
}

static void one_thread(struct owner *o)
{
    uint32_t kind = test_random(&o->random);
    pthread_t poster;
    int result = 1;

    EXPECT_EQ(raddle_loop_thread_start(&o->thread, kind % 3 ? works : NULL, o, NULL), 0);
    EXPECT_EQ(pthread_create(&poster, NULL, posts, o), 0);
    if (kind % 3 == 0 || kind % 8 == 1) {
        int rc;

        for (unsigned i = test_random(&o->random) % 64; i > 0; i--)
            sched_yield();
        rc = raddle_loop_thread_cancel(o->thread, "enough");
        EXPECT(rc == 0 || (rc == -EALREADY && kind % 3));
    }
    pthread_join(poster, NULL); /* the loop has ended, and is there until it is joined */
    if (kind & 16) {
        EXPECT_EQ(raddle_loop_thread_join(o->thread, &result), 0);
        EXPECT(result == 0 || result == -ECANCELED);
    } else {
        EXPECT_EQ(test_run_on(1, joins, o), 0);
    }
    EXPECT_EQ(rdl_atomic_load_relaxed(&o->called), rdl_atomic_load_relaxed(&o->accepted));
}

static void *owns(void *arg)
{
    struct owner *o = arg;

    for (unsigned long i = 0; i < o->rounds && test_failures() == 0; i++)
        one_thread(o);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 30 : 150);
    static struct owner owners[OWNERS];
    struct test_footprint before;
    pthread_t threads[OWNERS];
    unsigned long accepted = 0;

    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    for (unsigned i = 0; i < OWNERS; i++) {
        owners[i].rounds = rounds;
        owners[i].random = i + 1;
        if (pthread_create(&threads[i], NULL, owns, &owners[i]))
            return 1;
    }
    for (unsigned i = 0; i < OWNERS; i++) {
        pthread_join(threads[i], NULL);
        accepted += rdl_atomic_load_relaxed(&owners[i].accepted);
    }
    test_same_footprint(&before);
    printf("%lu threads, %lu callbacks\n", OWNERS * rounds, accepted);
    test_counted(accepted, "races");
    return test_result();
}
