/*
 * tests/io/test_uring.c - rings as older kernels and tight limits give them: fewer flags, small queues,
 * submissions that fail. What tasks see must be the same.
 */
#define _GNU_SOURCE
#include "tests/support/io_task.h"

#include <errno.h>
#include <limits.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/driver.h"
#include "sched/loop.h"
#include "sched/sys.h"

TestSuite(uring, .timeout = 60);

enum { CROWD = 400, ROUNDS = 20 };

/* What the hook does: each test has a process of its own, and sets these before the first ring. */
static unsigned refuse_flags;            /* how many sets of flags the kernel doesn't know */
static unsigned refuse_sizes;            /* how many sizes it has no memory for, each time */
static rdl_atomic(unsigned) fail_enters; /* of so many, all but one fail */
static rdl_atomic(unsigned) setups, enters;

static int limited_kernel(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if (call == RDL_SYS_URING_SETUP) {
        if (rdl_atomic_load_relaxed(&setups) < refuse_flags) {
            (void)rdl_atomic_fetch_add_relaxed(&setups, 1u);
            return -EINVAL;
        }
        if (refuse_sizes && rdl_atomic_fetch_add_relaxed(&setups, 1u) < refuse_flags + refuse_sizes)
            return -ENOMEM;
    }
    if (call == RDL_SYS_URING_ENTER && fail_enters &&
        rdl_atomic_fetch_add_relaxed(&enters, 1u) % fail_enters != 0)
        return -EAGAIN;
    return 0;
}

struct crowd {
    int pairs[CROWD][2];
    rdl_atomic(unsigned) next, received, cancelled, wrong;
    struct rdl_driver_stats stats;
};

/* Receives its tokens, then waits until it is cancelled. */
static int receive_tokens(void *arg)
{
    struct crowd *c = arg;
    unsigned me = rdl_atomic_fetch_add_relaxed(&c->next, 1u);
    unsigned char expected = 0, token;
    ssize_t n;

    while ((n = raddle_fd_recv(c->pairs[me][0], &token, 1, 0)) == 1) {
        if (token != expected++)
            (void)rdl_atomic_fetch_add_relaxed(&c->wrong, 1u);
        (void)rdl_atomic_fetch_add_relaxed(&c->received, 1u);
    }
    if (n == -ECANCELED)
        (void)rdl_atomic_fetch_add_relaxed(&c->cancelled, 1u);
    return (int)n;
}

static int crowd_task(void *arg)
{
    struct crowd *c = arg;
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct raddle_group group;
    int rc = 0;

    for (unsigned i = 0; i < CROWD && rc == 0; i++)
        rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->pairs[i]) ? -errno : 0;
    if (rc == 0)
        rc = raddle_group_open(&group, &collect);
    for (unsigned i = 0; i < CROWD && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, receive_tokens, c, NULL);
    for (unsigned char round = 0; round < ROUNDS && rc == 0; round++) {
        for (unsigned i = 0; i < CROWD && rc >= 0; i++)
            rc = (int)raddle_fd_send(c->pairs[i][1], &round, 1, 0);
        rc = rc < 0 ? rc : raddle_yield();
    }
    while (rc == 0 && rdl_atomic_load_relaxed(&c->received) < CROWD * ROUNDS)
        rc = raddle_sleep(RADDLE_MS(1));
    rdl_driver_stats(rdl_loop_current()->driver, &c->stats);
    raddle_group_cancel(&group, "enough");
    rc = raddle_group_close(&group, rc);
    for (unsigned i = 0; i < CROWD; i++) {
        (void)raddle_fd_close(c->pairs[i][0]);
        (void)raddle_fd_close(c->pairs[i][1]);
    }
    return rc;
}

/* Runs the crowd on the rings that there are, and returns what they are. */
static struct rdl_uring_facts check_crowd(void)
{
    static struct crowd c;
    struct rdl_uring_facts facts;

    setenv("RADDLE_POLICY", "uring", 1);
    rdl_sys_set_hook(limited_kernel);
    if (rdl_uring_probe(&facts) < 0)
        cr_skip_test("io_uring is denied here");
    (void)in_task(crowd_task, &c);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(c.received, CROWD * ROUNDS);
    cr_assert_eq(c.wrong, 0);
    cr_assert_eq(c.cancelled, CROWD);
    cr_assert_eq(c.stats.stale, 0);
    return facts;
}

Test(uring, on_the_best_ring_there_is)
{
    (void)check_crowd();
}

Test(uring, on_one_with_cooperative_task_work)
{
    struct rdl_uring_facts facts;

    refuse_flags = 1;
    facts = check_crowd();
    cr_assert_not(facts.deferred);
    cr_assert(facts.setup_flags & IORING_SETUP_COOP_TASKRUN);
}

