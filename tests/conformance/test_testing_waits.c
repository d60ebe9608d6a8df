/*
 * tests/conformance/test_testing_waits.c - what raddle/test.h knows of waiting: whether all others wait (AB4), and
 * whether a function meets a cancellation point (AB8).
 */
#include <raddle.h>
#include <raddle/test.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

static int sleep_forever(void *arg)
{
    (void)arg;
    return raddle_sleep_until(RADDLE_NEVER);
}

/* AB4: what the others have done when all of them wait. */

static struct raddle_event opened;
static int waiting, gone_on;

/* Looks at the clock, which moves it, and gives way: a sleep of any length might end meanwhile. */
static int work_and_wait(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        raddle_time before = raddle_now();
        cr_assert_gt(raddle_now(), before);
        raddle_assert_ok(raddle_yield());
    }
    waiting++;
    raddle_assert_ok(raddle_event_wait(&opened));
    gone_on++;
    return 0;
}

/* AB4 */
RADDLE_TEST(testing_waits, quiesce_ends_when_all_others_wait, .virtual_time = true, .seeds = 50)
{
    waiting = gone_on = 0;
    opened = (struct raddle_event){0};
    for (int i = 1; i <= 10; i++) {
        raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, work_and_wait, NULL, NULL));
        if (i % 5)
            continue;
        raddle_assert_ok(raddle_test_quiesce());
        cr_assert_eq(waiting, i);
    }
    cr_assert_eq(gone_on, 0);
    raddle_event_set(&opened);
    raddle_assert_ok(raddle_test_quiesce());
    cr_assert_eq(gone_on, 10);
}

static void set_to_one(void *arg)
{
    *(int *)arg = 1;
}

static int set_flag(void *arg)
{
    *(int *)arg = 1;
    return 0;
}

static int run_job(void *arg)
{
    int result;
    int rc = raddle_run_in_executor(NULL, set_flag, &((int *)arg)[0], &result);

    ((int *)arg)[1] = 1;
    return rc;
}

/* AB4 */
RADDLE_TEST(testing_waits, quiesce_waits_for_callbacks_that_are_ready_and_for_jobs,
            .virtual_time = true, .seeds = 50)
{
    static int called, ran[2];

    called = ran[0] = ran[1] = 0;
    raddle_assert_ok(raddle_call_soon(raddle_running_loop(), set_to_one, &called));
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, run_job, ran, NULL));
    raddle_assert_ok(raddle_test_quiesce());
    cr_assert_eq(called, 1);
    cr_assert_eq(ran[0], 1);
    cr_assert_eq(ran[1], 1, "who has waited for the job went on");
}

static int sleep_for_an_hour(void *arg)
{
    int rc = raddle_sleep(RADDLE_S(3600));

    *(int *)arg = 1;
    return rc;
}

/* AB4 */
RADDLE_TEST(testing_waits, quiesce_does_not_wait_for_a_time, .virtual_time = true, .seeds = 20)
{
    static int over;
    raddle_time before = raddle_now();
    raddle_task *task;

    over = 0;
    raddle_assert_ok(raddle_spawn(raddle_test_group(), &task, sleep_for_an_hour, &over, NULL));
    raddle_assert_ok(raddle_test_quiesce());
    cr_assert_eq(over, 0);
    cr_assert_lt(raddle_now() - before, RADDLE_S(3600), "virtual time, of which nothing was due");
    raddle_assert_ok(raddle_join(task, NULL));
    cr_assert_eq(over, 1);
    raddle_task_unref(task);
}

static int receive(void *arg)
{
    char byte;
    ssize_t n = raddle_fd_recv(*(int *)arg, &byte, 1, 0);

    raddle_assert_ok(n);
    waiting--;
    return 0;
}

