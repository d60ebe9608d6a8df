/*
 * tests/runtime/test_bind.c - whose a loop is: the thread's that runs it, nobody else's, and never a forked
 * child's.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(bind, .timeout = 30);

static raddle_loop *new_loop(void)
{
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_not_null(loop);
    return loop;
}

static int alone(void *arg)
{
    raddle_loop *loop = NULL;

    EXPECT(raddle_running_loop() == arg);
    EXPECT_EQ(raddle_get_loop(&loop), 0);
    EXPECT(loop == arg);
    EXPECT_EQ(raddle_loop_count(), 1);
    EXPECT_EQ(raddle_loop_index(arg), 0);
    EXPECT_EQ(raddle_set_loop(arg), -EBUSY);
    EXPECT_EQ(raddle_sleep(1000), 0);
    return 23;
}

static int counts_up(void *arg)
{
    unsigned *count = arg;
    int rc;

    while ((rc = raddle_sleep(RADDLE_US(100))) == 0)
        ++*count;
    return rc;
}

static int until(void *arg)
{
    unsigned start = *(unsigned *)arg;

    while (*(volatile unsigned *)arg < start + 3)
        EXPECT_EQ(raddle_sleep(RADDLE_US(50)), 0);
    return 0;
}

/* Running where one must not. */

static int runs_within(void *arg)
{
    raddle_loop *own = raddle_running_loop(), *other = arg;

    EXPECT_EQ(raddle_loop_run_until_complete(own, test_nothing, NULL), -EBUSY);
    EXPECT_EQ(raddle_loop_run_forever(own), -EBUSY);
    EXPECT_EQ(raddle_loop_run_until_complete(other, test_nothing, NULL), -EBUSY);
    EXPECT_EQ(raddle_loop_run_forever(other), -EBUSY);
    EXPECT_EQ(raddle_loop_close(own), -EBUSY);
    EXPECT_EQ(raddle_loop_close(other), -EBUSY);
    EXPECT_EQ(raddle_run(test_nothing, NULL, NULL), -EBUSY);
    return 0;
}

static void runs_within_callback(void *arg)
{
    (void)runs_within(arg);
}

RuntimeTest(bind, inside_a_loop_none_is_run_or_closed)
{
    raddle_loop *loop = new_loop(), *other = new_loop();

    cr_assert_eq(raddle_loop_run_until_complete(loop, runs_within, other), 0);
    cr_assert_eq(raddle_call_soon(loop, runs_within_callback, other), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, test_nothing, NULL), 0);
    cr_assert_eq(test_run(runs_within, other), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(raddle_loop_close(other), 0);
}

struct elsewhere {
    raddle_loop *loop;
    int run_rc, forever_rc, close_rc, get_rc;
    rdl_atomic(unsigned) running, go_on;
};

static void *uses_from_thread(void *arg)
{
    struct elsewhere *e = arg;

    e->run_rc = raddle_loop_run_until_complete(e->loop, test_nothing, NULL);
    e->forever_rc = raddle_loop_run_forever(e->loop);
    e->close_rc = raddle_loop_close(e->loop);
    return NULL;
}

static int other_thread_tries(void *arg)
{
    struct elsewhere *e = arg;
    pthread_t thread;

    EXPECT_EQ(pthread_create(&thread, NULL, uses_from_thread, e), 0);
    pthread_join(thread, NULL);
    return 0;
}

RuntimeTest(bind, one_that_runs_is_busy_for_other_threads)
{
    struct elsewhere e = {.loop = new_loop()};

    cr_assert_eq(raddle_loop_run_until_complete(e.loop, other_thread_tries, &e), 0);
    cr_assert_eq(e.run_rc, -EBUSY);
    cr_assert_eq(e.forever_rc, -EBUSY);
    cr_assert_eq(e.close_rc, -EBUSY);
    cr_assert_eq(raddle_loop_close(e.loop), 0);
}