Test(uring, on_one_with_no_flags_at_all)
{
    struct rdl_uring_facts facts;

    refuse_flags = 4;
    facts = check_crowd();
    cr_assert_not(facts.poll_first);
    cr_assert_eq(facts.setup_flags, IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED);
}

Test(uring, on_a_small_one)
{
    struct rdl_uring_facts facts;

    refuse_sizes = 2;
    facts = check_crowd();
    cr_assert_eq(facts.sq_entries, 16);
    cr_assert_eq(facts.cq_entries, 128);
}

Test(uring, on_a_small_one_whose_completions_overflow)
{
    refuse_flags = 4;
    refuse_sizes = 2;
    cr_assert_eq(check_crowd().cq_entries, 128);
}

Test(uring, when_most_submissions_fail_for_a_while)
{
    fail_enters = 1;
    (void)rdl_uring_probe(NULL); /* it would not survive that */
    fail_enters = 4;
    (void)check_crowd();
}

Test(uring, on_a_small_one_when_most_submissions_fail)
{
    struct rdl_uring_facts facts;

    refuse_sizes = 2;
    rdl_sys_set_hook(limited_kernel);
    (void)rdl_uring_probe(&facts);
    fail_enters = 4;
    (void)check_crowd();
}

/* Everything that is submitted stays behind, more than the queue holds, and is cancelled there. */
static int cancel_what_is_stuck(void *arg)
{
    struct crowd *c = arg;
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct raddle_group group;
    int rc = 0;

    for (unsigned i = 0; i < CROWD && rc == 0; i++)
        rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->pairs[i]) ? -errno : 0;
    if (rc == 0)
        rc = raddle_group_open(&group, &collect);
    fail_enters = UINT_MAX;
    for (unsigned i = 0; i < CROWD && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, receive_tokens, c, NULL);
    if (rc == 0)
        rc = raddle_sleep(RADDLE_MS(5));
    raddle_group_cancel(&group, "stuck");
    for (unsigned i = 0; i < 20; i++)
        raddle_yield();
    fail_enters = 0;
    rc = raddle_group_close(&group, rc);
    for (unsigned i = 0; i < CROWD; i++) {
        (void)raddle_fd_close(c->pairs[i][0]);
        (void)raddle_fd_close(c->pairs[i][1]);
    }
    return rc;
}

Test(uring, what_could_not_be_submitted_can_be_cancelled)
{
    static struct crowd c;

    setenv("RADDLE_POLICY", "uring", 1);
    if (rdl_uring_probe(NULL) < 0)
        cr_skip_test("io_uring is denied here");
    (void)rdl_atomic_fetch_add_relaxed(&enters, 1u); /* so that none is the one that works */
    rdl_sys_set_hook(limited_kernel);
    (void)in_task(cancel_what_is_stuck, &c);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(c.cancelled, CROWD);
}

/* Kernels that answer -EAGAIN for a descriptor with O_NONBLOCK instead of waiting. */
static rdl_atomic(unsigned) impatient;

static int impatient_kernel(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if (call != RDL_SYS_COMPLETION || rdl_atomic_load_relaxed(&impatient) == 0)
        return 0;
    (void)rdl_atomic_fetch_sub_relaxed(&impatient, 1u);
    return -EAGAIN;
}

static int peek_until_there(void *arg)
{
    struct crowd *c = arg;
    struct raddle_scope scope;
    char byte = 'x';
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->pairs[0]) ? -errno : 0;

    if (rc < 0 || write(c->pairs[0][1], &byte, 1) != 1)
        return -EIO;
    rdl_atomic_store_relaxed(&impatient, 1u);
    c->received = raddle_fd_recv(c->pairs[0][0], &byte, 1, MSG_PEEK) == 1;
    rdl_atomic_store_relaxed(&impatient, 1u);
    c->received += raddle_fd_poll(c->pairs[0][0], POLLIN) == POLLIN;
    /* And one that is cancelled meanwhile. */
    rdl_atomic_store_relaxed(&impatient, UINT_MAX);
    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(3)), 0);
    rc = raddle_fd_poll(c->pairs[0][0], POLLIN);
    c->cancelled = raddle_scope_leave(&scope, rc) == -ETIMEDOUT;
    rdl_atomic_store_relaxed(&impatient, 0u);
    (void)raddle_fd_close(c->pairs[0][0]);
    (void)raddle_fd_close(c->pairs[0][1]);
    return 0;
}

