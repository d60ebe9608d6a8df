/*
 * tests/runtime/test_page_out.c - tasks whose stacks are paged out while they wait for input: when they are, that all of
 * it comes back, and all that may end the wait meanwhile.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sched/annotate.h"
#include "sched/pageout.h"

TestSuite(page_out, .timeout = 60);

/* Frames that no optimiser has seen hold so much that with 64 words each they are more than is copied aside. */
#if defined(__OPTIMIZE__) || RDL_ASAN || RDL_TSAN
enum { WORDS = 64 };
#else
enum { WORDS = 24 };
#endif
enum { AFTER_MS = 20, ROUNDS = 3 };

/* One task that receives, and its peer. */
struct pair {
    int ends[2];
    raddle_task *task;
    int rc;
    rdl_atomic(unsigned) rounds;
};

static void connect_pair(struct pair *p)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(at);
    int listener = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);

    memset(p, 0, sizeof(*p));
    p->ends[1] = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listener, (const void *)&at, sizeof(at)), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    EXPECT_EQ(getsockname(listener, (void *)&at, &length), 0);
    EXPECT_EQ(raddle_fd_connect(p->ends[1], (const void *)&at, sizeof(at)), 0);
    p->ends[0] = raddle_fd_accept(listener, NULL, NULL);
    EXPECT(p->ends[0] >= 0);
    EXPECT_EQ(raddle_fd_close(listener), 0);
}

static void close_pair(struct pair *p)
{
    for (int i = 0; i < 2; i++)
        if (p->ends[i] >= 0)
            EXPECT_EQ(raddle_fd_close(p->ends[i]), 0);
}

static int64_t paged_out(uint64_t *so_far)
{
    struct raddle_loop_stats stats;
    int64_t now = 0;

    if (so_far)
        *so_far = 0;
    for (unsigned i = 0; raddle_get_loop_stats(i, &stats) == 0; i++) {
        now += stats.paged_out;
        if (so_far)
            *so_far += stats.page_outs;
    }
    return now;
}

/* Until so many stacks are paged out; false: they aren't, after ten seconds. */
static bool await_paged_out(int64_t count)
{
    for (int i = 0; i < 1000; i++) {
        if (paged_out(NULL) == count)
            return true;
        EXPECT_EQ(raddle_sleep(RADDLE_MS(10)), 0);
    }
    return false;
}

/* Long enough for a stack to go that may. */
static void let_wait(struct pair *p)
{
    test_let_park(p->task);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(AFTER_MS * 4)), 0);
}

static int spawn(struct raddle_group *g, struct pair *p, raddle_task_fn *fn)
{
    const struct raddle_spawn_options options = {.name = "receiver", .page_out = true};

    return raddle_spawn(g, &p->task, fn, p, &options);
}

static int run(raddle_task_fn *fn)
{
    int rc;

    rdl_paging_after_ns = RADDLE_MS(AFTER_MS);
    rc = test_run(fn, NULL);
    rdl_paging_after_ns = RADDLE_S(1);
    return rc;
}

/* What is on the stack is there again, at the same place. */

static int receives_below(struct pair *p, unsigned depth)
{
    volatile uint64_t words[WORDS];
    const volatile uint64_t *place = words;
    char buffer[16];
    ssize_t n;

    for (unsigned i = 0; i < WORDS; i++)
        words[i] = i % 3 ? (uint64_t)depth << 32 | i : 0;
    if (depth) {
        n = receives_below(p, depth - 1);
    } else {
        n = raddle_fd_recv(p->ends[0], buffer, sizeof(buffer), 0);
        if (n > 0)
            EXPECT_EQ(buffer[0], 'x');
    }
    EXPECT(place == words);
    for (unsigned i = 0; i < WORDS; i++)
        EXPECT_EQ(words[i], i % 3 ? (uint64_t)depth << 32 | i : 0);
    return (int)n;
}

static int receives(void *arg)
{
    struct pair *p = arg;
    int rc = 1;

    while (rc > 0) {
        rc = receives_below(p, 2);
        rdl_atomic_fetch_add_relaxed(&p->rounds, 1u);
    }
    return p->rc = rc;
}

