/*
 * tests/runtime/test_condition.c - the condition: the mutex is held whatever ends a wait, and a notification is
 * one waiter's.
 *
 * Rows M4 to M7 and M18 of asyncio's list, and TC44. That waits and notifications agree in number (TC69) is
 * in tests/race/race_sync.c.
 */
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(condition, .timeout = 30);

static const char WAITS[] = "a condition";

struct state {
    struct raddle_mutex lock;
    struct raddle_cond changed;
    int value;
    struct raddle_event locked;
    raddle_task *other;
};

/* Waits once; expects to have the mutex in any case. */
static int waits(struct member *member)
{
    struct state *state = member->crew->thing;
    int rc = raddle_lock(&state->lock);

    EXPECT_EQ(rc, 0);
    rc = raddle_cond_wait(&state->changed, &state->lock);
    EXPECT_EQ(raddle_trylock(&state->lock), -EBUSY);
    if (rc == 0)
        crew_note(member);
    EXPECT_EQ(raddle_unlock(&state->lock), 0);
    return rc;
}

static size_t notify(struct state *state, size_t count)
{
    size_t notified;

    EXPECT_EQ(raddle_lock(&state->lock), 0);
    notified = raddle_cond_notify(&state->changed, count);
    EXPECT_EQ(raddle_unlock(&state->lock), 0);
    return notified;
}

static int misuse(void *arg)
{
    struct raddle_mutex other = RADDLE_MUTEX_INIT;
    struct state state = {.lock = RADDLE_MUTEX_INIT, .changed = RADDLE_COND_INIT};
    struct crew crew;

    (void)arg;
    EXPECT_EQ(raddle_cond_wait(&state.changed, &state.lock), -EPERM);
    EXPECT(!raddle_locked(&state.lock));
    EXPECT_EQ(raddle_cond_wait(NULL, &state.lock), -EINVAL);
    EXPECT_EQ(raddle_cond_wait(&state.changed, NULL), -EINVAL);
    EXPECT_EQ(raddle_cond_notify_all(&state.changed), 0);
    crew_open(&crew, &state, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    EXPECT_EQ(raddle_cond_wait(&state.changed, &other), -EPERM);
    EXPECT_EQ(raddle_lock(&other), 0);
    EXPECT_EQ(raddle_cond_wait(&state.changed, &other), -EINVAL);
    EXPECT_EQ(raddle_unlock(&other), 0);
    EXPECT_EQ(notify(&state, 0), 0);
    EXPECT_EQ(notify(&state, 5), 1);
    crew_close(&crew);
    return 0;
}

/* M4 */
RuntimeTest(condition, is_waited_for_by_who_holds_the_mutex)
{
    cr_assert_eq(test_run(misuse, NULL), 0);
}

static int notifies_some(void *arg)
{
    struct state state = {.lock = RADDLE_MUTEX_INIT};
    struct crew crew;

    (void)arg;
    crew_open(&crew, &state, WAITS);
    for (unsigned i = 0; i < 30; i++)
        (void)crew_add(&crew, waits, 0, true);
    EXPECT_EQ(notify(&state, 1), 1);
    EXPECT_EQ(crew_join(&crew.members[0]), 0);
    EXPECT_EQ(notify(&state, 3), 3);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(crew_join(&crew.members[i]), 0);
    EXPECT_EQ(crew.served, 4);
    for (unsigned i = 4; i < 30; i++)
        EXPECT_STR(test_waits_for(crew.members[i].task), WAITS);
    EXPECT_EQ(raddle_cond_notify_all(&state.changed), 26); /* without the mutex, too */
    crew_close(&crew);
    EXPECT_EQ(crew.served, 30);
    for (unsigned i = 0; i < 30; i++)
        EXPECT_EQ(crew.order[i], i);
    return 0;
}

/* M6 */
RuntimeTest(condition, notifies_as_many_as_it_is_told_the_oldest_first)
{
    cr_assert_eq(test_run(notifies_some, NULL), 0);
}

static int takes_lock(struct member *member)
{
    struct state *state = member->crew->thing;
    int rc = raddle_lock(&state->lock);

    if (rc == 0) {
        crew_note(member);
        EXPECT_EQ(raddle_unlock(&state->lock), 0);
    }
    return rc;
}

static int behind_the_mutex(void *arg)
{
    struct state state = {.lock = RADDLE_MUTEX_INIT};
    struct crew crew;

    (void)arg;
    crew_open(&crew, &state, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    (void)crew_add(&crew, waits, 0, true);
    EXPECT_EQ(raddle_lock(&state.lock), 0);
    crew.what = "a mutex";
    (void)crew_add(&crew, takes_lock, 0, true);
    EXPECT_EQ(raddle_cond_notify_all(&state.changed), 2);
    (void)crew_add(&crew, takes_lock, 0, true);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(2)), 0);
    EXPECT_EQ(crew.served, 0); /* none runs before the mutex is free */
    EXPECT_EQ(raddle_unlock(&state.lock), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.order[0], 2);
    EXPECT_EQ(crew.order[1], 0);
    EXPECT_EQ(crew.order[2], 1);
    EXPECT_EQ(crew.order[3], 3);
    return 0;
}

