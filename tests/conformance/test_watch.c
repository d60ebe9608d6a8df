/*
 * tests/conformance/test_watch.c - watches and broadcast channels: row N12 of the contract, with N3, N9 and N11 as
 * they hold for them.
 */
#define _GNU_SOURCE
#include "tests/support/crew.h"
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(watch, .timeout = 60);
TestSuite(broadcast, .timeout = 60);

static raddle_watch *make_watch(int initial)
{
    raddle_watch *watch = NULL;

    EXPECT_EQ(raddle_watch_create(sizeof(int), &initial, &watch), 0);
    return watch;
}

static void set(raddle_watch *watch, int value)
{
    EXPECT_EQ(raddle_watch_set(watch, &value), 0);
}

/* The latest, or the error. */
static int latest(raddle_watch *watch, uint64_t *version)
{
    int value = -1, rc = raddle_watch_get(watch, &value, version);

    return rc < 0 ? rc : value;
}

/* N12 */
RuntimeTest(watch, it_has_the_latest_value_and_its_version)
{
    raddle_watch *watch = make_watch(7), *zero = NULL, *bare = NULL;
    uint64_t version = 0;
    int value = -1;

    cr_expect_eq(latest(watch, &version), 7);
    cr_expect_eq(version, 1);
    set(watch, 8);
    set(watch, 9);
    cr_expect_eq(latest(watch, NULL), 9);
    cr_expect_eq(raddle_watch_get(watch, NULL, &version), 0);
    cr_expect_eq(version, 3);
    raddle_watch_unref(raddle_watch_ref(watch));
    raddle_watch_shutdown(watch);
    raddle_watch_shutdown(watch);
    cr_expect_eq(raddle_watch_set(watch, &value), RADDLE_ESHUTDOWN);
    cr_expect_eq(latest(watch, &version), 9); /* also after the end */
    cr_expect_eq(version, 3);
    raddle_watch_unref(watch);

    cr_assert_eq(raddle_watch_create(sizeof(int), NULL, &zero), 0);
    cr_expect_eq(latest(zero, NULL), 0);
    cr_expect_eq(raddle_watch_set(zero, NULL), -EINVAL);
    raddle_watch_unref(zero);
    cr_assert_eq(raddle_watch_create(0, NULL, &bare), 0);
    cr_expect_eq(raddle_watch_set(bare, NULL), 0);
    cr_expect_eq(raddle_watch_get(bare, &value, &version), 0);
    cr_expect_eq(version, 2);
    cr_expect_eq(value, -1);
    raddle_watch_unref(bare);

    cr_expect_eq(raddle_watch_create(1, NULL, NULL), -EINVAL);
    cr_expect_eq(raddle_watch_create(SIZE_MAX, NULL, &bare), -ENOMEM);
    cr_expect_eq(raddle_watch_set(NULL, &value), -EINVAL);
    cr_expect_eq(raddle_watch_get(NULL, &value, NULL), -EINVAL);
    cr_expect_eq(raddle_watch_wait(NULL, &version, NULL), -EINVAL);
    raddle_watch_shutdown(NULL);
    raddle_watch_unref(NULL);
}

/* A member of a crew that waits for a value that is not of the version that it wants to have seen. */
static int watches(struct member *member)
{
    uint64_t version = member->wants;
    int value = -1, rc = raddle_watch_wait(member->crew->thing, &version, &value);

    if (rc == 0) {
        crew_note(member);
        EXPECT(version != member->wants);
    } else {
        EXPECT_EQ(version, member->wants);
        EXPECT_EQ(value, -1);
    }
    return rc < 0 ? rc : value;
}

static const char *const watch_what = "a new value of a watch";

static int all_get_it(void *arg)
{
    raddle_watch *watch = make_watch(1);
    struct crew crew;
    (void)arg;

    crew_open(&crew, watch, watch_what);
    EXPECT_EQ(crew_join(crew_add(&crew, watches, 0, false)), 1); /* it has seen none */
    for (unsigned i = 0; i < 20; i++)
        (void)crew_add(&crew, watches, 1, true);
    set(watch, 2);
    for (unsigned i = 1; i <= 20; i++)
        EXPECT_EQ(crew_join(&crew.members[i]), 2);
    EXPECT_EQ(crew_join(crew_add(&crew, watches, 1, false)), 2);
    (void)crew_add(&crew, watches, 2, true);
    set(watch, 3); /* the last one wins */
    set(watch, 4);
    crew_close(&crew);
    EXPECT_IN(crew.members[22].rc, 3, 5);
    raddle_watch_unref(watch);
    return 0;
}

