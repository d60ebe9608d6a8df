/*
 * tests/conformance/seeds_sync.c - locks, semaphores, conditions and meetings of tasks, some of which are cancelled or
 * late: permits and notifications are neither lost nor made, who excludes others is alone, and everybody ends.
 */
#include "tests/conformance/seeds.h"

#include <errno.h>

enum { CREW = 6, ROUNDS = 3 };

struct shop;

struct worker {
    struct shop *shop;
    unsigned number;
    uint32_t random;
    raddle_task *task;
    unsigned served, refused;
};

/* What a scenario's tasks share. */
struct shop {
    struct worker workers[CREW];
    struct raddle_sem sem;
    struct raddle_mutex mutex;
    struct raddle_rwlock rwlock;
    struct raddle_cond filled, emptied;
    struct raddle_barrier barrier;
    struct raddle_latch latch;
    struct raddle_event opening;
    unsigned permits;          /* that are out */
    unsigned readers, writers; /* inside, at the moment */
    unsigned items, made, used;
    bool over;
};

static void open_shop(struct shop *shop, struct raddle_group *g, raddle_task_fn *fn,
                      uint32_t *random)
{
    seeds_open(g);
    for (unsigned i = 0; i < CREW; i++) {
        struct worker *w = &shop->workers[i];

        *w = (struct worker){.shop = shop, .number = i, .random = test_random(random)};
        seeds_spawn(g, &w->task, fn, w, random);
    }
}

/* Cancels a few of them, a short while apart. */
static void cancel_some(struct shop *shop, uint32_t *random, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        EXPECT_EQ(raddle_sleep(seeds_while(random)), 0);
        (void)raddle_task_cancel(shop->workers[seeds_below(random, CREW)].task, "no more");
    }
}

static void close_shop(struct shop *shop, struct raddle_group *g)
{
    int rc = raddle_group_close(g, 0);

    EXPECT(rc == 0);
    for (unsigned i = 0; i < CREW; i++)
        raddle_task_unref(shop->workers[i].task);
}

/* A scope with a deadline that may come in between, or none. */
static void enter_limit(struct worker *w, struct raddle_scope *limit)
{
    raddle_scope_enter(limit, seeds_below(&w->random, 3) ? 0 : raddle_in(seeds_while(&w->random)),
                       RADDLE_QUIET);
}

/* Notes how a wait in such a scope ended, and leaves it. */
static void leave_limit(struct worker *w, struct raddle_scope *limit, int rc)
{
    if (rc >= 0)
        w->served++;
    else
        w->refused++;
    EXPECT(rc >= 0 || rc == -ECANCELED);
    rc = raddle_scope_leave(limit, rc < 0 ? rc : 0);
    EXPECT(rc == 0 || (rc == -ECANCELED && raddle_cancelled()));
}

/* Permits. */

static int takes_permits(void *arg)
{
    struct worker *w = arg;
    struct shop *shop = w->shop;

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned count = 1 + seeds_below(&w->random, 2);
        struct raddle_scope limit;
        int rc;

        enter_limit(w, &limit);
        rc = raddle_sem_acquire(&shop->sem, count);
        if (rc == 0) {
            shop->permits += count;
            EXPECT(shop->permits <= 3);
            seeds_pause(seeds_while(&w->random));
            shop->permits -= count;
            EXPECT_EQ(raddle_sem_release(&shop->sem, count), 0);
        }
        leave_limit(w, &limit, rc);
    }
    return 0;
}

int seeds_semaphore(void *random)
{
    struct shop shop = {.permits = 0};
    struct raddle_group g;

    EXPECT_EQ(raddle_sem_init(&shop.sem, 3, 3), 0);
    open_shop(&shop, &g, takes_permits, random);
    cancel_some(&shop, random, 3);
    close_shop(&shop, &g);
    EXPECT_EQ(raddle_sem_value(&shop.sem), 3);
    EXPECT_EQ(shop.permits, 0);
    for (unsigned i = 0; i < CREW; i++)
        EXPECT_EQ(shop.workers[i].served + shop.workers[i].refused, ROUNDS);
    return 0;
}

/* Who is alone, and who is among readers. */

static int lock_and_look(struct worker *w)
{
    struct shop *shop = w->shop;
    int rc = raddle_lock(&shop->mutex);

    if (rc < 0)
        return rc;
    EXPECT_EQ(shop->permits++, 0);
    seeds_pause(seeds_while(&w->random));
    EXPECT_EQ(--shop->permits, 0);
    EXPECT_EQ(raddle_unlock(&shop->mutex), 0);
    return 0;
}

static int read_and_look(struct worker *w)
{
    struct shop *shop = w->shop;
    int rc = raddle_rwlock_read(&shop->rwlock);

    if (rc < 0)
        return rc;
    shop->readers++;
    EXPECT_EQ(shop->writers, 0);
    seeds_pause(seeds_while(&w->random));
    EXPECT_EQ(shop->writers, 0);
    shop->readers--;
    EXPECT_EQ(raddle_rwlock_unlock(&shop->rwlock), 0);
    return 0;
}

static int write_and_look(struct worker *w)
{
    struct shop *shop = w->shop;
    int rc = raddle_rwlock_write(&shop->rwlock);

    if (rc < 0)
        return rc;
    EXPECT(shop->writers++ == 0 && shop->readers == 0);
    seeds_pause(seeds_while(&w->random));
    EXPECT(--shop->writers == 0 && shop->readers == 0);
    EXPECT_EQ(raddle_rwlock_unlock(&shop->rwlock), 0);
    return 0;
}

