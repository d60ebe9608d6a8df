/*
 * io/uring.c - the driver that waits with io_uring.
 *
 * One ring per loop, which only the loop's thread touches: enabled by start, submitted to in
 * batches, entered once per turn. Which way an operation goes was measured, and depends on the
 * moment:
 *
 *     receive   through the ring into the task's buffer, told to wait for data before it tries. By
 *               plain call when the last completion said that more was waiting
 *     send      by plain call when the loop has nothing else to run, because a lone send costs less
 *               so; through the ring when there is more, because a batch costs less there. A batch
 *               is submitted at every 16th send, which gives four fifths of the gain and lets peers
 *               work
 *     accept    as receive
 *     connect   by plain call; the ring waits for its end
 *     others    through the ring: a plain call might block
 *
 * A plain call never blocks: sockets are called with MSG_DONTWAIT or are non-blocking.
 *
 * Who is meant by a completion. user_data is the number of the task's stack and the generation of
 * its wait, never a pointer: what comes for a wait that is over finds another generation, and is
 * counted and dropped. Small numbers are the driver's own. Below, token.
 *
 * An operation in flight. prepare() puts it into the submission queue: FLYING. Its completion ends
 * it, unless it is -EAGAIN (an O_NONBLOCK file on older kernels): then it flies once more as a poll
 * and afterwards again as itself. When the queue has no room and can't be emptied, the operation
 * waits in backlog: QUEUED. A cancellation takes it out of backlog, or sends a cancel for its token
 * and waits for the operation's own completion, which alone proves that the kernel is off the
 * buffer. Already running, says the answer to the cancel: the completion will come. Not found: it is on its
 * way; or the operation's poll has fired and it is about to try, is in no table of the kernel's, and waits
 * again when another reader has taken what there was. So an operation whose end was asked for is in cancels,
 * ENDING, until its completion, and when some cancel was not found (ask_again) all in there are asked again.
 * That ends, because each comes after the attempt. An eighth of the queue is kept for cancels; one that found
 * no room even so is asked again, too.
 *
 * With deferred task work nothing completes but inside our own enter, and the kernel sets a flag
 * when there is something to do; so a loop that has work looks at the flag for free. At most 20 are
 * done in one enter that doesn't wait: hence the loop in uring_poll(), bounded, because each round
 * may bring more. A wait with a timeout of zero really goes to sleep (13 us): a look is an enter
 * that waits for nothing.
 *
 * Completions that find no room are kept by the kernel and fetched by the next enter, but multishot
 * requests end with it: the one that there is, the wake's poll, is armed again whenever it says
 * that it was the last.
 */
#define _GNU_SOURCE
#include "io/uring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "io/fd.h"
#include "io/op.h"
#include "io/wake.h"
#include "sched/annotate.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/sys.h"

enum {
    SENDS_AT_ONCE = 16,
    ROUNDS_AT_ONCE = 8,
    STALL_NS = 1000 * 1000, /* the kernel takes no submissions: look again after that */
};

/* user_data of the driver's own. A task's has the stack's number plus one in its upper half. */
enum { TOKEN_WAKE = 1, TOKEN_CANCEL = 2 };

/* liburing's INT_FLAG_REG_RING, the same since 2.2: the ring's descriptor is registered. */
#define RING_FD_REGISTERED 1

struct uring {
    struct rdl_io_driver head;
    struct io_uring ring;
    struct rdl_wake wake;
    struct rdl_op_list backlog; /* QUEUED: found no room in the submission queue */
    struct rdl_op_list cancels; /* ENDING: their end was asked for */
    unsigned reserve;           /* of the submission queue, for cancels */
    unsigned sends;             /* prepared since the last submission */
    int thread;                 /* which registered the ring; 0: none */
    bool poll_first;
    bool wake_armed;
    bool ask_again; /* for the end of those in cancels */
    bool woken;     /* since this poll began: its wait is over before it begins */
};

