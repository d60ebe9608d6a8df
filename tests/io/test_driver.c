/*
 * tests/io/test_driver.c - both drivers by themselves: life, waiting, waking, failing to be made.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/driver.h"
#include "sched/sys.h"

TestSuite(driver, .timeout = 20);

typedef int create_fn(struct rdl_driver **out);

static const struct {
    const char *name;
    create_fn *create;
} drivers[] = {{"epoll", rdl_epoll_create}, {"uring", rdl_uring_create}};

/* Runs check with each driver that this machine has, which it starts first. */
static void with_each(void (*check)(struct rdl_driver *driver))
{
    for (size_t i = 0; i < 2; i++) {
        struct rdl_driver *driver;
        int rc = drivers[i].create(&driver);

        if (rc < 0 && i == 1 && rdl_uring_probe(NULL) < 0)
            continue;
        cr_assert_eq(rc, 0, "%s: %s", drivers[i].name, strerror(-rc));
        cr_assert_str_eq(driver->ops->name, drivers[i].name);
        cr_assert_eq(driver->ops->start(driver), 0);
        check(driver);
        driver->ops->destroy(driver);
    }
}

static void check_timeout(struct rdl_driver *driver)
{
    int64_t before = rdl_sys_now();

    cr_assert_eq(driver->ops->poll(driver, 0), 0);
    cr_assert_eq(driver->ops->poll(driver, 3000000), 0);
    cr_assert_geq(rdl_sys_now() - before, 3000000);
}

Test(driver, a_poll_without_events_lasts_as_long_as_it_was_told)
{
    with_each(check_timeout);
}

static void check_look(struct rdl_driver *driver)
{
    int64_t before;

    (void)driver->ops->poll(driver, 0);
    before = rdl_sys_now();
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(driver->ops->poll(driver, 0), 0);
    cr_assert_lt(rdl_sys_now() - before, 1000 * 100000);
}

Test(driver, a_poll_of_zero_only_looks)
{
    with_each(check_look);
}

static void check_early_wake(struct rdl_driver *driver)
{
    driver->ops->wake(driver);
    cr_assert_eq(driver->ops->poll(driver, -1), 0);
    cr_assert_eq(driver->ops->poll(driver, 1000000), 0); /* it was for one poll only */
    driver->ops->wake(driver);
    driver->ops->wake(driver);
    cr_assert_eq(driver->ops->poll(driver, -1), 0);
}

Test(driver, a_wake_before_the_poll_ends_it)
{
    with_each(check_early_wake);
}

static void check_elision(struct rdl_driver *driver)
{
    struct rdl_driver_stats stats;

    for (int i = 0; i < 10; i++)
        driver->ops->wake(driver);
    rdl_driver_stats(driver, &stats);
    cr_assert_eq(stats.wakes, 1);
    cr_assert_eq(driver->ops->poll(driver, -1), 0);
    driver->ops->wake(driver);
    rdl_driver_stats(driver, &stats);
    cr_assert_eq(stats.wakes, 2);
}

Test(driver, wakes_that_nobody_has_seen_yet_are_one)
{
    with_each(check_elision);
}

static void *wake_slowly(void *arg)
{
    struct rdl_driver *driver = arg;

    for (int i = 0; i < 200; i++) {
        usleep((unsigned)i % 7 * 10);
        driver->ops->wake(driver);
    }
    return NULL;
}

static void check_wake_from_thread(struct rdl_driver *driver)
{
    pthread_t thread;
    struct rdl_driver_stats stats;

    cr_assert_eq(rdl_sys_thread_create(&thread, 0, wake_slowly, driver), 0);
    do {
        cr_assert_eq(driver->ops->poll(driver, 50000000), 0);
        rdl_driver_stats(driver, &stats);
    } while (stats.wakes < 20);
    pthread_join(thread, NULL);
    cr_assert_eq(stats.stale, 0);
}

Test(driver, a_wake_from_another_thread_ends_the_wait)
{
    with_each(check_wake_from_thread);
}

Test(driver, one_that_was_never_started_can_be_woken_and_destroyed)
{
    for (size_t i = 0; i < 2; i++) {
        struct rdl_driver *driver;

        if (drivers[i].create(&driver) < 0)
            continue;
        driver->ops->wake(driver);
        driver->ops->destroy(driver);
    }
}

