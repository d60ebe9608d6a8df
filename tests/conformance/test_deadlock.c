/*
 * tests/conformance/test_deadlock.c - waits that can never end: row X12 of asyncio's list, and case TC18. Tasks that race
 * for locks in debug mode are in tests/race/race_deadlock.c.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"
#include "tests/conformance/lines.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

TestSuite(deadlock, .timeout = 60);

static const char JOINS[] = "the end of a task", LOCKS[] = "a mutex";

#define LONG_ENOUGH RADDLE_MS(50)

static struct raddle_spawn_options named(const char *name)
{
    return (struct raddle_spawn_options){.name = name};
}

#define SPAWN_AS(group, out, fn, arg, called)                                                      \
    do {                                                                                           \
        struct raddle_spawn_options spawn_as_ = named(called);                                     \
        EXPECT_EQ(raddle_spawn((group), (out), (fn), (arg), &spawn_as_), 0);                       \
    } while (0)

/* Oneself. */

static int joins_itself(void *arg)
{
    (void)arg;
    EXPECT_EQ(raddle_join(raddle_self(), NULL), -EDEADLK);
    return 0;
}

/* TC18 */
RuntimeTest(deadlock, who_joins_itself_is_refused_and_in_debug_mode_reported)
{
    lines_begin();
    cr_assert_eq(test_run(joins_itself, NULL), 0);
    lines_end(0);
    lines_begin();
    cr_assert_eq(debug_run(joins_itself, NULL), 0);
    lines_end(1);
    lines_have(0, "deadlock: task \"main\" waits for its own end; it gets -EDEADLK");
}

static int joins(void *arg)
{
    return raddle_join(*(raddle_task **)arg, NULL);
}

static int joins_its_owner(void *arg)
{
    raddle_task *self = raddle_self();
    struct raddle_group g;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN_AS(&g, NULL, joins, &self, "child");
    EXPECT_EQ(raddle_group_close(&g, 0), -EDEADLK);
    return 0;
}

/* TC18 */
RuntimeTest(deadlock, who_joins_its_owner_is_refused_and_in_debug_mode_reported)
{
    lines_begin();
    cr_assert_eq(test_run(joins_its_owner, NULL), 0);
    lines_end(0);
    lines_begin();
    cr_assert_eq(debug_run(joins_its_owner, NULL), 0);
    lines_end(1);
    lines_have(0, "task \"child\" (");
    lines_have(0, "the end of task \"main\", whose group waits for it");
}

static int locks_twice(void *arg)
{
    struct raddle_mutex m = RADDLE_MUTEX_INIT;
    struct raddle_rwlock l = RADDLE_RWLOCK_INIT;

    (void)arg;
    EXPECT_EQ(raddle_lock(&m), 0);
    EXPECT_EQ(raddle_lock(&m), -EDEADLK);
    EXPECT_EQ(raddle_unlock(&m), 0);
    EXPECT_EQ(raddle_rwlock_write(&l), 0);
    EXPECT_EQ(raddle_rwlock_read(&l), -EDEADLK);
    EXPECT_EQ(raddle_rwlock_unlock(&l), 0);
    return 0;
}

/* X2 X12 */
RuntimeTest(deadlock, who_locks_twice_is_told_where_the_first_time_was)
{
    lines_begin();
    cr_assert_eq(test_run(locks_twice, NULL), 0);
    lines_end(0);
    lines_begin();
    cr_assert_eq(debug_run(locks_twice, NULL), 0);
    lines_end(2);
    lines_have(0, "task \"main\" wants a mutex at ");
    lines_have(0, "test_deadlock.c:");
    lines_have(0, "has had itself since ");
    lines_have(1, "task \"main\" wants a lock, to read at ");
}

/* Rings of joins. */

enum { RING = 3 };

static raddle_task *ring[RING];
static rdl_atomic(unsigned) ring_goes;

static int joins_the_next(void *arg)
{
    raddle_task **task = arg;

    test_await(&ring_goes, 1u + (unsigned)(task - ring));
    return raddle_join(ring[(task - ring + 1) % RING], NULL);
}

