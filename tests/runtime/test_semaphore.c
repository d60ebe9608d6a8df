/*
 * tests/runtime/test_semaphore.c - the semaphore: permits are had in order, reserved, and never lost.
 *
 * Rows M8 to M12 and M18 of asyncio's list. Races are in tests/race/race_sync.c.
 */
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(semaphore, .timeout = 60);

static const char WAITS[] = "a semaphore";

/* Takes what it wants, and keeps it. */
static int takes(struct member *member)
{
    int rc = raddle_sem_acquire(member->crew->thing, member->wants);

    if (rc == 0)
        crew_note(member);
    return rc;
}

static int in_order(void *arg)
{
    struct raddle_sem s = RADDLE_SEM_INIT(2, 0);
    struct crew crew;

    (void)arg;
    EXPECT_EQ(raddle_sem_value(&s), 2);
    EXPECT_EQ(raddle_sem_acquire(&s, 1), 0);
    EXPECT_EQ(raddle_sem_acquire(&s, 1), 0);
    EXPECT_EQ(raddle_sem_try_acquire(&s, 1), -EAGAIN);
    crew_open(&crew, &s, WAITS);
    for (unsigned i = 0; i < 8; i++)
        (void)crew_add(&crew, takes, 1, true);
    for (unsigned i = 0; i < 8; i++) {
        EXPECT_EQ(raddle_sem_release(&s, 1), 0);
        EXPECT_EQ(crew_join(&crew.members[i]), 0);
        EXPECT_EQ(crew.served, i + 1);
        EXPECT_EQ(crew.order[i], i);
    }
    crew_close(&crew);
    EXPECT_EQ(raddle_sem_value(&s), 0);
    return 0;
}

/* M8 */
RuntimeTest(semaphore, permits_are_had_in_the_order_of_arrival)
{
    cr_assert_eq(test_run(in_order, NULL), 0);
}

static int reserved(void *arg)
{
    struct raddle_sem s = RADDLE_SEM_INIT(0, 0);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &s, WAITS);
    (void)crew_add(&crew, takes, 1, true);
    EXPECT_EQ(raddle_sem_release(&s, 1), 0);
    /* The waiter has not run yet: this is the only loop. But the permit is its own. */
    EXPECT_EQ(crew.served, 0);
    EXPECT_EQ(raddle_sem_value(&s), 0);
    EXPECT_EQ(raddle_sem_try_acquire(&s, 1), -EAGAIN);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 1);
    return 0;
}

/* M8 */
RuntimeTest(semaphore, a_permit_that_is_given_back_is_reserved_for_who_waits)
{
    cr_assert_eq(test_run_on(1, reserved, NULL), 0);
}

static int several(void *arg)
{
    struct raddle_sem s = RADDLE_SEM_INIT(0, 0);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &s, WAITS);
    for (unsigned i = 0; i < 40; i++) /* more than one batch of calls */
        (void)crew_add(&crew, takes, 1, true);
    EXPECT_EQ(raddle_sem_release(&s, 43), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 40);
    EXPECT_EQ(raddle_sem_value(&s), 3);
    return 0;
}

/* M8 */
RuntimeTest(semaphore, one_release_serves_as_many_as_it_suffices_for)
{
    cr_assert_eq(test_run(several, NULL), 0);
}

/* Released, then cancelled, or the other way round: both before the waiter can run. */
static int cancel_at_release(void *arg)
{
    bool cancel_first = *(bool *)arg;
    struct raddle_sem s = RADDLE_SEM_INIT(0, 1);
    struct crew crew;

    crew_open(&crew, &s, WAITS);
    (void)crew_add(&crew, takes, 1, true);
    if (cancel_first)
        crew_cancel(&crew.members[0]);
    EXPECT_EQ(raddle_sem_release(&s, 1), 0);
    if (!cancel_first)
        crew_cancel(&crew.members[0]);
    EXPECT_EQ(crew_join(&crew.members[0]), 0); /* it has it: nothing is lost */
    EXPECT_EQ(raddle_sem_value(&s), 0);
    crew_close(&crew);
    return 0;
}