static void *start_and_poll(void *arg)
{
    struct rdl_driver *driver = arg;

    cr_assert_eq(driver->ops->start(driver), 0);
    cr_assert_eq(driver->ops->poll(driver, 1000), 0);
    return NULL;
}

Test(driver, one_made_here_may_run_in_another_thread_and_be_destroyed_here)
{
    for (size_t i = 0; i < 2; i++) {
        struct rdl_driver *driver;
        pthread_t thread;

        if (drivers[i].create(&driver) < 0)
            continue;
        cr_assert_eq(rdl_sys_thread_create(&thread, 0, start_and_poll, driver), 0);
        pthread_join(thread, NULL);
        driver->ops->destroy(driver);
    }
}

static void check_fork(struct rdl_driver *driver)
{
    int status;
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0) {
        driver->ops->abandon(driver);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_timeout(driver);
    check_early_wake(driver);
}

Test(driver, a_child_that_abandons_it_leaves_the_parents_alone)
{
    with_each(check_fork);
}

/* Fails the call number `at` of those that making a driver takes. */
static int at, calls;
static enum rdl_sys_call failed;

static int fail_one(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if (call == RDL_SYS_CLOSE || calls++ != at)
        return 0;
    failed = call;
    return call == RDL_SYS_MALLOC || call == RDL_SYS_CALLOC ? -ENOMEM : -EMFILE;
}

Test(driver, one_that_cannot_be_made_says_why_and_leaves_nothing)
{
    (void)rdl_uring_probe(NULL);
    for (size_t i = 0; i < 2; i++) {
        struct rdl_driver *driver;
        int rc = -1;

        for (at = 0; rc < 0; at++) {
            int before = dup(0), after;

            close(before);
            calls = 0;
            rdl_sys_set_hook(fail_one);
            rc = drivers[i].create(&driver);
            rdl_sys_set_hook(NULL);
            if (rc == -ENOSYS || rc == -EPERM)
                return; /* no rings here */
            cr_assert(rc == 0 || rc == -ENOMEM || rc == -EMFILE, "%s: %d after %s", drivers[i].name,
                      rc, rdl_sys_name(failed));
            if (rc == 0)
                driver->ops->destroy(driver);
            after = dup(0);
            close(after);
            cr_assert_eq(before, after, "%s leaks after %s", drivers[i].name, rdl_sys_name(failed));
        }
        cr_assert_gt(at, 2);
    }
}

static int wait_error;

static int fail_waits(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_EPOLL_WAIT || call == RDL_SYS_URING_ENTER ? wait_error : 0;
}

static int poll_failing(struct rdl_driver *driver, int error)
{
    int rc;

    wait_error = error;
    rdl_sys_set_hook(fail_waits);
    rc = driver->ops->poll(driver, 1000000);
    rdl_sys_set_hook(NULL);
    return rc;
}

static void check_wait_errors(struct rdl_driver *driver)
{
    cr_assert_eq(poll_failing(driver, -EINTR), 0);
    cr_assert_eq(poll_failing(driver, -EBADF), -EBADF);
    if (strcmp(driver->ops->name, "uring") == 0) {
        cr_assert_eq(poll_failing(driver, -EAGAIN), 0);
        cr_assert_eq(poll_failing(driver, -EBUSY), 0);
    }
    check_early_wake(driver);
}

Test(driver, a_signal_or_a_shortage_ends_a_wait_and_other_errors_are_told)
{
    with_each(check_wait_errors);
}

Test(driver, the_probe_says_the_same_each_time)
{
    struct rdl_uring_facts first = {0}, second = {0};

    cr_assert_eq(rdl_uring_probe(&first), first.error);
    cr_assert_eq(rdl_uring_probe(&second), first.error);
    cr_assert_eq(rdl_uring_probe(NULL), first.error);
    cr_assert_eq(first.denied, second.denied);
    cr_assert_eq(first.features, second.features);
    cr_assert_eq(first.setup_flags, second.setup_flags);
    cr_assert_eq(first.sq_entries, second.sq_entries);
    cr_assert_eq(first.cq_entries, second.cq_entries);
    cr_assert_eq(first.deferred, second.deferred);
    cr_assert_eq(first.poll_first, second.poll_first);
    cr_assert_eq(first.registered_ring, second.registered_ring);
    cr_assert_eq(first.error == 0, first.denied == NULL);
    if (first.error == 0)
        cr_assert(first.sq_entries && first.cq_entries >= first.sq_entries);
}
