/*
 * tests/race/race_crowd.c - tens of thousands of tasks wait on one descriptor, which is closed under them.
 *
 *     race_crowd [--tasks N] [--loops N]
 *
 * Nothing here measures a time. But a close that looks at all operations again for each few that it ends takes
 * minutes for this, which is more than the test may last.
 */
#include "tests/support/runtime.h"

#include <stdio.h>
#include <sys/socket.h>

#include "io/fd.h"
#include "io/op.h"

static unsigned long count;
static int pair[2];
static rdl_atomic(unsigned) waiting, closed;

static int wait_for_byte(void *arg)
{
    char byte;

    (void)arg;
    rdl_atomic_fetch_add_acq_rel(&waiting, 1u);
    EXPECT_EQ(raddle_fd_recv(pair[0], &byte, 1, 0), RADDLE_ECLOSED);
    rdl_atomic_fetch_add_acq_rel(&closed, 1u);
    return 0;
}

static unsigned long in_flight(void)
{
    struct rdl_fd *entry;
    unsigned long ops = 0;

    if (rdl_fd_find(pair[0], &entry) < 0)
        return 0;
    rdl_lock_acquire(&entry->lock);
    for (struct rdl_op *op = entry->ops; op; op = op->fd_next)
        ops++;
    rdl_lock_release(&entry->lock);
    return ops;
}

static int race(void *arg)
{
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned long i = 0; i < count; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, wait_for_byte, NULL, NULL), 0);
    while (rdl_atomic_load_acquire(&waiting) != count)
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    while (in_flight() != count)
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    EXPECT_EQ(raddle_fd_close(pair[0]), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_fd_close(pair[1]), 0);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());

    count = test_argument(argc, argv, "--tasks", test_slowness() > 1 ? 2000 : 60000);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return 1;
    EXPECT_EQ(test_run_on(loops, race, NULL), 0);
    EXPECT_EQ(closed, count);
    printf("%lu waits ended by one close\n", count);
    return test_result();
}
