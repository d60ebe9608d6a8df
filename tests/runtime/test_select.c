/*
 * tests/runtime/test_select.c - selects: the first that is possible, only its effect, nothing when cancelled.
 */
#define _GNU_SOURCE
#include "tests/support/channel.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(select, .timeout = 60);

static int errors(void *arg)
{
    struct raddle_case c = {.op = RADDLE_ON_TIME}, none[2] = {{.op = RADDLE_ON_GET}, {.rc = 0}};
    (void)arg;

    EXPECT_EQ(raddle_select(NULL, 1, 0), -EINVAL);
    EXPECT_EQ(raddle_select(&c, 1, 4), -EINVAL);
    EXPECT_EQ(raddle_select(&c, (size_t)INT_MAX + 1, 0), -EINVAL);
    c.op = (enum raddle_select_op)11;
    EXPECT_EQ(raddle_select(&c, 1, 0), -EINVAL);
    EXPECT_EQ(raddle_select(none, 2, RADDLE_SELECT_TRY), -EAGAIN);
    EXPECT_EQ(raddle_select(NULL, 0, RADDLE_SELECT_TRY | RADDLE_SELECT_FAIR), -EAGAIN);
    return 0;
}

RuntimeTest(select, bad_arguments_are_einval_and_cases_without_an_object_never_happen)
{
    cr_expect_eq(raddle_select(NULL, 0, 0), -EPERM);
    cr_assert_eq(test_run(errors, NULL), 0);
}

static int takes_the_first(void *arg)
{
    raddle_chan *a = make(2), *b = make(1);
    int x = 0, y = 0, z = 7;
    bool seen[2] = {false, false};
    struct raddle_case cases[] = {
        {.op = RADDLE_ON_GET, .object = a, .item = &x},
        {.op = RADDLE_ON_GET, .object = b, .item = &y},
        {.op = RADDLE_ON_PUT, .object = b, .item = &z},
    };
    (void)arg;

    EXPECT_EQ(raddle_select(cases, 3, 0), 2);
    EXPECT_EQ(raddle_select(cases, 3, 0), 1);
    EXPECT_EQ(y, 7);
    put(a, 1);
    put(b, 2);
    EXPECT_EQ(raddle_select(cases, 3, 0), 0);
    EXPECT_EQ(x, 1);
    EXPECT_EQ(y, 7); /* only the case that was done has an effect */
    EXPECT_EQ(raddle_chan_count(b), 1);
    for (int i = 0; i < 1000 && !(seen[0] && seen[1]); i++) {
        int which = raddle_select(cases, 2, RADDLE_SELECT_FAIR);
        EXPECT_IN(which, 0, 2);
        seen[which == 1] = true;
        put(which == 1 ? b : a, 3);
        if (!i)
            put(a, 4);
    }
    EXPECT(seen[0] && seen[1]);
    raddle_chan_unref(a);
    raddle_chan_unref(b);
    return 0;
}

RuntimeTest(select, the_first_that_is_possible_or_one_at_random)
{
    cr_assert_eq(test_run(takes_the_first, NULL), 0);
}

/* A select in a task of its own, on all kinds of things. */
struct chooser {
    raddle_chan *in, *out;
    raddle_sender *sender;
    raddle_future *future;
    raddle_task *task;
    raddle_time when;
    int got, rc, which, case_rc;
    struct raddle_outcome outcome, ended;
};

static int chooses(void *arg)
{
    struct chooser *c = arg;
    int value = 55;
    struct raddle_case cases[] = {
        {.op = RADDLE_ON_GET, .object = c->in, .item = &c->got},
        {.op = RADDLE_ON_PUT, .object = c->out, .item = &value},
        {.op = RADDLE_ON_SEND, .object = c->sender, .item = &value},
        {.op = RADDLE_ON_FUTURE, .object = c->future, .item = &c->outcome},
        {.op = RADDLE_ON_TASK, .object = c->task, .item = &c->ended},
        {.op = RADDLE_ON_TIME, .when = c->when},
    };

    c->which = raddle_select(cases, 6, 0);
    if (c->which >= 0)
        c->case_rc = cases[c->which].rc;
    return 0;
}