/* M6 */
RuntimeTest(condition, who_is_notified_stands_in_the_mutexs_line)
{
    cr_assert_eq(test_run(behind_the_mutex, NULL), 0);
}

/* Gives way until the task, which is not at the condition any more, waits for the mutex. */
static void let_want_back(raddle_task *task)
{
    raddle_time end = raddle_in(RADDLE_S(5) * test_slowness());
    const char *what = NULL;

    while ((!what || strcmp(what, "a mutex") != 0) && raddle_now() < end) {
        EXPECT_EQ(raddle_sleep(RADDLE_US(50)), 0);
        what = test_waits_for(task);
    }
    EXPECT_STR(what, "a mutex");
}

static int cancelled(void *arg)
{
    struct state state = {.lock = RADDLE_MUTEX_INIT};
    struct crew crew;

    (void)arg;
    crew_open(&crew, &state, WAITS);
    for (unsigned i = 0; i < 3; i++)
        (void)crew_add(&crew, waits, 0, true);
    EXPECT_EQ(raddle_lock(&state.lock), 0);
    crew_cancel(&crew.members[0]);
    let_want_back(crew.members[0].task);
    crew_cancel(&crew.members[0]);
    EXPECT_EQ(raddle_cond_notify(&state.changed, 1), 1); /* not the cancelled one's */
    EXPECT_EQ(raddle_unlock(&state.lock), 0);
    EXPECT_EQ(crew_join(&crew.members[0]), -ECANCELED);
    EXPECT_EQ(crew_join(&crew.members[1]), 0);
    EXPECT_EQ(crew.served, 1);
    EXPECT_STR(test_waits_for(crew.members[2].task), WAITS);
    EXPECT_EQ(notify(&state, 1), 1);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 2);
    return 0;
}

/* M4 */
RuntimeTest(condition, who_is_cancelled_has_the_mutex_again_and_no_notification)
{
    cr_assert_eq(test_run(cancelled, NULL), 0);
}