/* N12 */
RuntimeTest(watch, all_that_wait_get_a_new_value_and_who_has_not_seen_it_need_not_wait)
{
    cr_assert_eq(test_run(all_get_it, NULL), 0);
}

static int is_cancelled(void *arg)
{
    raddle_watch *watch = make_watch(1);
    struct member *first, *second;
    struct raddle_scope scope;
    struct crew crew;
    uint64_t version = 0;
    (void)arg;

    crew_open(&crew, watch, watch_what);
    first = crew_add(&crew, watches, 1, true);
    second = crew_add(&crew, watches, 1, true);
    crew_cancel(first);
    EXPECT_EQ(crew_join(first), -ECANCELED);
    set(watch, 5);
    EXPECT_EQ(crew_join(second), 5);
    crew_close(&crew);
    raddle_scope_enter(&scope, RADDLE_NEVER, 0);
    raddle_scope_cancel(&scope, NULL);
    EXPECT_EQ(raddle_watch_wait(watch, &version, NULL), -ECANCELED); /* though there is one */
    EXPECT_EQ(version, 0);
    EXPECT_EQ(raddle_scope_leave(&scope, -ECANCELED), 0);
    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(1)), 0);
    version = 2;
    EXPECT_EQ(raddle_scope_leave(&scope, raddle_watch_wait(watch, &version, NULL)), -ETIMEDOUT);
    raddle_watch_unref(watch);
    return 0;
}

/* N3 */
RuntimeTest(watch, who_is_cancelled_has_seen_nothing_and_the_others_go_on)
{
    cr_assert_eq(test_run(is_cancelled, NULL), 0);
}

static int ends(void *arg)
{
    raddle_watch *watch = make_watch(1);
    raddle_watch_sender *first = NULL, *second = NULL, *third = NULL;
    struct member *waits, *behind;
    struct crew crew;
    uint64_t version = 0;
    int two = 2;
    (void)arg;

    EXPECT_EQ(raddle_watch_sender_open(NULL, &first), -EINVAL);
    EXPECT_EQ(raddle_watch_sender_open(watch, NULL), -EINVAL);
    EXPECT_EQ(raddle_watch_sender_open(watch, &first), 0);
    EXPECT_EQ(raddle_watch_sender_open(watch, &second), 0);
    EXPECT_EQ(raddle_watch_sender_set(NULL, &two), -EINVAL);
    EXPECT_EQ(raddle_watch_sender_set(first, NULL), -EINVAL);
    EXPECT_EQ(raddle_watch_sender_set(first, &two), 0);
    crew_open(&crew, watch, watch_what);
    waits = crew_add(&crew, watches, 2, true);
    raddle_watch_sender_close(first);
    raddle_watch_sender_close(first);
    raddle_watch_sender_close(NULL);
    EXPECT_EQ(raddle_watch_sender_set(first, &two), RADDLE_ECLOSED);
    EXPECT_EQ(raddle_watch_sender_set(second, &two), 0); /* one is left */
    EXPECT_EQ(crew_join(waits), 2);
    waits = crew_add(&crew, watches, 3, true);
    raddle_watch_sender_unref(raddle_watch_sender_ref(second));
    raddle_watch_sender_unref(second);
    EXPECT_EQ(crew_join(waits), RADDLE_ESHUTDOWN);
    behind = crew_add(&crew, watches, 1, false); /* the last value, then the end */
    EXPECT_EQ(crew_join(behind), 2);
    crew_close(&crew);
    EXPECT_EQ(raddle_watch_wait(watch, &version, NULL), 0);
    EXPECT_EQ(version, 3);
    EXPECT_EQ(raddle_watch_wait(watch, &version, NULL), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_watch_sender_open(watch, &third), RADDLE_ESHUTDOWN);
    raddle_watch_sender_unref(first);
    raddle_watch_sender_unref(NULL);
    raddle_watch_unref(watch);
    return 0;
}

/* N9 */
RuntimeTest(watch, it_ends_with_its_last_sender_and_the_last_value_is_still_seen)
{
    cr_assert_eq(test_run(ends, NULL), 0);
}

struct threads {
    raddle_watch *watch;
    rdl_atomic(int) sum;
    rdl_atomic(unsigned) seen;
};

static void *thread_watches(void *arg)
{
    struct threads *threads = arg;
    uint64_t version = 0;
    int value = 0, last = 0, rc;

    while ((rc = raddle_watch_wait(threads->watch, &version, &value)) == 0) {
        EXPECT(value > last);
        last = value;
        rdl_atomic_fetch_add_acq_rel(&threads->seen, 1u);
    }
    EXPECT_EQ(rc, RADDLE_ESHUTDOWN);
    rdl_atomic_fetch_add_acq_rel(&threads->sum, last);
    return NULL;
}