#if RDL_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define KERNEL_TAKES(op)      __tsan_release(op)
#define KERNEL_GIVES_BACK(op) __tsan_acquire(op)
#else
#define KERNEL_TAKES(op)      ((void)(op))
#define KERNEL_GIVES_BACK(op) ((void)(op))
#endif

static struct uring *uring_of(struct rdl_driver *driver)
{
    return (struct uring *)(void *)driver;
}

static unsigned sq_flags(const struct uring *u)
{
    return IO_URING_READ_ONCE(*u->ring.sq.kflags);
}

/* Has the kernel something that only an enter brings? */
static bool kernel_waits(const struct uring *u)
{
    return sq_flags(u) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static uint64_t token_of(const struct rdl_op *op)
{
    return (uint64_t)(op->fiber->stack->id + 1) << 32 | (uint32_t)op->ticket.armed;
}

/* Of an operation in flight: so its fiber is there. */
static struct rdl_op *op_of(uint64_t token)
{
    struct rdl_stack *stack = rdl_stack_at((uint32_t)(token >> 32) - 1);
    struct rdl_fiber *fiber = stack ? rdl_atomic_load_relaxed(&stack->owner) : NULL;
    struct rdl_op *op = fiber ? fiber->op : NULL;

    return op && op->token == token ? op : NULL;
}

/* Submission. */

static void submit_now(struct uring *u)
{
    u->sends = 0;
    if (!io_uring_sq_ready(&u->ring))
        return;
    rdl_driver_count(&u->head.counters.syscalls, 1);
    /* What the kernel doesn't take now stays in the queue. */
    if (rdl_sys_consult(RDL_SYS_URING_ENTER, NULL) == 0)
        (void)io_uring_submit(&u->ring);
}

/* An entry, with more than reserve of them left behind it; NULL if that can't be had now. */
static struct io_uring_sqe *get_entry(struct uring *u, unsigned reserve)
{
    if (io_uring_sq_space_left(&u->ring) <= reserve)
        submit_now(u);
    if (io_uring_sq_space_left(&u->ring) <= reserve)
        return NULL;
    return io_uring_get_sqe(&u->ring);
}

static void fill_receive(const struct uring *u, const struct rdl_op *op, struct io_uring_sqe *sqe)
{
    if (op->code == RDL_OP_RECV)
        io_uring_prep_recv(sqe, op->fd, op->at.buffer, op->size.bytes, op->flags);
    else
        io_uring_prep_recvmsg(sqe, op->fd, op->at.message, (unsigned)op->flags);
    /* Urgent and error data are not waited for: that there is none is an answer. */
    if (u->poll_first && op->events == POLLIN)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void fill(const struct uring *u, const struct rdl_op *op, struct io_uring_sqe *sqe)
{
    const uint64_t here = UINT64_MAX; /* at the file's own position */
    int flags = op->flags | MSG_NOSIGNAL;

    if (op->polling) {
        if (op->edge)
            io_uring_prep_poll_multishot(sqe, op->fd, op->events | EPOLLET);
        else
            io_uring_prep_poll_add(sqe, op->fd, op->events);
        return;
    }
    switch (op->code) {
    case RDL_OP_READ:
        io_uring_prep_read(sqe, op->fd, op->at.buffer, (unsigned)op->size.bytes, here);
        break;
    case RDL_OP_WRITE:
        io_uring_prep_write(sqe, op->fd, op->at.data, (unsigned)op->size.bytes, here);
        break;
    case RDL_OP_READV:
        io_uring_prep_readv(sqe, op->fd, op->at.iov, (unsigned)op->size.bytes, here);
        break;
    case RDL_OP_WRITEV:
        io_uring_prep_writev(sqe, op->fd, op->at.iov, (unsigned)op->size.bytes, here);
        break;
    case RDL_OP_RECV:
    case RDL_OP_RECVMSG:
        fill_receive(u, op, sqe);
        break;
    case RDL_OP_SEND:
        io_uring_prep_send(sqe, op->fd, op->at.data, op->size.bytes, flags);
        break;
    case RDL_OP_SENDMSG:
        io_uring_prep_sendmsg(sqe, op->fd, op->at.words, (unsigned)flags);
        break;
    case RDL_OP_ACCEPT:
        io_uring_prep_accept(sqe, op->fd, op->at.address, op->size.length_out,
                             SOCK_CLOEXEC | SOCK_NONBLOCK);
        break;
    default:
        io_uring_prep_nop(sqe);
        break;
    }
}

/* Puts op into the submission queue, or into backlog. */
static void prepare(struct uring *u, struct rdl_op *op)
{
    struct io_uring_sqe *sqe = get_entry(u, u->reserve);

    if (!sqe) {
        op->place = RDL_OP_QUEUED;
        rdl_op_append(&u->backlog, op);
        return;
    }
    fill(u, op, sqe);
    op->token = token_of(op);
    io_uring_sqe_set_data64(sqe, op->token);
    op->place = RDL_OP_FLYING;
    KERNEL_TAKES(op);
    if ((op->code == RDL_OP_SEND || op->code == RDL_OP_SENDMSG) && ++u->sends >= SENDS_AT_ONCE)
        submit_now(u);
}

/* Asks the kernel to end op, which is in cancels. */
static void ask_for_end(struct uring *u, const struct rdl_op *op)
{
    struct io_uring_sqe *sqe = get_entry(u, 0);

    if (!sqe) {
        u->ask_again = true;
        return;
    }
    io_uring_prep_cancel64(sqe, op->token, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, TOKEN_CANCEL);
}

/* Sees to it that op, which flies, ends. Once is enough: it stays in cancels until it has. */
static void begin_end(struct uring *u, struct rdl_op *op)
{
    if (op->place == RDL_OP_ENDING)
        return;
    op->place = RDL_OP_ENDING;
    rdl_op_append(&u->cancels, op);
    ask_for_end(u, op);
}

static void arm_wake(struct uring *u)
{
    struct io_uring_sqe *sqe = u->wake_armed ? NULL : get_entry(u, 0);

    if (!sqe)
        return;
    io_uring_prep_poll_multishot(sqe, u->wake.fd, POLLIN | EPOLLET);
    io_uring_sqe_set_data64(sqe, TOKEN_WAKE);
    u->wake_armed = true;
}

/* What didn't find room earlier. */
static void catch_up(struct uring *u)
{
    struct rdl_op *op;

    arm_wake(u);
    if (u->ask_again) {
        u->ask_again = false;
        for (op = u->cancels.first; op; op = op->next)
            ask_for_end(u, op);
    }
    while ((op = u->backlog.first)) {
        rdl_op_remove(&u->backlog, op);
        prepare(u, op);
        if (op->place == RDL_OP_QUEUED) {
            /* It was put last; it was first. */
            rdl_op_remove(&u->backlog, op);
            rdl_op_prepend(&u->backlog, op);
            return;
        }
    }
}

/* The plain call, where that is cheaper. True: op has ended. */
static bool call_plainly(struct uring *u, struct rdl_op *op)
{
    struct rdl_fd *entry = op->entry;
    bool receives = op->events == POLLIN;

    switch (op->code) {
    case RDL_OP_RECV:
    case RDL_OP_RECVMSG:
    case RDL_OP_ACCEPT:
        /* Cleared before each attempt, set by what it finds. */
        if (!receives || !rdl_atomic_load_relaxed(&entry->more))
            return false;
        rdl_atomic_store_relaxed(&entry->more, false);
        break;
    case RDL_OP_SEND:
    case RDL_OP_SENDMSG:
        if (rdl_loop_busy(u->head.driver.loop))
            return false;
        break;
    case RDL_OP_CONNECT:
        break;
    case RDL_OP_READ:
        if (op->size.bytes)
            return false;
        break; /* of nothing: it returns at once */
    default:
        return false;
    }
    op->result = rdl_op_perform(op);
    if (op->result == RDL_OP_WAIT)
        return false;
    if (receives && op->result > 0 &&
        (op->code == RDL_OP_ACCEPT || (size_t)op->result == rdl_op_wanted(op)))
        rdl_atomic_store_relaxed(&entry->more, true);
    return true;
}

/* What a test wants the call to be. True: that it fails. */
static bool is_vetoed(struct rdl_op *op)
{
    static const enum rdl_sys_call calls[RDL_OP_CODES] = {
        RDL_SYS_READ,   RDL_SYS_WRITE, RDL_SYS_READV,   RDL_SYS_WRITEV,
        RDL_SYS_RECV,   RDL_SYS_SEND,  RDL_SYS_RECVMSG, RDL_SYS_SENDMSG,
        RDL_SYS_ACCEPT, RDL_SYS_POLL,  RDL_SYS_POLL,
    };
    bool sized = op->code == RDL_OP_READ || op->code == RDL_OP_WRITE || op->code == RDL_OP_RECV ||
                 op->code == RDL_OP_SEND;
    int verdict = rdl_sys_consult(calls[op->code], sized ? &op->size.bytes : NULL);

    if (verdict == 0 || verdict == -EAGAIN)
        return false;
    op->result = verdict;
    return true;
}

static bool uring_submit(struct rdl_driver *driver, struct rdl_op *op)
{
    struct uring *u = uring_of(driver);

    rdl_driver_count(&u->head.counters.submits, 1);
    if (call_plainly(u, op) || is_vetoed(op)) {
        rdl_driver_count(&u->head.counters.at_once, 1);
        return true;
    }
    op->polling = op->code == RDL_OP_POLL || op->code == RDL_OP_CONNECT;
    op->cancelling = false;
    op->edge = false;
    op->found = 0;
    prepare(u, op);
    return false;
}

static bool uring_cancel(struct rdl_driver *driver, struct rdl_op *op)
{
    struct uring *u = uring_of(driver);

    if (op->place == RDL_OP_QUEUED) {
        rdl_op_remove(&u->backlog, op);
        op->place = RDL_OP_NOWHERE;
        op->result = -ECANCELED;
        return true;
    }
    op->cancelling = true;
    begin_end(u, op);
    return false;
}

/* Completion. */

/*
 * A poll through the ring always tells of POLLRDHUP, too. When that is all there is, a second poll would say
 * the same at once, so that one waits for a change instead: multishot, edge-triggered. What it says that was
 * not asked for either is passed over; when it has said what was, it is cancelled, and its last completion
 * ends the operation. Returns the result, or 0: it flies on.
 */
static int poll_result(struct uring *u, struct rdl_op *op, int result, uint32_t flags)
{
    int wanted = result > 0 ? result & ((int)op->events | POLLERR | POLLHUP) : 0;

    if (!op->edge) {
        if (result < 0 || wanted)
            return result < 0 ? result : wanted;
        if (op->cancelling)
            return -ECANCELED;
        op->edge = true;
        op->place = RDL_OP_NOWHERE;
        prepare(u, op);
        return 0;
    }
    if (!op->found)
        op->found = wanted;
    if (flags & IORING_CQE_F_MORE) {
        if (wanted)
            begin_end(u, op);
        return 0;
    }
    if (op->found)
        return op->found;
    if (result < 0 || op->cancelling)
        return result < 0 ? result : -ECANCELED;
    op->place = RDL_OP_NOWHERE;
    prepare(u, op); /* the kernel has ended it for reasons of its own */
    return 0;
}

/* What a completed flight means for op: true, it has ended, with op->result. */
static bool has_ended(struct rdl_op *op, int result, uint32_t flags)
{
    op->result = result == -EINTR ? -ECANCELED : result;
    if (result < 0 && result != -EAGAIN)
        return true;
    if (op->polling && op->code == RDL_OP_CONNECT) {
        op->result = rdl_op_perform(op);
        if (op->result != RDL_OP_WAIT)
            return true;
    } else if (op->polling && op->code != RDL_OP_POLL) {
        op->polling = false; /* now the operation itself */
    } else if (result == -EAGAIN) {
        op->polling = true; /* until it is ready */
    } else {
        if (flags & IORING_CQE_F_SOCK_NONEMPTY && op->events == POLLIN)
            rdl_atomic_store_relaxed(&op->entry->more, true);
        return true;
    }
    op->result = -ECANCELED;
    return op->cancelling;
}

/* What a test wants the completion to be: 0, or an error. None that says that the operation did not happen
 * when bytes have moved: it would begin again, and they would be lost. */
static int veto_completion(const struct rdl_op *op, int result)
{
    int verdict = rdl_sys_consult(RDL_SYS_COMPLETION, NULL);
    bool moved = result > 0 && !op->polling && op->code != RDL_OP_ACCEPT;

    return moved && (verdict == -EINTR || verdict == -ECANCELED || verdict == -EAGAIN) ? 0
                                                                                       : verdict;
}

static int complete_op(struct uring *u, struct rdl_op *op, int result, uint32_t flags)
{
    int verdict = veto_completion(op, result);

    KERNEL_GIVES_BACK(op);
    if (verdict < 0) {
        if (op->code == RDL_OP_ACCEPT && result >= 0)
            (void)rdl_sys_close(result);
        result = verdict;
    }
    if (op->polling) {
        result = poll_result(u, op, result, flags);
        if (result == 0)
            return 0;
    }
    if (op->place == RDL_OP_ENDING)
        rdl_op_remove(&u->cancels, op);
    op->place = RDL_OP_NOWHERE;
    if (!has_ended(op, result, flags)) {
        prepare(u, op);
        return 0;
    }
    rdl_driver_count(&u->head.counters.completions, 1);
    rdl_fiber_complete(op->fiber, op);
    return 1;
}

static int complete(struct uring *u, uint64_t token, int result, uint32_t flags)
{
    struct rdl_op *op;

    if (token == TOKEN_WAKE) {
        u->wake_armed = flags & IORING_CQE_F_MORE;
        rdl_wake_take(&u->wake);
        u->woken = true;
        return 0;
    }
    if (token == TOKEN_CANCEL) {
        if (result == -ENOENT && u->cancels.first)
            u->ask_again = true;
        return 0;
    }
    op = token >> 32 ? op_of(token) : NULL;
    if (!op) {
        rdl_driver_count(&u->head.counters.stale, 1);
        return 0;
    }
    return complete_op(u, op, result, flags);
}

static int reap(struct uring *u)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    int count = 0;

    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        uint64_t token = cqe->user_data;
        int result = cqe->res;
        uint32_t flags = cqe->flags;

        io_uring_cq_advance(&u->ring, 1); /* completing may submit, which may need the room */
        count += complete(u, token, result, flags);
        if (++seen == u->ring.cq.ring_entries)
            break;
    }
    return count;
}

