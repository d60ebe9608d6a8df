/*
 * tests/race/race_sync.c - tasks of several loops and plain threads use one mutex and its like, tasks are
 * cancelled meanwhile by their deadlines and by another thread, and nothing is lost nor had twice.
 *
 *     race_sync [--rounds N] [--loops N] [--kind K]
 *
 * A round is TASKS tasks and THREADS threads that use the things of one kind OPS times each. A thread
 * cancels some of the tasks at some moment, and then they end; the other waits of a task are in scopes with
 * deadlines that are sometimes short. What each kind counts is written at the kind.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"
#include "tests/support/counted.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS = 24, THREADS = 2, ALL = TASKS + THREADS, SPREAD_NS = 40 * 1000 };

/* One that uses the things: a task or a thread. */
struct user {
    unsigned number;
    uint32_t random;
    bool is_task;
    raddle_task *task;
    unsigned long had; /* calls that got what they wanted */
};

struct kind {
    const char *name;
    void (*prepare)(void);     /* before each round; NULL: nothing */
    int (*use)(struct user *); /* once: what the call that waits returned */
    void (*check)(void);       /* after each round: do the counts agree? */
    void (*accompany)(void);   /* in main's task, until ended is ALL; NULL: nothing */
};

static const struct kind *kind;
static struct user users[ALL];
static unsigned ops;
static rdl_atomic(unsigned) begun, ended;

static void spin(uint32_t turns)
{
    for (volatile uint32_t i = 0; i < turns; i++)
        ;
}

static unsigned long total_had(void)
{
    unsigned long sum = 0;

    for (unsigned i = 0; i < ALL; i++)
        sum += users[i].had;
    return sum;
}

/* Gives way, in a task that may be cancelled, or in a thread. */
static void give_way(struct user *user)
{
    if (user->is_task)
        (void)raddle_yield();
    else
        sched_yield();
}

/* Mutex: one at a time, which a plain counter tells, and ThreadSanitizer. */
static struct raddle_mutex mutex;
static unsigned long guarded;

static int use_mutex(struct user *user)
{
    int rc = raddle_lock(&mutex);

    if (rc == 0) {
        unsigned long before = guarded;
        user->had++;
        if (test_random(&user->random) % 4 == 0)
            give_way(user);
        guarded = before + 1;
        EXPECT_EQ(raddle_unlock(&mutex), 0);
    }
    return rc;
}

static void prepare_mutex(void)
{
    guarded = 0;
}

static void check_mutex(void)
{
    EXPECT_EQ(guarded, total_had());
    EXPECT(!raddle_locked(&mutex));
    EXPECT_EQ(raddle_trylock(&mutex), 0);
    EXPECT_EQ(raddle_unlock(&mutex), 0);
}

/* Semaphore: never more out than there are, and all there at the end. */
enum { PERMITS = 4 };
static struct raddle_sem sem;
static rdl_atomic(unsigned) permits_out;

static int use_sem(struct user *user)
{
    unsigned wants = 1 + test_random(&user->random) % (PERMITS - 1);
    int rc = raddle_sem_acquire(&sem, wants);

    if (rc == 0) {
        user->had++;
        EXPECT(rdl_atomic_fetch_add_acq_rel(&permits_out, wants) + wants <= PERMITS);
        if (test_random(&user->random) % 4 == 0)
            give_way(user);
        rdl_atomic_fetch_sub_acq_rel(&permits_out, wants);
        EXPECT_EQ(raddle_sem_release(&sem, wants), 0);
    }
    return rc;
}

static void prepare_sem(void)
{
    EXPECT_EQ(raddle_sem_init(&sem, PERMITS, PERMITS), 0);
}

static void check_sem(void)
{
    EXPECT_EQ(permits_out, 0);
    EXPECT_EQ(raddle_sem_value(&sem), PERMITS);
}

/* Event: whoever waits when it is set goes on, though it is cleared at once. */
static struct raddle_event event;

