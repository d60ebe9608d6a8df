/*
 * tests/conformance/test_hosts.c - loops beside others: driven by a program that has a loop of its own, as a user
 * interface has; and policies that watch what loops do, in place of subclasses of a loop.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

TestSuite(hosts, .timeout = 60);

/* A host: a thread with a queue of its own and a descriptor that tells of what is in it. As a toolkit's, it does one
 * thing after the other, and everything that belongs to it is touched by its thread only. */

enum { CLICKS = 5, ROOM = 64 };

struct host {
    pthread_t thread;
    pthread_mutex_t lock;
    int waiting[ROOM]; /* what others have posted. Under lock */
    unsigned first, count;
    int wake; /* an eventfd */
    int shown[ROOM];
    unsigned shows; /* the thread's own */
    bool elsewhere;
};

static void host_open(struct host *h)
{
    memset(h, 0, sizeof(*h));
    h->thread = pthread_self();
    pthread_mutex_init(&h->lock, NULL);
    h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void host_close(struct host *h)
{
    close(h->wake);
    pthread_mutex_destroy(&h->lock);
}

/* Any thread. */
static void host_post(struct host *h, int what)
{
    uint64_t one = 1;

    pthread_mutex_lock(&h->lock);
    h->waiting[(h->first + h->count++) % ROOM] = what;
    pthread_mutex_unlock(&h->lock);
    EXPECT_EQ(write(h->wake, &one, sizeof(one)), sizeof(one));
}

/* One step of its loop: waits so long for what comes, and shows it. */
static void host_step(struct host *h, int timeout_ms)
{
    struct pollfd ready = {.fd = h->wake, .events = POLLIN};
    uint64_t count;

    if (poll(&ready, 1, timeout_ms) > 0)
        (void)!read(h->wake, &count, sizeof(count));
    pthread_mutex_lock(&h->lock);
    while (h->count) {
        h->elsewhere |= !pthread_equal(h->thread, pthread_self());
        h->shown[h->shows++] = h->waiting[h->first++ % ROOM];
        h->count--;
    }
    pthread_mutex_unlock(&h->lock);
}

/* What the host asks for: a task works on it, and posts the answer. */
struct click {
    struct host *host;
    int number;
};

static int answers(void *arg)
{
    struct click *c = arg;
    int rc = raddle_sleep(RADDLE_MS(1));

    host_post(c->host, c->number);
    return rc;
}

static void expect_all_shown(const struct host *h)
{
    unsigned seen = 0;

    EXPECT_EQ(h->shows, CLICKS);
    for (unsigned i = 0; i < h->shows; i++)
        seen |= 1u << h->shown[i];
    EXPECT_EQ(seen, (1u << CLICKS) - 1);
    EXPECT(!h->elsewhere);
}

/* One turn of loop, which waits for nothing: what is ready, and what has become so. */
static void turn(raddle_loop *loop)
{
    raddle_loop_stop(loop);
    EXPECT_EQ(raddle_loop_run_forever(loop), 0);
}

/* AA6 */
RuntimeTest(hosts, a_loop_is_turned_by_its_host_between_two_steps_of_that)
{
    struct click clicks[CLICKS];
    raddle_loop *loop = NULL;
    struct host h;

    host_open(&h);
    cr_assert_eq(raddle_new_loop(&loop), 0);
    for (int i = 0; i < CLICKS; i++) {
        clicks[i] = (struct click){&h, i};
        cr_assert_eq(raddle_loop_spawn(loop, answers, &clicks[i], NULL), 0);
        turn(loop); /* begins it, and comes back though it sleeps */
        host_step(&h, 0);
    }
    while (h.shows < CLICKS) {
        turn(loop);
        host_step(&h, 1);
    }
    cr_assert_eq(raddle_loop_close(loop), 0);
    expect_all_shown(&h);
    host_close(&h);
}

/* AA6 */
RuntimeTest(hosts, a_loop_in_a_thread_works_for_a_host_which_shows_the_answers_itself)
{
    struct click clicks[CLICKS];
    raddle_loop_thread *thread = NULL;
    struct host h;

    host_open(&h);
    cr_assert_eq(raddle_loop_thread_start(&thread, NULL, NULL, NULL), 0);
    for (int i = 0; i < CLICKS; i++) {
        clicks[i] = (struct click){&h, i};
        cr_assert_eq(raddle_loop_spawn(raddle_loop_thread_loop(thread), answers, &clicks[i], NULL),
                     0);
    }
    while (h.shows < CLICKS)
        host_step(&h, 1000);
    cr_assert_eq(raddle_loop_thread_cancel(thread, "the window is closed"), 0);
    cr_assert_eq(raddle_loop_thread_join(thread, NULL), 0);
    expect_all_shown(&h);
    host_close(&h);
}

/* In place of a subclass. */

struct log {
    struct raddle_policy policy;
    rdl_atomic(unsigned) made, started, closed;
};

static int new_loop(const struct raddle_policy *policy, const struct raddle_loop_options *options,
                    raddle_loop **out)
{
    struct log *log = policy->data;

    rdl_atomic_fetch_add_acq_rel(&log->made, 1u);
    return raddle_default_policy()->new_loop(raddle_default_policy(), options, out);
}

static void loop_started(const struct raddle_policy *policy, raddle_loop *loop)
{
    struct log *log = policy->data;

    EXPECT(loop != NULL);
    rdl_atomic_fetch_add_acq_rel(&log->started, 1u);
}

static void loop_closed(const struct raddle_policy *policy, raddle_loop *loop)
{
    struct log *log = policy->data;

    EXPECT(loop != NULL);
    rdl_atomic_fetch_add_acq_rel(&log->closed, 1u);
}

static void counts(void *arg)
{
    ++*(unsigned *)arg;
}

enum { SPAWNED = 20, SOON = 3 };

/* What a subclass would count in its call_soon(), create_task() and run_once() the loop has counted. */
static int measures(void *arg)
{
    struct raddle_loop_stats before, after;
    struct raddle_group g;
    unsigned called = 0;

    (void)arg;
    EXPECT_EQ(raddle_get_loop_stats(0, &before), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < SPAWNED; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, test_nothing, NULL, NULL), 0);
    for (int i = 0; i < SOON; i++)
        EXPECT_EQ(raddle_call_soon(raddle_running_loop(), counts, &called), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(called, SOON);
    EXPECT_EQ(raddle_get_loop_stats(0, &after), 0);
    EXPECT_EQ(after.spawns - before.spawns, SPAWNED);
    EXPECT(after.switches - before.switches >= SPAWNED);
    EXPECT(after.timers > before.timers && after.polls > before.polls);
    return 0;
}

/* AA2 */
RuntimeTest(hosts, a_policy_and_the_counters_tell_what_a_subclass_of_a_loop_would)
{
    struct log log = {
        .policy = {.new_loop = new_loop, .loop_started = loop_started, .loop_closed = loop_closed}};
    struct raddle_run_options options = {.loops = 1, .policy = &log.policy};
    raddle_loop *loop = NULL;

    log.policy.data = &log;
    cr_assert_eq(raddle_run(measures, NULL, &options), 0);
    cr_assert(log.made == 1 && log.started == 1 && log.closed == 1);
    /* A loop of one's own, too: made, and started when it first runs. */
    cr_assert_eq(raddle_set_thread_policy(&log.policy), 0);
    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert(log.made == 2 && log.started == 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(raddle_loop_run_until_complete(loop, measures, NULL), 0);
    cr_assert(log.started == 2 && log.closed == 1);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert(log.made == 2 && log.closed == 2);
    cr_assert_eq(raddle_set_thread_policy(NULL), 0);
}