/* Submits, and waits for a first completion. */
static int enter(struct uring *u, int64_t timeout_ns)
{
    struct __kernel_timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                                        .tv_nsec = timeout_ns % 1000000000};
    struct io_uring_cqe *first;
    int rc;

    if (timeout_ns == 0 && !io_uring_sq_ready(&u->ring) && !kernel_waits(u))
        return 0;
    u->sends = 0;
    rdl_driver_count(&u->head.counters.syscalls, 1);
    rc = rdl_sys_consult(RDL_SYS_URING_ENTER, NULL);
    if (rc < 0)
        return rc;
    if (timeout_ns == 0)
        return io_uring_submit_and_get_events(&u->ring);
    if (timeout_ns < 0)
        return io_uring_submit_and_wait(&u->ring, 1);
    return io_uring_submit_and_wait_timeout(&u->ring, &first, 1, &timeout, NULL);
}

static bool is_stall(int rc)
{
    return rc == -EAGAIN || rc == -EBUSY;
}

static int uring_poll(struct rdl_driver *driver, int64_t timeout_ns)
{
    struct uring *u = uring_of(driver);
    struct __kernel_timespec stall = {.tv_nsec = STALL_NS};
    struct io_uring_cqe *first;
    int count, rc;

    u->woken = false;
    catch_up(u);
    count = reap(u);
    /* The loop looked at its queues before it called us: a wake that is reaped here came after that. */
    if (count || u->woken)
        timeout_ns = 0;
    if (u->backlog.first || u->ask_again)
        timeout_ns = timeout_ns < 0 || timeout_ns > STALL_NS ? STALL_NS : timeout_ns;
    rc = enter(u, timeout_ns);
    if (rc < 0 && rc != -ETIME && rc != -EINTR && !is_stall(rc))
        return rc;
    if (sq_flags(u) & IORING_SQ_CQ_OVERFLOW)
        rdl_driver_count(&u->head.counters.overflows, 1);
    count += reap(u);
    for (int i = 0; i < ROUNDS_AT_ONCE && kernel_waits(u); i++) {
        rdl_driver_count(&u->head.counters.syscalls, 1);
        (void)io_uring_get_events(&u->ring);
        count += reap(u);
    }
    if (is_stall(rc) && count == 0 && timeout_ns != 0) {
        /* No memory for requests, or completions to be fetched first: not a reason to spin. */
        (void)io_uring_wait_cqes(&u->ring, &first, 1, &stall, NULL);
        count = reap(u);
    }
    return count;
}