static int use_event(struct user *user)
{
    int rc = raddle_event_wait(&event);

    if (rc == 0)
        user->had++;
    return rc;
}

static void accompany_event(void)
{
    raddle_event_set(&event);
    raddle_event_clear(&event);
}

static void check_event(void)
{
    EXPECT(!raddle_event_is_set(&event));
}

/* Gone: an event whose memory its only waiter gives back at once, while who set it may still be at it. */
static rdl_atomic(struct raddle_event *) published[ALL];

static bool set_published(unsigned number)
{
    struct raddle_event *other = rdl_atomic_exchange_acq_rel(&published[number], NULL);

    if (other)
        raddle_event_set(other);
    return other != NULL;
}

static int use_gone(struct user *user)
{
    struct raddle_event *mine = calloc(1, sizeof(*mine));
    struct raddle_scope shield;
    int rc;

    rdl_atomic_store_release(&published[user->number], mine);
    (void)set_published(test_random(&user->random) % ALL);
    rc = raddle_event_wait(mine);
    if (rc == 0) {
        user->had++;
    } else if (!rdl_atomic_exchange_acq_rel(&published[user->number], NULL)) {
        /* Somebody has it, and will set it. */
        raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
        EXPECT_EQ(raddle_event_wait(mine), 0);
        EXPECT_EQ(raddle_scope_leave(&shield, 0), 0);
    }
    free(mine);
    return rc;
}

static void accompany_gone(void)
{
    for (unsigned i = 0; i < ALL; i++)
        (void)set_published(i);
}

static void check_gone(void)
{
    for (unsigned i = 0; i < ALL; i++)
        EXPECT(!published[i]);
}

/* Condition: as many waits return 0 as there were notifications (TC69), each with the mutex. */
static struct raddle_cond cond;
static rdl_atomic(unsigned long) notified;

static void notify(size_t count)
{
    rdl_atomic_fetch_add_relaxed(&notified, (unsigned long)raddle_cond_notify(&cond, count));
}

static int use_cond(struct user *user)
{
    bool waits = test_random(&user->random) % 2;
    int rc;

    if (!waits && test_random(&user->random) % 2) {
        notify(1 + test_random(&user->random) % 3);
        return 0;
    }
    rc = raddle_lock(&mutex);
    if (rc < 0)
        return rc;
    if (waits)
        rc = raddle_cond_wait(&cond, &mutex);
    else
        notify(1 + test_random(&user->random) % 3);
    guarded++;
    if (waits && rc == 0)
        user->had++;
    EXPECT_EQ(raddle_unlock(&mutex), 0);
    return rc;
}

static void prepare_cond(void)
{
    rdl_atomic_store_relaxed(&notified, 0ul);
}

static void accompany_cond(void)
{
    notify(2);
}

/* M4 TC69 */
static void check_cond(void)
{
    EXPECT_EQ(notified, total_had());
    EXPECT_EQ(raddle_cond_notify_all(&cond), 0);
    EXPECT(!raddle_locked(&mutex));
}

/* Barrier: each number as often as any other, whatever resets and cancellations come between. */
enum { PARTIES = 4 };
static struct raddle_barrier barrier;
static rdl_atomic(unsigned long) numbers[PARTIES];

static int use_barrier(struct user *user)
{
    int rc = raddle_barrier_wait(&barrier);

    if (rc >= 0) {
        user->had++;
        rdl_atomic_fetch_add_relaxed(&numbers[rc], 1ul);
    } else if (rc == RADDLE_EBROKEN) {
        rc = 0;
    } else if (user->number % 4 == 0) {
        raddle_barrier_reset(&barrier);
    }
    return rc;
}

static void prepare_barrier(void)
{
    for (unsigned i = 0; i < PARTIES; i++)
        rdl_atomic_store_relaxed(&numbers[i], 0ul);
    EXPECT_EQ(raddle_barrier_init(&barrier, PARTIES), 0);
}

/* When they are too few for a round. Again and again, as there are those that reset it. */
static void accompany_barrier(void)
{
    if (rdl_atomic_load_acquire(&ended) > ALL - PARTIES)
        raddle_barrier_abort(&barrier);
}

