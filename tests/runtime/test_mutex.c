/*
 * tests/runtime/test_mutex.c - the mutex: its order, its owner, and what a cancelled waiter leaves behind.
 *
 * Rows M1, M2, M17, M18 of asyncio's list, and the case of the owner that ends (TC66). Tasks and threads
 * that race for one are in tests/race/race_sync.c.
 */
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "sched/annotate.h"

TestSuite(mutex, .timeout = 60);

static const char WAITS[] = "a mutex";

/* Locks, notes that it did, and unlocks after giving way. */
static int locks(struct member *member)
{
    int rc = raddle_lock(member->crew->thing);

    if (rc < 0 && rc != -EOWNERDEAD)
        return rc;
    crew_note(member);
    (void)raddle_yield();
    EXPECT_EQ(raddle_unlock(member->crew->thing), 0);
    return rc;
}

static int in_order(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct crew crew;

    (void)arg;
    EXPECT_EQ(raddle_lock(&m), 0);
    EXPECT(raddle_locked(&m));
    crew_open(&crew, &m, WAITS);
    for (unsigned i = 0; i < 10; i++)
        (void)crew_add(&crew, locks, 0, true);
    EXPECT_EQ(raddle_unlock(&m), 0);
    /* It isn't free: the first in line has it. */
    (void)crew_add(&crew, locks, 0, false);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 11);
    for (unsigned i = 0; i < 11; i++)
        EXPECT_EQ(crew.order[i], i);
    EXPECT(!raddle_locked(&m));
    return 0;
}

/* M1 M17 */
RuntimeTest(mutex, is_had_in_the_order_of_arrival)
{
    cr_assert_eq(test_run(in_order, NULL), 0);
}

static int newcomer(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct crew crew;

    (void)arg;
    EXPECT_EQ(raddle_lock(&m), 0);
    crew_open(&crew, &m, WAITS);
    (void)crew_add(&crew, locks, 0, true);
    EXPECT_EQ(raddle_unlock(&m), 0);
    /* The waiter has not run yet: this is the only loop. */
    EXPECT_EQ(crew.served, 0);
    EXPECT(raddle_locked(&m));
    EXPECT_EQ(raddle_trylock(&m), -EBUSY);
    EXPECT_EQ(raddle_lock(&m), 0);
    EXPECT_EQ(crew.served, 1);
    EXPECT_EQ(raddle_unlock(&m), 0);
    crew_close(&crew);
    return 0;
}

/* M1 */
RuntimeTest(mutex, is_never_free_while_somebody_waits)
{
    cr_assert_eq(test_run_on(1, newcomer, NULL), 0);
}

static int unlocks_anothers(struct member *member)
{
    EXPECT_EQ(raddle_unlock(member->crew->thing), -EPERM);
    return 0;
}

static int owned(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct crew crew;

    (void)arg;
    EXPECT_EQ(raddle_unlock(&m), -EPERM);
    EXPECT_EQ(raddle_trylock(&m), 0);
    EXPECT_EQ(raddle_trylock(&m), -EBUSY);
    EXPECT_EQ(raddle_lock(&m), -EDEADLK);
    crew_open(&crew, &m, WAITS);
    (void)crew_add(&crew, unlocks_anothers, 0, false);
    crew_close(&crew);
    EXPECT_EQ(raddle_unlock(&m), 0);
    EXPECT_EQ(raddle_unlock(&m), -EPERM);
    EXPECT_EQ(raddle_lock(NULL), -EINVAL);
    EXPECT_EQ(raddle_trylock(NULL), -EINVAL);
    EXPECT_EQ(raddle_unlock(NULL), -EINVAL);
    return 0;
}

/* M1 */
RuntimeTest(mutex, is_its_owners_who_cannot_lock_it_twice_nor_others_unlock_it)
{
    cr_assert_eq(test_run(owned, NULL), 0);
}

/* Locks are unlocked in whatever order. */
static int several(void *arg)
{
    struct raddle_mutex m[4] = {RADDLE_MUTEX_INIT};
    static const unsigned order[] = {2, 0, 3, 1};

    (void)arg;
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(raddle_lock(&m[i]), 0);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(raddle_unlock(&m[order[i]]), 0);
    for (unsigned i = 0; i < 4; i++)
        EXPECT(!raddle_locked(&m[i]));
    return 0;
}

/* M1 */
RuntimeTest(mutex, several_are_unlocked_in_any_order)
{
    cr_assert_eq(test_run(several, NULL), 0);
}

