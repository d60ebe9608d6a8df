/*
 * tests/conformance/test_callbacks.c - callbacks and their handles, row by row of asyncio's section on them:
 * what is called, when, in which order, and what calling off does.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(callbacks, .timeout = 60);

static raddle_loop *new_loop(void)
{
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    return loop;
}

/* What ran, in order. */
struct log {
    raddle_loop *loop;
    int seen[256];
    unsigned count;
};

struct entry {
    struct log *log;
    int number;
    raddle_handle *handle;
};

static void note(struct log *log, int number)
{
    log->seen[log->count++ % 256] = number;
}

static void called(void *arg)
{
    struct entry *e = arg;

    note(e->log, e->number);
}

static int task(void *arg)
{
    called(arg);
    return 0;
}

static void stops(void *arg)
{
    struct entry *e = arg;

    called(e);
    raddle_loop_stop(e->log->loop);
}

static void expect_log(const struct log *log, const int *numbers, unsigned count)
{
    EXPECT_EQ(log->count, count);
    for (unsigned i = 0; i < count && i < log->count; i++)
        EXPECT_EQ(log->seen[i], numbers[i]);
}

#define EXPECT_LOG(log, ...)                                                                       \
    do {                                                                                           \
        static const int wanted_[] = {__VA_ARGS__};                                                \
        expect_log((log), wanted_, sizeof(wanted_) / sizeof(wanted_[0]));                          \
    } while (0)

/* One turn: what asyncio's users write as call_soon(stop); run_forever(). */
static void one_turn(raddle_loop *loop)
{
    raddle_loop_stop(loop);
    cr_assert_eq(raddle_loop_run_forever(loop), 0);
}

static int sleeps(void *arg)
{
    return raddle_sleep(*(int64_t *)arg);
}

/* Lets the loop run for so long. */
static void run_for(raddle_loop *loop, int64_t length_ns)
{
    cr_assert_eq(raddle_loop_run_until_complete(loop, sleeps, &length_ns), 0);
}

