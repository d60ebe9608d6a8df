/*
 * tests/race/race_page_out.c - stacks are paged out and in again while input comes, tasks are cancelled, descriptors are
 * closed, and threads look at all tasks and their stacks.
 *
 *     race_page_out [--rounds N] [--loops N]
 *
 * A round is one message to one of the receivers, or the end of one, and another in its place. Stacks go at the next turn
 * of their loop, as fast as they can. Each receiver has words on its stack, which it finds again after every message.
 */
#define _GNU_SOURCE
#include "tests/support/counted.h"
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <raddle/error.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sched/pageout.h"

enum { RECEIVERS = 24, WORDS = 24, THREADS = 2, FUNCTION_BYTES = 4096 };

struct receiver {
    int here, there;
    raddle_task *task;
    rdl_atomic(unsigned long) received;
    unsigned long sent;
    int rc;
};

static unsigned long rounds;
static struct receiver receivers[RECEIVERS];
static rdl_atomic(unsigned long) looks, stacks;
static rdl_atomic(unsigned) over;
static uint64_t page_outs;

static __attribute__((noinline)) int receive_all(void *arg)
{
    struct receiver *r = arg;
    volatile uintptr_t words[WORDS];
    ssize_t n = 1;

    for (uintptr_t i = 0; i < WORDS; i++)
        words[i] = i % 2 ? 0 : (uintptr_t)&words[i];
    while (n > 0) {
        char byte = 0;

        n = raddle_fd_recv(r->here, &byte, 1, 0);
        for (uintptr_t i = 0; i < WORDS; i++)
            EXPECT(words[i] == (i % 2 ? 0 : (uintptr_t)&words[i]));
        if (n > 0) {
            EXPECT_EQ(byte, 'x');
            rdl_atomic_fetch_add_relaxed(&r->received, 1ul);
        }
    }
    r->rc = (int)n;
    return n == -ECANCELED ? (int)n : 0;
}

static void begin_one(struct raddle_group *g, struct receiver *r)
{
    static unsigned kind;
    struct raddle_spawn_options options = {.name = "receiver", .page_out = true};
    int ends[2] = {-1, -1};

    kind++;
    options.mobility = (enum raddle_mobility)(kind % 4);
    options.eager_start = kind % 5 == 0;

    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    *r = (struct receiver){.here = ends[0], .there = ends[1]};
    EXPECT_EQ(raddle_spawn(g, &r->task, receive_all, r, &options), 0);
}

/* In one of three ways. */
static void end_one(struct receiver *r, unsigned how)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    int here = r->here;

    switch (how % 3) {
    case 0:
        EXPECT_EQ(raddle_fd_close(r->there), 0);
        r->there = -1;
        break;
    case 1:
        EXPECT_EQ(raddle_task_cancel(r->task, NULL), 0);
        break;
    default:
        EXPECT_EQ(raddle_fd_close(here), 0);
        here = -1;
        break;
    }
    EXPECT_EQ(raddle_join(r->task, &outcome), 0);
    EXPECT_EQ(outcome.kind, how % 3 == 1 ? RADDLE_CANCELLED : RADDLE_OK);
    if (how % 3 == 2) /* it was in a receive, or about to begin one */
        EXPECT(r->rc == RADDLE_ECLOSED || r->rc == -EBADF);
    else
        EXPECT_EQ(r->rc, how % 3 == 0 ? 0 : -ECANCELED);
    if (how % 3 == 0)
        EXPECT_EQ(rdl_atomic_load_relaxed(&r->received), r->sent);
    raddle_task_unref(r->task);
    if (here >= 0)
        EXPECT_EQ(raddle_fd_close(here), 0);
    if (r->there >= 0)
        EXPECT_EQ(raddle_fd_close(r->there), 0);
}

static int send_and_end(void *arg)
{
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct raddle_loop_stats stats;
    struct raddle_group g;
    unsigned seed = 1;
    int64_t out = 0;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, &collect), 0);
    for (unsigned i = 0; i < RECEIVERS; i++)
        begin_one(&g, &receivers[i]);
    for (unsigned long i = 0; i < rounds; i++) {
        struct receiver *r = &receivers[(unsigned)rand_r(&seed) % RECEIVERS];
        unsigned what = (unsigned)rand_r(&seed) / 7;

        if (what % 8 == 0) {
            end_one(r, what / 8);
            begin_one(&g, r);
        } else {
            EXPECT_EQ(raddle_fd_send(r->there, "x", 1, 0), 1);
            r->sent++;
        }
        if (what % 3 == 0)
            EXPECT_EQ(raddle_sleep(RADDLE_US(what % 50)), 0);
    }
    for (unsigned i = 0; i < RECEIVERS; i++)
        end_one(&receivers[i], i);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (unsigned i = 0; raddle_get_loop_stats(i, &stats) == 0; i++) {
        out += stats.paged_out;
        page_outs += stats.page_outs;
    }
    EXPECT_EQ(out, 0);
    rdl_atomic_store_release(&over, 1u);
    return 0;
}

/* Is it the stack of a receiver? One that was put aside while it was read has no frames but the first. */
static bool has_receiver(void *const *pcs, ssize_t frames)
{
    for (ssize_t i = 0; i < frames; i++)
        if ((uintptr_t)pcs[i] - (uintptr_t)receive_all < FUNCTION_BYTES)
            return true;
    return false;
}

/* And waits, until it isn't looked at, for its own end. */
static bool has_ended(raddle_task *task)
{
    struct raddle_outcome outcome;

    return raddle_outcome_of(task, &outcome) == 0;
}

static void *looker(void *arg)
{
    (void)arg;
    while (!rdl_atomic_load_acquire(&over)) {
        struct raddle_task_info *list = NULL;
        ssize_t count = raddle_all_tasks(NULL, &list);

        for (ssize_t i = 0; i < count; i++) {
            void *pcs[32];
            ssize_t frames = raddle_task_stack(list[i].task, pcs, 32);

            EXPECT(frames >= 0 || frames == -EBUSY || frames == -ENOTSUP);
            if (frames > 0) {
                EXPECT(list[i].fn != receive_all || has_receiver(pcs, frames) ||
                       has_ended(list[i].task));
                rdl_atomic_fetch_add_relaxed(&stacks, 1ul);
            }
        }
        raddle_all_tasks_free(list, count < 0 ? 0 : (size_t)count);
        rdl_atomic_fetch_add_relaxed(&looks, 1ul);
        sched_yield();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    struct test_footprint before;
    pthread_t threads[THREADS];

    rounds = test_argument(argc, argv, "--rounds", 6000 / (unsigned long)test_slowness());
    rdl_paging_after_ns = 0;
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, looker, NULL))
            return 1;
    EXPECT_EQ(test_run_on(loops, send_and_end, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT(page_outs > rounds / 4);
    test_same_footprint(&before);
    printf("%u loops: %lu rounds, %llu stacks paged out; %lu looks at all tasks, %lu stacks\n",
           loops, rounds, (unsigned long long)page_outs, rdl_atomic_load_relaxed(&looks),
           rdl_atomic_load_relaxed(&stacks));
    test_counted(rounds, "races");
    return test_result();
}