RuntimeTest(bind, one_is_bound_to_the_thread_that_ran_it_first)
{
    struct elsewhere e = {.loop = new_loop()};
    unsigned count = 0;

    /* With something left on it, which only its own thread can finish. */
    cr_assert_eq(raddle_loop_spawn(e.loop, counts_up, &count, NULL), 0);
    cr_assert_eq(raddle_loop_run_until_complete(e.loop, test_nothing, NULL), 0);
    (void)other_thread_tries(&e);
    cr_assert_eq(e.run_rc, -EXDEV);
    cr_assert_eq(e.forever_rc, -EXDEV);
    cr_assert_eq(e.close_rc, -EXDEV);
    cr_assert_eq(raddle_loop_run_until_complete(e.loop, until, &count), 0);
    cr_assert_eq(raddle_loop_close(e.loop), 0);
}

static void *runs_in_thread(void *arg)
{
    struct elsewhere *e = arg;

    e->run_rc = raddle_loop_run_until_complete(e->loop, test_nothing, NULL);
    return NULL;
}

RuntimeTest(bind, one_made_here_is_run_there_and_closed_here)
{
    for (int runs = 0; runs < 2; runs++) {
        struct elsewhere e = {.loop = new_loop(), .run_rc = -1};
        pthread_t thread;

        if (runs) {
            cr_assert_eq(pthread_create(&thread, NULL, runs_in_thread, &e), 0);
            pthread_join(thread, NULL);
            cr_assert_eq(e.run_rc, 0);
        }
        cr_assert_eq(raddle_loop_close(e.loop), 0);
    }
}

static void *asks_for_loop(void *arg)
{
    raddle_loop *const untouched = arg;
    raddle_loop *loop = untouched, *mine = NULL;

    EXPECT_EQ(raddle_get_loop(&loop), -ENXIO);
    EXPECT(loop == untouched);
    EXPECT_EQ(raddle_new_loop(&mine), 0);
    EXPECT_EQ(raddle_set_loop(mine), 0);
    EXPECT_EQ(raddle_get_loop(&loop), 0);
    EXPECT(loop == mine);
    EXPECT_EQ(raddle_loop_close(mine), 0);
    /* Which leaves this thread without one. */
    EXPECT_EQ(raddle_get_loop(&loop), -ENXIO);
    return NULL;
}

RuntimeTest(bind, a_thread_has_the_loop_that_it_set)
{
    raddle_loop *first = NULL, *again = NULL, *mine = new_loop();
    pthread_t thread;

    /* The main thread gets one made; another gets none. */
    cr_assert_eq(raddle_get_loop(&first), 0);
    cr_assert_eq(raddle_get_loop(&again), 0);
    cr_assert_eq(first, again);
    cr_assert_eq(pthread_create(&thread, NULL, asks_for_loop, first), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(raddle_set_loop(mine), 0);
    cr_assert_eq(raddle_get_loop(&again), 0);
    cr_assert_eq(again, mine);
    cr_assert_eq(raddle_set_loop(NULL), 0);
    cr_assert_eq(raddle_loop_close(first), 0);
    cr_assert_eq(raddle_loop_close(mine), 0);
}

static void *closes(void *arg)
{
    EXPECT_EQ(raddle_loop_close(arg), 0);
    return NULL;
}

RuntimeTest(bind, one_that_another_thread_closed_is_nobodys)
{
    raddle_loop *loop = new_loop(), *next = NULL;
    pthread_t thread;

    cr_assert_eq(raddle_set_loop(loop), 0);
    cr_assert_eq(pthread_create(&thread, NULL, closes, loop), 0);
    pthread_join(thread, NULL);
    /* The main thread: a new one is made. */
    cr_assert_eq(raddle_get_loop(&next), 0);
    cr_assert_eq(raddle_loop_run_until_complete(next, test_nothing, NULL), 0);
    cr_assert_eq(raddle_loop_close(next), 0);
}

/* One loop per thread, each asked for from within: the promise of asyncio. */

static int per_thread(void *arg)
{
    raddle_loop *loop = NULL;

    EXPECT(raddle_running_loop() == arg);
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(i & 1 ? raddle_sleep(RADDLE_US(50)) : raddle_yield(), 0);
        EXPECT(raddle_running_loop() == arg);
        EXPECT_EQ(raddle_get_loop(&loop), 0);
        EXPECT(loop == arg);
    }
    EXPECT_EQ(raddle_run_in_executor(NULL, test_nothing, NULL, NULL), 0);
    return 6;
}