static void uring_wake(struct rdl_driver *driver)
{
    struct uring *u = uring_of(driver);

    if (rdl_wake_post(&u->wake))
        (void)rdl_atomic_fetch_add_relaxed(&u->head.counters.wakes, 1);
}

/* Life. */

static int uring_start(struct rdl_driver *driver)
{
    struct uring *u = uring_of(driver);
    unsigned workers[2] = {
        4, 16}; /* for files, and for what can't be polled; the default is thousands */
    int rc = rdl_uring_enable(&u->ring);

    if (rc < 0)
        return rc;
    /* Saves the kernel a look-up per enter; the worse if it can't be had. */
    if (io_uring_register_ring_fd(&u->ring) == 1)
        u->thread = rdl_sys_thread_id();
    (void)io_uring_register_iowq_max_workers(&u->ring, workers);
    arm_wake(u);
    return 0;
}

static void uring_destroy(struct rdl_driver *driver)
{
    struct uring *u = uring_of(driver);

    /* The registration is the starting thread's, who can't be made to take it back; the same index
     * of this thread may be another ring's. The kernel drops it when that thread ends. */
    if (u->thread && u->thread != rdl_sys_thread_id())
        u->ring.int_flags &= (__u8)~RING_FD_REGISTERED;
    io_uring_queue_exit(&u->ring);
    rdl_wake_fini(&u->wake);
    rdl_sys_free(u);
}