static int locks_things(void *arg)
{
    static int (*const ways[])(struct worker *) = {lock_and_look, read_and_look, read_and_look,
                                                   write_and_look};
    struct worker *w = arg;

    for (unsigned i = 0; i < 2 * ROUNDS; i++) {
        struct raddle_scope limit;

        enter_limit(w, &limit);
        leave_limit(w, &limit, ways[seeds_below(&w->random, 4)](w));
    }
    return 0;
}

int seeds_locks(void *random)
{
    struct shop shop = {.permits = 0};
    struct raddle_group g;

    open_shop(&shop, &g, locks_things, random);
    cancel_some(&shop, random, 2);
    close_shop(&shop, &g);
    EXPECT(!raddle_locked(&shop.mutex));
    EXPECT_EQ(raddle_rwlock_try_write(&shop.rwlock), 0);
    EXPECT_EQ(raddle_rwlock_unlock(&shop.rwlock), 0);
    for (unsigned i = 0; i < CREW; i++)
        EXPECT_EQ(shop.workers[i].served + shop.workers[i].refused, 2 * ROUNDS);
    return 0;
}

/* A store with room for one, whose mutex and two conditions see to it that nothing is sold twice. One notification
 * per change: one that a cancelled waiter took with it would leave somebody behind for ever. */

static int makes(struct worker *w)
{
    struct shop *shop = w->shop;
    int rc = 0;

    while (rc == 0 && shop->items == 1 && !shop->over)
        rc = raddle_cond_wait(&shop->emptied, &shop->mutex);
    if (rc == 0 && !shop->over) {
        shop->items++;
        shop->made++;
        (void)raddle_cond_notify(&shop->filled, 1);
    }
    return rc;
}

static int uses(struct worker *w)
{
    struct shop *shop = w->shop;
    int rc = 0;

    while (rc == 0 && shop->items == 0 && !shop->over)
        rc = raddle_cond_wait(&shop->filled, &shop->mutex);
    if (rc == 0 && shop->items) {
        shop->items--;
        shop->used++;
        (void)raddle_cond_notify(&shop->emptied, 1);
    }
    return rc;
}

/* The first and the last are never cancelled, and go on until the shop is closed. */
static int trades(void *arg)
{
    struct worker *w = arg;
    struct shop *shop = w->shop;
    int rc = 0;

    while (rc == 0 && !shop->over) {
        rc = raddle_lock(&shop->mutex);
        if (rc < 0)
            break;
        rc = w->number < CREW / 2 ? makes(w) : uses(w);
        w->served += rc == 0;
        EXPECT_EQ(raddle_unlock(&shop->mutex), 0);
        if (rc == 0)
            rc = raddle_sleep(seeds_while(&w->random));
    }
    EXPECT(rc == 0 || rc == -ECANCELED);
    return 0;
}

int seeds_condition(void *random)
{
    struct shop shop = {.permits = 0};
    struct raddle_group g;
    unsigned before;

    open_shop(&shop, &g, trades, random);
    for (unsigned i = 1; i < CREW - 1; i++) {
        EXPECT_EQ(raddle_sleep(seeds_while(random)), 0);
        EXPECT_EQ(raddle_task_cancel(shop.workers[i].task, "no more"), 0);
    }
    /* With two that are left it goes on. */
    before = shop.used;
    while (shop.used < before + 3)
        EXPECT_EQ(raddle_sleep(RADDLE_US(5)), 0);
    EXPECT_EQ(raddle_lock(&shop.mutex), 0);
    shop.over = true;
    (void)raddle_cond_notify_all(&shop.emptied);
    (void)raddle_cond_notify_all(&shop.filled);
    EXPECT_EQ(raddle_unlock(&shop.mutex), 0);
    close_shop(&shop, &g);
    EXPECT_EQ(shop.made, shop.used + shop.items);
    return 0;
}

/* Everybody waits for the opening; then groups of three meet at a barrier, which those who are cancelled have not
 * come to; and a latch waits for all. */

static int goes_to_meetings(void *arg)
{
    struct worker *w = arg;
    struct shop *shop = w->shop;
    int rc = raddle_event_wait(&shop->opening);

    while (rc >= 0 && !shop->over) {
        rc = raddle_barrier_wait(&shop->barrier);
        w->served += rc >= 0;
        shop->used += rc >= 0;
        if (rc >= 0)
            rc = raddle_sleep(seeds_while(&w->random));
    }
    EXPECT(rc == 0 || rc == -ECANCELED || rc == RADDLE_EBROKEN);
    EXPECT_EQ(raddle_latch_done(&shop->latch, 1), 0);
    return 0;
}

int seeds_meetings(void *random)
{
    struct shop shop = {.permits = 0};
    struct raddle_group g;
    unsigned before;

    EXPECT_EQ(raddle_barrier_init(&shop.barrier, 3), 0);
    raddle_latch_init(&shop.latch, CREW);
    open_shop(&shop, &g, goes_to_meetings, random);
    EXPECT_EQ(raddle_sleep(seeds_while(random)), 0);
    raddle_event_set(&shop.opening);
    cancel_some(&shop, random, 3);
    /* At least three are left, and meet again. */
    before = shop.used;
    while (shop.used < before + 3)
        EXPECT_EQ(raddle_sleep(RADDLE_US(5)), 0);
    shop.over = true;
    raddle_barrier_abort(&shop.barrier);
    EXPECT_EQ(raddle_latch_wait(&shop.latch), 0);
    close_shop(&shop, &g);
    EXPECT_EQ(shop.used % 3, 0);
    EXPECT_EQ(raddle_barrier_waiting(&shop.barrier), 0);
    return 0;
}