static void start_ring(struct raddle_group *g)
{
    static const char *const names[RING] = {"A", "B", "C"};

    rdl_atomic_store_relaxed(&ring_goes, 0u);
    for (unsigned i = 0; i < RING; i++)
        SPAWN_AS(g, &ring[i], joins_the_next, &ring[i], names[i]);
}

/* Before it joins it looks at a flag and sleeps, which is another wait. */
static void let_join(raddle_task *task)
{
    const char *what;

    while (!(what = test_waits_for(task)) || strcmp(what, JOINS) != 0)
        EXPECT_EQ(raddle_sleep(RADDLE_US(50)), 0);
}

static int joins_in_a_ring(void *arg)
{
    struct raddle_outcome outcome;
    struct raddle_group g;

    (void)arg;
    OPEN(&g, .mode = RADDLE_COLLECT);
    start_ring(&g);
    rdl_atomic_store_release(&ring_goes, 1u);
    let_join(ring[0]);
    rdl_atomic_store_release(&ring_goes, 2u);
    let_join(ring[1]);
    rdl_atomic_store_release(&ring_goes, 3u);
    EXPECT_EQ(raddle_join(ring[RING - 1], &outcome), 0);
    EXPECT_EQ(outcome.rc, -EDEADLK);
    for (unsigned i = 0; i < RING - 1; i++) {
        EXPECT_EQ(raddle_join(ring[i], &outcome), 0);
        EXPECT_EQ(outcome.rc, 0);
    }
    for (unsigned i = 0; i < RING; i++)
        raddle_task_unref(ring[i]);
    EXPECT_EQ(raddle_group_close(&g, 0), -EDEADLK);
    return 0;
}

/* X12 TC18 */
RuntimeTest(deadlock, who_closes_a_ring_of_joins_is_refused_and_all_are_named)
{
    lines_begin();
    cr_assert_eq(debug_run(joins_in_a_ring, NULL), 0);
    lines_end(1);
    lines_have(0, "deadlock: task \"C\" (");
    lines_have(0, "waits for the end of task \"A\" (");
    lines_have(0, "; task \"A\" (");
    lines_have(0, "waits for the end of task \"B\" (");
    lines_have(0, "; task \"B\" (");
    lines_have(0, "waits for the end of task \"C\" (");
    lines_have(0, "the wait of task \"C\" (");
    lines_have(0, "test_deadlock.c:");
    lines_have(0, "ends with -EDEADLK");
}

static int rings_unseen(void *arg)
{
    struct raddle_scope limit;
    struct raddle_group g;
    int rc;

    (void)arg;
    OPEN(&g, .mode = RADDLE_COLLECT);
    start_ring(&g);
    rdl_atomic_store_release(&ring_goes, (unsigned)RING);
    for (unsigned i = 0; i < RING; i++)
        let_join(ring[i]);
    raddle_scope_enter(&limit, raddle_in(LONG_ENOUGH), 0);
    rc = raddle_join(ring[0], NULL);
    EXPECT_EQ(raddle_scope_leave(&limit, rc), -ETIMEDOUT);
    raddle_group_cancel(&g, "enough");
    rc = raddle_group_close(&g, 0);
    for (unsigned i = 0; i < RING; i++)
        raddle_task_unref(ring[i]);
    return rc;
}

/* TC18 */
RuntimeTest(deadlock, without_debug_mode_a_ring_waits_until_it_is_cancelled)
{
    lines_begin();
    cr_assert_eq(test_run(rings_unseen, NULL), 0);
    lines_end(0);
}

/* Locks. */

static struct raddle_mutex first, second;

/* Has second, wants first, which main has. */
static int locks_the_other_way(void *arg)
{
    int rc;

    (void)arg;
    EXPECT_EQ(raddle_lock(&second), 0);
    rc = raddle_lock(&first);
    if (rc == 0)
        EXPECT_EQ(raddle_unlock(&first), 0);
    EXPECT_EQ(raddle_unlock(&second), 0);
    return rc;
}