struct things {
    raddle_chan *in, *out, *sent;
    raddle_sender *sender;
    raddle_future *future;
    raddle_task *sleeper;
    struct raddle_group g;
};

/* A chooser that waits, and then one thing happens. */
static void choose(struct things *t, struct chooser *c, void (*happens)(struct things *t))
{
    struct raddle_group g;
    raddle_task *task;

    *c = (struct chooser){.in = t->in,
                          .out = t->out,
                          .sender = t->sender,
                          .future = t->future,
                          .task = t->sleeper,
                          .when = RADDLE_NEVER,
                          .which = 99,
                          .case_rc = 99};
    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, chooses, c, NULL), 0);
    test_let_park_for(task, "one of several things");
    if (happens)
        happens(t);
    else
        EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    raddle_task_unref(task);
}

static void puts_in(struct things *t)
{
    put(t->in, 31);
    put(t->in, 32); /* not for the one that was served */
    EXPECT_EQ(get(t->out), 1);
    EXPECT_EQ(get(t->in), 32);
    put(t->out, 1);
}

static void takes_out(struct things *t)
{
    EXPECT_EQ(get(t->out), 1);
    EXPECT_EQ(get(t->out), 55);
    EXPECT_EQ(get(t->out), -EAGAIN);
    put(t->out, 1);
}

static void takes_sent(struct things *t)
{
    EXPECT_EQ(get(t->sent), 55);
}

static void closes(struct things *t)
{
    raddle_sender_close(t->sender);
}

static void sets(struct things *t)
{
    EXPECT_EQ(raddle_future_set(t->future, 12, NULL), 0);
}

static void ends(struct things *t)
{
    EXPECT_EQ(raddle_task_cancel(t->sleeper, NULL), 0);
}

