/*
 * tests/conformance/seeds_pairs.c - each way to wait, and two things that want to end the wait at about the same
 * moment: what is waited for, a cancellation of the task, of a scope in it, of the group that it is in, or a
 * deadline. Wanted, whichever comes first:
 *
 *     the wait ends once: with what was waited for, or with -ECANCELED, and for a cause that there was
 *     what was given was taken by it or is still there: tokens given = tokens taken + tokens left
 *     the scope says what ended it: the nearest to the outside of those that had happened
 */
#include "tests/conformance/seeds.h"

#include <errno.h>
#include <string.h>

enum ender { COMPLETES, TASK_CANCELLED, SCOPE_CANCELLED, GROUP_CANCELLED, DEADLINE, ENDERS };

struct pair;

/* A way to wait. What it waits for is made by set_up, and given by complete; left counts what of it is there. */
struct kind {
    const char *name;
    void (*set_up)(struct pair *);
    int (*wait)(struct pair *);
    void (*complete)(struct pair *);
    unsigned (*left)(struct pair *);
    void (*tear_down)(struct pair *);
};

struct pair {
    const struct kind *kind;
    uint32_t random;
    bool with[ENDERS]; /* those that there are in this one */
    bool happened[ENDERS];
    int64_t after[ENDERS];
    raddle_task *task;
    struct raddle_group group; /* of the task that waits */
    struct raddle_scope scope; /* in it */
    bool open, inside, ended;  /* the group is; the task is in the scope, and out of it */
    int rc;
    unsigned given, taken;
    union {
        raddle_chan *chan;
        raddle_future *future;
        raddle_watch *watch;
        struct {
            raddle_bcast *bcast;
            raddle_bcast_receiver *receiver;
        };
        struct raddle_sem sem;
        struct raddle_mutex mutex;
        struct raddle_rwlock rwlock;
        struct raddle_latch latch;
        struct raddle_event event;
        struct raddle_barrier barrier;
        struct {
            struct raddle_cond cond;
            struct raddle_mutex guard;
        };
        struct {
            raddle_chan *two[2];
        };
    } thing;
    struct raddle_event go; /* for tasks that end when they are told */
};

static int taken(struct pair *p, int rc)
{
    p->taken += rc >= 0;
    return rc;
}

/* Channels. */

static void make_channel(struct pair *p)
{
    EXPECT_EQ(raddle_chan_create(sizeof(int), 1, NULL, &p->thing.chan), 0);
}

static void make_full_channel(struct pair *p)
{
    make_channel(p);
    EXPECT_EQ(raddle_try_put(p->thing.chan, &p->rc), 0);
}

static int gets(struct pair *p)
{
    int item;

    return taken(p, raddle_get(p->thing.chan, &item));
}

static int puts_one(struct pair *p)
{
    return taken(p, raddle_put(p->thing.chan, &p->rc));
}

static void gives_an_item(struct pair *p)
{
    EXPECT_EQ(raddle_try_put(p->thing.chan, &p->rc), 0);
    p->given++;
}

static void gives_room(struct pair *p)
{
    int item;

    EXPECT_EQ(raddle_try_get(p->thing.chan, &item), 0);
    p->given++;
}

static unsigned items_left(struct pair *p)
{
    return (unsigned)raddle_chan_count(p->thing.chan);
}

static unsigned room_left(struct pair *p)
{
    return 1 - (unsigned)raddle_chan_count(p->thing.chan);
}

static void drop_channel(struct pair *p)
{
    raddle_chan_unref(p->thing.chan);
}

/* A select that gets from one of two, of which one may be given: never from both. */

static void make_two(struct pair *p)
{
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQ(raddle_chan_create(sizeof(int), 1, NULL, &p->thing.two[i]), 0);
}

static int selects(struct pair *p)
{
    int items[2];
    struct raddle_case cases[3] = {
        {.op = RADDLE_ON_GET, .object = p->thing.two[0], .item = &items[0]},
        {.op = RADDLE_ON_GET, .object = p->thing.two[1], .item = &items[1]},
        {.op = RADDLE_ON_TIME, .when = raddle_in(RADDLE_S(1))},
    };
    int rc = raddle_select(cases, 3, RADDLE_SELECT_FAIR);

    EXPECT(rc != 2);
    if (rc >= 0)
        EXPECT_EQ(cases[rc].rc, 0);
    return taken(p, rc);
}