static int sets_for_threads(void *arg)
{
    struct threads *threads = arg;
    pthread_t all[3];

    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(pthread_create(&all[i], NULL, thread_watches, threads), 0);
    test_await(&threads->seen, 3);
    for (int i = 2; i <= 50; i++) {
        set(threads->watch, i);
        EXPECT_EQ(raddle_sleep(1), 0);
    }
    raddle_watch_shutdown(threads->watch);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(all[i], NULL);
    EXPECT_EQ(rdl_atomic_load_acquire(&threads->sum), 150); /* the last value is missed by none */
    return 0;
}

/* N11 */
RuntimeTest(watch, plain_threads_wait_for_what_a_task_sets)
{
    struct threads threads = {.watch = make_watch(1)};

    cr_assert_eq(test_run(sets_for_threads, &threads), 0);
    raddle_watch_unref(threads.watch);
}

/* Broadcasts. */

static raddle_bcast *make_bcast(size_t capacity)
{
    raddle_bcast *bcast = NULL;

    EXPECT_EQ(raddle_bcast_create(sizeof(int), capacity, &bcast), 0);
    return bcast;
}

static raddle_bcast_receiver *open_receiver(raddle_bcast *bcast)
{
    raddle_bcast_receiver *receiver = NULL;

    EXPECT_EQ(raddle_bcast_receiver_open(bcast, &receiver), 0);
    return receiver;
}

static void spread(raddle_bcast *bcast, int value, ssize_t receivers)
{
    EXPECT_EQ(raddle_bcast_send(bcast, &value), receivers);
}

/* What comes out, and after how many were missed; or the error. */
static void expect_item(raddle_bcast_receiver *receiver, int wanted, uint64_t wanted_missed)
{
    uint64_t missed = 77;
    int value = -1, rc = raddle_bcast_try_receive(receiver, &value, &missed);

    EXPECT_EQ(rc < 0 ? rc : value, wanted);
    EXPECT_EQ(missed, rc < 0 ? 77 : wanted_missed);
}

/* N12 */
RuntimeTest(broadcast, every_receiver_gets_every_item_from_its_opening_on)
{
    raddle_bcast *bcast = make_bcast(4);
    raddle_bcast_receiver *early, *late;

    spread(bcast, 1, 0);
    early = open_receiver(bcast);
    expect_item(early, -EAGAIN, 0);
    spread(bcast, 2, 1);
    late = open_receiver(bcast);
    spread(bcast, 3, 2);
    expect_item(early, 2, 0);
    expect_item(early, 3, 0);
    expect_item(late, 3, 0);
    expect_item(late, -EAGAIN, 0);
    raddle_bcast_receiver_close(late);
    raddle_bcast_receiver_close(late);
    expect_item(late, RADDLE_ECLOSED, 0);
    spread(bcast, 4, 1);
    expect_item(early, 4, 0);
    raddle_bcast_receiver_unref(raddle_bcast_receiver_ref(early));
    raddle_bcast_receiver_unref(early);
    spread(bcast, 5, 0); /* that nobody receives doesn't end it */
    early = open_receiver(bcast);
    spread(bcast, 6, 1);
    expect_item(early, 6, 0);
    raddle_bcast_receiver_unref(early);
    raddle_bcast_receiver_unref(late);
    raddle_bcast_unref(bcast);
}

/* N12 */
RuntimeTest(broadcast, a_receiver_that_lags_is_told_how_many_it_has_missed)
{
    raddle_bcast *bcast = make_bcast(3);
    raddle_bcast_receiver *slow = open_receiver(bcast), *fast = open_receiver(bcast);

    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++)
            spread(bcast, 10 * round + i, 2);
        for (int i = 0; i < 3; i++)
            expect_item(fast, 10 * round + i, 0);
    }
    expect_item(slow, 40, 12);
    expect_item(slow, 41, 0); /* told once */
    spread(bcast, 50, 2);
    spread(bcast, 51, 2);
    expect_item(slow, 42, 0);
    spread(bcast, 52, 2);
    spread(bcast, 53, 2);
    expect_item(slow, 51, 1);
    expect_item(fast, 51, 1);
    raddle_bcast_receiver_unref(slow);
    raddle_bcast_receiver_unref(fast);
    raddle_bcast_unref(bcast);
}

