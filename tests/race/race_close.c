/*
 * tests/race/race_close.c - descriptors are closed under several readers, with deadlines, on all loops,
 * and their numbers are used again at once; every token and every close is counted.
 *
 *     race_close [--rounds N] [--loops N]
 *
 * A slot holds a connected pair of sockets. Its owner sends tokens into one end, closes both ends under
 * those who wait there, and makes the next pair, which gets the same numbers. A token tells which pair
 * it was sent into. Readers take any slot and receive from it, in one of three ways, until a deadline of
 * microseconds; others poll the end that sends. Wanted:
 *
 *     each owner gets through its closes      a cancellation that is lost leaves its closer waiting
 *     no token of another pair                a late operation reads from who has the number now
 *     received + left behind = sent           an operation that did not happen has taken nothing
 *
 * Twice: careful, then careless. Careful users never begin with a number that was closed before: the
 * owner waits until each who has taken the slot is in the table of operations, or is back. Then what is
 * received is of that very pair. Careless ones use numbers as they find them, and may meet a closed one,
 * or rightly a successor: what is received is of a pair that had the number meanwhile. The thread
 * sanitizer calls that a race of the program, and is right, so its build is careful only.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/fd.h"
#include "io/op.h"
#include "sched/annotate.h"
#include "tests/support/counted.h"

enum { SLOTS = 12, READERS = 30, POLLERS = 6, NUMBERS = 1024, COPIES = 512, PATIENCE_S = 10 };

/* A pair's id, in its tokens. Of odd ones what is left behind is counted. */
typedef uint32_t pair_id;

struct slot {
    struct rdl_lock lock;
    bool open; /* under the lock */
    unsigned users;
    /* The owner's; a user may read them between begin() and end(). */
    rdl_atomic(int) reads, sends;
    rdl_atomic(pair_id) id;
};

static struct slot slots[SLOTS];
static rdl_atomic(pair_id) id_of[NUMBERS]; /* what each number was used for last */
static rdl_atomic(pair_id) next_id;
static bool careful;
static unsigned long rounds;
static rdl_atomic(unsigned) owners; /* that have closes to do */
static rdl_atomic(unsigned long) closes, sent, received, left, ended, late, strangers;

static void count(rdl_atomic(unsigned long) * counter, size_t more)
{
    (void)rdl_atomic_fetch_add_relaxed(counter, more);
}

/* A slot's use by who is not its owner. */

static bool begin(struct slot *slot)
{
    bool open;

    if (!careful)
        return true;
    rdl_lock_acquire(&slot->lock);
    open = slot->open;
    slot->users += open;
    rdl_lock_release(&slot->lock);
    return open;
}

static void end(struct slot *slot)
{
    if (!careful)
        return;
    rdl_lock_acquire(&slot->lock);
    slot->users--;
    rdl_lock_release(&slot->lock);
}

static unsigned in_flight(int fd)
{
    struct rdl_fd *entry;
    unsigned ops = 0;

    if (rdl_fd_find(fd, &entry) < 0)
        return 0;
    rdl_lock_acquire(&entry->lock);
    for (struct rdl_op *op = entry->ops; op; op = op->fd_next)
        ops++;
    rdl_lock_release(&entry->lock);
    return ops;
}

/* Lets nobody in any more, and waits until all who were have begun their operation or ended it. */
static void settle(struct slot *slot, int reads, int sends)
{
    unsigned users;

    if (!careful)
        return;
    rdl_lock_acquire(&slot->lock);
    slot->open = false;
    rdl_lock_release(&slot->lock);
    for (;;) {
        rdl_lock_acquire(&slot->lock);
        users = slot->users;
        rdl_lock_release(&slot->lock);
        /* They only become fewer: so many in flight now are all there are. */
        if (in_flight(reads) + in_flight(sends) == users)
            break;
        EXPECT_EQ(raddle_yield(), 0);
    }
}

static void make_pair(struct slot *slot)
{
    pair_id id;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || pair[0] >= NUMBERS ||
        pair[1] >= NUMBERS) {
        fprintf(stderr, "no descriptors\n");
        _Exit(1);
    }
    id = rdl_atomic_fetch_add_relaxed(&next_id, 1u); /* now: a number's ids only grow */
    rdl_atomic_store_seq_cst(&id_of[pair[0]], id);
    rdl_atomic_store_seq_cst(&id_of[pair[1]], id);
    rdl_atomic_store_seq_cst(&slot->id, id);
    rdl_atomic_store_seq_cst(&slot->reads, pair[0]);
    rdl_atomic_store_seq_cst(&slot->sends, pair[1]);
    rdl_lock_acquire(&slot->lock);
    slot->open = true;
    rdl_lock_release(&slot->lock);
}