static void gives_to_both(struct pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQ(raddle_try_put(p->thing.two[i], &p->rc), 0);
        p->given++;
    }
}

static unsigned left_in_two(struct pair *p)
{
    return (unsigned)(raddle_chan_count(p->thing.two[0]) + raddle_chan_count(p->thing.two[1]));
}

static void drop_two(struct pair *p)
{
    for (unsigned i = 0; i < 2; i++)
        raddle_chan_unref(p->thing.two[i]);
}

/* Locks: whoever completes gives back what it has from the beginning. */

static void make_semaphore(struct pair *p)
{
    EXPECT_EQ(raddle_sem_init(&p->thing.sem, 0, 0), 0);
}

static int acquires(struct pair *p)
{
    return taken(p, raddle_sem_acquire(&p->thing.sem, 1));
}

static void releases(struct pair *p)
{
    EXPECT_EQ(raddle_sem_release(&p->thing.sem, 1), 0);
    p->given++;
}

static unsigned permits_left(struct pair *p)
{
    return (unsigned)raddle_sem_value(&p->thing.sem);
}

static int reads_locked(struct pair *p)
{
    int rc = raddle_rwlock_read(&p->thing.rwlock);

    if (rc == 0)
        EXPECT_EQ(raddle_rwlock_unlock(&p->thing.rwlock), 0);
    return rc;
}

static int writes_locked(struct pair *p)
{
    int rc = raddle_rwlock_write(&p->thing.rwlock);

    if (rc == 0)
        EXPECT_EQ(raddle_rwlock_unlock(&p->thing.rwlock), 0);
    return rc;
}

static int locks(struct pair *p)
{
    int rc = raddle_lock(&p->thing.mutex);

    if (rc == 0)
        EXPECT_EQ(raddle_unlock(&p->thing.mutex), 0);
    return rc;
}

static void holds_mutex(struct pair *p)
{
    EXPECT_EQ(raddle_trylock(&p->thing.mutex), 0);
}

static void unlocks_mutex(struct pair *p)
{
    EXPECT_EQ(raddle_unlock(&p->thing.mutex), 0);
}

static void mutex_is_free(struct pair *p)
{
    EXPECT(!raddle_locked(&p->thing.mutex));
}

static void holds_rwlock(struct pair *p)
{
    EXPECT_EQ(raddle_rwlock_try_write(&p->thing.rwlock), 0);
}

static void unlocks_rwlock(struct pair *p)
{
    EXPECT_EQ(raddle_rwlock_unlock(&p->thing.rwlock), 0);
}

static void rwlock_is_free(struct pair *p)
{
    EXPECT_EQ(raddle_rwlock_try_write(&p->thing.rwlock), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&p->thing.rwlock), 0);
}

/* A notification goes to who waits at that moment. The mutex is held when the wait returns, however that is. */
static int waits_for_condition(struct pair *p)
{
    int rc = raddle_lock(&p->thing.guard);

    if (rc < 0)
        return rc;
    while (rc == 0 && !p->happened[COMPLETES])
        rc = raddle_cond_wait(&p->thing.cond, &p->thing.guard);
    EXPECT_EQ(raddle_unlock(&p->thing.guard), 0);
    return rc;
}

static void notifies(struct pair *p)
{
    (void)raddle_cond_notify(&p->thing.cond, 1);
}

/* Things that happen once, and others. */

static int waits_for_event(struct pair *p)
{
    return raddle_event_wait(&p->go);
}

static void sets_event(struct pair *p)
{
    raddle_event_set(&p->go);
}

static void make_latch(struct pair *p)
{
    raddle_latch_init(&p->thing.latch, 1);
}

static int waits_for_latch(struct pair *p)
{
    return raddle_latch_wait(&p->thing.latch);
}

static void counts_down(struct pair *p)
{
    EXPECT_EQ(raddle_latch_done(&p->thing.latch, 1), 0);
}

static void make_future(struct pair *p)
{
    EXPECT_EQ(raddle_future_create(&p->thing.future), 0);
}

static int waits_for_future(struct pair *p)
{
    struct raddle_outcome outcome;
    int rc = raddle_future_wait(p->thing.future, &outcome);

    if (rc == 0)
        EXPECT_EQ(outcome.rc, 17);
    return rc;
}