static int locks_crosswise(void *arg)
{
    struct raddle_group g;
    raddle_task *other;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_lock(&first), 0);
    SPAWN_AS(&g, &other, locks_the_other_way, NULL, "other");
    test_let_park_for(other, LOCKS);
    EXPECT_EQ(raddle_lock(&second), -EDEADLK);
    EXPECT_EQ(raddle_unlock(&first), 0);
    raddle_task_unref(other);
    return raddle_group_close(&g, 0);
}

/* X2 X12 TC18 */
RuntimeTest(deadlock, who_closes_a_ring_of_locks_is_refused_and_told_who_has_what_since_where)
{
    lines_begin();
    cr_assert_eq(debug_run(locks_crosswise, NULL), 0);
    lines_end(1);
    lines_have(0, "deadlock: task \"main\" waits at ");
    lines_have(0, "for a mutex, which task \"other\" (");
    lines_have(0, "has had since ");
    lines_have(0, "; task \"other\" (");
    lines_have(0, "for a mutex, which task \"main\" has had since ");
    lines_have(0, "the wait of task \"main\" ends with -EDEADLK");
}

static struct raddle_rwlock shared;

static int writes_then_locks(void *arg)
{
    int rc;

    (void)arg;
    EXPECT_EQ(raddle_rwlock_write(&shared), 0);
    rc = raddle_lock(&first);
    EXPECT_EQ(raddle_rwlock_unlock(&shared), 0);
    if (rc == 0)
        EXPECT_EQ(raddle_unlock(&first), 0);
    return rc;
}

static int locks_then_reads(void *arg)
{
    struct raddle_group g;
    raddle_task *other;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_lock(&first), 0);
    SPAWN_AS(&g, &other, writes_then_locks, NULL, "writer");
    test_let_park_for(other, LOCKS);
    EXPECT_EQ(raddle_rwlock_read(&shared), -EDEADLK);
    EXPECT_EQ(raddle_rwlock_write(&shared), -EDEADLK);
    EXPECT_EQ(raddle_unlock(&first), 0);
    raddle_task_unref(other);
    return raddle_group_close(&g, 0);
}

/* X12 */
RuntimeTest(deadlock, writers_of_a_read_write_lock_are_seen)
{
    lines_begin();
    cr_assert_eq(debug_run(locks_then_reads, NULL), 0);
    lines_end(2);
    lines_have(0, "for a lock, to read, which task \"writer\" (");
    lines_have(1, "for a lock, to write, which task \"writer\" (");
}

static int gets_what_is_left(void *arg)
{
    struct raddle_group g;
    raddle_task *other;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_lock(&first), 0);
    SPAWN_AS(&g, &other, locks_the_other_way, NULL, "other");
    test_let_park_for(other, LOCKS);
    EXPECT_EQ(raddle_task_cancel(other, "enough"), 0);
    EXPECT_EQ(raddle_lock(&second), 0);
    EXPECT_EQ(raddle_unlock(&second), 0);
    EXPECT_EQ(raddle_unlock(&first), 0);
    raddle_task_unref(other);
    return raddle_group_close(&g, 0);
}

/* X12 */
RuntimeTest(deadlock, one_who_is_cancelled_is_about_to_go_and_no_deadlock)
{
    lines_begin();
    cr_assert_eq(debug_run(gets_what_is_left, NULL), 0);
    lines_end(0);
}

static int within_a_deadline(void *arg)
{
    struct raddle_scope limit;
    struct raddle_group g;
    raddle_task *other;
    int rc;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_lock(&first), 0);
    SPAWN_AS(&g, &other, locks_the_other_way, NULL, "other");
    test_let_park_for(other, LOCKS);
    raddle_scope_enter(&limit, raddle_in(LONG_ENOUGH), 0);
    rc = raddle_lock(&second);
    EXPECT_EQ(raddle_scope_leave(&limit, rc), -ETIMEDOUT);
    EXPECT_EQ(raddle_unlock(&first), 0);
    raddle_task_unref(other);
    return raddle_group_close(&g, 0);
}