/* AB4 */
RADDLE_TEST(testing_waits, quiesce_does_not_wait_for_what_is_on_its_way, .virtual_time = true,
            .seeds = 20)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = (int)raddle_assert_ok(raddle_fd_socket(AF_INET, SOCK_STREAM, 0));
    int sender = (int)raddle_assert_ok(raddle_fd_socket(AF_INET, SOCK_STREAM, 0));
    socklen_t length = sizeof(at);
    int receiver;
    raddle_task *task;

    cr_assert_eq(bind(listener, (void *)&at, length), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (void *)&at, &length), 0);
    raddle_assert_ok(raddle_fd_connect(sender, (void *)&at, length));
    receiver = (int)raddle_assert_ok(raddle_fd_accept(listener, NULL, NULL));

    waiting = 1;
    raddle_assert_ok(raddle_spawn(raddle_test_group(), &task, receive, &receiver, NULL));
    raddle_assert_ok(raddle_sim_cut_network(true));
    cr_assert_eq(raddle_fd_send(sender, "x", 1, 0), 1);
    raddle_assert_ok(raddle_test_quiesce());
    cr_assert_eq(waiting, 1);
    raddle_assert_ok(raddle_sim_cut_network(false));
    raddle_assert_ok(raddle_join(task, NULL));
    cr_assert_eq(waiting, 0);
    raddle_task_unref(task);
    raddle_assert_ok(raddle_fd_close(listener));
    raddle_assert_ok(raddle_fd_close(sender));
    raddle_assert_ok(raddle_fd_close(receiver));
}

static int quiesce(void *arg)
{
    int rc = raddle_test_quiesce();

    ++*(int *)arg;
    return rc;
}

/* AB4 */
RADDLE_TEST(testing_waits, those_who_quiesce_wait_for_the_others_only, .virtual_time = true,
            .seeds = 20)
{
    static int count;
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    count = waiting = 0;
    opened = (struct raddle_event){0};
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, work_and_wait, NULL, NULL));
    for (int i = 0; i < 5 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, quiesce, &count, NULL);
    raddle_assert_ok(raddle_group_close(&group, rc));
    cr_assert_eq(count, 5);
    cr_assert_eq(waiting, 1);
    raddle_event_set(&opened);
}

static int never_wait(void *arg)
{
    while (!*(int *)arg)
        raddle_assert_ok(raddle_yield());
    return 0;
}

/* AB4 */
RADDLE_TEST(testing_waits, quiesce_is_a_cancellation_point, .virtual_time = true, .seeds = 20)
{
    static int stop;
    int rc;

    stop = 0;
    raddle_assert_cancel_point(quiesce, &(int){0});
    raddle_assert_ok(raddle_spawn(raddle_test_group(), NULL, never_wait, &stop, NULL));
    RADDLE_WITHIN(RADDLE_MS(1), rc, raddle_test_quiesce());
    cr_assert_eq(rc, -ETIMEDOUT);
    stop = 1;
    raddle_assert_ok(raddle_test_quiesce());
}

static void quiesce_as_the_run_can(void *arg)
{
    uint64_t seed;

    (void)arg;
    cr_assert_eq(raddle_test_quiesce(), raddle_sim_seed(&seed));
}

static void note_quiesce(void *arg)
{
    *(int *)arg = raddle_test_quiesce();
}

static int note_quiesce_in_a_job(void *arg)
{
    note_quiesce(arg);
    return 0;
}

static void quiesce_elsewhere(void *arg)
{
    int results[2] = {0, 0}, result;

    (void)arg;
    raddle_assert_ok(raddle_call_soon(raddle_running_loop(), note_quiesce, &results[0]));
    raddle_assert_ok(raddle_run_in_executor(NULL, note_quiesce_in_a_job, &results[1], &result));
    raddle_assert_ok(raddle_test_quiesce());
    cr_assert_eq(results[0], -EPERM);
    cr_assert_eq(results[1], -EPERM);
}

/* AB4: in real runs there is none, nor outside a task. */
Test(testing_waits, quiesce_is_for_tasks_of_simulated_runs)
{
    raddle_test(quiesce_as_the_run_can, NULL);
    raddle_test(quiesce_elsewhere, NULL, .virtual_time = true);
    cr_assert_eq(raddle_test_quiesce(), -EPERM);
}

/* AB8: whether a function meets a cancellation point. */

static int yield(void *arg)
{
    (void)arg;
    return raddle_yield();
}

static int lock_a_free_mutex(void *arg)
{
    int rc = raddle_lock(arg);

    if (rc == 0)
        raddle_unlock(arg);
    return rc;
}

static int swallow(void *arg)
{
    int rc = raddle_sleep(RADDLE_S(3600));

    (void)arg;
    cr_assert_eq(rc, -ECANCELED);
    return 0;
}