static int all_kinds(void *arg)
{
    struct things t = {.in = make(1), .out = make(1), .sent = make(0), .future = NULL};
    struct chooser c;
    raddle_sender *kept = NULL;
    (void)arg;

    put(t.out, 1); /* full */
    EXPECT_EQ(raddle_sender_open(t.sent, &t.sender), 0);
    EXPECT_EQ(raddle_sender_open(t.sent, &kept), 0);
    EXPECT_EQ(raddle_future_create(&t.future), 0);
    EXPECT_EQ(raddle_group_open(&t.g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    EXPECT_EQ(raddle_spawn(&t.g, &t.sleeper, test_sleep_forever, NULL, NULL), 0);

    choose(&t, &c, NULL); /* cancelled: nothing was put or taken */
    EXPECT_EQ(c.which, -ECANCELED);
    EXPECT_EQ(raddle_chan_count(t.out), 1);
    EXPECT_EQ(get(t.sent), -EAGAIN);
    choose(&t, &c, puts_in);
    EXPECT_EQ(c.which, 0);
    EXPECT_EQ(c.case_rc, 0);
    EXPECT_EQ(c.got, 31);
    choose(&t, &c, takes_out);
    EXPECT_EQ(c.which, 1);
    choose(&t, &c, takes_sent);
    EXPECT_EQ(c.which, 2);
    EXPECT_EQ(c.case_rc, 0);
    choose(&t, &c, closes);
    EXPECT_EQ(c.which, 2);
    EXPECT_EQ(c.case_rc, RADDLE_ECLOSED);
    raddle_sender_unref(t.sender);
    t.sender = NULL;
    choose(&t, &c, ends);
    EXPECT_EQ(c.which, 4);
    EXPECT_EQ(c.ended.kind, RADDLE_CANCELLED);
    raddle_task_unref(t.sleeper);
    t.sleeper = NULL;
    choose(&t, &c, sets);
    EXPECT_EQ(c.which, 3);
    EXPECT_EQ(c.outcome.rc, 12);
    raddle_future_unref(t.future);
    t.future = NULL;
    c = (struct chooser){.in = t.in, .out = t.out, .when = raddle_in(RADDLE_MS(3))};
    EXPECT_EQ(chooses(&c), 0);
    EXPECT_EQ(c.which, 5);
    EXPECT(raddle_now() >= c.when);
    EXPECT_EQ(raddle_group_close(&t.g, 0), 0);
    EXPECT_EQ(raddle_chan_count(t.in), 0);
    raddle_sender_unref(kept);
    raddle_chan_unref(t.in);
    raddle_chan_unref(t.out);
    raddle_chan_unref(t.sent);
    return 0;
}

RuntimeTest(select, each_kind_of_case_ends_the_wait_and_a_cancelled_one_has_no_effect)
{
    cr_assert_eq(test_run(all_kinds, NULL), 0);
}

struct pair {
    raddle_chan *there, *back;
    unsigned sent, received;
};

/* Puts there or gets back; the other one the other way round. */
static int meets_itself(struct pair *p, raddle_chan *out, raddle_chan *in)
{
    for (int i = 0; i < 300; i++) {
        int value = 1, got = 0;
        struct raddle_case cases[] = {
            {.op = RADDLE_ON_PUT, .object = out, .item = &value},
            {.op = RADDLE_ON_GET, .object = in, .item = &got},
        };
        int which = raddle_select(cases, 2, i % 2 ? RADDLE_SELECT_FAIR : 0);
        EXPECT_IN(which, 0, 2);
        EXPECT_EQ(cases[which == 1].rc, 0);
        EXPECT_EQ(got, which == 1);
        if (which == 0)
            p->sent++;
        else
            p->received++;
    }
    return 0;
}

static struct pair pairs[2];

static int one_way(void *arg)
{
    (void)arg;
    return meets_itself(&pairs[0], pairs[0].there, pairs[0].back);
}

static int other_way(void *arg)
{
    (void)arg;
    return meets_itself(&pairs[1], pairs[0].back, pairs[0].there);
}

static int two_selects(void *arg)
{
    struct raddle_group g;
    (void)arg;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, one_way, NULL, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, other_way, NULL, NULL), 0);
    return raddle_group_close(&g, 0);
}

RuntimeTest(select, two_selects_that_serve_each_other_do_one_thing_each_time)
{
    pairs[0] = (struct pair){.there = make(0), .back = make(0)};
    pairs[1] = (struct pair){.there = NULL};
    cr_assert_eq(test_run(two_selects, NULL), 0);
    cr_expect_eq(pairs[0].sent, pairs[1].received);
    cr_expect_eq(pairs[1].sent, pairs[0].received);
    cr_expect_eq(pairs[0].sent + pairs[0].received, 300u);
    raddle_chan_unref(pairs[0].there);
    raddle_chan_unref(pairs[0].back);
}

static int writes_later(void *arg)
{
    EXPECT_EQ(raddle_sleep(RADDLE_MS(3)), 0);
    EXPECT_EQ(write(*(int *)arg, "x", 1), 1);
    return 0;
}

static int puts_later(void *arg)
{
    EXPECT_EQ(raddle_sleep(RADDLE_MS(3)), 0);
    put(arg, 77);
    return 0;
}