/* N12 */
RuntimeTest(broadcast, bad_arguments_are_einval_and_items_may_have_no_size)
{
    raddle_bcast *bcast = NULL;
    raddle_bcast_receiver *receiver = NULL;
    uint64_t missed = 5;
    int value = 0;

    cr_expect_eq(raddle_bcast_create(1, 1, NULL), -EINVAL);
    cr_expect_eq(raddle_bcast_create(1, 0, &bcast), -EINVAL);
    cr_expect_eq(raddle_bcast_create(SIZE_MAX / 2, 4, &bcast), -ENOMEM);
    cr_expect_eq(raddle_bcast_send(NULL, &value), -EINVAL);
    cr_expect_eq(raddle_bcast_receiver_open(NULL, &receiver), -EINVAL);
    bcast = make_bcast(1);
    cr_expect_eq(raddle_bcast_receiver_open(bcast, NULL), -EINVAL);
    cr_expect_eq(raddle_bcast_send(bcast, NULL), -EINVAL);
    receiver = open_receiver(bcast);
    cr_expect_eq(raddle_bcast_receive(NULL, &value, &missed), -EINVAL);
    cr_expect_eq(raddle_bcast_receive(receiver, NULL, &missed), -EINVAL);
    cr_expect_eq(raddle_bcast_receive(receiver, &value, NULL), -EINVAL);
    cr_expect_eq(raddle_bcast_try_receive(receiver, &value, NULL), -EINVAL);
    raddle_bcast_receiver_unref(receiver);
    raddle_bcast_unref(raddle_bcast_ref(bcast));
    raddle_bcast_unref(bcast);
    cr_assert_eq(raddle_bcast_create(0, 2, &bcast), 0);
    receiver = open_receiver(bcast);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(raddle_bcast_send(bcast, NULL), 1);
    cr_expect_eq(raddle_bcast_receive(receiver, NULL, &missed), 0);
    cr_expect_eq(missed, 1);
    raddle_bcast_receiver_unref(receiver);
    raddle_bcast_unref(bcast);
    raddle_bcast_unref(NULL);
    raddle_bcast_receiver_unref(NULL);
    raddle_bcast_receiver_close(NULL);
    raddle_bcast_sender_unref(NULL);
    raddle_bcast_sender_close(NULL);
    raddle_bcast_shutdown(NULL);
}

static const char *const bcast_what = "an item of a broadcast";

/* thing is a receiver that all share. */
static int receives(struct member *member)
{
    uint64_t missed = 0;
    int value = -1, rc = raddle_bcast_receive(member->crew->thing, &value, &missed);

    if (rc == 0)
        crew_note(member);
    return rc < 0 ? rc : value;
}

static int shares_a_receiver(void *arg)
{
    raddle_bcast *bcast = make_bcast(8);
    raddle_bcast_receiver *receiver = open_receiver(bcast);
    struct crew crew;
    int sum = 0;
    (void)arg;

    crew_open(&crew, receiver, bcast_what);
    for (unsigned i = 0; i < 6; i++)
        (void)crew_add(&crew, receives, 0, true);
    crew_cancel(&crew.members[0]);
    EXPECT_EQ(crew_join(&crew.members[0]), -ECANCELED);
    for (int i = 1; i <= 3; i++)
        spread(bcast, i, 1);
    while (rdl_atomic_load_acquire(&crew.served) < 3)
        EXPECT_EQ(raddle_sleep(1), 0);
    raddle_bcast_receiver_close(receiver);
    crew_close(&crew);
    for (unsigned i = 1; i < 6; i++)
        sum += crew.members[i].rc;
    EXPECT_EQ(sum, 1 + 2 + 3 + 2 * RADDLE_ECLOSED); /* each item once, and two get none */
    raddle_bcast_receiver_unref(receiver);
    raddle_bcast_unref(bcast);
    return 0;
}

/* N3 */
RuntimeTest(broadcast, tasks_that_share_a_receiver_get_each_item_once_and_none_when_cancelled)
{
    cr_assert_eq(test_run(shares_a_receiver, NULL), 0);
}