static void uring_abandon(struct rdl_driver *driver)
{
    struct uring *u = uring_of(driver);

    /* The ring's memory was not inherited, and something else may be mapped there by now. */
    (void)rdl_sys_close(u->ring.ring_fd);
    rdl_wake_fini(&u->wake);
    rdl_sys_free(u);
}

static const struct rdl_driver_ops ops = {
    .name = "uring",
    .start = uring_start,
    .submit = uring_submit,
    .cancel = uring_cancel,
    .poll = uring_poll,
    .wake = uring_wake,
    .destroy = uring_destroy,
    .abandon = uring_abandon,
};

int rdl_uring_create(struct rdl_driver **out)
{
    struct rdl_uring_facts facts;
    struct uring *u;
    int rc = rdl_uring_probe(&facts);

    if (rc < 0)
        return rc;
    u = rdl_sys_calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    u->head.driver.ops = &ops;
    rc = rdl_wake_init(&u->wake);
    if (rc < 0)
        goto free_driver;
    rc = rdl_uring_open(&facts, &u->ring);
    if (rc < 0)
        goto fini_wake;
    u->reserve = facts.sq_entries / 8;
    u->poll_first = facts.poll_first;
    *out = &u->head.driver;
    return 0;
fini_wake:
    rdl_wake_fini(&u->wake);
free_driver:
    rdl_sys_free(u);
    return rc;
}
