/*
 * tests/model/scenario_fd.c - operations on a descriptor against its close, a cancellation and a deadline, and
 * against whoever gets the number next: none is left behind, none reaches another's file, and no connection that
 * was accepted is lost.
 *
 * Two loops on their own. Clients accept from the descriptor on one, the closer is on the other, or on none. The
 * kernel is the host's driver: an operation belongs to the file that its number stood for when it was submitted, and
 * completes whenever the schedule says.
 */
#include "io/fd.h"

#include <errno.h>
#include <string.h>

#include <raddle/error.h>
#include <raddle/io.h>
#include <raddle/scope.h>
#include <raddle/task.h>
#include <raddle/time.h>

#include "io/op.h"
#include "sched/cancel.h"
#include "sched/loop.h"
#include "sched/sys.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { LOOPS = 2, CLIENTS = 2, FD = 5, CONNECTION = 100, PER_FILE = 10 };

static struct rdl_loop loops[LOOPS];

/* The kernel. */
static unsigned file; /* what the number stands for: it changes with each close */
static bool is_open;
static unsigned given_out;
static struct kernel_op {
    struct host_op host; /* first */
    struct rdl_op *op;   /* NULL: free */
    unsigned file;
} flying[CLIENTS + 1];
static struct rdl_driver drivers[LOOPS];
static struct rdl_driver_ops driver_ops;
static _Alignas(64) char table_memory[64 * 64];

struct client {
    struct rdl_fiber *fiber;
    struct rdl_scope root, outer;
    struct rdl_op op;
    bool in; /* is in, or through */
};

static struct client clients[CLIENTS];
static unsigned accepted;
static unsigned closes; /* that succeeded */
static rdl_atomic(uint32_t) fibers_left[LOOPS];
static rdl_atomic(uint32_t) entered;    /* the scopes of client 0 are there */
static rdl_atomic(uint32_t) cancellers; /* that have client 0 in their hands */
static rdl_atomic(uint32_t) clients_in;
static unsigned closer_count;
static bool timed, reuses, may_cancel;
static bool idle; /* nobody connects */

/* What an accept from a file gives: it says which file. */
static int connection_of(unsigned from)
{
    return CONNECTION + PER_FILE * (int)from + (int)given_out++;
}

static void note_in(struct client *client)
{
    if (!client->in)
        (void)rdl_atomic_fetch_add_acq_rel(&clients_in, 1u);
    client->in = true;
}

/* The kernel's: unwatched, as it orders itself. */

static __attribute__((no_sanitize("thread"))) void op_ended(struct host_op *host)
{
    struct kernel_op *k = (struct kernel_op *)(void *)host;

    if (host->result >= 0) {
        if (k->file != file)
            model_fail("an operation was done on a file that is closed");
        k->op->result = connection_of(k->file);
    } else {
        k->op->result = host->result;
    }
    k->op = NULL;
}

static __attribute__((no_sanitize("thread"))) bool submit(struct rdl_driver *driver,
                                                          struct rdl_op *op)
{
    struct kernel_op *k = flying;
    unsigned i = (unsigned)(driver - drivers);

    for (unsigned c = 0; c < CLIENTS; c++)
        if (op == &clients[c].op)
            note_in(&clients[c]);
    if (!is_open || (!idle && model_choose(4) == 0)) {
        op->result = is_open ? connection_of(file) : -EBADF;
        return true;
    }
    while (k->op)
        k++;
    *k = (struct kernel_op){
        .host = {.fiber = op->fiber, .waits = idle, .ended = op_ended}, .op = op, .file = file};
    return host_driver(i)->ops->submit(host_driver(i), host_op(&k->host));
}

static __attribute__((no_sanitize("thread"))) bool cancel_op(struct rdl_driver *driver,
                                                             struct rdl_op *op)
{
    struct kernel_op *k = flying;
    unsigned i = (unsigned)(driver - drivers);

    while (k->op != op)
        k++;
    return host_driver(i)->ops->cancel(host_driver(i), host_op(&k->host));
}

static int poll_host(struct rdl_driver *driver, int64_t timeout_ns)
{
    struct rdl_driver *host = host_driver((unsigned)(driver - drivers));

    return host->ops->poll(host, timeout_ns);
}

static void wake_host(struct rdl_driver *driver)
{
    struct rdl_driver *host = host_driver((unsigned)(driver - drivers));

    host->ops->wake(host);
}

__attribute__((no_sanitize("thread"))) int rdl_sys_close(int fd)
{
    model_check(fd == FD);
    for (unsigned i = 0; i < CLIENTS + 1; i++)
        if (flying[i].op && flying[i].file == file)
            model_fail("closed under an operation");
    if (!is_open)
        return -EBADF;
    is_open = false;
    file++;
    return 0;
}

int rdl_sys_mmap(size_t bytes, int protection, int flags, void **out)
{
    (void)protection;
    (void)flags;
    model_check(bytes == sizeof table_memory);
    *out = table_memory;
    return 0;
}

