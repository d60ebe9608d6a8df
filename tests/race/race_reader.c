/*
 * tests/race/race_reader.c - threads add, replace and remove readers and writers of the same descriptors while
 * the loop calls them, its tasks close the descriptors and open others of the same numbers, and at last the
 * loop is closed: a callback serves the descriptor that it was added for, and nothing is left.
 *
 *     race_reader [--rounds N]
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"
#include "tests/support/counted.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADDERS = 3, PAIRS = 4, EACH = 300 };

struct life {
    raddle_loop *loop;
    pthread_t thread;
    rdl_atomic(unsigned) adding;
    rdl_atomic(int) fds[PAIRS]; /* watched; their peers are written to */
    int peers[PAIRS];
    rdl_atomic(unsigned long) calls, adds, removes;
};

static struct life life;

static void called(void *arg)
{
    EXPECT(arg == &life);
    EXPECT(pthread_equal(pthread_self(), life.thread));
    rdl_atomic_fetch_add_relaxed(&life.calls, 1ul);
}

static void *adds(void *arg)
{
    uint32_t random = *(uint32_t *)arg;

    for (unsigned i = 0; i < EACH; i++) {
        int fd = rdl_atomic_load_relaxed(&life.fds[test_random(&random) % PAIRS]), rc = 0;

        switch (test_random(&random) % 4) {
        case 0:
            rc = raddle_add_reader(life.loop, fd, called, &life);
            break;
        case 1:
            rc = raddle_add_writer(life.loop, fd, called, &life);
            break;
        case 2:
            rc = raddle_remove_reader(life.loop, fd);
            break;
        case 3:
            rc = raddle_remove_writer(life.loop, fd);
            break;
        }
        /* It may just be being closed. */
        EXPECT(rc == 0 || rc == 1 || rc == -EBADF);
        rdl_atomic_fetch_add_relaxed(rc == 1 ? &life.removes : &life.adds, 1ul);
        if (random % 8 == 0)
            sched_yield();
    }
    rdl_atomic_fetch_sub_acq_rel(&life.adding, 1u);
    return NULL;
}

static int open_pair(unsigned i)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    rdl_atomic_store_relaxed(&life.fds[i], pair[0]);
    life.peers[i] = pair[1];
    return 0;
}

static void close_pair(unsigned i)
{
    EXPECT_EQ(raddle_fd_close(rdl_atomic_load_relaxed(&life.fds[i])), 0);
    EXPECT_EQ(raddle_fd_close(life.peers[i]), 0);
}

static int changes(void *arg)
{
    uint32_t random = *(uint32_t *)arg;
    int rc = 0;

    while (rc == 0 && rdl_atomic_load_acquire(&life.adding)) {
        unsigned i = test_random(&random) % PAIRS;

        if (random % 4 == 0) {
            close_pair(i);
            rc = open_pair(i);
        } else if (random % 4 == 1) {
            EXPECT(send(life.peers[i], "x", 1, MSG_DONTWAIT) == 1 || errno == EAGAIN);
        }
        if (rc == 0)
            rc = raddle_sleep(RADDLE_US(10));
    }
    return rc;
}

static void no_line(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static void one_life(uint32_t seed)
{
    pthread_t threads[ADDERS];
    uint32_t seeds[ADDERS + 1];

    life.thread = pthread_self();
    rdl_atomic_store_relaxed(&life.adding, (unsigned)ADDERS);
    EXPECT_EQ(raddle_new_loop(&life.loop), 0);
    for (unsigned i = 0; i < PAIRS; i++)
        EXPECT_EQ(open_pair(i), 0);
    for (unsigned i = 0; i <= ADDERS; i++)
        seeds[i] = seed * 7 + i + 1;
    for (unsigned i = 0; i < ADDERS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, adds, &seeds[i]), 0);
    EXPECT_EQ(raddle_loop_run_until_complete(life.loop, changes, &seeds[ADDERS]), 0);
    for (unsigned i = 0; i < ADDERS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(raddle_loop_close(life.loop), 0);
    for (unsigned i = 0; i < PAIRS; i++)
        close_pair(i);
}

int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 30 : 200);
    struct test_footprint before;

    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    raddle_on_report(no_line, NULL);
    before = test_footprint();
    for (unsigned long i = 0; i < rounds && test_failures() == 0; i++)
        one_life((uint32_t)i);
    test_same_footprint(&before);
    EXPECT(life.calls > 0);
    printf("%lu asked, %lu removed, %lu calls\n", (unsigned long)life.adds,
           (unsigned long)life.removes, (unsigned long)life.calls);
    test_counted(life.adds + life.removes, "races");
    return test_result();
}