static void sets_future(struct pair *p)
{
    EXPECT_EQ(raddle_future_set(p->thing.future, 17, NULL), 0);
}

static void drop_future(struct pair *p)
{
    raddle_future_unref(p->thing.future);
}

static void make_watch(struct pair *p)
{
    EXPECT_EQ(raddle_watch_create(0, NULL, &p->thing.watch), 0);
}

static int watches(struct pair *p)
{
    uint64_t version = 1;
    int rc = raddle_watch_wait(p->thing.watch, &version, NULL);

    EXPECT_EQ(version, rc == 0 ? 2 : 1);
    return rc;
}

static void sets_watch(struct pair *p)
{
    EXPECT_EQ(raddle_watch_set(p->thing.watch, NULL), 0);
}

static void drop_watch(struct pair *p)
{
    raddle_watch_unref(p->thing.watch);
}

static void make_broadcast(struct pair *p)
{
    EXPECT_EQ(raddle_bcast_create(sizeof(int), 2, &p->thing.bcast), 0);
    EXPECT_EQ(raddle_bcast_receiver_open(p->thing.bcast, &p->thing.receiver), 0);
}

static int receives(struct pair *p)
{
    uint64_t missed = 0;
    int item, rc = raddle_bcast_receive(p->thing.receiver, &item, &missed);

    EXPECT_EQ(missed, 0);
    return taken(p, rc);
}

static void sends(struct pair *p)
{
    EXPECT_EQ(raddle_bcast_send(p->thing.bcast, &p->rc), 1);
    p->given++;
}

static unsigned not_received(struct pair *p)
{
    uint64_t missed;
    int item;

    return raddle_bcast_try_receive(p->thing.receiver, &item, &missed) == 0;
}

static void drop_broadcast(struct pair *p)
{
    raddle_bcast_receiver_unref(p->thing.receiver);
    raddle_bcast_unref(p->thing.bcast);
}

/* Two meet. Whoever completes is the second, and gives up after a while, if the first is gone. */
static void make_barrier(struct pair *p)
{
    EXPECT_EQ(raddle_barrier_init(&p->thing.barrier, 2), 0);
}

static int meets(struct pair *p)
{
    int rc = raddle_barrier_wait(&p->thing.barrier);

    EXPECT(rc < 2);
    return taken(p, rc);
}

static void meets_too(struct pair *p)
{
    struct raddle_scope limit;
    int rc;

    raddle_scope_enter(&limit, raddle_in(RADDLE_MS(1)), 0);
    rc = raddle_barrier_wait(&p->thing.barrier);
    EXPECT(rc == -ECANCELED || rc == 0 || rc == 1);
    p->given += rc >= 0;
    rc = raddle_scope_leave(&limit, rc);
    EXPECT(rc >= 0 || rc == -ETIMEDOUT);
}

static unsigned none(struct pair *p)
{
    EXPECT_EQ(raddle_barrier_waiting(&p->thing.barrier), 0);
    return 0;
}

/* Tasks. */

static int ends_when_told(void *arg)
{
    struct pair *p = arg;

    return raddle_event_wait(&p->go);
}

static int joins(struct pair *p)
{
    raddle_task *child = NULL;
    struct raddle_group g;
    int rc;

    seeds_open(&g);
    seeds_spawn(&g, &child, ends_when_told, p, &p->random);
    rc = raddle_join(child, NULL);
    raddle_task_unref(child);
    return raddle_group_close(&g, rc);
}

static int closes_a_group(struct pair *p)
{
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < 2; i++)
        seeds_spawn(&g, NULL, ends_when_told, p, &p->random);
    return raddle_group_close(&g, 0);
}

static int asks_for_the_next(struct pair *p)
{
    struct raddle_group_options options = {.mode = RADDLE_COLLECT, .as_completed = true};
    raddle_task *done = NULL;
    struct raddle_group g;
    int rc;

    EXPECT_EQ(raddle_group_open(&g, &options), 0);
    seeds_spawn(&g, NULL, ends_when_told, p, &p->random);
    rc = raddle_group_next(&g, &done);
    EXPECT((rc == 1) == (done != NULL));
    raddle_task_unref(done);
    return raddle_group_close(&g, rc);
}