/* B1 */
RuntimeTest(callbacks, bad_arguments_are_refused)
{
    raddle_handle *const untouched = (raddle_handle *)(uintptr_t)8;
    raddle_handle *handle = untouched;
    raddle_loop *loop = new_loop();

    cr_assert_eq(raddle_call_soon_handle(NULL, called, NULL, &handle), -EINVAL);
    cr_assert_eq(raddle_call_soon_handle(loop, NULL, NULL, &handle), -EINVAL);
    cr_assert_eq(raddle_call_soon_handle(loop, called, NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_call_at(NULL, 0, called, NULL, &handle), -EINVAL);
    cr_assert_eq(raddle_call_at(loop, 0, NULL, NULL, &handle), -EINVAL);
    cr_assert_eq(raddle_call_later(NULL, 0, called, NULL, &handle), -EINVAL);
    cr_assert_eq(raddle_call_later(loop, 0, NULL, NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_handle_cancel(NULL), -EINVAL);
    raddle_handle_unref(NULL);
    cr_assert_eq(handle, untouched);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

/* a posts d while b and c wait; b is called off. */
static void posts_d(void *arg)
{
    struct entry *e = arg;

    called(e);
    EXPECT_EQ(raddle_call_soon_handle(e->log->loop, called, e + 1, &e[1].handle), 0);
    EXPECT_EQ(e->log->count, 1); /* not within the call */
    EXPECT_EQ(raddle_sleep(0), -EPERM);
    EXPECT(!raddle_self());
    EXPECT(raddle_running_loop() == e->log->loop);
}

/* B1 TC1 */
RuntimeTest(callbacks, each_runs_once_in_the_order_asked_for_and_never_within_the_call)
{
    struct log log = {.loop = new_loop()};
    struct entry a[2] = {{&log, 1, NULL}, {&log, 4, NULL}};
    struct entry b = {&log, 2, NULL}, c = {&log, 3, NULL};

    cr_assert_eq(raddle_call_soon_handle(log.loop, posts_d, a, &a[0].handle), 0);
    cr_assert_eq(raddle_call_soon_handle(log.loop, called, &b, &b.handle), 0);
    cr_assert_eq(raddle_handle_cancel(b.handle), 0);
    cr_assert_eq(raddle_call_soon_handle(log.loop, called, &c, &c.handle), 0);
    cr_assert_eq(log.count, 0);
    one_turn(log.loop);
    EXPECT_LOG(&log, 1, 3);
    one_turn(log.loop);
    EXPECT_LOG(&log, 1, 3, 4);
    one_turn(log.loop);
    EXPECT_LOG(&log, 1, 3, 4);
    cr_assert_not(raddle_handle_cancelled(a[0].handle));
    cr_assert(raddle_handle_cancelled(b.handle));
    cr_assert_eq(raddle_handle_when(c.handle), 0);
    raddle_handle_unref(a[0].handle);
    raddle_handle_unref(a[1].handle);
    raddle_handle_unref(b.handle);
    raddle_handle_unref(c.handle);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

/* Callbacks of both kinds and tasks, in turns. */
static int mixes(void *arg)
{
    struct log *log = arg;
    static struct entry e[9];
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 9; i++) {
        e[i] = (struct entry){log, i + 1, NULL};
        if (i % 3 == 0) {
            EXPECT_EQ(raddle_call_soon_handle(log->loop, called, &e[i], &e[i].handle), 0);
            raddle_handle_unref(e[i].handle); /* which calls nothing off */
        } else if (i % 3 == 1) {
            EXPECT_EQ(raddle_spawn(&g, NULL, task, &e[i], NULL), 0);
        } else {
            EXPECT_EQ(raddle_call_soon(log->loop, called, &e[i]), 0);
        }
    }
    EXPECT_EQ(log->count, 0);
    return raddle_group_close(&g, 0);
}

/* B1 TC1 */
RuntimeTest(callbacks, tasks_and_callbacks_of_a_lone_loop_share_one_queue)
{
    struct log log = {.loop = new_loop()};

    cr_assert_eq(raddle_loop_run_until_complete(log.loop, mixes, &log), 0);
    one_turn(log.loop);
    EXPECT_LOG(&log, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

/* From other threads. */

struct poster {
    struct log *log;
    struct entry entries[64];
};

static void *posts(void *arg)
{
    struct poster *p = arg;

    for (int i = 0; i < 64; i++) {
        struct entry *e = &p->entries[i];
        *e = (struct entry){p->log, i, NULL};
        if (i % 2) {
            EXPECT_EQ(raddle_call_soon_handle(p->log->loop, called, e, &e->handle), 0);
            raddle_handle_unref(e->handle);
        } else {
            EXPECT_EQ(raddle_call_soon(p->log->loop, called, e), 0);
        }
    }
    raddle_loop_stop(p->log->loop);
    return NULL;
}

/* B2 */
RuntimeTest(callbacks, of_another_thread_wake_the_loop_and_keep_their_order)
{
    struct log log = {.loop = new_loop()};
    static struct poster p;
    pthread_t thread;

    p.log = &log;
    cr_assert_eq(pthread_create(&thread, NULL, posts, &p), 0);
    cr_assert_eq(raddle_loop_run_forever(log.loop), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
    cr_assert_eq(log.count, 64);
    for (int i = 0; i < 64; i++)
        cr_assert_eq(log.seen[i], i);
}

struct late {
    struct entry e;
    unsigned accepted, ran;
    int soon, at;
};

/* Asks for itself until that is refused, and then for what else there is. */
static void asks_until_refused(void *arg)
{
    struct late *l = arg;
    raddle_loop *loop = l->e.log->loop;

    l->ran++;
    l->soon = raddle_call_soon_handle(loop, asks_until_refused, l, &l->e.handle);
    if (l->soon == 0) {
        l->accepted++;
        raddle_handle_unref(l->e.handle);
        l->e.handle = NULL;
    }
    if (l->soon < 0)
        l->at = raddle_call_at(loop, 0, called, &l->e, &l->e.handle);
}

/* Differs: asyncio accepts what comes between stop() and close(), and never runs it. */
/* B2 */
RuntimeTest(callbacks, what_is_accepted_after_a_stop_runs_and_what_a_close_cant_take_is_refused)
{
    struct log log = {.loop = new_loop()};
    struct late late = {.e = {&log, 1, NULL}};

    one_turn(log.loop);
    cr_assert_eq(raddle_call_soon(log.loop, asks_until_refused, &late), 0);
    cr_assert_eq(late.ran, 0);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
    EXPECT_EQ(late.ran, late.accepted + 1);
    EXPECT_EQ(late.soon, RADDLE_ESHUTDOWN);
    EXPECT_EQ(late.at, RADDLE_ESHUTDOWN);
    EXPECT(!late.e.handle);
    EXPECT_EQ(log.count, 0);
}

/* Times. */

struct timed {
    struct log *log;
    raddle_time when;
    int number;
    bool early;
};

static void on_time(void *arg)
{
    struct timed *t = arg;

    if (t->log)
        note(t->log, t->number);
    t->early = raddle_now() < t->when;
}

static void ask(struct timed *t, raddle_loop *loop)
{
    EXPECT_EQ(raddle_call_at(loop, t->when, on_time, t, NULL), 0);
}

/* B3 TC5 */
RuntimeTest(callbacks, none_runs_before_its_time)
{
    enum { COUNT = 1000 };
    static struct timed timed[COUNT];
    raddle_loop *loop = new_loop();
    raddle_time start = raddle_now();
    uint32_t random = 5;

    for (int i = 0; i < COUNT; i++) {
        timed[i] = (struct timed){.when = start + RADDLE_MS(6) + test_random(&random) % 10000000};
        ask(&timed[i], loop);
    }
    run_for(loop, RADDLE_MS(20));
    for (int i = 0; i < COUNT; i++)
        cr_assert_not(timed[i].early);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

/* B3 TC4 */
RuntimeTest(callbacks, equal_times_run_in_the_order_asked_for_among_others)
{
    if (test_left_out("outside of them there is another clock"))
        return;

    struct log log = {.loop = new_loop()};
    static struct timed same[12], others[12];
    raddle_time when = raddle_in(RADDLE_MS(5));
    unsigned next = 0;

    for (int i = 0; i < 12; i++) {
        same[i] = (struct timed){.log = &log, .when = when, .number = i};
        others[i] = (struct timed){.log = &log, .when = when + (i % 3 - 1) * 1000, .number = 100};
        ask(&same[i], log.loop);
        if (i % 3 != 1)
            ask(&others[i], log.loop);
    }
    run_for(log.loop, RADDLE_MS(10));
    cr_assert_eq(log.count, 20);
    for (unsigned i = 0; i < log.count; i++)
        if (log.seen[i] != 100)
            cr_assert_eq(log.seen[i], (int)next++);
    cr_assert_eq(next, 12);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

struct both_ways {
    struct log *log;
    struct timed timed[20];
};

static void *asks_first(void *arg)
{
    struct both_ways *b = arg;

    for (int i = 0; i < 10; i++)
        ask(&b->timed[i], b->log->loop);
    return NULL;
}

/* The thread has asked before this task does, whose own way is shorter. */
static int asks_second(void *arg)
{
    struct both_ways *b = arg;
    pthread_t thread;

    if (pthread_create(&thread, NULL, asks_first, b) != 0)
        return -EAGAIN;
    pthread_join(thread, NULL);
    for (int i = 10; i < 20; i++)
        ask(&b->timed[i], b->log->loop);
    return raddle_sleep(RADDLE_MS(20));
}

/* B3 */
RuntimeTest(callbacks, equal_times_run_in_the_order_asked_for_whichever_thread_asked)
{
    if (test_left_out("outside of them there is another clock"))
        return;

    struct log log = {.loop = new_loop()};
    static struct both_ways b;
    raddle_time when = raddle_in(RADDLE_MS(10));

    b.log = &log;
    for (int i = 0; i < 20; i++)
        b.timed[i] = (struct timed){.log = &log, .when = when, .number = i};
    cr_assert_eq(raddle_loop_run_until_complete(log.loop, asks_second, &b), 0);
    cr_assert_eq(log.count, 20);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(log.seen[i], i);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

/* B3 TC4 TC6 */
RuntimeTest(callbacks, times_in_the_past_run_in_the_next_turn_and_the_longest_ago_first)
{
    if (test_left_out("outside of them there is another clock"))
        return;

    struct log log = {.loop = new_loop()};
    struct entry e[4] = {{&log, 1, NULL}, {&log, 2, NULL}, {&log, 3, NULL}, {&log, 4, NULL}};
    struct log *l = &log;

    cr_assert_eq(raddle_call_later(l->loop, -RADDLE_MS(1), called, &e[3], NULL), 0);
    cr_assert_eq(raddle_call_later(l->loop, -RADDLE_S(1), called, &e[2], NULL), 0);
    cr_assert_eq(raddle_call_at(l->loop, INT64_MIN, called, &e[0], NULL), 0);
    cr_assert_eq(raddle_call_at(l->loop, 0, called, &e[1], NULL), 0);
    cr_assert_eq(log.count, 0);
    one_turn(log.loop); /* in which the loop learns of them */
    one_turn(log.loop);
    EXPECT_LOG(&log, 1, 2, 3, 4);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

/* B3 TC6 */
RuntimeTest(callbacks, times_that_are_never_or_nearly_so_do_no_harm)
{
    struct log log = {.loop = new_loop()};
    struct entry e = {&log, 1, NULL};
    raddle_handle *never = NULL, *nearly = NULL;

    cr_assert_eq(raddle_call_at(log.loop, RADDLE_NEVER, called, &e, &never), 0);
    cr_assert_eq(raddle_call_later(log.loop, INT64_MAX, called, &e, NULL), 0);
    cr_assert_eq(raddle_call_at(log.loop, INT64_MAX - 1, called, &e, &nearly), 0);
    cr_assert_eq(raddle_call_later(log.loop, INT64_C(1) << 62, called, &e, NULL), 0);
    run_for(log.loop, RADDLE_MS(2));
    cr_assert_eq(log.count, 0);
    cr_assert_eq(raddle_handle_when(never), RADDLE_NEVER);
    cr_assert_eq(raddle_handle_when(nearly), INT64_MAX - 1);
    cr_assert_eq(raddle_handle_cancel(nearly), 0);
    cr_assert_eq(raddle_handle_cancel(never), 0);
    run_for(log.loop, RADDLE_MS(1));
    raddle_handle_unref(never);
    raddle_handle_unref(nearly);
    cr_assert_eq(raddle_loop_close(log.loop), 0); /* gives the other two up */
    cr_assert_eq(log.count, 0);
}

/* A turn in which something is ready, something has come and something is due. */
struct turn {
    struct log log;
    struct entry ready, io, timer;
    int pipe[2];
    unsigned wrong;
};

static int reads(void *arg)
{
    struct turn *t = arg;
    char byte;
    ssize_t n = raddle_fd_read(t->pipe[0], &byte, 1);

    called(&t->io);
    return n < 0 ? (int)n : 0;
}

static int takes_turns(void *arg)
{
    struct turn *t = arg;
    struct raddle_group g;
    int rc = 0;

    for (unsigned i = 0; i < 200 && rc == 0; i++) {
        t->log.count = 0;
        rc = raddle_group_open(&g, NULL);
        if (rc < 0)
            return rc;
        rc = raddle_spawn(&g, NULL, reads, t, NULL);
        if (rc == 0)
            rc = raddle_yield(); /* it waits */
        /* All three are there before the loop looks: the next turn finds them. */
        if (write(t->pipe[1], "x", 1) != 1)
            rc = -errno;
        EXPECT_EQ(raddle_call_later(t->log.loop, 0, called, &t->timer, NULL), 0);
        EXPECT_EQ(raddle_call_soon(t->log.loop, called, &t->ready), 0);
        rc = raddle_group_close(&g, rc);
        for (unsigned j = 0; t->log.count < 3 && j < 1000 && rc == 0; j++)
            rc = raddle_yield();
        t->wrong +=
            t->log.count != 3 || t->log.seen[0] != 1 || t->log.seen[1] != 2 || t->log.seen[2] != 3;
    }
    return rc;
}

/* A8 TC3 */
RuntimeTest(callbacks, a_turn_runs_what_was_ready_then_io_then_what_is_due)
{
    if (test_left_out("a pipe"))
        return;

    struct turn t = {.log = {.loop = new_loop()}};

    t.ready = (struct entry){&t.log, 1, NULL};
    t.io = (struct entry){&t.log, 2, NULL};
    t.timer = (struct entry){&t.log, 3, NULL};
    cr_assert_eq(pipe(t.pipe), 0);
    cr_assert_eq(raddle_loop_run_until_complete(t.log.loop, takes_turns, &t), 0);
    cr_assert_eq(t.wrong, 0, "in %u turns", t.wrong);
    cr_assert_eq(raddle_loop_close(t.log.loop), 0);
    cr_assert_eq(raddle_fd_close(t.pipe[0]), 0);
    cr_assert_eq(raddle_fd_close(t.pipe[1]), 0);
}

/* Calling off. */

/* B4 */
RuntimeTest(callbacks, one_that_was_called_off_never_runs_and_keeps_its_time)
{
    if (test_left_out("outside of them there is another clock"))
        return;

    struct log log = {.loop = new_loop()};
    struct entry e = {&log, 1, NULL};
    raddle_time when = raddle_in(RADDLE_MS(2));
    raddle_handle *unarmed = NULL, *armed = NULL, *ran = NULL;

    cr_assert_eq(raddle_call_at(log.loop, when, called, &e, &unarmed), 0);
    cr_assert_eq(raddle_handle_cancel(unarmed), 0);
    cr_assert_eq(raddle_call_at(log.loop, when, called, &e, &armed), 0);
    cr_assert_eq(raddle_call_at(log.loop, when, called, &e, &ran), 0);
    one_turn(log.loop);
    cr_assert_eq(raddle_handle_cancel(armed), 0);
    cr_assert_eq(raddle_handle_cancel(armed), 0); /* it is still not called */
    run_for(log.loop, RADDLE_MS(5));
    cr_assert_eq(log.count, 1);
    cr_assert_eq(raddle_handle_cancel(ran), -EALREADY);
    cr_assert(raddle_handle_cancelled(unarmed) && raddle_handle_cancelled(armed));
    cr_assert_not(raddle_handle_cancelled(ran));
    cr_assert_eq(raddle_handle_when(armed), when);
    cr_assert_eq(raddle_handle_when(ran), when);
    cr_assert_eq(raddle_handle_ref(ran), ran);
    raddle_handle_unref(ran);
    raddle_handle_unref(ran);
    raddle_handle_unref(armed);
    raddle_handle_unref(unarmed);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

/* The first of three that are due calls off itself, and the others. */
static void calls_off(void *arg)
{
    struct entry *e = arg;

    called(e);
    EXPECT_EQ(raddle_handle_cancel(e[0].handle), -EALREADY); /* it is running */
    EXPECT_EQ(raddle_handle_cancel(e[1].handle), 0);         /* due, in the queue */
    EXPECT_EQ(raddle_handle_cancel(e[2].handle), 0);         /* armed */
}

/* B4 */
RuntimeTest(callbacks, a_callback_calls_off_those_that_are_due_and_those_that_are_not)
{
    if (test_left_out("outside of them there is another clock"))
        return;

    struct log log = {.loop = new_loop()};
    struct entry e[3] = {{&log, 1, NULL}, {&log, 2, NULL}, {&log, 3, NULL}};
    raddle_time when = raddle_in(RADDLE_MS(1));

    cr_assert_eq(raddle_call_at(log.loop, when, calls_off, &e[0], &e[0].handle), 0);
    cr_assert_eq(raddle_call_at(log.loop, when, called, &e[1], &e[1].handle), 0);
    cr_assert_eq(raddle_call_later(log.loop, RADDLE_MS(3), called, &e[2], &e[2].handle), 0);
    run_for(log.loop, RADDLE_MS(6));
    EXPECT_LOG(&log, 1);
    for (int i = 0; i < 3; i++)
        raddle_handle_unref(e[i].handle);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
}

struct crowd {
    raddle_loop *loop;
    raddle_handle **handles;
    unsigned count;
    size_t base, most, left;
};

static size_t memory_in_use(void)
{
    return mallinfo2().uordblks;
}

static void unexpected(void *arg)
{
    (void)arg;
    EXPECT(false); /* called */
}

static int asks_and_calls_off(void *arg)
{
    struct crowd *c = arg;

    c->base = memory_in_use();
    for (unsigned i = 0; i < c->count; i++)
        EXPECT_EQ(raddle_call_later(c->loop, RADDLE_S(3600) + i, unexpected, NULL, &c->handles[i]),
                  0);
    c->most = memory_in_use();
    for (unsigned i = 0; i < c->count; i++) {
        EXPECT_EQ(raddle_handle_cancel(c->handles[i]), 0);
        raddle_handle_unref(c->handles[i]);
    }
    c->left = memory_in_use();
    return raddle_yield();
}

/* B4 TC7 */
RuntimeTest(callbacks, the_memory_of_many_that_were_called_off_goes_back_at_once)
{
    struct crowd c = {.loop = new_loop(), .count = test_slowness() > 1 ? 20000 : 1000000};

    c.handles = malloc(c.count * sizeof(raddle_handle *));
    cr_assert_not_null(c.handles);
    cr_assert_eq(raddle_loop_run_until_complete(c.loop, asks_and_calls_off, &c), 0);
    /* A sanitizer's malloc() counts nothing. */
    if (c.most > c.base)
        cr_assert_leq(c.left - c.base, (c.most - c.base) / 100);
    free(c.handles);
    cr_assert_eq(raddle_loop_close(c.loop), 0);
}

/* B4 A5 */
RuntimeTest(callbacks, the_close_gives_up_those_whose_time_has_not_come)
{
    struct log log = {.loop = new_loop()};
    struct entry e = {&log, 1, NULL}, soon = {&log, 2, NULL};
    raddle_handle *unarmed = NULL, *armed = NULL, *off = NULL;

    cr_assert_eq(raddle_call_later(log.loop, RADDLE_S(3600), called, &e, &armed), 0);
    cr_assert_eq(raddle_call_later(log.loop, RADDLE_S(3600), called, &e, &off), 0);
    cr_assert_eq(raddle_call_later(log.loop, RADDLE_S(3600), called, &e, NULL), 0);
    one_turn(log.loop);
    cr_assert_eq(raddle_call_at(log.loop, RADDLE_NEVER, called, &e, &unarmed), 0);
    cr_assert_eq(raddle_call_soon_handle(log.loop, called, &soon, &soon.handle), 0);
    cr_assert_eq(raddle_handle_cancel(off), 0);
    cr_assert_not(raddle_handle_cancelled(armed));
    cr_assert_eq(raddle_loop_close(log.loop), 0);
    EXPECT_LOG(&log, 2);
    /* The handles outlive the loop. */
    cr_assert(raddle_handle_cancelled(armed) && raddle_handle_cancelled(unarmed));
    cr_assert_eq(raddle_handle_cancel(armed), 0);
    cr_assert_eq(raddle_handle_cancel(unarmed), 0);
    cr_assert_eq(raddle_handle_cancel(soon.handle), -EALREADY);
    raddle_handle_unref(unarmed);
    raddle_handle_unref(armed);
    raddle_handle_unref(off);
    raddle_handle_unref(soon.handle);
}

/* In the loop's own thread: one turn; then the close, when another's has been refused. */
struct owner {
    struct log log;
    struct entry e;
    pthread_barrier_t turned, tried;
    int closed;
};

static void *turns_and_closes(void *arg)
{
    struct owner *o = arg;

    raddle_loop_stop(o->log.loop);
    EXPECT_EQ(raddle_loop_run_forever(o->log.loop), 0);
    pthread_barrier_wait(&o->turned);
    pthread_barrier_wait(&o->tried);
    if (o->closed < 0)
        EXPECT_EQ(raddle_loop_close(o->log.loop), 0);
    return NULL;
}

static void closed_by_another(struct owner *o)
{
    pthread_t thread;

    pthread_barrier_init(&o->turned, NULL, 2);
    pthread_barrier_init(&o->tried, NULL, 2);
    cr_assert_eq(pthread_create(&thread, NULL, turns_and_closes, o), 0);
    pthread_barrier_wait(&o->turned);
    o->closed = raddle_loop_close(o->log.loop);
    pthread_barrier_wait(&o->tried);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&o->turned);
    pthread_barrier_destroy(&o->tried);
}

static void posts_again(void *arg)
{
    struct entry *e = arg;

    called(e);
    EXPECT_EQ(raddle_call_soon(e->log->loop, called, e), 0);
}

/* B2 A5 */
RuntimeTest(callbacks, a_close_by_another_thread_loses_none_that_was_accepted)
{
    struct owner o = {.log = {.loop = new_loop()}};
    raddle_handle *never = NULL;

    /* With a time only: nothing has to be run for the close. */
    o.e = (struct entry){&o.log, 1, NULL};
    cr_assert_eq(raddle_call_at(o.log.loop, RADDLE_NEVER, called, &o.e, &never), 0);
    closed_by_another(&o);
    cr_assert_eq(o.closed, 0);
    cr_assert(raddle_handle_cancelled(never));
    raddle_handle_unref(never);
    cr_assert_eq(o.log.count, 0);

    /* One that the turn has left for the next: it is run where the loop is at home. */
    o.log.loop = new_loop();
    cr_assert_eq(raddle_call_soon(o.log.loop, posts_again, &o.e), 0);
    closed_by_another(&o);
    cr_assert_eq(o.closed, -EXDEV);
    EXPECT_LOG(&o.log, 1, 1);
}

/* B8 A4 */
RuntimeTest(callbacks, a_stop_before_the_run_is_one_turn)
{
    struct log log = {.loop = new_loop()};
    struct entry stop = {&log, 1, NULL}, again[2] = {{&log, 2, NULL}, {&log, 3, NULL}};

    cr_assert_eq(raddle_call_soon_handle(log.loop, stops, &stop, &stop.handle), 0);
    cr_assert_eq(raddle_call_soon_handle(log.loop, posts_again, again, &again[0].handle), 0);
    cr_assert_eq(raddle_loop_run_forever(log.loop), 0);
    EXPECT_LOG(&log, 1, 2);
    raddle_handle_unref(stop.handle);
    raddle_handle_unref(again[0].handle);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
    EXPECT_LOG(&log, 1, 2, 2);
}

/* No memory. */

static int no_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_CALLOC ? -ENOMEM : 0;
}

/* B1 B3 B9 */
RuntimeTest(callbacks, without_memory_none_is_taken)
{
    struct log log = {.loop = new_loop()};
    struct entry e = {&log, 1, NULL};

    rdl_sys_set_hook(no_memory);
    EXPECT_EQ(raddle_call_soon_handle(log.loop, called, &e, &e.handle), -ENOMEM);
    EXPECT_EQ(raddle_call_at(log.loop, 0, called, &e, &e.handle), -ENOMEM);
    EXPECT_EQ(raddle_call_later(log.loop, 0, called, &e, NULL), -ENOMEM);
    rdl_sys_set_hook(NULL);
    cr_assert_null(e.handle);
    cr_assert_eq(raddle_loop_close(log.loop), 0);
    cr_assert_eq(log.count, 0);
}