static int descriptors(void *arg)
{
    int a[2], b[2], got = 0;
    raddle_chan *chan = make(1);
    struct raddle_scope scope;
    struct raddle_group g;
    struct raddle_case cases[] = {
        {.op = RADDLE_ON_GET, .object = chan, .item = &got},
        {.op = RADDLE_ON_FD, .fd = -1, .events = POLLIN},
        {.op = RADDLE_ON_FD, .fd = -1, .events = POLLIN},
    };
    (void)arg;

    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b), 0);
    cases[1].fd = a[0];
    cases[2].fd = b[0];
    EXPECT_EQ(raddle_select(cases, 3, RADDLE_SELECT_TRY), -EAGAIN);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, writes_later, &b[1], NULL), 0);
    EXPECT_EQ(raddle_select(cases, 3, 0), 2);
    EXPECT_EQ(cases[2].rc, POLLIN);
    EXPECT_EQ(raddle_select(cases, 3, RADDLE_SELECT_TRY), 2); /* nothing was read */
    EXPECT_EQ(raddle_spawn(&g, NULL, puts_later, chan, NULL), 0);
    EXPECT_EQ(raddle_select(cases, 2, 0), 0); /* with a descriptor that never was ready */
    EXPECT_EQ(got, 77);
    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(3)), 0);
    EXPECT_EQ(raddle_scope_leave(&scope, raddle_select(cases, 2, 0)), -ETIMEDOUT);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(raddle_fd_close(a[i]), 0);
        EXPECT_EQ(raddle_fd_close(b[i]), 0);
    }
    EXPECT_EQ(raddle_select(cases, 3, 0), 1);
    EXPECT_EQ(cases[1].rc, -EBADF);
    raddle_chan_unref(chan);
    return 0;
}

RuntimeTest(select, descriptors_are_waited_for_beside_the_rest_and_not_read)
{
    if (test_left_out("pipes"))
        return;
    cr_assert_eq(test_run(descriptors, NULL), 0);
}

/* Watches and broadcasts. */

struct news {
    raddle_watch *watch;
    raddle_bcast *bcast;
    raddle_bcast_receiver *receiver;
    uint64_t version, missed;
    int value, item;
    struct raddle_case cases[2];
};

static void begin_news(struct news *n)
{
    int zero = 0;

    *n = (struct news){.missed = 99, .value = -1, .item = -1};
    EXPECT_EQ(raddle_watch_create(sizeof(int), &zero, &n->watch), 0);
    EXPECT_EQ(raddle_bcast_create(sizeof(int), 2, &n->bcast), 0);
    EXPECT_EQ(raddle_bcast_receiver_open(n->bcast, &n->receiver), 0);
    EXPECT_EQ(raddle_watch_get(n->watch, NULL, &n->version), 0);
    n->cases[0] = (struct raddle_case){
        .op = RADDLE_ON_WATCH, .object = n->watch, .item = &n->value, .number = &n->version};
    n->cases[1] = (struct raddle_case){
        .op = RADDLE_ON_BROADCAST, .object = n->receiver, .item = &n->item, .number = &n->missed};
}

static void end_news(struct news *n)
{
    raddle_bcast_receiver_unref(n->receiver);
    raddle_bcast_unref(n->bcast);
    raddle_watch_unref(n->watch);
}

static void tell_watch(struct news *n, int value)
{
    EXPECT_EQ(raddle_watch_set(n->watch, &value), 0);
}

static void tell_bcast(struct news *n, int value)
{
    EXPECT_EQ(raddle_bcast_send(n->bcast, &value), 1);
}

static int news_at_hand(void *arg)
{
    struct news n;
    uint64_t before;
    (void)arg;

    begin_news(&n);
    EXPECT_EQ(raddle_select(n.cases, 2, RADDLE_SELECT_TRY), -EAGAIN);
    before = n.version;
    for (int i = 1; i <= 3; i++)
        tell_bcast(&n, i);
    tell_watch(&n, 10);
    EXPECT_EQ(raddle_select(n.cases, 2, 0), 0);
    EXPECT(n.cases[0].rc == 0 && n.value == 10 && n.version == before + 1);
    EXPECT(n.item == -1 && n.missed == 99); /* only the case that was done has an effect */
    EXPECT_EQ(raddle_select(n.cases, 2, 0), 1);
    EXPECT(n.cases[1].rc == 0 && n.item == 2 && n.missed == 1);
    EXPECT_EQ(raddle_select(n.cases, 2, 0), 1);
    EXPECT(n.item == 3 && n.missed == 0);
    EXPECT_EQ(raddle_select(n.cases, 2, RADDLE_SELECT_TRY), -EAGAIN);

    raddle_bcast_shutdown(n.bcast);
    EXPECT_EQ(raddle_select(n.cases, 2, 0), 1);
    EXPECT_EQ(n.cases[1].rc, RADDLE_ESHUTDOWN);
    raddle_watch_shutdown(n.watch);
    EXPECT_EQ(raddle_select(n.cases, 2, 0), 0);
    EXPECT_EQ(n.cases[0].rc, RADDLE_ESHUTDOWN);
    for (int i = 0; i < 2; i++) {
        n.cases[i].number = NULL;
        EXPECT_EQ(raddle_select(&n.cases[i], 1, 0), -EINVAL);
        n.cases[i].object = NULL; /* never happens */
    }
    EXPECT_EQ(raddle_select(n.cases, 2, RADDLE_SELECT_TRY), -EAGAIN);
    end_news(&n);
    return 0;
}