static int cancel_in_line(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct crew crew;

    (void)arg;
    EXPECT_EQ(raddle_lock(&m), 0);
    crew_open(&crew, &m, WAITS);
    for (unsigned i = 0; i < 6; i++)
        (void)crew_add(&crew, locks, 0, true);
    crew_cancel(&crew.members[5]); /* the last, the first, one in the middle */
    crew_cancel(&crew.members[0]);
    crew_cancel(&crew.members[3]);
    EXPECT_EQ(crew_join(&crew.members[5]), -ECANCELED);
    EXPECT_EQ(crew_join(&crew.members[0]), -ECANCELED);
    EXPECT_EQ(crew_join(&crew.members[3]), -ECANCELED);
    (void)crew_add(&crew, locks, 0, true);
    EXPECT_EQ(raddle_unlock(&m), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 4);
    EXPECT_EQ(crew.order[0], 1);
    EXPECT_EQ(crew.order[1], 2);
    EXPECT_EQ(crew.order[2], 4);
    EXPECT_EQ(crew.order[3], 6);
    return 0;
}

/* M2 */
RuntimeTest(mutex, a_waiter_that_is_cancelled_leaves_the_line_and_its_order)
{
    cr_assert_eq(test_run(cancel_in_line, NULL), 0);
}

/* Unlocked, then cancelled, or the other way round: both before the waiter can run. */
static int cancel_at_hand_off(void *arg)
{
    bool cancel_first = *(bool *)arg;
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct crew crew;

    EXPECT_EQ(raddle_lock(&m), 0);
    crew_open(&crew, &m, WAITS);
    (void)crew_add(&crew, locks, 0, true);
    (void)crew_add(&crew, locks, 0, true);
    if (cancel_first)
        crew_cancel(&crew.members[0]);
    EXPECT_EQ(raddle_unlock(&m), 0);
    if (!cancel_first)
        crew_cancel(&crew.members[0]);
    crew_close(&crew);
    EXPECT_EQ(crew.members[0].rc, 0);
    EXPECT_EQ(crew.members[1].rc, 0);
    EXPECT_EQ(crew.served, 2);
    EXPECT(!raddle_locked(&m));
    return 0;
}

/* M2 */
RuntimeTest(mutex, a_hand_off_wins_against_a_cancellation)
{
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        bool order = cancel_first;
        cr_assert_eq(test_run_on(1, cancel_at_hand_off, &order), 0);
    }
}

static int in_a_cancelled_scope(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct raddle_scope scope;

    (void)arg;
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "enough");
    EXPECT_EQ(raddle_lock(&m), -ECANCELED); /* though it is free */
    EXPECT(!raddle_locked(&m));
    EXPECT_EQ(raddle_trylock(&m), 0); /* no cancellation point */
    EXPECT_EQ(raddle_unlock(&m), 0);
    EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), 0);

    EXPECT_EQ(raddle_lock(&m), 0);
    EXPECT_EQ(raddle_unlock(&m), 0);
    return 0;
}

/* M2 */
RuntimeTest(mutex, is_not_locked_in_a_cancelled_scope_though_it_is_free)
{
    cr_assert_eq(test_run(in_a_cancelled_scope, NULL), 0);
}

static int locks_in_time(struct member *member)
{
    struct raddle_scope limit;

    raddle_scope_enter(&limit, raddle_in(RADDLE_MS(2)), 0);
    return raddle_scope_leave(&limit, raddle_lock(member->crew->thing));
}

static int deadline(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct crew crew;

    (void)arg;
    EXPECT_EQ(raddle_lock(&m), 0);
    crew_open(&crew, &m, WAITS);
    EXPECT_EQ(crew_join(crew_add(&crew, locks_in_time, 0, false)), -ETIMEDOUT);
    EXPECT_EQ(raddle_unlock(&m), 0);
    EXPECT_EQ(raddle_lock(&m), 0); /* nobody is in line */
    EXPECT_EQ(raddle_unlock(&m), 0);
    crew_close(&crew);
    return 0;
}

/* M2 */
RuntimeTest(mutex, a_deadline_around_it_is_its_time_limit)
{
    cr_assert_eq(test_run(deadline, NULL), 0);
}

/* The owner that ends. */

struct reports {
    pthread_mutex_t lock;
    unsigned count;
    char last[256];
};

static void on_report(const char *line, void *arg)
{
    struct reports *reports = arg;

    pthread_mutex_lock(&reports->lock);
    reports->count++;
    strncpy(reports->last, line, sizeof(reports->last) - 1);
    pthread_mutex_unlock(&reports->lock);
}

static int keeps(struct member *member)
{
    int rc = raddle_lock(member->crew->thing);

    test_await(&member->crew->go, 1);
    return rc;
}