int rdl_sys_munmap(void *address, size_t bytes)
{
    (void)address;
    (void)bytes;
    model_fail("the table was mapped twice");
}

int rdl_sys_get_cloexec(int fd)
{
    return fd == FD;
}

/* Which kind it is: asked only when it isn't known that the file is a listener. */
int rdl_sys_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    (void)level;
    (void)option;
    (void)value;
    (void)length;
    model_check(fd == FD && !is_open);
    return -EBADF;
}

/* What nobody here asks of the kernel. */
#define UNUSED(name) name __attribute__((unused))
#define NOT_ASKED(type, name, ...)                                                                 \
    type name(__VA_ARGS__)                                                                         \
    {                                                                                              \
        model_fail("asked the kernel: %s", __func__);                                              \
    }

NOT_ASKED(int, rdl_sys_file_type, int UNUSED(a))
NOT_ASKED(int, rdl_sys_set_nonblock, int UNUSED(a), bool UNUSED(b))
NOT_ASKED(int, rdl_sys_epoll_ctl, int UNUSED(a), int UNUSED(b), int UNUSED(c),
          struct epoll_event *UNUSED(d))
NOT_ASKED(ssize_t, rdl_sys_read, int UNUSED(a), void *UNUSED(b), size_t UNUSED(c))
NOT_ASKED(ssize_t, rdl_sys_write, int UNUSED(a), const void *UNUSED(b), size_t UNUSED(c))
NOT_ASKED(ssize_t, rdl_sys_readv, int UNUSED(a), const struct iovec *UNUSED(b), int UNUSED(c))
NOT_ASKED(ssize_t, rdl_sys_writev, int UNUSED(a), const struct iovec *UNUSED(b), int UNUSED(c))
NOT_ASKED(ssize_t, rdl_sys_recv, int UNUSED(a), void *UNUSED(b), size_t UNUSED(c), int UNUSED(d))
NOT_ASKED(ssize_t, rdl_sys_send, int UNUSED(a), const void *UNUSED(b), size_t UNUSED(c),
          int UNUSED(d))
NOT_ASKED(ssize_t, rdl_sys_recvmsg, int UNUSED(a), struct msghdr *UNUSED(b), int UNUSED(c))
NOT_ASKED(ssize_t, rdl_sys_sendmsg, int UNUSED(a), const struct msghdr *UNUSED(b), int UNUSED(c))
NOT_ASKED(int, rdl_sys_accept, int UNUSED(a), struct sockaddr *UNUSED(b), socklen_t *UNUSED(c))
NOT_ASKED(int, rdl_sys_connect, int UNUSED(a), const struct sockaddr *UNUSED(b),
          socklen_t UNUSED(c))
NOT_ASKED(int, rdl_sys_poll, struct pollfd *UNUSED(a), nfds_t UNUSED(b), int UNUSED(c))

/* Tasks. */

static void fiber_ends(void)
{
    struct rdl_loop *loop = rdl_loop_current();

    if (rdl_atomic_fetch_sub_acq_rel(&fibers_left[loop->index], 1u) == 1)
        rdl_loop_stop(loop);
}

static void client_main(struct rdl_fiber *self)
{
    struct client *client = clients[0].fiber == self ? &clients[0] : &clients[1];
    bool first = client == &clients[0];
    uint32_t n;
    ssize_t got;

    rdl_scope_enter(self, &client->root, NULL, RADDLE_NEVER, 0);
    rdl_scope_enter(self, &client->outer, &client->root,
                    timed && first ? rdl_loop_now(rdl_loop_current()) + 50 : RADDLE_NEVER, 0);
    if (first)
        (void)rdl_atomic_exchange_acq_rel(&entered, 1u);
    client->op = (struct rdl_op){.code = RDL_OP_ACCEPT, .fd = FD};
    got = rdl_op_run(&client->op);
    if (got >= CONNECTION) {
        (void)model_count(&accepted);
        model_check(got < CONNECTION + PER_FILE); /* it began before the close */
    } else {
        model_check(got == RADDLE_ECLOSED || got == -EBADF ||
                    (got == -ECANCELED && first && may_cancel));
    }
    model_check(!self->op && !self->finishing && !rdl_timer_armed(&self->timer));
    /* The frame is given back: the closer has nothing to do with it any more. */
    model_poison(&client->op, sizeof client->op);
    if (first)
        while ((n = rdl_atomic_fetch_add_acq_rel(&cancellers, 0u)) != 0)
            model_sleep_while(&cancellers, n);
    rdl_scope_leave(self, &client->outer);
    note_in(client);
    fiber_ends();
}

/* A close of what somebody is about to use for the first time is that one's bug: both clients are in, or through. */
static void await_clients(void)
{
    uint32_t n;

    while ((n = rdl_atomic_fetch_add_acq_rel(&clients_in, 0u)) < CLIENTS)
        model_sleep_while(&clients_in, n);
}