static int has_it_back(void *arg)
{
    struct raddle_group g;
    struct pair p;
    uint64_t before, after;
    void *pcs[16];

    (void)arg;
    connect_pair(&p);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(paged_out(&before), 0);
    EXPECT_EQ(spawn(&g, &p, receives), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        EXPECT(await_paged_out(1));
        EXPECT_EQ(raddle_task_stack(p.task, pcs, 16), -EBUSY);
        EXPECT_STR(test_waits_for(p.task), "poll");
        EXPECT_EQ(raddle_fd_send(p.ends[1], "x", 1, 0), 1);
        while (rdl_atomic_load_relaxed(&p.rounds) <= i)
            EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    }
    EXPECT(await_paged_out(1));
    EXPECT_EQ(raddle_fd_close(p.ends[1]), 0);
    p.ends[1] = -1;
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(rdl_atomic_load_relaxed(&p.rounds), ROUNDS + 1);
    EXPECT_EQ(paged_out(&after), 0);
    EXPECT_EQ(after - before, ROUNDS + 1);
    raddle_task_unref(p.task);
    close_pair(&p);
    return 0;
}

RuntimeTest(page_out, what_was_on_the_stack_is_there_again_at_the_same_place)
{
    cr_assert_eq(run(has_it_back), 0);
}

/* What ends the wait meanwhile. */

static int is_ended(void *arg)
{
    struct raddle_group g;
    struct pair p;

    (void)arg;
    for (int how = 0; how < 4; how++) {
        connect_pair(&p);
        EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
        EXPECT_EQ(spawn(&g, &p, receives), 0);
        EXPECT(await_paged_out(1));
        switch (how) {
        case 0:
            EXPECT_EQ(raddle_task_cancel(p.task, "enough"), 0);
            EXPECT_EQ(raddle_join(p.task, NULL), 0);
            EXPECT_EQ(p.rc, -ECANCELED);
            break;
        case 1:
            raddle_group_cancel(&g, "enough");
            EXPECT_EQ(raddle_join(p.task, NULL), -ECANCELED);
            break;
        case 2:
            EXPECT_EQ(raddle_fd_close(p.ends[0]), 0);
            p.ends[0] = -1;
            EXPECT_EQ(raddle_join(p.task, NULL), 0);
            EXPECT_EQ(p.rc, RADDLE_ECLOSED);
            break;
        default:
            EXPECT_EQ(raddle_fd_close(p.ends[1]), 0);
            p.ends[1] = -1;
            EXPECT_EQ(raddle_join(p.task, NULL), 0);
            EXPECT_EQ(p.rc, 0);
            break;
        }
        (void)!raddle_group_close(&g, 0);
        EXPECT_EQ(paged_out(NULL), 0);
        raddle_task_unref(p.task);
        close_pair(&p);
    }
    return 0;
}

RuntimeTest(page_out, a_wait_ends_in_each_way_while_the_stack_is_out)
{
    cr_assert_eq(run(is_ended), 0);
}

static int runs_out_of_time(void *arg)
{
    struct raddle_group_options options = {.mode = RADDLE_COLLECT};
    struct raddle_group g;
    struct pair p;

    (void)arg;
    connect_pair(&p);
    options.deadline = raddle_in(RADDLE_MS(AFTER_MS * 50));
    EXPECT_EQ(raddle_group_open(&g, &options), 0);
    EXPECT_EQ(spawn(&g, &p, receives), 0);
    test_let_park(p.task);
    while (raddle_now() < options.deadline - RADDLE_MS(AFTER_MS) && paged_out(NULL) != 1)
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    EXPECT_EQ(paged_out(NULL), 1);
    EXPECT_EQ(raddle_group_close(&g, 0), -ETIMEDOUT);
    EXPECT_EQ(p.rc, -ECANCELED);
    EXPECT_EQ(paged_out(NULL), 0);
    raddle_task_unref(p.task);
    close_pair(&p);
    return 0;
}

RuntimeTest(page_out, a_deadline_around_it_comes_while_the_stack_is_out)
{
    cr_assert_eq(run(runs_out_of_time), 0);
}

/* A stack that others may have pointers to stays. */

