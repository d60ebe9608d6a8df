/*
 * tests/conformance/test_shared.c - one mutex, one event, one semaphore and one channel, used at the same time by the
 * loops of two threads, by a team of loops, and by plain threads. asyncio binds each of them to a loop.
 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(shared, .timeout = 100);

enum {
    LOOPS = 2,
    THREADS = 2,
    TASKS = 4,
    USERS = LOOPS + THREADS + TASKS,
    ROUNDS = 200,
    PERMITS = 2
};

struct shared {
    struct raddle_event go;
    struct raddle_mutex mutex;
    struct raddle_sem sem;
    raddle_chan *chan;
    unsigned counter; /* under mutex */
    rdl_atomic(unsigned) out, wrong, arrived;
    rdl_atomic(unsigned long) put, got; /* sums */
};

/* Where it is, it stays: a task on its loop, a thread outside of any. */
static void stays_home(struct shared *s, raddle_loop *home, pthread_t thread)
{
    if (raddle_running_loop() != home || !pthread_equal(thread, pthread_self()))
        rdl_atomic_fetch_add_relaxed(&s->wrong, 1u);
}

static int uses_all(void *arg)
{
    struct shared *s = arg;
    raddle_loop *home = raddle_running_loop();
    pthread_t thread = pthread_self();
    unsigned number = rdl_atomic_fetch_add_acq_rel(&s->arrived, 1u) + 1, item;

    /* The last to come lets all begin. */
    if (number == USERS)
        raddle_event_set(&s->go);
    EXPECT_EQ(raddle_event_wait(&s->go), 0);
    stays_home(s, home, thread);
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_EQ(raddle_lock(&s->mutex), 0);
        stays_home(s, home, thread);
        s->counter++;
        EXPECT_EQ(raddle_unlock(&s->mutex), 0);

        EXPECT_EQ(raddle_sem_acquire(&s->sem, 1), 0);
        stays_home(s, home, thread);
        EXPECT(rdl_atomic_fetch_add_acq_rel(&s->out, 1u) < PERMITS);
        rdl_atomic_fetch_sub_acq_rel(&s->out, 1u);
        EXPECT_EQ(raddle_sem_release(&s->sem, 1), 0);

        EXPECT_EQ(raddle_put(s->chan, &number), 0);
        EXPECT_EQ(raddle_get(s->chan, &item), 0);
        stays_home(s, home, thread);
        rdl_atomic_fetch_add_relaxed(&s->put, number);
        rdl_atomic_fetch_add_relaxed(&s->got, item);
    }
    return 0;
}

static void *in_thread(void *arg)
{
    EXPECT_EQ(uses_all(arg), 0);
    return NULL;
}

static int in_team(void *arg)
{
    struct raddle_spawn_options fresh = {.mobility = RADDLE_FRESH}; /* it stays where it began */
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < TASKS; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, uses_all, arg, &fresh), 0);
    return raddle_group_close(&g, 0);
}

/* M18 N11 C8 TC72 */
RuntimeTest(shared, loops_of_threads_a_team_and_plain_threads_use_the_same)
{
    struct shared s = {.counter = 0};
    raddle_loop_thread *loops[LOOPS];
    pthread_t threads[THREADS];
    int result;

    test_keep_still();
    cr_assert_eq(raddle_sem_init(&s.sem, PERMITS, PERMITS), 0);
    cr_assert_eq(raddle_chan_create(sizeof(unsigned), 1, NULL, &s.chan), 0);
    for (int i = 0; i < LOOPS; i++)
        cr_assert_eq(raddle_loop_thread_start(&loops[i], uses_all, &s, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, in_thread, &s), 0);
    cr_assert_eq(test_run(in_team, &s), 0);
    for (int i = 0; i < LOOPS; i++) {
        cr_assert_eq(raddle_loop_thread_join(loops[i], &result), 0);
        cr_assert_eq(result, 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(s.counter, USERS * ROUNDS);
    cr_assert_eq(s.put, s.got);
    cr_assert_eq(s.wrong, 0);
    cr_assert_eq(raddle_chan_count(s.chan), 0);
    raddle_chan_unref(s.chan);
}
