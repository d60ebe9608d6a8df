/*
 * tests/fault/scenarios_share.c - what tasks and threads share: channels, futures, select, locks, for the sweep.
 */
#define _GNU_SOURCE
#include "tests/fault/scenarios.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <raddle.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ITEMS = 40, WORKERS = 4 };

static int run(raddle_task_fn *fn, void *arg, unsigned loops)
{
    return raddle_run(fn, arg, &(struct raddle_run_options){.loops = loops});
}

/* --- channels --- */

/* Puts 0 to ITEMS - 1 and ends the channel, whatever has failed: who gets from it is waiting. */
static int produces(void *arg)
{
    raddle_chan *chan = arg;
    int rc = 0;

    for (int i = 0; i < ITEMS && rc == 0; i++)
        rc = raddle_put(chan, &i);
    (void)raddle_chan_shutdown(chan, RADDLE_CHAN_DRAIN);
    return rc;
}

/* Gets all that comes: each number once, and no other. */
static int gets_all(raddle_chan *chan)
{
    char seen[ITEMS] = {0};
    int item = -1, rc;

    while ((rc = raddle_get(chan, &item)) == 0) {
        if (item < 0 || item >= ITEMS || seen[item]++)
            return FAULT_WRONG;
        if (raddle_chan_task_done(chan) < 0)
            return FAULT_WRONG;
    }
    if (rc != RADDLE_ESHUTDOWN)
        return rc;
    return raddle_chan_join(chan);
}