/* X12 */
RuntimeTest(deadlock, a_cycle_that_a_deadline_ends_is_reported_and_nobody_refused)
{
    lines_begin();
    cr_assert_eq(test_run(within_a_deadline, NULL), 0);
    lines_end(0);
    lines_begin();
    cr_assert_eq(debug_run(within_a_deadline, NULL), 0);
    lines_end(1);
    lines_have(0, "deadlock: task \"main\" waits at ");
    lines_have(0, "; a deadline, or ");
}

/* Groups. */

static int locks_first(void *arg)
{
    int rc = raddle_lock(&first);

    (void)arg;
    if (rc == 0)
        EXPECT_EQ(raddle_unlock(&first), 0);
    return rc;
}

static rdl_atomic(unsigned) stage; /* of a test: what has come about */

static int closes_with_the_lock(void *arg)
{
    struct raddle_group g;
    raddle_task *child;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_lock(&first), 0);
    SPAWN_AS(&g, &child, locks_first, NULL, "child");
    test_let_park_for(child, LOCKS);
    raddle_task_unref(child);
    EXPECT_EQ(raddle_group_close(&g, 0), -EDEADLK);
    EXPECT_EQ(raddle_unlock(&first), 0);
    return 0;
}

static int fails_when_told(void *arg)
{
    (void)arg;
    test_await(&stage, 1);
    return -EIO;
}

static int tells_when_reported(void *arg)
{
    (void)arg;
    while (lines_count() == 0)
        if (raddle_yield() < 0)
            return 0;
    rdl_atomic_store_release(&stage, 1u);
    return 0;
}

/* As in closes_with_the_lock(), but another child runs, whose failure ends it all. */
static int closes_beside_one_that_fails(void *arg)
{
    struct raddle_group g, others;
    raddle_task *child;

    (void)arg;
    rdl_atomic_store_relaxed(&stage, 0u);
    OPEN(&others, .mode = RADDLE_COLLECT);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_lock(&first), 0);
    SPAWN(&g, NULL, fails_when_told, NULL);
    SPAWN(&others, NULL, tells_when_reported, NULL);
    SPAWN_AS(&g, &child, locks_first, NULL, "child");
    test_let_park_for(child, LOCKS);
    raddle_task_unref(child);
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    EXPECT_EQ(raddle_unlock(&first), 0);
    return raddle_group_close(&others, 0);
}

/* X12 */
RuntimeTest(deadlock, a_cycle_that_a_sibling_may_end_is_reported_and_nobody_refused)
{
    lines_begin();
    cr_assert_eq(debug_run(closes_beside_one_that_fails, NULL), 0);
    lines_end(1);
    lines_have(0, "or the end of another task of a group, may end it");
}

/* X12 */
RuntimeTest(deadlock, who_closes_a_group_that_waits_for_it_ends_a_wait_of_the_cycle)
{
    lines_begin();
    cr_assert_eq(debug_run(closes_with_the_lock, NULL), 0);
    lines_end(1);
    lines_have(0, "deadlock: task \"main\" waits for the group that it opened at ");
    lines_have(0, "in which task \"child\" (");
    lines_have(0, "for a mutex, which task \"main\" has had since ");
    lines_have(0, "the wait of task \"child\" (");
}

static int joins_outside(void *arg)
{
    struct raddle_group g;

    (void)arg; /* its child joins C, which joins it */
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    test_await(&stage, 1); /* C is there */
    SPAWN_AS(&g, &ring[1], joins, &ring[2], "B");
    test_await(&stage, 2); /* and waits */
    return raddle_group_close(&g, 0);
}

