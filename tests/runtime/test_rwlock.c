/*
 * tests/runtime/test_rwlock.c - the read-write lock: who is let in with whom, and in what order.
 *
 * Rows M18 and M19 of asyncio's list. Races are in tests/race/race_sync.c.
 */
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(rwlock, .timeout = 60);

static const char READS[] = "a lock, to read";
static const char WRITES[] = "a lock, to write";

static int inside(struct member *member, int rc)
{
    if (rc < 0 && rc != -EOWNERDEAD)
        return rc;
    crew_note(member);
    test_await(&member->crew->go, member->number + 1);
    EXPECT_EQ(raddle_rwlock_unlock(member->crew->thing), 0);
    return rc;
}

/* Stay inside until go is above their number. */
static int reads(struct member *member)
{
    return inside(member, raddle_rwlock_read(member->crew->thing));
}

static int writes(struct member *member)
{
    return inside(member, raddle_rwlock_write(member->crew->thing));
}

static struct member *add(struct crew *crew, int (*body)(struct member *))
{
    crew->what = body == writes ? WRITES : READS;
    return crew_add(crew, body, 0, true);
}

static void let_go(struct crew *crew, unsigned count)
{
    rdl_atomic_store_release(&crew->go, count);
}

static int in_line(void *arg)
{
    struct raddle_rwlock l = RADDLE_RWLOCK_INIT;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &l, READS);
    EXPECT_EQ(raddle_rwlock_read(&l), 0);
    EXPECT_EQ(raddle_rwlock_try_write(&l), -EBUSY);
    EXPECT_EQ(raddle_rwlock_try_read(&l), 0);
    (void)add(&crew, writes);
    (void)add(&crew, reads); /* behind the writer, though others read */
    (void)add(&crew, reads);
    (void)add(&crew, writes);
    EXPECT_EQ(raddle_rwlock_try_read(&l), -EBUSY);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    EXPECT_EQ(crew.served, 0);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0); /* the last reader: the writer comes, alone */
    test_await(&crew.served, 1);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    EXPECT_EQ(crew.served, 1);
    EXPECT_EQ(crew.order[0], 0);
    let_go(&crew, 1);
    test_await(&crew.served, 3); /* both readers, at once */
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    EXPECT_EQ(crew.served, 3);
    let_go(&crew, 2);
    EXPECT_EQ(crew_join(&crew.members[1]), 0);
    EXPECT_EQ(crew.served, 3);
    let_go(&crew, 4);
    crew_close(&crew);
    EXPECT_EQ(crew.order[3], 3);
    EXPECT_EQ(raddle_rwlock_try_write(&l), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    return 0;
}

/* M19 */
RuntimeTest(rwlock, readers_and_writers_stand_in_one_line)
{
    cr_assert_eq(test_run(in_line, NULL), 0);
}

static int misuse(void *arg)
{
    struct raddle_rwlock l = RADDLE_RWLOCK_INIT;

    (void)arg;
    EXPECT_EQ(raddle_rwlock_unlock(&l), -EPERM);
    EXPECT_EQ(raddle_rwlock_write(&l), 0);
    EXPECT_EQ(raddle_rwlock_write(&l), -EDEADLK);
    EXPECT_EQ(raddle_rwlock_read(&l), -EDEADLK);
    EXPECT_EQ(raddle_rwlock_try_read(&l), -EBUSY);
    EXPECT_EQ(raddle_rwlock_try_write(&l), -EBUSY);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&l), -EPERM);
    EXPECT_EQ(raddle_rwlock_read(NULL), -EINVAL);
    EXPECT_EQ(raddle_rwlock_write(NULL), -EINVAL);
    EXPECT_EQ(raddle_rwlock_try_read(NULL), -EINVAL);
    EXPECT_EQ(raddle_rwlock_try_write(NULL), -EINVAL);
    EXPECT_EQ(raddle_rwlock_unlock(NULL), -EINVAL);
    return 0;
}

/* M19 */
RuntimeTest(rwlock, a_writer_that_locks_it_again_and_who_unlocks_for_nothing_are_told)
{
    cr_assert_eq(test_run(misuse, NULL), 0);
}

static int unlocks_anothers(struct member *member)
{
    EXPECT_EQ(raddle_rwlock_unlock(member->crew->thing), -EPERM);
    return 0;
}

