/*
 * io/op.h - one operation on a descriptor, from the call to its result.
 *
 * It lives on the stack of the task that waits for it, or beside its control block. Between a driver's
 * submit and its completion the driver owns it and the kernel may write into its buffers; the task
 * doesn't leave its frame before (sched/fiber.h, rdl_fiber_attach).
 */
#ifndef RDL_IO_OP_H
#define RDL_IO_OP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "sched/wait.h"

struct rdl_fd;
struct rdl_fiber;

enum rdl_op_code {
    RDL_OP_READ,
    RDL_OP_WRITE,
    RDL_OP_READV,
    RDL_OP_WRITEV,
    RDL_OP_RECV, /* from here to CONNECT: of sockets */
    RDL_OP_SEND,
    RDL_OP_RECVMSG,
    RDL_OP_SENDMSG,
    RDL_OP_ACCEPT,
    RDL_OP_CONNECT,
    RDL_OP_POLL,
    RDL_OP_CODES
};

/* Where an operation is, as far as its driver is concerned. */
enum rdl_op_place {
    RDL_OP_NOWHERE, /* not handed over, or ended */
    RDL_OP_QUEUED,  /* in a list of the driver's */
    RDL_OP_FLYING,  /* with the kernel */
    RDL_OP_ENDING   /* with the kernel, and in a list because its end was asked for */
};

/* What rdl_op_perform() returns when the operation has to wait. No errno has this value. */
#define RDL_OP_WAIT INT_MIN

struct rdl_op {
    /* What to do: set by the caller, who zeroes everything else. */
    enum rdl_op_code code;
    int fd;
    int flags; /* of recv and send and theirs */
    /* POLL: its mask. The others: the readiness they wait for, set by rdl_op_run(). */
    uint32_t events;
    union {
        void *buffer;                /* READ, RECV */
        const void *data;            /* WRITE, SEND */
        const struct iovec *iov;     /* READV, WRITEV: bytes is their number */
        struct msghdr *message;      /* RECVMSG */
        const struct msghdr *words;  /* SENDMSG */
        struct sockaddr *address;    /* ACCEPT, may be NULL */
        const struct sockaddr *peer; /* CONNECT */
    } at;
    union {
        size_t bytes;
        socklen_t *length_out; /* ACCEPT */
        socklen_t length;      /* CONNECT */
    } size;

    ssize_t result;

    /* Of rdl_op_run(). */
    struct rdl_fiber *fiber;
    struct rdl_ticket ticket;
    struct rdl_fd *entry;
    bool nothing; /* read(2) or readv(2) of no bytes */
    bool settled; /* code and events are what the descriptor's kind makes of them */
    bool apart;   /* it isn't on the stack of its task, which may be paged out (sched/pageout.h) */

    /* Of io/fd.c, under the entry's lock. */
    struct rdl_op *fd_next, *fd_prev;
    bool closed;         /* raddle_fd_close() ends this wait */
    bool entered;        /* has been in before, */
    uint32_t generation; /* when the entry's was this */

    /* Of the driver, on its loop's thread. */
    bool connecting; /* CONNECT: connect(2) was called and goes on */
    bool polling;    /* flies as a poll; the operation itself comes after */
    bool edge;       /* polls for a change, because what holds now was not asked for */
    int found;       /* edge: what the poll has said, while its end is awaited */
    bool cancelling; /* its end was asked for */
    uint8_t place;   /* enum rdl_op_place */
    uint64_t token;  /* a ring's user_data while it flies */
    struct rdl_op *next, *prev;

    struct msghdr header; /* of READV and WRITEV on a socket */
};

/*
 * The way of every operation: waits until op has ended, in a task. Returns its result, or
 *     -EPERM          outside a task
 *     -ECANCELED      a scope around the task is cancelled or past its deadline, and op did not
 *                     happen
 *     -EBADF          the descriptor is not open, or being closed
 *     RADDLE_ECLOSED  it was closed meanwhile, and op did not happen
 *     -ENOMEM         no memory to wait with
 */
ssize_t rdl_op_run(struct rdl_op *op);

/* The same without waiting, from any thread: -EAGAIN instead. No cancellation point. */
ssize_t rdl_op_try(struct rdl_op *op);

/* One attempt by plain system call, which doesn't block but for files: the result, or
 * RDL_OP_WAIT. */
ssize_t rdl_op_perform(struct rdl_op *op);

/* How much a transfer would move at most; 0 for what moves no bytes. */
size_t rdl_op_wanted(const struct rdl_op *op);

/* "recv" and so on. */
const char *rdl_op_name(enum rdl_op_code code);

/* A list of operations linked by next and prev, in the order in which they came. */
struct rdl_op_list {
    struct rdl_op *first, *last;
};

static inline void rdl_op_append(struct rdl_op_list *list, struct rdl_op *op)
{
    op->next = NULL;
    op->prev = list->last;
    if (list->last)
        list->last->next = op;
    else
        list->first = op;
    list->last = op;
}

static inline void rdl_op_prepend(struct rdl_op_list *list, struct rdl_op *op)
{
    op->prev = NULL;
    op->next = list->first;
    if (list->first)
        list->first->prev = op;
    else
        list->last = op;
    list->first = op;
}

static inline void rdl_op_remove(struct rdl_op_list *list, struct rdl_op *op)
{
    if (op->prev)
        op->prev->next = op->next;
    else
        list->first = op->next;
    if (op->next)
        op->next->prev = op->prev;
    else
        list->last = op->prev;
    op->next = op->prev = NULL;
}

#endif