/* M9 */
RuntimeTest(semaphore, who_has_a_permit_when_it_is_cancelled_keeps_it)
{
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        bool order = cancel_first;
        cr_assert_eq(test_run_on(1, cancel_at_release, &order), 0);
    }
}

static int cancel_in_line(void *arg)
{
    struct raddle_sem s = RADDLE_SEM_INIT(0, 0);
    struct raddle_scope scope;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &s, WAITS);
    for (unsigned i = 0; i < 4; i++)
        (void)crew_add(&crew, takes, 1, true);
    crew_cancel(&crew.members[1]);
    EXPECT_EQ(crew_join(&crew.members[1]), -ECANCELED);
    EXPECT_EQ(raddle_sem_release(&s, 4), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 3);
    EXPECT_EQ(raddle_sem_value(&s), 1);
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "enough");
    EXPECT_EQ(raddle_sem_acquire(&s, 1), -ECANCELED); /* though there is one */
    EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), 0);
    EXPECT_EQ(raddle_sem_value(&s), 1);
    return 0;
}

/* M9 */
RuntimeTest(semaphore, who_is_cancelled_in_line_takes_nothing)
{
    cr_assert_eq(test_run(cancel_in_line, NULL), 0);
}

static int bounded(void *arg)
{
    struct raddle_sem s, unbounded = RADDLE_SEM_INIT(SIZE_MAX - 1, 0);

    (void)arg;
    EXPECT_EQ(raddle_sem_init(&s, 3, 2), -EINVAL);
    EXPECT_EQ(raddle_sem_init(NULL, 0, 0), -EINVAL);
    EXPECT_EQ(raddle_sem_init(&s, 1, 2), 0);
    EXPECT_EQ(raddle_sem_release(&s, 2), -EOVERFLOW);
    EXPECT_EQ(raddle_sem_value(&s), 1);
    EXPECT_EQ(raddle_sem_release(&s, 1), 0);
    EXPECT_EQ(raddle_sem_release(&s, 1), -EOVERFLOW);
    EXPECT_EQ(raddle_sem_value(&s), 2);
    EXPECT_EQ(raddle_sem_acquire(&s, 3), -EINVAL); /* it would never come */
    EXPECT_EQ(raddle_sem_acquire(&s, 0), -EINVAL);
    EXPECT_EQ(raddle_sem_try_acquire(&s, 3), -EINVAL);
    EXPECT_EQ(raddle_sem_release(&s, 0), -EINVAL);
    EXPECT_EQ(raddle_sem_release(NULL, 1), -EINVAL);
    EXPECT_EQ(raddle_sem_acquire(NULL, 1), -EINVAL);
    EXPECT_EQ(raddle_sem_release(&unbounded, 1), 0);
    EXPECT_EQ(raddle_sem_release(&unbounded, 1), -EOVERFLOW);
    EXPECT(raddle_sem_value(&unbounded) == SIZE_MAX);
    return 0;
}

/* M10 */
RuntimeTest(semaphore, more_than_its_bound_is_refused_and_changes_nothing)
{
    cr_assert_eq(test_run(bounded, NULL), 0);
}

static int many_and_few(void *arg)
{
    struct raddle_sem s = RADDLE_SEM_INIT(0, 0);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &s, WAITS);
    (void)crew_add(&crew, takes, 5, true);
    (void)crew_add(&crew, takes, 1, true);
    (void)crew_add(&crew, takes, 2, true);
    EXPECT_EQ(raddle_sem_release(&s, 4), 0);
    EXPECT_EQ(raddle_sem_value(&s), 0); /* they are kept for the first */
    EXPECT_EQ(raddle_sem_try_acquire(&s, 1), -EAGAIN);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_STR(test_waits_for(crew.members[i].task), WAITS);
    EXPECT_EQ(raddle_sem_release(&s, 1), 0);
    EXPECT_EQ(crew_join(&crew.members[0]), 0);
    EXPECT_EQ(crew.served, 1);
    EXPECT_EQ(raddle_sem_release(&s, 3), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 3);
    return 0;
}

/* M11 */
RuntimeTest(semaphore, who_wants_many_is_not_passed_over_by_those_who_want_few)
{
    cr_assert_eq(test_run(many_and_few, NULL), 0);
}