static int cancelled(void *arg)
{
    struct raddle_rwlock l = RADDLE_RWLOCK_INIT;
    struct raddle_scope scope;
    struct crew crew;

    (void)arg;
    crew_open(&crew, &l, READS);
    EXPECT_EQ(raddle_rwlock_read(&l), 0);
    (void)add(&crew, writes);
    (void)add(&crew, reads);
    (void)add(&crew, reads);
    let_go(&crew, CREW_MAX);
    crew_cancel(&crew.members[2]);
    EXPECT_EQ(crew_join(&crew.members[2]), -ECANCELED);
    EXPECT_EQ(crew.served, 0);
    crew_cancel(&crew.members[0]); /* now nothing keeps the reader behind it out */
    EXPECT_EQ(crew_join(&crew.members[0]), -ECANCELED);
    EXPECT_EQ(crew_join(&crew.members[1]), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    EXPECT_EQ(raddle_rwlock_write(&l), 0);
    (void)crew_add(&crew, unlocks_anothers, 0, false);
    crew_close(&crew);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);

    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, "enough");
    EXPECT_EQ(raddle_rwlock_read(&l), -ECANCELED);
    EXPECT_EQ(raddle_rwlock_write(&l), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&l), -EPERM);
    return 0;
}

/* M19 */
RuntimeTest(rwlock, a_cancelled_writer_makes_way_for_the_readers_behind_it)
{
    cr_assert_eq(test_run(cancelled, NULL), 0);
}

/* Unlocked and cancelled before those in line can run: they have it. */
static int cancel_at_hand_off(void *arg)
{
    bool cancel_first = *(bool *)arg;
    struct raddle_rwlock l = RADDLE_RWLOCK_INIT;
    struct crew crew;

    crew_open(&crew, &l, READS);
    let_go(&crew, CREW_MAX);
    EXPECT_EQ(raddle_rwlock_write(&l), 0);
    (void)add(&crew, reads);
    (void)add(&crew, reads);
    (void)add(&crew, writes);
    if (cancel_first)
        crew_cancel(&crew.members[0]);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    if (!cancel_first)
        crew_cancel(&crew.members[0]);
    crew_close(&crew);
    EXPECT_EQ(crew.served, 3);
    EXPECT_EQ(crew.members[0].rc, 0);
    EXPECT_EQ(raddle_rwlock_try_write(&l), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    return 0;
}

/* M19 */
RuntimeTest(rwlock, being_let_in_wins_against_a_cancellation)
{
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        bool order = cancel_first;
        cr_assert_eq(test_run_on(1, cancel_at_hand_off, &order), 0);
    }
}

static void quiet(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static int keeps(struct member *member)
{
    return raddle_rwlock_write(member->crew->thing);
}

static void *thread_keeps(void *arg)
{
    EXPECT_EQ(raddle_rwlock_write(arg), 0);
    return NULL;
}

static int owner_ends(void *arg)
{
    struct raddle_rwlock l = RADDLE_RWLOCK_INIT;
    struct crew crew;
    pthread_t thread;

    (void)arg;
    raddle_on_report(quiet, NULL);
    crew_open(&crew, &l, READS);
    EXPECT_EQ(crew_join(crew_add(&crew, keeps, 0, false)), 0);
    EXPECT_EQ(raddle_rwlock_read(&l), -EOWNERDEAD);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    EXPECT_EQ(raddle_rwlock_try_read(&l), -EOWNERDEAD);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    EXPECT_EQ(raddle_rwlock_write(&l), -EOWNERDEAD);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    EXPECT_EQ(raddle_rwlock_read(&l), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    EXPECT_EQ(pthread_create(&thread, NULL, thread_keeps, &l), 0);
    pthread_join(thread, NULL);
    EXPECT_EQ(raddle_rwlock_write(&l), -EOWNERDEAD);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    crew_close(&crew);
    raddle_on_report(NULL, NULL);
    return 0;
}

/* M19 */
RuntimeTest(rwlock, all_learn_of_a_writer_that_ended_until_another_has_been)
{
    cr_assert_eq(test_run(owner_ends, NULL), 0);
}

static void *thread_writes(void *arg)
{
    struct crew *crew = arg;

    rdl_atomic_store_release(&crew->go, 1u);
    EXPECT_EQ(raddle_rwlock_write(crew->thing), 0);
    rdl_atomic_store_release(&crew->go, 2u);
    EXPECT_EQ(raddle_rwlock_unlock(crew->thing), 0);
    return NULL;
}

static int beside_a_thread(void *arg)
{
    struct raddle_rwlock l = RADDLE_RWLOCK_INIT;
    struct crew crew;
    pthread_t thread;

    (void)arg;
    crew_open(&crew, &l, READS);
    EXPECT_EQ(raddle_rwlock_read(&l), 0);
    EXPECT_EQ(pthread_create(&thread, NULL, thread_writes, &crew), 0);
    test_await(&crew.go, 1);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(2)), 0);
    EXPECT_EQ(crew.go, 1);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    test_await(&crew.go, 2);
    pthread_join(thread, NULL);
    crew_close(&crew);
    return 0;
}

/* M18 */
RuntimeTest(rwlock, a_thread_waits_for_tasks)
{
    cr_assert_eq(test_run(beside_a_thread, NULL), 0);
}