static void *has_a_loop(void *arg)
{
    raddle_loop *loop = NULL;

    (void)arg;
    EXPECT_EQ(raddle_new_loop(&loop), 0);
    EXPECT_EQ(raddle_set_loop(loop), 0);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(raddle_loop_run_until_complete(loop, per_thread, loop), 6);
    EXPECT_EQ(raddle_loop_close(loop), 0);
    return NULL;
}

RuntimeTest(bind, threads_run_a_loop_each)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, has_a_loop, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* Posts from a thread wake a loop that sleeps. */

static void called(void *arg)
{
    rdl_atomic_fetch_add_acq_rel((rdl_atomic(unsigned) *)arg, 1u);
}

static int called_as_task(void *arg)
{
    called(arg);
    return 0;
}

static void *posts_from_thread(void *arg)
{
    struct elsewhere *e = arg;
    static rdl_atomic(unsigned) calls;

    for (int i = 0; i < 50; i++) {
        usleep(200);
        EXPECT_EQ(raddle_call_soon(e->loop, called, &calls), 0);
        EXPECT_EQ(raddle_loop_spawn(e->loop, called_as_task, &calls, NULL), 0);
    }
    while (rdl_atomic_load_acquire(&e->go_on) == 0 || rdl_atomic_load_acquire(&calls) < 100)
        usleep(100);
    EXPECT_EQ(rdl_atomic_load_acquire(&calls), 100);
    raddle_loop_stop(e->loop);
    return NULL;
}

static int goes_on(void *arg)
{
    rdl_atomic_store_release(&((struct elsewhere *)arg)->go_on, 1u);
    return 0;
}

static int after_a_while(void *arg)
{
    struct elsewhere *e = arg;

    EXPECT_EQ(raddle_sleep(RADDLE_MS(60)), 0);
    EXPECT_EQ(raddle_loop_spawn(e->loop, goes_on, e, NULL), 0);
    return 0;
}

RuntimeTest(bind, a_post_from_a_thread_wakes_it)
{
    struct elsewhere e = {.loop = new_loop()};
    pthread_t thread;

    cr_assert_eq(raddle_loop_spawn(e.loop, after_a_while, &e, NULL), 0);
    cr_assert_eq(pthread_create(&thread, NULL, posts_from_thread, &e), 0);
    cr_assert_eq(raddle_loop_run_forever(e.loop), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(raddle_loop_close(e.loop), 0);
}

/* After a fork the child has no use for its parent's loop, but for one of its own. */
RuntimeTest(bind, a_forked_child_never_touches_its_parents_loop)
{
    raddle_loop *loop = new_loop();
    int status = -1;
    pid_t child;

    cr_assert_eq(raddle_set_loop(loop), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, test_nothing, NULL), 0);
    child = fork();
    if (child == 0) {
        raddle_loop *own = NULL;
        EXPECT_EQ(raddle_loop_run_until_complete(loop, test_nothing, NULL), RADDLE_ESHUTDOWN);
        EXPECT_EQ(raddle_loop_close(loop), RADDLE_ESHUTDOWN);
        EXPECT_EQ(raddle_get_loop(&own), 0);
        EXPECT(own != loop);
        EXPECT_EQ(raddle_loop_run_until_complete(own, alone, own), 23);
        EXPECT_EQ(raddle_loop_close(own), 0);
        EXPECT_EQ(test_run(test_nothing, NULL), 0);
        _exit(test_result());
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, alone, loop), 23);
    cr_assert_eq(raddle_loop_close(loop), 0);
}