static int receives_one(struct pair *p)
{
    char byte;
    ssize_t n = raddle_fd_recv(p->ends[0], &byte, 1, 0);

    return n < 0 ? (int)n : 0;
}

static int in_a_scope(void *arg)
{
    struct raddle_scope scope;

    raddle_scope_enter(&scope, raddle_in(RADDLE_S(100)), 0);
    return raddle_scope_leave(&scope, receives_one(arg));
}

/* In a group, and so its stack stays. */
static int receives_in_place(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    if (rc == 0)
        rc = receives_one(arg);
    return raddle_group_close(&g, rc);
}

static int with_a_lock(void *arg)
{
    struct raddle_mutex mutex = RADDLE_MUTEX_INIT;
    int rc = raddle_lock(&mutex);

    if (rc == 0)
        rc = receives_one(arg);
    EXPECT_EQ(raddle_unlock(&mutex), 0);
    return rc;
}

static int yields_one(raddle_gen *gen, void *arg)
{
    int rc = receives_one(arg);

    return rc < 0 ? rc : raddle_gen_yield(gen, arg, NULL);
}

static int in_a_generator(void *arg)
{
    raddle_gen *gen = NULL;
    int rc = raddle_gen_open(&gen, yields_one, arg, NULL);

    if (rc == 0)
        rc = raddle_gen_next(gen, NULL, NULL);
    EXPECT_EQ(rc, 1);
    EXPECT_EQ(raddle_gen_close(gen), 0);
    return rc < 0 ? rc : 0;
}

/* No compiler may do without the memory. */
static void keep(char *memory)
{
    __asm__ volatile("" : : "r"(memory) : "memory");
}

static int with_much_on_it(void *arg)
{
    enum { MUCH = 16 * 1024 };
    char *much = __builtin_alloca(MUCH); /* AddressSanitizer has large arrays elsewhere */
    int rc;

    memset(much, 'x', MUCH);
    keep(much);
    rc = receives_one(arg);
    keep(much);
    EXPECT_EQ(much[17], 'x');
    return rc;
}

static int with_a_deadline_soon(void *arg)
{
    struct raddle_scope scope;

    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(AFTER_MS + 5)), 0);
    return raddle_scope_leave(&scope, receives_one(arg)) == -ETIMEDOUT ? receives_in_place(arg)
                                                                       : -EPROTO;
}

static int with_deep_frames(void *arg)
{
    enum { DEEP = 20 * 1024 * (int)RDL_STACK_SCALE };
    char *deep = __builtin_alloca(DEEP);
    int rc;

    deep[0] = 'x'; /* the rest isn't touched, nor to be looked at */
    keep(deep);
    rc = receives_one(arg);
    keep(deep);
    EXPECT_EQ(deep[0], 'x');
    return rc;
}

static int in_locked_memory(void *arg)
{
    char *here = __builtin_frame_address(0);
    int rc;

    /* Not allowed to; or a sanitizer, whose mlock() does nothing. */
    if (RDL_ASAN || RDL_TSAN || RDL_MSAN || mlock(here, 1) != 0)
        return receives_in_place(arg);
    rc = receives_one(arg);
    EXPECT_EQ(munlock(here, 1), 0);
    return rc;
}

static int keeps_it(void *arg)
{
    static raddle_task_fn *const fns[] = {receives_in_place, with_a_lock,          in_a_generator,
                                          with_much_on_it,   with_a_deadline_soon, with_deep_frames,
                                          in_locked_memory};
    struct raddle_group g;
    struct pair p;
    uint64_t before, after;

    (void)arg;
    (void)paged_out(&before);
    for (unsigned i = 0; i < sizeof(fns) / sizeof(fns[0]); i++) {
        connect_pair(&p);
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        EXPECT_EQ(spawn(&g, &p, fns[i]), 0);
        let_wait(&p);
        EXPECT_EQ(paged_out(NULL), 0);
        EXPECT_EQ(raddle_fd_send(p.ends[1], "x", 1, 0), 1);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
        raddle_task_unref(p.task);
        close_pair(&p);
    }
    (void)paged_out(&after);
    EXPECT_EQ(after, before);
    return 0;
}