static int waits_for_room(struct pair *p)
{
    struct raddle_group_options options = {.mode = RADDLE_COLLECT, .max_live = 1};
    struct raddle_group g;
    int rc;

    EXPECT_EQ(raddle_group_open(&g, &options), 0);
    rc = raddle_spawn(&g, NULL, ends_when_told, p, NULL); /* a cancellation point, too */
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, test_nothing, NULL, NULL);
    return raddle_group_close(&g, rc);
}

static int waits_for_tasks(struct pair *p)
{
    raddle_task *children[2] = {NULL};
    bool done[2] = {false};
    struct raddle_group g;
    int rc;

    seeds_open(&g);
    for (unsigned i = 0; i < 2; i++)
        seeds_spawn(&g, &children[i], ends_when_told, p, &p->random);
    rc = raddle_wait(children, 2, seeds_below(&p->random, 2) ? RADDLE_ANY : RADDLE_ALL, done);
    EXPECT(rc < 0 || done[0] || done[1]);
    for (unsigned i = 0; i < 2; i++)
        raddle_task_unref(children[i]);
    return raddle_group_close(&g, rc);
}

static int is_up_when_told(void *arg)
{
    struct pair *p = arg;
    int rc = raddle_event_wait(&p->go);

    return rc < 0 ? rc : raddle_started(p);
}

static int waits_for_a_start(struct pair *p)
{
    struct raddle_group g;
    void *ready = NULL;
    int rc;

    seeds_open(&g);
    rc = raddle_spawn_started(&g, NULL, is_up_when_told, p, NULL, &ready);
    EXPECT((rc == 0) == (ready == p));
    return raddle_group_close(&g, rc);
}

/* One that ends by itself, after about as long as the others take to be completed. */
static int sleeps(struct pair *p)
{
    return raddle_sleep(p->after[COMPLETES]);
}

static void nothing(struct pair *p)
{
    (void)p;
}