static void check_barrier(void)
{
    EXPECT_EQ(raddle_barrier_waiting(&barrier), 0);
    for (unsigned i = 1; i < PARTIES; i++)
        EXPECT_EQ(numbers[i], numbers[0]);
    EXPECT_EQ(numbers[0] * PARTIES, total_had());
}

/* Read-write lock: readers never see a writer at work, and ThreadSanitizer neither. */
static struct raddle_rwlock rwlock;
static unsigned long left, right;

static int use_rwlock(struct user *user)
{
    bool writes = test_random(&user->random) % 4 == 0;
    int rc = writes ? raddle_rwlock_write(&rwlock) : raddle_rwlock_read(&rwlock);

    if (rc < 0)
        return rc;
    if (writes)
        left++;
    if (test_random(&user->random) % 4 == 0)
        give_way(user);
    if (writes)
        right++;
    EXPECT_EQ(left, right);
    user->had += writes;
    EXPECT_EQ(raddle_rwlock_unlock(&rwlock), 0);
    return 0;
}

static void prepare_rwlock(void)
{
    left = right = 0;
}

static void check_rwlock(void)
{
    EXPECT_EQ(left, total_had());
    EXPECT_EQ(raddle_rwlock_try_write(&rwlock), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&rwlock), 0);
}

/* Once: of each of so many, one try succeeds, and then there is no other. */
enum { DEEDS = 50 };
static struct deed {
    struct raddle_once once;
    unsigned done, failed;
} deeds[DEEDS];

static int do_once(void *arg)
{
    struct deed *deed = arg;

    EXPECT_EQ(deed->done, 0);
    if (raddle_self())
        (void)raddle_yield();
    if (deed->failed++ < 3)
        return -EIO;
    deed->done = 1;
    return 7;
}

static int use_once(struct user *user)
{
    struct deed *deed = &deeds[test_random(&user->random) % DEEDS];
    int rc = raddle_once_run(&deed->once, do_once, deed);

    if (rc == -EIO)
        return 0;
    if (rc < 0)
        return rc;
    EXPECT_EQ(rc, 7);
    EXPECT_EQ(deed->done, 1);
    user->had++;
    return 0;
}

static void prepare_once(void)
{
    memset(deeds, 0, sizeof(deeds));
}

static void check_once(void)
{
    for (unsigned i = 0; i < DEEDS; i++)
        EXPECT_EQ(deeds[i].done, raddle_once_done(&deeds[i].once));
}

/* Latch: all that is added is done, and nobody waits for ever. */
static struct raddle_latch latch;

static int use_latch(struct user *user)
{
    unsigned count = test_random(&user->random) % 4;
    int rc = 0;

    if (count) {
        EXPECT_EQ(raddle_latch_add(&latch, count), 0);
        give_way(user);
        EXPECT_EQ(raddle_latch_done(&latch, count), 0);
    } else {
        rc = raddle_latch_wait(&latch);
        user->had += rc == 0;
    }
    return rc;
}

static void check_latch(void)
{
    EXPECT_EQ(raddle_latch_count(&latch), 0);
    EXPECT_EQ(raddle_latch_wait(&latch), 0);
}