RuntimeTest(select, a_watch_and_a_broadcast_are_cases_as_their_calls_are)
{
    cr_assert_eq(test_run(news_at_hand, NULL), 0);
}

static int chooses_news(void *arg)
{
    struct news *n = arg;
    struct raddle_case cases[2] = {n->cases[0], n->cases[1]};
    int which = raddle_select(cases, 2, 0);

    return which < 0 ? which : which * 10 - cases[which].rc;
}

static int joined(raddle_task *task)
{
    struct raddle_outcome outcome = {.rc = -1};

    EXPECT_EQ(raddle_join(task, &outcome), 0);
    raddle_task_unref(task);
    return outcome.rc;
}

static raddle_task *chooser(struct raddle_group *g, struct news *n)
{
    raddle_task *task;

    EXPECT_EQ(raddle_spawn(g, &task, chooses_news, n, NULL), 0);
    test_let_park_for(task, "one of several things");
    return task;
}

static void *tells_from_a_thread(void *arg)
{
    tell_bcast(arg, 5);
    return NULL;
}

static int news_to_come(void *arg)
{
    struct raddle_group g;
    raddle_task *tasks[40];
    struct news n;
    pthread_t thread;
    (void)arg;

    begin_news(&n);
    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    tasks[0] = chooser(&g, &n);
    tell_watch(&n, 4);
    EXPECT_EQ(joined(tasks[0]), 0);
    EXPECT_EQ(n.value, 4);
    tasks[0] = chooser(&g, &n);
    EXPECT_EQ(pthread_create(&thread, NULL, tells_from_a_thread, &n), 0);
    EXPECT_EQ(joined(tasks[0]), 10);
    EXPECT(n.item == 5 && n.missed == 0);
    pthread_join(thread, NULL);

    /* Whoever is cancelled has taken nothing, also when something came at that moment. */
    tasks[0] = chooser(&g, &n);
    EXPECT_EQ(raddle_task_cancel(tasks[0], NULL), 0);
    EXPECT_EQ(joined(tasks[0]), -ECANCELED);
    tell_bcast(&n, 6);
    EXPECT_EQ(raddle_select(n.cases, 2, 0), 1);
    EXPECT_EQ(n.item, 6);

    /* All that wait are told; of a receiver that they share one gets it, and a close all. */
    for (int i = 0; i < 40; i++) {
        EXPECT_EQ(raddle_spawn(&g, &tasks[i], chooses_news, &n, NULL), 0);
        test_let_park_for(tasks[i], "one of several things");
    }
    tell_bcast(&n, 7);
    while (raddle_group_live(&g) > 39)
        EXPECT_EQ(raddle_yield(), 0);
    raddle_bcast_receiver_close(n.receiver);
    int got = 0;
    for (int i = 0; i < 40; i++) {
        int rc = joined(tasks[i]);
        EXPECT(rc == 10 || rc == 10 - RADDLE_ECLOSED);
        got += rc == 10;
    }
    EXPECT_EQ(got, 1);
    end_news(&n);
    return raddle_group_close(&g, 0);
}

RuntimeTest(select, it_is_woken_by_what_comes_in_a_watch_or_a_broadcast)
{
    cr_assert_eq(test_run(news_to_come, NULL), 0);
}