RuntimeTest(page_out, a_stack_that_others_know_stays_and_so_does_one_with_much_on_it)
{
    cr_assert_eq(run(keeps_it), 0);
}

/* All that is input. */

static int by_read(void *arg)
{
    struct pair *p = arg;
    char buffer[4000]; /* nothing of it is kept */
    ssize_t n;

    memset(buffer, 'y', sizeof(buffer));
    n = raddle_fd_read(p->ends[0], buffer, sizeof(buffer));
    EXPECT_EQ(n, 1);
    EXPECT_EQ(buffer[0], 'x');
    return n < 0 ? (int)n : 0;
}

static int by_readv(void *arg)
{
    struct pair *p = arg;
    char one = 0, two = 0;
    struct iovec iov[2] = {{&one, 1}, {&two, 1}};
    ssize_t n = raddle_fd_readv(p->ends[0], iov, 2);

    EXPECT_EQ(n, 1);
    EXPECT_EQ(one, 'x');
    return n < 0 ? (int)n : 0;
}

static int by_recvmsg(void *arg)
{
    struct pair *p = arg;
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = raddle_fd_recvmsg(p->ends[0], &message, 0);

    EXPECT_EQ(n, 1);
    EXPECT_EQ(byte, 'x');
    return n < 0 ? (int)n : 0;
}

static int by_poll(void *arg)
{
    struct pair *p = arg;
    int found = raddle_fd_poll(p->ends[0], POLLIN);

    EXPECT_EQ(found, POLLIN);
    return found < 0 ? found : 0;
}

static int is_input(void *arg)
{
    static raddle_task_fn *const fns[] = {by_read, by_readv, by_recvmsg, by_poll, in_a_scope};
    struct raddle_group g;
    struct pair p;

    (void)arg;
    for (unsigned i = 0; i < sizeof(fns) / sizeof(fns[0]); i++) {
        connect_pair(&p);
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        EXPECT_EQ(spawn(&g, &p, fns[i]), 0);
        EXPECT(await_paged_out(1));
        EXPECT_EQ(raddle_fd_send(p.ends[1], "x", 1, 0), 1);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
        EXPECT_EQ(paged_out(NULL), 0);
        raddle_task_unref(p.task);
        close_pair(&p);
    }
    return 0;
}

RuntimeTest(page_out, each_kind_of_input_is_waited_for_without_a_stack)
{
    cr_assert_eq(run(is_input), 0);
}

/* What is no input that can be waited for so. */

static int reads_pipe(void *arg)
{
    char byte = 0;
    ssize_t n = raddle_fd_read(*(int *)arg, &byte, 1);

    EXPECT_EQ(byte, 'x');
    return n < 0 ? (int)n : 0;
}

/* A pipe that blocks: who reads from it blocks nobody else. */
static int reads_blocking_pipe(void *arg)
{
    const struct raddle_spawn_options options = {.page_out = true};
    struct raddle_group g;
    int ends[2];

    (void)arg;
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, reads_pipe, &ends[0], &options), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(AFTER_MS * 2)), 0);
    EXPECT_EQ(raddle_fd_write(ends[1], "x", 1), 1);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(raddle_fd_close(ends[i]), 0);
    return 0;
}

RuntimeTest(page_out, a_pipe_that_would_block_doesnt_block_the_loop)
{
    if (test_left_out("no pipes"))
        return;
    cr_assert_eq(run(reads_blocking_pipe), 0);
}

/* With MSG_TRUNC bytes of TCP are dropped, and the buffer may be any pointer. */
static int drops_bytes(void *arg)
{
    struct pair *p = arg;
    volatile uint64_t words[WORDS];
    char byte = 'y';
    ssize_t n;

    for (unsigned i = 0; i < WORDS; i++)
        words[i] = i + 1;
    n = raddle_fd_recv(p->ends[0], &byte, 65536, MSG_TRUNC);
    EXPECT(n == 1);
    for (unsigned i = 0; i < WORDS; i++)
        EXPECT_EQ(words[i], i + 1);
    return n < 0 ? (int)n : 0;
}