/* Notified, then cancelled, or the other way round, before it can run; with the mutex held, or free. */
static int notified_and_cancelled(void *arg)
{
    unsigned how = *(unsigned *)arg;
    struct state state = {.lock = RADDLE_MUTEX_INIT};
    struct crew crew;

    crew_open(&crew, &state, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    (void)crew_add(&crew, waits, 0, true);
    if (how & 1)
        EXPECT_EQ(raddle_lock(&state.lock), 0);
    if (how & 2)
        crew_cancel(&crew.members[0]);
    EXPECT_EQ(raddle_cond_notify(&state.changed, 1), 1);
    if (!(how & 2))
        crew_cancel(&crew.members[0]);
    if (how & 1) {
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
        EXPECT_EQ(crew.members[0].rc, 1000); /* it can't go before it has the mutex */
        EXPECT_EQ(raddle_unlock(&state.lock), 0);
    }
    EXPECT_EQ(crew_join(&crew.members[0]), 0); /* it was notified */
    EXPECT_STR(test_waits_for(crew.members[1].task), WAITS);
    EXPECT_EQ(notify(&state, 1), 1);
    crew_close(&crew);
    return 0;
}

/* M4 */
RuntimeTest(condition, a_notification_wins_against_a_cancellation)
{
    for (unsigned how = 0; how < 4; how++)
        cr_assert_eq(test_run_on(1, notified_and_cancelled, &how), 0);
}

static int waits_in_time(struct member *member)
{
    struct state *state = member->crew->thing;
    struct raddle_scope limit;
    int rc;

    EXPECT_EQ(raddle_lock(&state->lock), 0);
    raddle_event_set(&state->locked);
    test_let_park(state->other); /* who gets the mutex when it is let go */
    raddle_scope_enter(&limit, raddle_in(RADDLE_MS(100)), 0);
    rc = raddle_cond_wait(&state->changed, &state->lock);
    EXPECT_EQ(rc, -ECANCELED);
    EXPECT_EQ(raddle_cond_wait(&state->changed, &state->lock), -ECANCELED); /* didn't unlock it */
    EXPECT_EQ(state->value, 1);
    rc = raddle_scope_leave(&limit, rc);
    EXPECT_EQ(raddle_unlock(&state->lock), 0);
    return rc;
}

static int expires(void *arg)
{
    struct state state = {.lock = RADDLE_MUTEX_INIT, .other = raddle_self()};
    struct member *member;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &state, WAITS);
    member = crew_add(&crew, waits_in_time, 0, false);
    EXPECT_EQ(raddle_event_wait(&state.locked), 0);
    EXPECT_EQ(raddle_lock(&state.lock), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(120)), 0);
    EXPECT_EQ(member->rc, 1000);
    state.value = 1;
    EXPECT_EQ(raddle_unlock(&state.lock), 0);
    EXPECT_EQ(crew_join(member), -ETIMEDOUT);
    crew_close(&crew);
    return 0;
}

/* M4 TC44 */
RuntimeTest(condition, a_deadline_is_reported_when_the_mutex_is_had_again)
{
    cr_assert_eq(test_run(expires, NULL), 0);
}

static bool is_three(void *arg)
{
    struct state *state = arg;

    EXPECT(raddle_locked(&state->lock));
    return state->value == 3;
}

static int waits_for_three(struct member *member)
{
    struct state *state = member->crew->thing;
    int rc;

    EXPECT_EQ(raddle_lock(&state->lock), 0);
    rc = raddle_cond_wait_for(&state->changed, &state->lock, is_three, state);
    EXPECT_EQ(state->value, rc == 0 ? 3 : 2);
    EXPECT_EQ(raddle_unlock(&state->lock), 0);
    return rc;
}

static int predicate(void *arg)
{
    struct state state = {.lock = RADDLE_MUTEX_INIT};
    struct crew crew;

    (void)arg;
    EXPECT_EQ(raddle_cond_wait_for(&state.changed, &state.lock, is_three, &state), -EPERM);
    EXPECT_EQ(raddle_cond_wait_for(&state.changed, &state.lock, NULL, &state), -EINVAL);
    crew_open(&crew, &state, WAITS);
    (void)crew_add(&crew, waits_for_three, 0, true);
    (void)crew_add(&crew, waits_for_three, 0, true);
    for (int value = 1; value <= 3; value++) {
        EXPECT_EQ(raddle_lock(&state.lock), 0);
        state.value = value;
        EXPECT_EQ(raddle_cond_notify_all(&state.changed), value == 3 ? 1 : 2);
        EXPECT_EQ(raddle_unlock(&state.lock), 0);
        test_let_park(crew.members[0].task);
        test_let_park(crew.members[1].task);
        if (value == 2) {
            /* Whoever has looked waits again; the other may still be on its way. */
            while (raddle_locked(&state.lock))
                EXPECT_EQ(raddle_yield(), 0);
            crew_cancel(&crew.members[1]);
            EXPECT_EQ(crew_join(&crew.members[1]), -ECANCELED);
        }
    }
    EXPECT_EQ(crew_join(&crew.members[0]), 0);
    EXPECT_EQ(raddle_lock(&state.lock), 0);
    EXPECT_EQ(raddle_cond_wait_for(&state.changed, &state.lock, is_three, &state), 0);
    EXPECT_EQ(raddle_unlock(&state.lock), 0);
    crew_close(&crew);
    return 0;
}