static const struct kind kinds[] = {
    {"sleep", nothing, sleeps, nothing, NULL, nothing},
    {"get", make_channel, gets, gives_an_item, items_left, drop_channel},
    {"put", make_full_channel, puts_one, gives_room, room_left, drop_channel},
    {"select", make_two, selects, gives_to_both, left_in_two, drop_two},
    {"semaphore", make_semaphore, acquires, releases, permits_left, nothing},
    {"mutex", holds_mutex, locks, unlocks_mutex, NULL, mutex_is_free},
    {"read lock", holds_rwlock, reads_locked, unlocks_rwlock, NULL, rwlock_is_free},
    {"write lock", holds_rwlock, writes_locked, unlocks_rwlock, NULL, rwlock_is_free},
    {"condition", nothing, waits_for_condition, notifies, NULL, nothing},
    {"event", nothing, waits_for_event, sets_event, NULL, nothing},
    {"latch", make_latch, waits_for_latch, counts_down, NULL, nothing},
    {"barrier", make_barrier, meets, meets_too, none, nothing},
    {"future", make_future, waits_for_future, sets_future, NULL, drop_future},
    {"watch", make_watch, watches, sets_watch, NULL, drop_watch},
    {"broadcast", make_broadcast, receives, sends, not_received, drop_broadcast},
    {"join", nothing, joins, sets_event, NULL, nothing},
    {"group", nothing, closes_a_group, sets_event, NULL, nothing},
    {"next of a group", nothing, asks_for_the_next, sets_event, NULL, nothing},
    {"room in a group", nothing, waits_for_room, sets_event, NULL, nothing},
    {"tasks", nothing, waits_for_tasks, sets_event, NULL, nothing},
    {"start", nothing, waits_for_a_start, sets_event, NULL, nothing},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* The task that waits, and what ended it. */

static void check_end(const struct pair *p, int left_rc)
{
    bool outer = p->happened[TASK_CANCELLED] || p->happened[GROUP_CANCELLED];

    if (p->rc >= 0) {
        EXPECT(p->happened[COMPLETES] || p->kind->wait == sleeps);
        EXPECT_EQ(left_rc, p->rc);
        return;
    }
    EXPECT_EQ(p->rc, -ECANCELED);
    if (outer)
        EXPECT_EQ(left_rc, -ECANCELED);
    else
        EXPECT((left_rc == 0 && p->happened[SCOPE_CANCELLED]) ||
               (left_rc == -ETIMEDOUT && p->with[DEADLINE]));
}

static int waits(void *arg)
{
    struct pair *p = arg;
    int64_t limit = p->with[DEADLINE] ? p->after[DEADLINE] : RADDLE_S(100);
    int left_rc;

    raddle_scope_enter(&p->scope, raddle_in(limit), 0);
    p->inside = true;
    p->rc = p->kind->wait(p);
    p->inside = false;
    p->ended = true;
    left_rc = raddle_scope_leave(&p->scope, p->rc);
    check_end(p, left_rc);
    if (p->happened[TASK_CANCELLED] || p->happened[GROUP_CANCELLED])
        EXPECT_EQ(raddle_yield(), -ECANCELED);
    return 0;
}

/* What ends it: each in a task of its own. */

static int completes(void *arg)
{
    struct pair *p = arg;

    p->kind->set_up(p);
    EXPECT_EQ(raddle_started(NULL), 0);
    EXPECT_EQ(raddle_sleep(p->after[COMPLETES]), 0);
    p->happened[COMPLETES] = true;
    p->kind->complete(p);
    return 0;
}

static int cancels_task(void *arg)
{
    struct pair *p = arg;

    EXPECT_EQ(raddle_sleep(p->after[TASK_CANCELLED]), 0);
    p->happened[TASK_CANCELLED] = raddle_task_cancel(p->task, "the task") == 0;
    return 0;
}

static int cancels_group(void *arg)
{
    struct pair *p = arg;

    EXPECT_EQ(raddle_sleep(p->after[GROUP_CANCELLED]), 0);
    if (!p->open)
        return 0;
    p->happened[GROUP_CANCELLED] = true;
    raddle_group_cancel(&p->group, "the group");
    return 0;
}

static int cancels_scope(void *arg)
{
    struct pair *p = arg;

    EXPECT_EQ(raddle_sleep(p->after[SCOPE_CANCELLED]), 0);
    while (!p->inside && !p->ended)
        EXPECT_EQ(raddle_sleep(RADDLE_US(1)), 0);
    if (p->ended)
        return 0;
    p->happened[SCOPE_CANCELLED] = true;
    raddle_scope_cancel(&p->scope, "the scope");
    return 0;
}

static raddle_task_fn *const enders[ENDERS] = {
    completes, cancels_task, cancels_scope, cancels_group, NULL,
};

static void draw(struct pair *p, const struct kind *kind, uint32_t *random)
{
    unsigned first = seeds_below(random, ENDERS),
             second = (first + 1 + seeds_below(random, ENDERS - 1)) % ENDERS;

    memset(p, 0, sizeof(*p));
    p->kind = kind;
    p->random = *random | 1u;
    p->with[first] = p->with[second] = true;
    for (unsigned i = 0; i < ENDERS; i++)
        p->after[i] = RADDLE_US(20) + seeds_while(random);
    /* Somebody has to give what isn't given otherwise, after all others. */
    if (!p->with[COMPLETES])
        p->after[COMPLETES] = RADDLE_MS(5);
}

static int has_one_wait(void *arg)
{
    struct pair *p = arg;
    struct raddle_group others;

    seeds_open(&others);
    EXPECT_EQ(raddle_spawn_started(&others, NULL, completes, p, NULL, NULL), 0);
    seeds_open(&p->group);
    p->open = true;
    seeds_spawn(&p->group, &p->task, waits, p, &p->random);
    for (unsigned i = TASK_CANCELLED; i < ENDERS; i++)
        if (p->with[i] && enders[i])
            seeds_spawn(&others, NULL, enders[i], p, &p->random);
    EXPECT_EQ(raddle_group_close(&p->group, 0), 0);
    p->open = false;
    EXPECT_EQ(raddle_group_close(&others, 0), 0);
    raddle_task_unref(p->task);
    if (p->kind->left)
        EXPECT_EQ(p->given, p->taken + p->kind->left(p));
    p->kind->tear_down(p);
    return 0;
}

int seeds_pairs(void *arg)
{
    struct pair pairs[KINDS];
    struct raddle_group g;

    seeds_open(&g);
    for (unsigned i = 0; i < KINDS; i++) {
        draw(&pairs[i], &kinds[i], arg);
        seeds_spawn(&g, NULL, has_one_wait, &pairs[i], arg);
    }
    return raddle_group_close(&g, 0);
}
