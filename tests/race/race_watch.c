/*
 * tests/race/race_watch.c - tasks and threads set a watch and send to a broadcast channel, others wait for what comes,
 * some of which are cancelled, and all give their references back: each watcher sees versions that grow and the last
 * value, and each receiver every item, or is told how many it has missed.
 *
 *     race_watch [--rounds N]
 *
 * Both end with their last sender. A receiver of the even ones can keep up with all that is sent in a round, the odd
 * ones' channel keeps two items only.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/counted.h"

enum { SENDERS = 4, WATCHERS = 12, THREADS = 2, ITEMS = 60 };

struct item {
    int sender, number, check;
};

struct round {
    raddle_watch *watch;
    raddle_bcast *bcast;
    uint32_t random;
};

struct user {
    struct round *round;
    raddle_watch *watch;
    raddle_watch_sender *setter;
    raddle_bcast_sender *sender;
    raddle_bcast_receiver *receiver;
    uint32_t random;
    int index;
    bool task;
};

static rdl_atomic(unsigned long long) received;

static void expect_good(const struct item *item)
{
    EXPECT_IN(item->sender, 0, SENDERS);
    EXPECT_IN(item->number, 0, ITEMS);
    EXPECT_EQ(item->check, ~(item->sender * ITEMS + item->number));
}

/* In a task or a thread. */
static int sends(void *arg)
{
    struct user *user = arg;

    for (int i = 0; i < ITEMS; i++) {
        struct item item = {user->index, i, ~(user->index * ITEMS + i)};
        EXPECT_EQ(raddle_watch_sender_set(user->setter, &item), 0);
        EXPECT(raddle_bcast_sender_send(user->sender, &item) >= 0);
        if (user->task && test_random(&user->random) % 4 == 0)
            EXPECT_EQ(raddle_yield(), 0);
    }
    raddle_watch_sender_unref(user->setter);
    raddle_bcast_sender_unref(user->sender);
    return 0;
}

static int watches(void *arg)
{
    struct user *user = arg;
    uint64_t version = 0, before = 0;
    struct item item;
    int rc;

    while ((rc = raddle_watch_wait(user->watch, &version, &item)) == 0) {
        EXPECT(version > before);
        before = version;
        if (version > 1)
            expect_good(&item);
    }
    if (rc != -ECANCELED) {
        EXPECT_EQ(rc, RADDLE_ESHUTDOWN);
        EXPECT_EQ(version, 1 + SENDERS * ITEMS);
    }
    raddle_watch_unref(user->watch);
    return rc == -ECANCELED ? rc : 0;
}

static int receives(void *arg)
{
    struct user *user = arg;
    int last[SENDERS], rc;
    uint64_t missed = 0, all_missed = 0, count = 0;
    struct item item;

    for (int i = 0; i < SENDERS; i++)
        last[i] = -1;
    while ((rc = raddle_bcast_receive(user->receiver, &item, &missed)) == 0) {
        expect_good(&item);
        if (!all_missed && !missed)
            EXPECT_EQ(item.number, last[item.sender] + 1);
        EXPECT(item.number > last[item.sender]);
        last[item.sender] = item.number;
        all_missed += missed;
        count++;
    }
    if (rc != -ECANCELED) {
        EXPECT_EQ(rc, RADDLE_ESHUTDOWN);
        EXPECT_EQ(count + all_missed, SENDERS * ITEMS);
    }
    rdl_atomic_fetch_add_relaxed(&received, count);
    raddle_bcast_receiver_unref(user->receiver);
    return rc == -ECANCELED ? rc : 0;
}

static void *sends_in_thread(void *arg)
{
    (void)sends(arg);
    return NULL;
}

static void *watches_in_thread(void *arg)
{
    (void)watches(arg);
    return NULL;
}

static void *receives_in_thread(void *arg)
{
    (void)receives(arg);
    return NULL;
}

static void open_all(struct round *round, struct user *senders, struct user *watchers,
                     struct user *receivers)
{
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct user){.index = i, .random = test_random(&round->random) | 1};
        EXPECT_EQ(raddle_watch_sender_open(round->watch, &senders[i].setter), 0);
        EXPECT_EQ(raddle_bcast_sender_open(round->bcast, &senders[i].sender), 0);
    }
    for (int i = 0; i < WATCHERS; i++) {
        watchers[i] = (struct user){.watch = raddle_watch_ref(round->watch)};
        EXPECT_EQ(raddle_bcast_receiver_open(round->bcast, &receivers[i].receiver), 0);
    }
    raddle_watch_unref(round->watch);
    raddle_bcast_unref(round->bcast);
}

/* The first of each kind are threads. */
static int runs(void *arg)
{
    struct raddle_spawn_options options = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct user senders[SENDERS], watchers[WATCHERS], receivers[WATCHERS];
    struct round *round = arg;
    raddle_task *tasks[2 * WATCHERS];
    pthread_t threads[3 * THREADS];
    struct raddle_group g;
    unsigned count = 0, t = 0;

    memset(receivers, 0, sizeof(receivers));
    open_all(round, senders, watchers, receivers);
    EXPECT_EQ(raddle_group_open(&g, &collect), 0);
    for (int i = 0; i < WATCHERS; i++) {
        if (i < THREADS) {
            EXPECT_EQ(pthread_create(&threads[t++], NULL, watches_in_thread, &watchers[i]), 0);
            EXPECT_EQ(pthread_create(&threads[t++], NULL, receives_in_thread, &receivers[i]), 0);
            continue;
        }
        EXPECT_EQ(raddle_spawn(&g, &tasks[count++], watches, &watchers[i], &options), 0);
        EXPECT_EQ(raddle_spawn(&g, &tasks[count++], receives, &receivers[i], &options), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        senders[i].task = i >= THREADS;
        if (senders[i].task)
            EXPECT_EQ(raddle_spawn(&g, NULL, sends, &senders[i], &options), 0);
        else
            EXPECT_EQ(pthread_create(&threads[t++], NULL, sends_in_thread, &senders[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        EXPECT_EQ(raddle_yield(), 0);
        (void)raddle_task_cancel(tasks[test_random(&round->random) % count], "enough");
    }
    (void)!raddle_group_close(&g, 0);
    for (unsigned i = 0; i < count; i++)
        raddle_task_unref(tasks[i]);
    while (t)
        pthread_join(threads[--t], NULL);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", 60);
    uint32_t random = 88172645u;

    for (unsigned long i = 0; i < rounds; i++) {
        struct round round = {.random = test_random(&random) | 1};
        EXPECT_EQ(raddle_watch_create(sizeof(struct item), NULL, &round.watch), 0);
        EXPECT_EQ(
            raddle_bcast_create(sizeof(struct item), i % 2 ? 2 : SENDERS * ITEMS, &round.bcast), 0);
        EXPECT_EQ(test_run(runs, &round), 0);
    }
    test_counted(rdl_atomic_load_relaxed(&received), "items of broadcasts");
    return test_result();
}