static int drains(void *arg)
{
    raddle_bcast *bcast = make_bcast(4);
    raddle_bcast_receiver *receiver = open_receiver(bcast), *other = NULL;
    raddle_bcast_sender *first = NULL, *second = NULL;
    struct crew crew;
    struct member *waits;
    uint64_t missed = 0;
    int value = 3;
    (void)arg;

    EXPECT_EQ(raddle_bcast_sender_open(NULL, &first), -EINVAL);
    EXPECT_EQ(raddle_bcast_sender_open(bcast, NULL), -EINVAL);
    EXPECT_EQ(raddle_bcast_sender_open(bcast, &first), 0);
    EXPECT_EQ(raddle_bcast_sender_open(bcast, &second), 0);
    EXPECT_EQ(raddle_bcast_sender_send(NULL, &value), -EINVAL);
    EXPECT_EQ(raddle_bcast_sender_send(first, &value), 1);
    raddle_bcast_sender_unref(first);
    EXPECT_EQ(raddle_bcast_sender_send(second, &value), 1);
    raddle_bcast_sender_close(raddle_bcast_sender_ref(second));
    EXPECT_EQ(raddle_bcast_sender_send(second, &value), RADDLE_ECLOSED);
    EXPECT_EQ(raddle_bcast_send(bcast, &value), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_bcast_receiver_open(bcast, &other), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_bcast_sender_open(bcast, &first), RADDLE_ESHUTDOWN);
    EXPECT_EQ(raddle_bcast_receive(receiver, &value, &missed), 0);
    EXPECT_EQ(raddle_bcast_receive(receiver, &value, &missed), 0);
    EXPECT_EQ(raddle_bcast_receive(receiver, &value, &missed), RADDLE_ESHUTDOWN);
    raddle_bcast_sender_unref(second);
    raddle_bcast_sender_unref(second);
    raddle_bcast_receiver_unref(receiver);
    raddle_bcast_unref(bcast);

    bcast = make_bcast(1);
    receiver = open_receiver(bcast);
    crew_open(&crew, receiver, bcast_what);
    waits = crew_add(&crew, receives, 0, true);
    raddle_bcast_shutdown(bcast);
    EXPECT_EQ(crew_join(waits), RADDLE_ESHUTDOWN);
    crew_close(&crew);
    raddle_bcast_receiver_unref(receiver);
    raddle_bcast_unref(bcast);
    return 0;
}

/* N9 */
RuntimeTest(broadcast, it_ends_with_its_last_sender_and_receivers_get_what_is_left)
{
    cr_assert_eq(test_run(drains, NULL), 0);
}

static void *thread_receives(void *arg)
{
    uint64_t missed = 0;
    int value = 0, sum = 0;

    while (raddle_bcast_receive(arg, &value, &missed) == 0) {
        EXPECT_EQ(missed, 0);
        sum += value;
    }
    raddle_bcast_receiver_unref(arg);
    return (void *)(intptr_t)sum;
}

static int sends_to_threads(void *arg)
{
    raddle_bcast *bcast = make_bcast(100);
    raddle_bcast_receiver *mine = open_receiver(bcast);
    pthread_t threads[3];
    void *sum = NULL;
    (void)arg;

    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, thread_receives, open_receiver(bcast)), 0);
    for (int i = 1; i <= 100; i++) {
        spread(bcast, i, 4);
        if (i % 10 == 0)
            EXPECT_EQ(raddle_sleep(RADDLE_US(50)), 0);
    }
    raddle_bcast_shutdown(bcast);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(threads[i], &sum);
        EXPECT_EQ((intptr_t)sum, 5050);
    }
    EXPECT_EQ((intptr_t)thread_receives(raddle_bcast_receiver_ref(mine)), 5050);
    raddle_bcast_receiver_unref(mine);
    raddle_bcast_unref(bcast);
    return 0;
}

/* N11 */
RuntimeTest(broadcast, plain_threads_receive_what_a_task_sends)
{
    cr_assert_eq(test_run(sends_to_threads, NULL), 0);
}

/* N11: a callback may set and send, and not wait. */
struct callback {
    raddle_watch *watch;
    raddle_bcast_receiver *receiver;
    rdl_atomic(unsigned) called;
};

static void calls(void *arg)
{
    struct callback *callback = arg;
    uint64_t version = 0, missed;
    int value = 0;

    EXPECT_EQ(raddle_watch_wait(callback->watch, &version, &value), -EPERM);
    EXPECT_EQ(raddle_bcast_receive(callback->receiver, &value, &missed), -EPERM);
    expect_item(callback->receiver, 1, 0);
    set(callback->watch, 2);
    rdl_atomic_store_release(&callback->called, 1u);
}

static int has_callback(void *arg)
{
    raddle_bcast *bcast = make_bcast(1);
    struct callback callback = {.watch = make_watch(1), .receiver = open_receiver(bcast)};
    (void)arg;

    spread(bcast, 1, 1);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), calls, &callback), 0);
    test_await(&callback.called, 1);
    EXPECT_EQ(latest(callback.watch, NULL), 2);
    raddle_watch_unref(callback.watch);
    raddle_bcast_receiver_unref(callback.receiver);
    raddle_bcast_unref(bcast);
    return 0;
}

/* N11 */
RuntimeTest(broadcast, a_callback_may_not_wait_and_may_do_all_else)
{
    cr_assert_eq(test_run(has_callback, NULL), 0);
}