static void close_fd(void)
{
    int rc = raddle_fd_close(FD);

    model_check(rc == 0 || (closer_count > 1 && (rc == -EBADF || rc == -EPERM)));
    if (rc == 0)
        (void)model_count(&closes);
}

static void closer_main(struct rdl_fiber *self)
{
    struct rdl_op op = {.code = RDL_OP_ACCEPT, .fd = FD};

    (void)self;
    await_clients();
    close_fd();
    if (reuses) {
        is_open = true;
        rdl_fd_born(FD, RDL_FD_TCP);
        model_check(rdl_op_run(&op) >= CONNECTION);
        (void)model_count(&accepted);
    }
    fiber_ends();
}

static void run_loop(void *arg)
{
    model_check(rdl_loop_run(arg) == 0);
}

/* Strangers. */

static void close_outside(void *arg)
{
    (void)arg;
    await_clients();
    close_fd();
}

static void poke_client(bool cancels)
{
    model_sleep_while(&entered, 0);
    (void)rdl_atomic_fetch_add_acq_rel(&entered, 0u);
    if (cancels)
        rdl_scope_mark(&clients[0].outer, RDL_SCOPE_CANCELLED, "a stranger");
    rdl_fiber_poke(clients[0].fiber, clients[0].outer.depth);
    (void)rdl_atomic_fetch_sub_acq_rel(&cancellers, 1u);
}

static void cancel(void *arg)
{
    (void)arg;
    poke_client(true);
}

/* As of a scope that was left meanwhile: the operation is ended for nothing, and begins again. */
static void poke_for_nothing(void *arg)
{
    (void)arg;
    poke_client(false);
}

static struct rdl_fiber *start(unsigned i, void (*main)(struct rdl_fiber *))
{
    struct rdl_fiber *fiber;

    model_check(rdl_fiber_create(NULL, sizeof *fiber, sizeof *fiber, 0, main, &fiber) == 0);
    fiber->mobility = RADDLE_PINNED;
    fiber->home = &loops[i];
    rdl_atomic_fetch_add_relaxed(&fibers_left[i], 1u);
    model_check(rdl_loop_post(&loops[i], &fiber->run));
    return fiber;
}

static void begin(void)
{
    static const char *const names[LOOPS] = {"loop 0", "loop 1"};

    host_begin();
    driver_ops = *host_driver(0)->ops;
    driver_ops.submit = submit;
    driver_ops.cancel = cancel_op;
    driver_ops.poll = poll_host;
    driver_ops.wake = wake_host;
    memset(table_memory, 0, sizeof table_memory);
    memset(flying, 0, sizeof flying);
    file = given_out = accepted = closes = 0;
    closer_count = 1;
    is_open = true;
    timed = reuses = may_cancel = idle = false;
    rdl_atomic_init(&entered, 0u);
    rdl_atomic_init(&cancellers, 0u);
    rdl_atomic_init(&clients_in, 0u);
    for (unsigned i = 0; i < LOOPS; i++) {
        drivers[i].ops = &driver_ops;
        rdl_atomic_init(&fibers_left[i], 0u);
        rdl_loop_init(&loops[i], &drivers[i], NULL, i);
        model_spawn(names[i], run_loop, &loops[i]);
    }
    rdl_fd_born(FD, RDL_FD_TCP);
    for (unsigned i = 0; i < CLIENTS; i++) {
        model_unpoison(&clients[i].op, sizeof clients[i].op);
        clients[i].in = false;
        clients[i].fiber = start(0, client_main);
    }
    (void)start(1, closer_main);
}

static void end(void)
{
    model_check(closes == 1);
    model_check(accepted == given_out);
    host_end();
}

/* Nothing but the close ends the operations. */
static void begin_idle(void)
{
    begin();
    idle = true;
}

static void begin_reuse(void)
{
    begin();
    reuses = true;
}

static void add_stranger(const char *name, model_thread_fn *fn)
{
    rdl_atomic_init(&cancellers, 1u);
    model_spawn(name, fn, NULL);
}

static void begin_cancel(void)
{
    begin();
    may_cancel = true;
    add_stranger("canceller", cancel);
}

static void begin_timer(void)
{
    begin();
    timed = may_cancel = true;
}

static void begin_timer_cancel(void)
{
    begin_cancel();
    timed = true;
}

static void begin_retry(void)
{
    begin();
    reuses = true;
    add_stranger("poker", poke_for_nothing);
}

static void begin_two_closers(void)
{
    begin();
    closer_count = 2;
    model_spawn("outside", close_outside, NULL);
}

const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "fd";
const struct model_case model_cases[] = {
    {"close", begin, end},
    {"idle", begin_idle, end},
    {"reuse", begin_reuse, end},
    {"cancel", begin_cancel, end},
    {"timer", begin_timer, end},
    {"timer_cancel", begin_timer_cancel, end},
    {"retry", begin_retry, end},
    {"two_closers", begin_two_closers, end},
    {0},
};