Test(uring, where_the_kernel_does_not_wait_the_ring_polls)
{
    static struct crowd c;

    setenv("RADDLE_POLICY", "uring", 1);
    if (rdl_uring_probe(NULL) < 0)
        cr_skip_test("io_uring is denied here");
    rdl_sys_set_hook(impatient_kernel);
    cr_assert_eq(in_task(peek_until_there, &c), 0);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(c.received, 2);
    cr_assert_eq(c.cancelled, 1);
}

Test(uring, where_memory_for_rings_has_run_out_the_loop_says_so)
{
    struct rdl_driver *driver;

    if (rdl_uring_probe(NULL) < 0)
        cr_skip_test("io_uring is denied here");
    refuse_sizes = 1000000;
    rdl_sys_set_hook(limited_kernel);
    cr_assert_eq(rdl_uring_create(&driver), -ENOMEM);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(rdl_uring_create(&driver), 0);
    driver->ops->destroy(driver);
}

/* A post that comes when the loop has looked at its queues, and before it waits: the wake's completion
 * may be in the ring by then. */
struct late_post {
    raddle_loop *loop;
    pthread_t thread;
    int pair[2];
    raddle_time deadline;
    int posted, result;
    bool ran, in_time;
};

static struct late_post *due; /* of the loop's thread */
static pthread_t due_at;

static void send_one(void *arg)
{
    struct late_post *p = arg;

    p->ran = true;
    p->in_time = raddle_now() < p->deadline;
    if (write(p->pair[1], "w", 1) != 1)
        p->in_time = false;
}

static void *post(void *arg)
{
    struct late_post *p = arg;

    p->posted = raddle_call_soon(p->loop, send_one, p);
    return NULL;
}

/* Between the announcement of the sleep and the sleep the loop reads the clock, once. */
static int post_before_it_sleeps(enum rdl_sys_call call, size_t *length)
{
    struct late_post *p;

    if (call != RDL_SYS_CLOCK || !due || !pthread_equal(pthread_self(), due_at) ||
        rdl_atomic_load_relaxed(&rdl_loop_current()->sleeper.state) != RDL_ASLEEP)
        return limited_kernel(call, length);
    p = due;
    due = NULL;
    if (pthread_create(&p->thread, NULL, post, p) == 0)
        pthread_join(p->thread, NULL);
    sched_yield(); /* a visit to the kernel, after which the completion is there */
    return 0;
}

static int sleep_until_posted(void *arg)
{
    struct late_post *p = arg;
    struct raddle_scope scope;
    char byte;
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->pair) ? -errno : 0;

    if (rc < 0)
        return rc;
    p->loop = raddle_running_loop();
    p->deadline = raddle_in(RADDLE_S(5)); /* a wake that is lost: the loop sleeps until then */
    raddle_scope_enter(&scope, p->deadline, 0);
    due_at = pthread_self();
    due = p;
    rc = (int)raddle_fd_recv(p->pair[0], &byte, 1, 0);
    p->result = raddle_scope_leave(&scope, rc);
    (void)raddle_fd_close(p->pair[0]);
    (void)raddle_fd_close(p->pair[1]);
    return 0;
}

/* On the ring that a kernel makes who knows all sets of flags but the first so many. */
static void check_late_post(unsigned refused)
{
    struct late_post p = {.posted = 1};
    struct rdl_uring_facts facts;

    setenv("RADDLE_POLICY", "uring", 1);
    refuse_flags = refused;
    rdl_sys_set_hook(post_before_it_sleeps);
    if (rdl_uring_probe(&facts) < 0)
        cr_skip_test("io_uring is denied here");
    cr_assert_eq(in_task(sleep_until_posted, &p), 0);
    rdl_sys_set_hook(NULL);
    cr_assert_geq(setups, refused);
    cr_assert_eq(p.posted, 0, "the loop did not sleep, or can't be posted to: %d", p.posted);
    cr_assert(p.ran);
    cr_assert(p.in_time, "the wake was lost");
    cr_assert_eq(p.result, 1);
}

Test(uring, a_wake_before_the_sleep_ends_it_with_deferred_task_work)
{
    check_late_post(0);
}

Test(uring, a_wake_before_the_sleep_ends_it_with_cooperative_task_work)
{
    check_late_post(1);
}

Test(uring, a_wake_before_the_sleep_ends_it_with_cooperative_task_work_of_any_thread)
{
    check_late_post(2);
}

Test(uring, a_wake_before_the_sleep_ends_it_with_task_work_at_any_time)
{
    check_late_post(3);
}

Test(uring, a_wake_before_the_sleep_ends_it_with_no_flags_at_all)
{
    check_late_post(4);
}