static void send_tokens(struct slot *slot, int fd, uint32_t *random)
{
    pair_id id = rdl_atomic_load_relaxed(&slot->id);

    for (unsigned i = test_random(random) % 6; i; i--) {
        if (send(fd, &id, sizeof(id), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(id) && id & 1)
            count(&sent, 1);
        if (test_random(random) % 3 == 0)
            EXPECT_EQ(raddle_yield(), 0);
        if (test_random(random) % 8 == 0)
            EXPECT_EQ(raddle_sleep(RADDLE_US(test_random(random) % 50)), 0);
    }
}

/* What nobody has received, by a copy that outlives the close. */
static void count_left(int copy)
{
    pair_id token;

    while (recv(copy, &token, sizeof(token), MSG_DONTWAIT) == sizeof(token))
        count(&left, 1);
    (void)close(copy);
}

static int own(void *arg)
{
    struct slot *slot = arg;
    uint32_t random = (uint32_t)(slot - slots) * 31 + 5;

    for (unsigned long i = 0; i < rounds; i++) {
        int reads = rdl_atomic_load_relaxed(&slot->reads);
        int sends = rdl_atomic_load_relaxed(&slot->sends);
        int copy = -1;

        send_tokens(slot, sends, &random);
        settle(slot, reads, sends);
        if (rdl_atomic_load_relaxed(&slot->id) & 1)
            copy = dup3(reads, COPIES + (int)(slot - slots), O_CLOEXEC);
        EXPECT_EQ(raddle_fd_close(reads), 0);
        EXPECT_EQ(raddle_fd_close(sends), 0);
        count(&closes, 2);
        if (i + 1 < rounds)
            make_pair(slot);
        if (copy >= 0)
            count_left(copy);
        if (test_random(&random) % 4)
            EXPECT_EQ(raddle_yield(), 0);
    }
    (void)rdl_atomic_fetch_sub_relaxed(&owners, 1u);
    return 0;
}

static ssize_t receive(int fd, pair_id tokens[2], uint32_t how)
{
    switch (how % 3) {
    case 0:
        return raddle_fd_recv(fd, tokens, sizeof(tokens[0]), 0);
    case 1:
        return raddle_fd_read(fd, tokens, sizeof(tokens[0]));
    default:
        return raddle_fd_recv(fd, tokens, 2 * sizeof(tokens[0]), MSG_WAITALL);
    }
}

/* n bytes of tokens have come from a number that stood for the pairs from first to last. */
static void check_tokens(const pair_id tokens[2], ssize_t n, pair_id first, pair_id last)
{
    EXPECT_EQ((size_t)n % sizeof(tokens[0]), 0);
    for (size_t i = 0; i < (size_t)n / sizeof(tokens[0]); i++) {
        if (tokens[i] < first || tokens[i] > last)
            count(&strangers, 1);
        if (tokens[i] & 1)
            count(&received, 1);
    }
}

/* One receive, of a number that may be closed meanwhile, until a deadline. */
static void read_slot(struct slot *slot, uint32_t *random)
{
    static const raddle_time lengths[] = {RADDLE_US(1), RADDLE_US(30), RADDLE_US(30),
                                          RADDLE_US(300)};
    int fd = rdl_atomic_load_seq_cst(&slot->reads);
    pair_id first = rdl_atomic_load_seq_cst(&id_of[fd]), last = first, tokens[2];
    struct raddle_scope scope;
    ssize_t n;
    int rc;

    raddle_scope_enter(&scope, raddle_in(lengths[test_random(random) % 4]), RADDLE_QUIET);
    n = receive(fd, tokens, test_random(random));
    rc = raddle_scope_leave(&scope, (int)n);
    if (!careful)
        last = rdl_atomic_load_seq_cst(&id_of[fd]);
    if (n > 0)
        check_tokens(tokens, n, first, last);
    else if (n == RADDLE_ECLOSED)
        count(&ended, 1);
    else if (n == -ECANCELED)
        count(&late, 1);
    else if (n == 0 || n == -ECONNRESET)
        EXPECT(!careful); /* its other end is closed after it */
    else
        EXPECT_EQ(n, -EBADF);
    EXPECT(rc >= 0 || rc == n);
}

static struct slot *any_slot(uint32_t *random)
{
    return &slots[test_random(random) % SLOTS];
}

static int read_all(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg * 7919 + 1;

    while (rdl_atomic_load_relaxed(&owners)) {
        struct slot *slot = any_slot(&random);

        if (begin(slot)) {
            read_slot(slot, &random);
            end(slot);
        } else {
            EXPECT_EQ(raddle_yield(), 0);
        }
        if (test_random(&random) % 16 == 0)
            EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

static int poll_all(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg * 104729 + 3;

    while (rdl_atomic_load_relaxed(&owners)) {
        struct slot *slot = any_slot(&random);
        struct raddle_scope scope;
        int rc;

        if (begin(slot)) {
            raddle_scope_enter(&scope, raddle_in(RADDLE_US(200)), RADDLE_QUIET);
            rc = raddle_fd_poll(rdl_atomic_load_seq_cst(&slot->sends), POLLOUT);
            EXPECT(rc > 0 || rc == RADDLE_ECLOSED || rc == -EBADF || rc == -ECANCELED);
            rc = raddle_scope_leave(&scope, rc);
            EXPECT(rc != -ETIMEDOUT);
            end(slot);
        }
        rc = test_random(&random) % 8 ? raddle_yield() : raddle_sleep(RADDLE_US(10));
        EXPECT_EQ(rc, 0);
    }
    return 0;
}

static int race(void *arg)
{
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct raddle_spawn_options moves = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group group;

    (void)arg;
    rdl_atomic_store_relaxed(&owners, (unsigned)SLOTS);
    for (unsigned i = 0; i < SLOTS; i++)
        make_pair(&slots[i]);
    EXPECT_EQ(raddle_group_open(&group, &collect), 0);
    for (uintptr_t i = 0; i < READERS; i++)
        EXPECT_EQ(raddle_spawn(&group, NULL, read_all, (void *)i, i & 1 ? &moves : NULL), 0);
    for (uintptr_t i = 0; i < POLLERS; i++)
        EXPECT_EQ(raddle_spawn(&group, NULL, poll_all, (void *)i, &moves), 0);
    for (unsigned i = 0; i < SLOTS; i++)
        EXPECT_EQ(raddle_spawn(&group, NULL, own, &slots[i], &moves), 0);
    return raddle_group_close(&group, 0);
}

/* A thread: nothing lasts longer here than a few hundred microseconds. */
static void *watch(void *arg)
{
    unsigned long seen = 0;
    int patience = PATIENCE_S * test_slowness();

    (void)arg;
    for (int quiet = 0; quiet < patience; quiet++) {
        unsigned long now;

        (void)sleep(1);
        now = rdl_atomic_load_relaxed(&closes);
        if (now != seen)
            quiet = -1;
        seen = now;
    }
    fprintf(stderr, "stuck after %lu closes\n", seen);
    (void)raddle_print_tasks(STDERR_FILENO);
    _Exit(1);
}

static void run(unsigned loops, bool with_care)
{
    unsigned long wanted = rdl_atomic_load_relaxed(&closes) + 2 * SLOTS * rounds;

    careful = with_care;
    EXPECT_EQ(test_run_on(loops, race, NULL), 0);
    EXPECT_EQ(closes, wanted);
    EXPECT_EQ(strangers, 0);
    EXPECT_EQ(received + left, sent);
    printf("%s, %u loops: %lu closes; of %lu tokens %lu received; %lu waits closed, %lu late\n",
           with_care ? "careful" : "careless", loops, closes, sent, received, ended, late);
    test_counted(closes, "races");
}

int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    struct test_footprint before;
    pthread_t watcher;

    rounds = test_argument(argc, argv, "--rounds", 300);
    if (test_run_on(1, test_nothing, NULL) != 0 || pthread_create(&watcher, NULL, watch, NULL) != 0)
        return 1;
    (void)pthread_detach(watcher);
    before = test_footprint();
    run(loops, true);
    if (!RDL_TSAN)
        run(loops, false);
    test_same_footprint(&before);
    return test_result();
}