static int passes_through(size_t capacity, const struct raddle_chan_options *options)
{
    raddle_chan *chan;
    struct raddle_group g;
    int rc = raddle_chan_create(sizeof(int), capacity, options, &chan);

    if (rc < 0)
        return rc;
    rc = raddle_group_open(&g, NULL);
    if (rc == 0) {
        rc = raddle_spawn(&g, NULL, produces, chan, NULL);
        if (rc == 0)
            rc = gets_all(chan);
        rc = raddle_group_close(&g, rc);
    }
    raddle_chan_unref(chan);
    return rc;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int uses_channels(void *arg)
{
    static const struct raddle_chan_options by_priority = {.order = RADDLE_CHAN_PRIORITY,
                                                           .compare = compare},
                                            newest = {.order = RADDLE_CHAN_LIFO};
    int rc = passes_through(3, NULL);

    (void)arg;
    rc = fault_first(rc, passes_through(0, NULL));
    rc = fault_first(rc, passes_through(RADDLE_UNBOUNDED, &by_priority));
    return fault_first(rc, passes_through(RADDLE_UNBOUNDED, &newest));
}

static int scenario_channel(void)
{
    return run(uses_channels, NULL, 1);
}

static int sends(void *arg)
{
    raddle_sender *sender = arg;
    int rc = 0;

    for (int i = 0; i < ITEMS / WORKERS && rc == 0; i++)
        rc = raddle_sender_put(sender, &i);
    raddle_sender_unref(sender);
    return rc;
}

/* The channel ends with its last sender, and not before. */
static int uses_ends(void *arg)
{
    raddle_chan *chan = NULL;
    raddle_sender *sender = NULL;
    raddle_receiver *receiver = NULL;
    struct raddle_group g;
    int got = 0, begun = 0, item, rc, closed;

    (void)arg;
    rc = raddle_chan_create(sizeof(int), 2, NULL, &chan);
    if (rc < 0)
        return rc;
    rc = raddle_receiver_open(chan, &receiver);
    closed = raddle_group_open(&g, NULL);
    if (closed == 0) {
        while (begun < WORKERS && rc == 0) {
            rc = raddle_sender_open(chan, &sender);
            if (rc < 0)
                break;
            rc = raddle_spawn(&g, NULL, sends, sender, NULL);
            if (rc < 0)
                raddle_sender_unref(sender);
            else
                begun++;
        }
        while (begun && receiver && (closed = raddle_receiver_get(receiver, &item)) == 0)
            got++;
        if (closed == RADDLE_ESHUTDOWN)
            closed = got == begun * (ITEMS / WORKERS) ? 0 : FAULT_WRONG;
        closed = raddle_group_close(&g, fault_first(rc, closed));
    }
    raddle_receiver_unref(receiver);
    raddle_chan_unref(chan);
    return fault_first(rc, closed);
}

static int scenario_ends(void)
{
    return run(uses_ends, NULL, 2);
}

/* --- watches and broadcasts --- */

static int watches(void *arg)
{
    raddle_watch *watch = arg;
    uint64_t version = 1;
    int item = -1, last = -1, rc;

    while ((rc = raddle_watch_wait(watch, &version, &item)) == 0) {
        if (item <= last)
            return FAULT_WRONG;
        last = item;
    }
    return rc == RADDLE_ESHUTDOWN && last == ITEMS - 1 ? 0 : rc; /* else the sender has failed */
}

static int receives(void *arg)
{
    raddle_bcast_receiver *receiver = arg;
    uint64_t missed = 0, had = 0;
    int item = -1, rc;

    while ((rc = raddle_bcast_receive(receiver, &item, &missed)) == 0) {
        had += missed;
        if (item != (int)had++)
            return FAULT_WRONG;
    }
    return rc == RADDLE_ESHUTDOWN && had == ITEMS ? 0 : rc;
}

static int spreads(raddle_watch_sender *setter, raddle_bcast_sender *sender)
{
    int rc = 0;

    for (int i = 0; i < ITEMS && rc == 0; i++) {
        rc = raddle_watch_sender_set(setter, &i);
        if (rc == 0 && raddle_bcast_sender_send(sender, &i) != 1)
            rc = FAULT_WRONG;
        if (rc == 0 && i % 3 == 0)
            rc = raddle_yield();
    }
    return rc;
}

static int has_spread(raddle_watch *watch, raddle_bcast *bcast)
{
    raddle_watch_sender *setter = NULL;
    raddle_bcast_sender *sender = NULL;
    raddle_bcast_receiver *receiver = NULL;
    struct raddle_group g;
    int rc = raddle_watch_sender_open(watch, &setter);

    if (rc == 0)
        rc = raddle_bcast_sender_open(bcast, &sender);
    if (rc == 0)
        rc = raddle_bcast_receiver_open(bcast, &receiver);
    if (rc == 0)
        rc = raddle_group_open(&g, NULL);
    if (rc == 0) {
        rc = raddle_spawn(&g, NULL, watches, watch, NULL);
        if (rc == 0)
            rc = raddle_spawn(&g, NULL, receives, receiver, NULL);
        if (rc == 0)
            rc = spreads(setter, sender);
        raddle_watch_sender_close(setter);
        raddle_bcast_sender_close(sender);
        rc = raddle_group_close(&g, rc);
    }
    raddle_watch_sender_unref(setter);
    raddle_bcast_sender_unref(sender);
    raddle_bcast_receiver_unref(receiver);
    return rc;
}

static int uses_feeds(void *arg)
{
    raddle_watch *watch = NULL;
    raddle_bcast *bcast = NULL;
    int rc = raddle_watch_create(sizeof(int), NULL, &watch);

    (void)arg;
    if (rc == 0)
        rc = raddle_bcast_create(sizeof(int), 4, &bcast);
    if (rc == 0)
        rc = has_spread(watch, bcast);
    raddle_watch_unref(watch);
    raddle_bcast_unref(bcast);
    return rc;
}

static int scenario_feed(void)
{
    return run(uses_feeds, NULL, 2);
}

/* --- futures --- */

struct answer {
    raddle_future *future;
    int called;
};

static void is_called(void *arg)
{
    ++*(int *)arg;
}

static int awaits(void *arg)
{
    const struct answer *answer = arg;
    struct raddle_outcome outcome;
    int rc = raddle_future_wait(answer->future, &outcome);

    if (rc < 0)
        return rc;
    return outcome.kind == RADDLE_OK && outcome.rc == 42 ? 0 : FAULT_WRONG;
}

static void *sets(void *arg)
{
    (void)raddle_future_set(((struct answer *)arg)->future, 42, NULL);
    return NULL;
}

static int has_awaited(struct answer *answer)
{
    pthread_t thread;
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    if (rc < 0) {
        (void)raddle_future_cancel(answer->future, "no group");
        return rc;
    }
    for (unsigned i = 0; i < WORKERS && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, awaits, answer, NULL);
    if (pthread_create(&thread, NULL, sets, answer) != 0)
        sets(answer);
    else
        pthread_join(thread, NULL);
    return raddle_group_close(&g, rc);
}

static int uses_future(struct answer *answer)
{
    int rc = raddle_future_on_done(answer->future, NULL, is_called, &answer->called);

    if (rc < 0) {
        (void)raddle_future_cancel(answer->future, "no callback");
        return rc;
    }
    rc = has_awaited(answer);
    /* It was posted when the future was set or cancelled. */
    for (int i = 0; i < 100 && !answer->called; i++)
        (void)raddle_yield();
    return answer->called == 1 ? rc : FAULT_WRONG;
}

static int uses_futures(void *arg)
{
    struct answer answer = {0};
    int rc = raddle_future_create(&answer.future);

    (void)arg;
    if (rc < 0)
        return rc;
    rc = uses_future(&answer);
    raddle_future_unref(answer.future);
    return rc;
}

static int scenario_future(void)
{
    return run(uses_futures, NULL, 1);
}

/* --- select --- */

struct choice {
    raddle_chan *chan;
    raddle_future *future;
    int near, far;
};

static int chooses(struct choice *choice)
{
    bool of_chan = false, of_future = false, of_fd = false;
    int item = 0, rc = 0;
    char byte = 'x';

    while (rc >= 0 && !(of_chan && of_future && of_fd)) {
        struct raddle_case cases[] = {
            {.op = RADDLE_ON_GET, .object = of_chan ? NULL : choice->chan, .item = &item},
            {.op = RADDLE_ON_FUTURE, .object = of_future ? NULL : choice->future},
            {.op = of_fd ? RADDLE_ON_NOTHING : RADDLE_ON_FD, .fd = choice->near, .events = POLLIN},
            {.op = RADDLE_ON_TIME, .when = raddle_in(RADDLE_S(5))},
        };

        rc = raddle_select(cases, 4, 0);
        switch (rc) {
        case 0:
            if (cases[0].rc < 0 || item != 7)
                return FAULT_WRONG;
            of_chan = true;
            break;
        case 1:
            of_future = true;
            break;
        case 2:
            if (cases[2].rc < 0)
                return cases[2].rc;
            if (!(cases[2].rc & POLLIN) || read(choice->near, &byte, 1) != 1 || byte != 'y')
                return FAULT_WRONG;
            of_fd = true;
            break;
        default:
            return rc < 0 ? rc : -ETIMEDOUT;
        }
    }
    return 0;
}

static int offers(void *arg)
{
    struct choice *choice = arg;
    int item = 7, rc;

    (void)raddle_yield();
    rc = raddle_put(choice->chan, &item);
    if (write(choice->far, "y", 1) != 1)
        rc = fault_first(rc, -errno);
    (void)raddle_yield();
    return fault_first(rc, raddle_future_set(choice->future, 0, NULL));
}

static int selects(void *arg)
{
    struct choice choice = {0};
    struct raddle_group g;
    int fds[2], rc;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    choice.near = fds[0];
    choice.far = fds[1];
    rc = raddle_chan_create(sizeof(int), 0, NULL, &choice.chan);
    if (rc == 0)
        rc = raddle_future_create(&choice.future);
    if (rc == 0)
        rc = raddle_group_open(&g, NULL);
    if (rc == 0) {
        rc = raddle_spawn(&g, NULL, offers, &choice, NULL);
        if (rc == 0)
            rc = chooses(&choice);
        if (rc < 0)
            raddle_group_cancel(&g, "no choice");
        rc = raddle_group_close(&g, rc);
    }
    raddle_future_unref(choice.future);
    raddle_chan_unref(choice.chan);
    for (unsigned i = 0; i < 2; i++)
        rc = fault_first(rc, raddle_fd_close(fds[i]));
    return rc;
}

static int scenario_select(void)
{
    return run(selects, NULL, 1);
}

/* --- locks --- */

struct shared {
    struct raddle_mutex mutex;
    struct raddle_cond cond;
    struct raddle_sem places;
    int inside, arrived;
};

static int arrives(void *arg)
{
    struct shared *shared = arg;
    int rc = raddle_sem_acquire(&shared->places, 1);

    if (rc < 0)
        return rc;
    if (++shared->inside > 2)
        rc = FAULT_WRONG;
    rc = fault_first(rc, raddle_yield());
    shared->inside--;
    rc = fault_first(rc, raddle_sem_release(&shared->places, 1));
    rc = fault_first(rc, raddle_lock(&shared->mutex));
    if (rc < 0)
        return rc;
    shared->arrived++;
    (void)raddle_cond_notify(&shared->cond, 1);
    return raddle_unlock(&shared->mutex);
}

static int waits_for_all(struct shared *shared)
{
    int rc = raddle_lock(&shared->mutex);

    if (rc < 0)
        return rc;
    while (rc == 0 && shared->arrived < WORKERS)
        rc = raddle_cond_wait(&shared->cond, &shared->mutex);
    return fault_first(rc, raddle_unlock(&shared->mutex));
}

static int locks(void *arg)
{
    struct shared shared = {0};
    struct raddle_group g;
    int rc = raddle_sem_init(&shared.places, 2, 2);

    (void)arg;
    if (rc == 0)
        rc = raddle_group_open(&g, NULL);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < WORKERS && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, arrives, &shared, NULL);
    if (rc == 0)
        rc = waits_for_all(&shared);
    return raddle_group_close(&g, rc);
}

static int scenario_locks(void)
{
    return run(locks, NULL, 1);
}

const struct fault_scenario fault_share_scenarios[] = {
    {"channel", scenario_channel, false},
    {"ends", scenario_ends, false},
    {"feed", scenario_feed, false},
    {"future", scenario_future, false},
    {"select", scenario_select, false},
    {"locks", scenario_locks, false},
    {NULL, NULL, false},
};