/* M5 */
RuntimeTest(condition, waits_until_a_predicate_is_true)
{
    cr_assert_eq(test_run(predicate, NULL), 0);
}

static int two_conditions(void *arg)
{
    struct raddle_cond other = RADDLE_COND_INIT;
    struct state state = {.lock = RADDLE_MUTEX_INIT};
    struct crew crew;

    (void)arg;
    crew_open(&crew, &state, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    EXPECT_EQ(raddle_lock(&state.lock), 0);
    EXPECT_EQ(raddle_cond_notify_all(&other), 0);
    EXPECT_EQ(raddle_cond_notify_all(&state.changed), 1);
    EXPECT_EQ(raddle_unlock(&state.lock), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.members[0].rc, 0);
    return 0;
}

/* M7 */
RuntimeTest(condition, several_share_a_mutex)
{
    cr_assert_eq(test_run(two_conditions, NULL), 0);
}

static int keeps(struct member *member)
{
    struct state *state = member->crew->thing;

    EXPECT_EQ(raddle_lock(&state->lock), 0);
    EXPECT_EQ(raddle_cond_notify_all(&state->changed), 2);
    return 0;
}

static void quiet(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static int owner_ends(void *arg)
{
    struct state state = {.lock = RADDLE_MUTEX_INIT};
    struct crew crew;

    (void)arg;
    raddle_on_report(quiet, NULL);
    crew_open(&crew, &state, WAITS);
    (void)crew_add(&crew, waits, 0, true);
    (void)crew_add(&crew, waits, 0, true);
    EXPECT_EQ(crew_join(crew_add(&crew, keeps, 0, false)), 0);
    crew_close(&crew);
    EXPECT_EQ(crew.members[0].rc, -EOWNERDEAD);
    EXPECT_EQ(crew.members[1].rc, 0);
    raddle_on_report(NULL, NULL);
    return 0;
}

/* M4 TC66 */
RuntimeTest(condition, who_gets_the_mutex_back_learns_that_its_owner_ended)
{
    cr_assert_eq(test_run(owner_ends, NULL), 0);
}

static void *thread_waits(void *arg)
{
    struct crew *crew = arg;
    struct state *state = crew->thing;

    EXPECT_EQ(raddle_lock(&state->lock), 0);
    rdl_atomic_store_release(&crew->go, 1u);
    while (state->value != 7)
        EXPECT_EQ(raddle_cond_wait(&state->changed, &state->lock), 0);
    EXPECT_EQ(raddle_unlock(&state->lock), 0);
    return NULL;
}

static int beside_a_thread(void *arg)
{
    struct state state = {.lock = RADDLE_MUTEX_INIT};
    struct crew crew;
    pthread_t thread;

    (void)arg;
    crew_open(&crew, &state, WAITS);
    EXPECT_EQ(pthread_create(&thread, NULL, thread_waits, &crew), 0);
    test_await(&crew.go, 1);
    EXPECT_EQ(raddle_lock(&state.lock), 0); /* it waits, or else would have it */
    EXPECT_EQ(raddle_cond_notify_all(&state.changed), 1);
    state.value = 7;
    EXPECT_EQ(raddle_unlock(&state.lock), 0);
    pthread_join(thread, NULL);
    crew_close(&crew);
    return 0;
}

/* M18 */
RuntimeTest(condition, a_thread_waits_as_a_task_does)
{
    cr_assert_eq(test_run(beside_a_thread, NULL), 0);
}