static const struct kind kinds[] = {
    {"mutex", prepare_mutex, use_mutex, check_mutex, NULL},
    {"semaphore", prepare_sem, use_sem, check_sem, NULL},
    {"event", NULL, use_event, check_event, accompany_event},
    {"event that goes", NULL, use_gone, check_gone, accompany_gone},
    {"condition", prepare_cond, use_cond, check_cond, accompany_cond},
    {"barrier", prepare_barrier, use_barrier, check_barrier, accompany_barrier},
    {"read-write lock", prepare_rwlock, use_rwlock, check_rwlock, NULL},
    {"once", prepare_once, use_once, check_once, NULL},
    {"latch", NULL, use_latch, check_latch, NULL},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* In a task: within a time that may be short. */
static int use_in_time(struct user *user)
{
    struct raddle_scope limit;
    int rc;

    raddle_scope_enter(&limit, raddle_in(test_random(&user->random) % SPREAD_NS), RADDLE_QUIET);
    rc = kind->use(user);
    if (rc == -ECANCELED)
        EXPECT(raddle_cancelled());
    return raddle_scope_leave(&limit, rc);
}

static int body(void *arg)
{
    struct user *user = arg;
    int rc = 0;

    rdl_atomic_fetch_add_acq_rel(&begun, 1u);
    for (unsigned i = 0; i < ops && rc >= 0; i++) {
        bool limited = user->is_task && test_random(&user->random) % 2;
        rc = limited ? use_in_time(user) : kind->use(user);
        if (test_random(&user->random) % 8 == 0)
            give_way(user);
    }
    if (user->is_task)
        EXPECT(rc >= 0 || (rc == -ECANCELED && raddle_cancelled()));
    else
        EXPECT(rc >= 0);
    rdl_atomic_fetch_add_acq_rel(&ended, 1u);
    return rc;
}

static void *thread_body(void *arg)
{
    (void)body(arg);
    return NULL;
}

/* Cancels some tasks, when some of them have begun. */
static void *canceller(void *arg)
{
    uint32_t random = *(uint32_t *)arg;
    unsigned first = test_random(&random) % TASKS;

    while (rdl_atomic_load_acquire(&begun) < first)
        sched_yield();
    for (unsigned i = test_random(&random) % TASKS; i > 0; i--) {
        unsigned number = test_random(&random) % TASKS;
        int rc = raddle_task_cancel(users[number].task, "the thread");
        EXPECT(rc == 0 || rc == -EALREADY);
        spin(test_random(&random) % 4 ? test_random(&random) % 3000 : 30000);
    }
    return NULL;
}

static int one_round(void *arg)
{
    uint32_t *random = arg;
    struct raddle_group g;
    pthread_t threads[THREADS], cancels;

    for (unsigned i = 0; i < ALL; i++)
        users[i] =
            (struct user){.number = i, .is_task = i < TASKS, .random = test_random(random) | 1};
    rdl_atomic_store_relaxed(&begun, 0u);
    rdl_atomic_store_relaxed(&ended, 0u);
    if (kind->prepare)
        kind->prepare();
    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    for (unsigned i = 0; i < TASKS; i++) {
        struct raddle_spawn_options options = {.mobility =
                                                   i % 3 ? RADDLE_FRESH : RADDLE_MIGRATABLE};
        EXPECT_EQ(raddle_spawn(&g, &users[i].task, body, &users[i], &options), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, thread_body, &users[TASKS + i]), 0);
    EXPECT_EQ(pthread_create(&cancels, NULL, canceller, random), 0);
    while (rdl_atomic_load_acquire(&ended) < ALL) {
        if (kind->accompany)
            kind->accompany();
        EXPECT_EQ(raddle_sleep(RADDLE_US(20)), 0);
    }
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(cancels, NULL);
    for (unsigned i = 0; i < TASKS; i++)
        raddle_task_unref(users[i].task);
    kind->check();
    return 0;
}

int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    unsigned long rounds = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 10 : 40);
    unsigned long only = test_argument(argc, argv, "--kind", KINDS);
    struct test_footprint before;
    uint32_t random = 4711;

    ops = (unsigned)test_argument(argc, argv, "--ops", 100);
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    for (unsigned long k = 0; k < KINDS; k++) {
        unsigned long had = 0;
        if (only < KINDS && k != only)
            continue;
        kind = &kinds[k];
        for (unsigned long i = 0; i < rounds && test_failures() == 0; i++) {
            EXPECT_EQ(test_run_on(loops, one_round, &random), 0);
            had += total_had();
        }
        printf("%u loops, %s: %lu had\n", loops, kind->name, had);
        test_counted(had, "races");
    }
    test_same_footprint(&before);
    return test_result();
}