static int makes_way(void *arg)
{
    struct raddle_sem s = RADDLE_SEM_INIT(3, 0);
    struct crew crew;

    (void)arg;
    crew_open(&crew, &s, WAITS);
    (void)crew_add(&crew, takes, 5, true);
    (void)crew_add(&crew, takes, 1, true);
    (void)crew_add(&crew, takes, 2, true);
    (void)crew_add(&crew, takes, 1, true);
    crew_cancel(&crew.members[0]);
    EXPECT_EQ(crew_join(&crew.members[0]), -ECANCELED);
    EXPECT_EQ(crew_join(&crew.members[1]), 0);
    EXPECT_EQ(crew_join(&crew.members[2]), 0);
    EXPECT_EQ(crew.served, 2);
    EXPECT_STR(test_waits_for(crew.members[3].task), WAITS);
    EXPECT_EQ(raddle_sem_release(&s, 1), 0);
    crew_close(&crew);
    return 0;
}

/* M11 */
RuntimeTest(semaphore, who_wanted_many_and_gives_up_makes_way)
{
    cr_assert_eq(test_run(makes_way, NULL), 0);
}

/* Twenty at work, never more than five at once. */
enum { LIMIT = 5 };

struct work {
    struct raddle_sem slots;
    rdl_atomic(unsigned) at_once, most, done;
};

static int works(void *arg)
{
    struct work *work = arg;
    unsigned now, most;

    EXPECT_EQ(raddle_sem_acquire(&work->slots, 1), 0);
    now = rdl_atomic_fetch_add_acq_rel(&work->at_once, 1u) + 1;
    EXPECT(now <= LIMIT);
    most = rdl_atomic_load_relaxed(&work->most);
    while (now > most && !rdl_atomic_cas_relaxed(&work->most, &most, now))
        ;
    EXPECT_EQ(raddle_sleep(RADDLE_US(200)), 0);
    rdl_atomic_fetch_sub_acq_rel(&work->at_once, 1u);
    rdl_atomic_fetch_add_acq_rel(&work->done, 1u);
    EXPECT_EQ(raddle_sem_release(&work->slots, 1), 0);
    return 0;
}

static int fans_out(void *arg)
{
    struct work work = {.slots = RADDLE_SEM_INIT(LIMIT, LIMIT)};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < 20; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, works, &work, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(work.done, 20);
    EXPECT_EQ(work.most, LIMIT);
    EXPECT_EQ(raddle_sem_value(&work.slots), LIMIT);
    return 0;
}

/* M12 */
RuntimeTest(semaphore, limits_how_many_work_at_once)
{
    cr_assert_eq(test_run(fans_out, NULL), 0);
}

static void *thread_takes(void *arg)
{
    struct crew *crew = arg;

    rdl_atomic_store_release(&crew->go, 1u);
    EXPECT_EQ(raddle_sem_acquire(crew->thing, 2), 0);
    rdl_atomic_store_release(&crew->go, 2u);
    EXPECT_EQ(raddle_sem_release(crew->thing, 1), 0);
    return NULL;
}

static void in_callback(void *arg)
{
    struct crew *crew = arg;

    EXPECT_EQ(raddle_sem_acquire(crew->thing, 1), -EPERM);
    EXPECT_EQ(raddle_sem_release(crew->thing, 1), 0);
}

static int beside_a_thread(void *arg)
{
    struct raddle_sem s = RADDLE_SEM_INIT(1, 0);
    struct crew crew;
    pthread_t thread;

    (void)arg;
    crew_open(&crew, &s, WAITS);
    EXPECT_EQ(pthread_create(&thread, NULL, thread_takes, &crew), 0);
    test_await(&crew.go, 1);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(2)), 0);
    EXPECT_EQ(crew.go, 1);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), in_callback, &crew), 0);
    test_await(&crew.go, 2);
    EXPECT_EQ(raddle_sem_acquire(&s, 1), 0); /* the thread's */
    pthread_join(thread, NULL);
    crew_close(&crew);
    return 0;
}

/* M18 */
RuntimeTest(semaphore, threads_and_callbacks_use_it_too)
{
    cr_assert_eq(test_run(beside_a_thread, NULL), 0);
}