/* AB8 */
RADDLE_TEST(testing_waits, a_cancellation_point_is_met_also_by_who_swallows_it)
{
    struct raddle_mutex mutex = {0};

    cr_assert_eq(raddle_test_cancel_point(yield, NULL), 1);
    cr_assert_eq(raddle_test_cancel_point(sleep_forever, NULL), 1);
    cr_assert_eq(raddle_test_cancel_point(lock_a_free_mutex, &mutex), 1);
    cr_assert_eq(raddle_test_cancel_point(swallow, NULL), 1);
    raddle_assert_cancel_point(swallow, NULL);
}

static int only_ask(void *arg)
{
    (void)arg;
    cr_assert(raddle_cancelled());
    return -ECANCELED;
}

/* AB8 */
RADDLE_TEST(testing_waits, asking_is_no_cancellation_point)
{
    cr_assert_eq(raddle_test_cancel_point(only_ask, NULL), 0);
    raddle_assert_no_cancel_point(only_ask, NULL);
}

static int yield_in_a_scope(unsigned flags, bool cancelled)
{
    struct raddle_scope scope;
    int rc;

    raddle_scope_enter(&scope, 0, flags);
    if (cancelled)
        raddle_scope_cancel(&scope, NULL);
    rc = raddle_yield();
    cr_assert_eq(rc, cancelled || !(flags & RADDLE_SHIELD) ? -ECANCELED : 0);
    rc = raddle_scope_leave(&scope, rc);
    (void)rc;
    return 0;
}

static int shielded(void *arg)
{
    return yield_in_a_scope(RADDLE_SHIELD, *(bool *)arg);
}

static int shielded_and_then_not(void *arg)
{
    (void)shielded(arg);
    return raddle_yield();
}

static int in_a_scope(void *arg)
{
    return yield_in_a_scope(0, *(bool *)arg);
}

/* AB8 */
RADDLE_TEST(testing_waits, a_cancellation_point_counts_unless_fn_shields_it)
{
    for (int i = 0; i < 2; i++) {
        bool cancelled = i;

        cr_assert_eq(raddle_test_cancel_point(shielded, &cancelled), 0);
        cr_assert_eq(raddle_test_cancel_point(shielded_and_then_not, &cancelled), 1);
        cr_assert_eq(raddle_test_cancel_point(in_a_scope, &cancelled), 1);
    }
}

static int probe(void *arg)
{
    return raddle_test_cancel_point(arg ? yield : only_ask, NULL);
}

static int probe_shielded(void *arg)
{
    struct raddle_scope scope;

    raddle_scope_enter(&scope, 0, RADDLE_SHIELD);
    cr_assert_eq(probe(arg), 1);
    return raddle_scope_leave(&scope, 0);
}

/* AB8 */
RADDLE_TEST(testing_waits, looking_for_cancellation_points_nests_and_leaves_nothing_behind)
{
    struct raddle_scope scope;

    cr_assert_eq(raddle_test_cancel_point(probe, &scope), 1);
    cr_assert_eq(raddle_test_cancel_point(probe, NULL), 0);
    cr_assert_eq(raddle_test_cancel_point(probe_shielded, &scope), 0);
    cr_assert_not(raddle_cancelled());
    raddle_assert_ok(raddle_sleep(RADDLE_MS(1)));

    /* Of who is cancelled anyway, too. */
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, NULL);
    cr_assert_eq(raddle_test_cancel_point(only_ask, NULL), 0);
    cr_assert_eq(raddle_test_cancel_point(yield, NULL), 1);
    cr_assert_eq(raddle_yield(), -ECANCELED);
    raddle_assert_ok(raddle_scope_leave(&scope, 0));
}

static int refuse(void *arg)
{
    (void)arg;
    cr_assert_eq(raddle_test_cancel_point(NULL, NULL), -EINVAL);
    return 0;
}

static void call_refuse(void *arg)
{
    raddle_assert_no_cancel_point(refuse, arg);
}

/* AB8 */
Test(testing_waits, cancellation_points_are_looked_for_in_a_task)
{
    raddle_test(call_refuse, NULL);
    cr_assert_eq(raddle_test_cancel_point(yield, NULL), -EPERM);
}