static int joins_over_a_group(void *arg)
{
    struct raddle_outcome outcome;
    struct raddle_group g;

    (void)arg;
    rdl_atomic_store_relaxed(&stage, 0u);
    OPEN(&g, .mode = RADDLE_COLLECT);
    SPAWN_AS(&g, &ring[0], joins_outside, NULL, "A");
    SPAWN_AS(&g, &ring[2], joins, &ring[0], "C");
    rdl_atomic_store_release(&stage, 1u);
    test_let_park_for(ring[2], JOINS);
    rdl_atomic_store_release(&stage, 2u);
    for (unsigned i = 0; i < RING; i += 2)
        EXPECT_EQ(raddle_join(ring[i], &outcome), 0);
    for (unsigned i = 0; i < RING; i++)
        raddle_task_unref(ring[i]);
    return raddle_group_close(&g, 0) == -EDEADLK ? 0 : -1;
}

/* X12 TC18 */
RuntimeTest(deadlock, a_ring_of_joins_over_a_group_is_found)
{
    lines_begin();
    cr_assert_eq(debug_run(joins_over_a_group, NULL), 0);
    lines_end(1);
    lines_have(0, "waits for the group that it opened at ");
    lines_have(0, "in which task \"B\" (");
    lines_have(0, "waits for the end of task \"C\" (");
    lines_have(0, "waits for the end of task \"A\" (");
    lines_have(0, "ends with -EDEADLK");
}

/* Threads. */

struct crossing {
    raddle_task *task;
    rdl_atomic(unsigned) locked, done;
    int rc;
};

static void *thread_locks(void *arg)
{
    struct crossing *c = arg;

    (void)pthread_setname_np(pthread_self(), "crossing");
    EXPECT_EQ(raddle_lock(&first), 0);
    rdl_atomic_store_release(&c->locked, 1u);
    while (!test_waits_for(c->task))
        sched_yield();
    c->rc = raddle_lock(&second);
    EXPECT_EQ(raddle_unlock(&first), 0);
    rdl_atomic_store_release(&c->done, 1u);
    return NULL;
}

static int crosses_a_thread(void *arg)
{
    struct crossing c = {.task = raddle_self()};
    pthread_t thread;

    (void)arg;
    EXPECT_EQ(raddle_lock(&second), 0);
    EXPECT_EQ(pthread_create(&thread, NULL, thread_locks, &c), 0);
    while (!rdl_atomic_load_acquire(&c.locked))
        sched_yield();
    EXPECT_EQ(raddle_lock(&first), 0);
    EXPECT_EQ(raddle_unlock(&first), 0);
    EXPECT_EQ(raddle_unlock(&second), 0);
    pthread_join(thread, NULL);
    EXPECT_EQ(c.rc, -EDEADLK);
    return 0;
}

/* X12 */
RuntimeTest(deadlock, plain_threads_are_seen_and_named)
{
    const char *policy = getenv("RADDLE_POLICY");

    if (policy && strncmp(policy, "sim", 3) == 0)
        return; /* time there doesn't wait for a thread */
    lines_begin();
    cr_assert_eq(debug_run(crosses_a_thread, NULL), 0);
    lines_end(1);
    lines_have(0, "deadlock: thread \"crossing\" (");
    lines_have(0, "for a mutex, which task \"main\" has had since ");
    lines_have(0, "for a mutex, which thread \"crossing\" (");
    lines_have(0, "the wait of thread \"crossing\" (");
}

/* What is no cycle. */

static int waits_its_turn(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 20; i++) {
        EXPECT_EQ(raddle_lock(&first), 0);
        (void)raddle_yield();
        EXPECT_EQ(raddle_lock(&second), 0);
        (void)raddle_yield();
        EXPECT_EQ(raddle_unlock(&second), 0);
        EXPECT_EQ(raddle_unlock(&first), 0);
    }
    return 0;
}

static int many_in_order(void *arg)
{
    struct raddle_group g;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (unsigned i = 0; i < 20; i++)
        SPAWN(&g, NULL, waits_its_turn, NULL);
    return raddle_group_close(&g, 0);
}

/* X12 */
RuntimeTest(deadlock, locks_that_are_taken_in_one_order_are_never_reported)
{
    lines_begin();
    cr_assert_eq(debug_run(many_in_order, NULL), 0);
    lines_end(0);
}