static int truncates(void *arg)
{
    struct raddle_group g;
    struct pair p;

    (void)arg;
    connect_pair(&p);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(spawn(&g, &p, drops_bytes), 0);
    EXPECT(await_paged_out(1));
    EXPECT_EQ(raddle_fd_send(p.ends[1], "x", 1, 0), 1);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    raddle_task_unref(p.task);
    close_pair(&p);
    return 0;
}

RuntimeTest(page_out, a_length_that_the_stack_doesnt_have_costs_no_frame)
{
    if (test_left_out("a simulated socket copies what it drops"))
        return;
    cr_assert_eq(run(truncates), 0);
}

/* Whose socket always polls as one with an error, of which a receive knows nothing. */
static int receives_beside_errors(void *arg)
{
    char byte;
    ssize_t n;

    n = raddle_fd_recv(*(int *)arg, &byte, 1, 0);
    if (n == -ECONNREFUSED) /* once; the error stays in the queue */
        n = raddle_fd_recv(*(int *)arg, &byte, 1, 0);
    return n < 0 ? (int)n : 0;
}

static int has_an_error_queue(void *arg)
{
    const struct raddle_spawn_options options = {.page_out = true};
    struct raddle_group_options limited = {.mode = RADDLE_COLLECT};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(at);
    raddle_task *task = NULL;
    struct raddle_group g;
    int fd = raddle_fd_socket(AF_INET, SOCK_DGRAM, 0), gone, on = 1;

    (void)arg;
    gone = raddle_fd_socket(AF_INET, SOCK_DGRAM, 0);
    EXPECT_EQ(bind(gone, (const void *)&at, sizeof(at)), 0);
    EXPECT_EQ(getsockname(gone, (void *)&at, &length), 0);
    EXPECT_EQ(raddle_fd_close(gone), 0);
    EXPECT_EQ(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
    EXPECT_EQ(connect(fd, (const void *)&at, sizeof(at)), 0);
    EXPECT_EQ(send(fd, "x", 1, 0), 1); /* there is nobody */
    limited.deadline = raddle_in(RADDLE_MS(AFTER_MS * 10));
    EXPECT_EQ(raddle_group_open(&g, &limited), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, receives_beside_errors, &fd, &options), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), -ETIMEDOUT);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_fd_close(fd), 0);
    return 0;
}

RuntimeTest(page_out, an_error_that_is_no_input_keeps_nobody_from_being_cancelled)
{
    if (test_left_out("no datagrams"))
        return;
    cr_assert_eq(run(has_an_error_queue), 0);
}

/* Many, of which some talk. */

enum { MANY = 200, TURNS = 5 };

static int echoes(void *arg)
{
    struct pair *p = arg;
    char buffer[512];
    ssize_t n;

    while ((n = raddle_fd_recv(p->ends[0], buffer, sizeof(buffer), 0)) > 0)
        if (raddle_fd_send(p->ends[0], buffer, (size_t)n, 0) < 0)
            return -EIO;
    return (int)n;
}

static int come_and_go(void *arg)
{
    static struct pair pairs[MANY];
    struct raddle_group g;
    uint64_t turns = 0;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < MANY; i++) {
        connect_pair(&pairs[i]);
        EXPECT_EQ(spawn(&g, &pairs[i], echoes), 0);
    }
    for (unsigned turn = 0; turn < TURNS; turn++) {
        EXPECT(await_paged_out(MANY));
        for (unsigned i = turn; i < MANY; i += 1 + turn) {
            char said = (char)i, heard = 0;

            EXPECT_EQ(raddle_fd_send(pairs[i].ends[1], &said, 1, 0), 1);
            EXPECT_EQ(raddle_fd_recv(pairs[i].ends[1], &heard, 1, 0), 1);
            EXPECT_EQ(heard, said);
        }
    }
    for (unsigned i = 0; i < MANY; i++) {
        EXPECT_EQ(raddle_fd_close(pairs[i].ends[1]), 0);
        pairs[i].ends[1] = -1;
    }
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(paged_out(&turns), 0);
    EXPECT(turns >= MANY);
    for (unsigned i = 0; i < MANY; i++) {
        raddle_task_unref(pairs[i].task);
        close_pair(&pairs[i]);
    }
    return 0;
}

RuntimeTest(page_out, many_come_and_go)
{
    cr_assert_eq(run(come_and_go), 0);
}
