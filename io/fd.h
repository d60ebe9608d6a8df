/*
 * io/fd.h - what the process knows of each descriptor in use: its operations, its kind, its home.
 *
 * The table is by number. An entry is never freed; the generation tells apart what one number stood
 * for at different times.
 */
#ifndef RDL_IO_FD_H
#define RDL_IO_FD_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/lock.h"
#include "sched/wait.h"

struct rdl_driver;
struct rdl_op;

/* What a descriptor is, as far as it makes a difference here. */
enum rdl_fd_kind {
    RDL_FD_UNKNOWN, /* not asked yet */
    RDL_FD_TCP,     /* a short read means that it is drained */
    RDL_FD_STREAM,  /* another byte stream on a socket */
    RDL_FD_SOCKET,  /* any other socket */
    RDL_FD_PIPE,    /* a pipe, terminal, eventfd: has readiness, blocks unless told not to */
    RDL_FD_FILE     /* a file: never waits for readiness */
};

static inline bool rdl_fd_is_socket(int kind)
{
    return kind == RDL_FD_TCP || kind == RDL_FD_STREAM || kind == RDL_FD_SOCKET;
}

/* A registration of a descriptor with an epoll instance. Lives in the driver's memory; next belongs
 * to the entry's lock while it is linked. */
struct rdl_fd_watch {
    struct rdl_fd_watch *next;
    int epoll_fd;
    uint32_t generation; /* of the entry, when it was linked */
};

/* What stands behind a descriptor in the kernel's place: a simulated socket. The kernel's own keeps the number,
 * the address and the options. */
struct rdl_fd_backing {
    int (*shutdown)(struct rdl_fd_backing *backing, int how);
    /* The last call: fd is about to be closed, or was closed behind our back. */
    void (*closed)(struct rdl_fd_backing *backing, int fd);
};

struct rdl_fd {
    struct rdl_lock lock;
    /* Changes only when no operation is in flight, under the lock: stable for whoever has
     * entered. */
    uint32_t generation;

    /* Under the lock. */
    struct rdl_op *ops;           /* in flight, on any loop */
    struct rdl_fd_watch *watches; /* epoll instances that know the descriptor */
    struct rdl_ticket closer;     /* who waits for ops to become empty; no wait: nobody */
    bool closing;

    /* Hints and facts that any loop may set. */
    rdl_atomic(bool) more;                /* ring: the last completion said that more is waiting */
    rdl_atomic(bool) nonblocking;         /* known to be */
    rdl_atomic(uint8_t) kind;             /* enum rdl_fd_kind */
    rdl_atomic(bool) own;                 /* made by this library, which knows it from its birth */
    rdl_atomic(struct rdl_driver *) home; /* which waited for it last */

    /* NULL: the kernel. Set by a simulated world, whose thread is the only one that uses such a descriptor. */
    struct rdl_fd_backing *backing;
};

/* The entry of a descriptor. 0; -EBADF: no such descriptor; -ENOMEM. */
int rdl_fd_find(int fd, struct rdl_fd **out);

/* Counts op among those in flight. False: the descriptor is being closed. */
bool rdl_fd_enter(struct rdl_fd *entry, struct rdl_op *op);

/* The end of that. Returns whether the descriptor is being closed and op was told to end. */
bool rdl_fd_leave(struct rdl_fd *entry, struct rdl_op *op);

/* What the descriptor is, or -errno; asks the kernel once. The caller has entered, or owns the descriptor by
 * rdl_fd_close_begin(): otherwise what is found out could be noted about a successor. */
int rdl_fd_kind(struct rdl_fd *entry, int fd);

/* The same for who has not, asked each time until somebody knows. */
int rdl_fd_ask(struct rdl_fd *entry, int fd);
void rdl_fd_set_kind(struct rdl_fd *entry, enum rdl_fd_kind kind);

/* Makes it non-blocking, once. 0 or -errno. The caller has entered. */
int rdl_fd_unblock(struct rdl_fd *entry, int fd);

/* The kernel has just given us this number: forgets what is left of a predecessor that was closed
 * behind our back. The descriptor is non-blocking. */
void rdl_fd_born(int fd, enum rdl_fd_kind kind);

/* The same, and backing stands behind it from now on. What it is is not known yet. */
void rdl_fd_born_backed(struct rdl_fd *entry, struct rdl_fd_backing *backing);

/* Calls fn for each descriptor that is our own and not backed. */
void rdl_fd_each_own(void (*fn)(int fd, struct rdl_fd *entry, void *arg), void *arg);

/* An epoll driver, with an operation entered: links its registration, to be taken back at close. */
void rdl_fd_watch(struct rdl_fd *entry, struct rdl_fd_watch *watch);

/* Unlinks it. False: the close has done so. */
bool rdl_fd_unwatch(struct rdl_fd *entry, struct rdl_fd_watch *watch);

/*
 * raddle_fd_close() in two steps. begin ends the waits and returns when no operation is in flight;
 * from then on new ones get -EBADF. Whoever got 0 from it owns the descriptor and must call end.
 * begin: 0, or
 *     -EBADF   not open, or being closed
 *     -EPERM   outside a task with operations in flight
 *     -ENOMEM  no memory for its entry
 */
int rdl_fd_close_begin(int fd, struct rdl_fd **out);
int rdl_fd_close_end(int fd, struct rdl_fd *entry);

/* In a forked child: forgets the parent's operations. */
void rdl_fd_after_fork(void);

#endif