static int owner_ends(void *arg)
{
    static struct reports reports = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct member *careless;
    struct crew crew;

    (void)arg;
    raddle_on_report(on_report, &reports);
    crew_open(&crew, &m, WAITS);
    EXPECT_EQ(raddle_lock(&m), 0);
    careless = crew_add(&crew, keeps, 0, true);
    (void)crew_add(&crew, locks, 0, true);
    (void)crew_add(&crew, locks, 0, true);
    EXPECT_EQ(raddle_unlock(&m), 0);
    rdl_atomic_store_release(&crew.go, 1u);
    EXPECT_EQ(crew_join(careless), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.members[1].rc, -EOWNERDEAD); /* and it had the mutex */
    EXPECT_EQ(crew.members[2].rc, 0);           /* it is told once */
    EXPECT_EQ(crew.served, 2);
    EXPECT_EQ(reports.count, 1);
    EXPECT(strstr(reports.last, "crew_member"));

    /* Nobody waits: whoever locks it next is told. */
    crew_open(&crew, &m, WAITS);
    rdl_atomic_store_release(&crew.go, 1u);
    EXPECT_EQ(crew_join(crew_add(&crew, keeps, 0, false)), 0);
    crew_close(&crew);
    EXPECT_EQ(raddle_trylock(&m), -EOWNERDEAD);
    EXPECT(raddle_locked(&m));
    EXPECT_EQ(raddle_unlock(&m), 0);
    EXPECT_EQ(raddle_lock(&m), 0);
    EXPECT_EQ(raddle_unlock(&m), 0);
    EXPECT_EQ(reports.count, 2);
    raddle_on_report(NULL, NULL);
    return 0;
}

/* M1 TC66 */
RuntimeTest(mutex, the_next_owner_learns_that_a_task_ended_while_it_held_it)
{
    cr_assert_eq(test_run(owner_ends, NULL), 0);
}

static void *thread_keeps(void *arg)
{
    struct raddle_mutex *m = arg;

    EXPECT_EQ(raddle_lock(&m[0]), 0);
    EXPECT_EQ(raddle_lock(&m[1]), 0);
    EXPECT_EQ(raddle_lock(&m[1]), -EDEADLK);
    EXPECT_EQ(raddle_unlock(&m[0]), 0);
    return NULL;
}

/* M18 TC66 */
RuntimeTest(mutex, the_next_owner_learns_that_a_thread_ended_while_it_held_it)
{
    static struct reports reports = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct raddle_mutex m[2] = {RADDLE_MUTEX_INIT, RADDLE_MUTEX_INIT};
    pthread_t thread;

    raddle_on_report(on_report, &reports);
    cr_assert_eq(pthread_create(&thread, NULL, thread_keeps, m), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(raddle_lock(&m[0]), 0);
    cr_assert_eq(raddle_lock(&m[1]), -EOWNERDEAD);
    cr_assert_eq(raddle_unlock(&m[1]), 0);
    cr_assert_eq(raddle_unlock(&m[0]), 0);
    cr_assert_eq(reports.count, 1);
    raddle_on_report(NULL, NULL);
}

/* AddressSanitizer keeps frames elsewhere, and says by itself that the mutex is gone. */
#if !RDL_ASAN
static int keeps_its_own(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;

    (void)arg;
    return raddle_lock(&m);
}

/* M1 */
Test(mutex, returning_with_one_locked_in_the_own_frame_stops_the_process, .signal = SIGABRT)
{
    cr_assert_eq(test_run(keeps_its_own, NULL), 0);
}
#endif

/* Threads. */

static void *thread_locks(void *arg)
{
    struct crew *crew = arg;

    EXPECT_EQ(raddle_unlock(crew->thing), -EPERM);
    rdl_atomic_store_release(&crew->go, 1u);
    EXPECT_EQ(raddle_lock(crew->thing), 0);
    EXPECT_EQ(crew->served, 0);
    rdl_atomic_fetch_add_acq_rel(&crew->served, 1u);
    EXPECT_EQ(raddle_unlock(crew->thing), 0);
    return NULL;
}

static int beside_a_thread(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct crew crew;
    pthread_t thread;

    (void)arg;
    crew_open(&crew, &m, WAITS);
    EXPECT_EQ(raddle_lock(&m), 0);
    EXPECT_EQ(pthread_create(&thread, NULL, thread_locks, &crew), 0);
    test_await(&crew.go, 1);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(5)), 0); /* it blocks the thread, and nothing else */
    EXPECT_EQ(crew.served, 0);
    EXPECT_EQ(raddle_unlock(&m), 0);
    EXPECT_EQ(raddle_lock(&m), 0); /* after the thread, if it was in line; before it otherwise */
    EXPECT_EQ(raddle_unlock(&m), 0);
    pthread_join(thread, NULL);
    EXPECT_EQ(crew.served, 1);
    crew_close(&crew);
    return 0;
}

/* M18 */
RuntimeTest(mutex, a_plain_thread_waits_for_a_task_and_a_task_for_it)
{
    cr_assert_eq(test_run(beside_a_thread, NULL), 0);
}

static void in_callback(void *arg)
{
    struct crew *crew = arg;

    EXPECT_EQ(raddle_lock(crew->thing), -EPERM);
    EXPECT_EQ(raddle_trylock(crew->thing), 0);
    EXPECT_EQ(raddle_unlock(crew->thing), 0);
    rdl_atomic_store_release(&crew->go, 1u);
}

static int from_a_callback(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct crew crew = {.thing = &m};

    (void)arg;
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), in_callback, &crew), 0);
    test_await(&crew.go, 1);
    return 0;
}

/* M18 */
RuntimeTest(mutex, a_callback_of_a_loop_may_try_but_not_wait)
{
    cr_assert_eq(test_run(from_a_callback, NULL), 0);
}
