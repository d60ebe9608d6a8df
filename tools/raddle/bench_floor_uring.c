/*
 * raddle/bench_floor_uring.c - an echo server written by hand on io_uring: one thread, one ring, multishot
 * accepts and receives into buffers that the kernel picks, one system call per turn.
 *
 * A receive may complete while what came before is still being sent, so each connection has a queue of
 * buffers. When the kernel finds none left, a connection starves until one comes back.
 */
#include "tools/raddle/bench_floor.h"

#include <errno.h>

#if !RADDLE_HAVE_URING

int rdl_bench_floor_uring(int listener)
{
    (void)listener;
    return -ENOSYS;
}

int rdl_bench_floor_uring_probe(void)
{
    return -ENOSYS;
}

#else

#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES = 4096, COMPLETIONS = 16384, BUFFERS = 4096, BUFFER = 16 * 1024, NONE = -1 };

/* In the low bits of user_data, beside the connection. */
enum what { ACCEPT, RECEIVE, SEND, WHAT = 3 };

struct floor_conn {
    int fd;
    bool receiving, sending, starving, ended;
    int first, last; /* queue of buffers, or NONE */
    unsigned sent;   /* of the first */
    struct floor_conn *next_starving;
};

struct floor_ring {
    struct io_uring ring;
    struct io_uring_buf_ring *pool;
    char *buffers;
    int next[BUFFERS]; /* in its connection's queue */
    unsigned length[BUFFERS];
    struct floor_conn *starving;
    int listener;
};

static struct io_uring_sqe *entry(struct floor_ring *floor, struct floor_conn *conn, enum what what)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&floor->ring);

    while (!sqe) {
        (void)io_uring_submit(&floor->ring);
        sqe = io_uring_get_sqe(&floor->ring);
    }
    /* What prepares the entry leaves this as it is. */
    io_uring_sqe_set_data64(sqe, (uintptr_t)conn | what);
    return sqe;
}

static void start_accept(struct floor_ring *floor)
{
    io_uring_prep_multishot_accept(entry(floor, NULL, ACCEPT), floor->listener, NULL, NULL,
                                   SOCK_CLOEXEC);
}

static void start_receive(struct floor_ring *floor, struct floor_conn *conn)
{
    struct io_uring_sqe *sqe = entry(floor, conn, RECEIVE);

    io_uring_prep_recv_multishot(sqe, conn->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    conn->receiving = true;
}

static void start_send(struct floor_ring *floor, struct floor_conn *conn)
{
    io_uring_prep_send(entry(floor, conn, SEND), conn->fd,
                       floor->buffers + (size_t)conn->first * BUFFER + conn->sent,
                       floor->length[conn->first] - conn->sent, MSG_NOSIGNAL);
    conn->sending = true;
}

static void give_back(struct floor_ring *floor, int buffer)
{
    struct floor_conn *conn = floor->starving;

    io_uring_buf_ring_add(floor->pool, floor->buffers + (size_t)buffer * BUFFER, BUFFER,
                          (unsigned short)buffer, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(floor->pool, 1);
    if (conn) {
        floor->starving = conn->next_starving;
        conn->starving = false;
        start_receive(floor, conn);
    }
}

/* Frees the connection when it has ended, and the kernel knows nothing of it any more. */
static void drop_if_over(struct floor_ring *floor, struct floor_conn *conn)
{
    if (!conn->ended || conn->receiving || conn->sending || conn->starving)
        return;
    while (conn->first != NONE) {
        int buffer = conn->first;

        conn->first = floor->next[buffer];
        give_back(floor, buffer);
    }
    (void)close(conn->fd);
    free(conn);
}

static void end(struct floor_conn *conn)
{
    if (!conn->ended)
        (void)shutdown(conn->fd, SHUT_RDWR);
    conn->ended = true;
}

static void accepted(struct floor_ring *floor, const struct io_uring_cqe *cqe)
{
    struct floor_conn *conn = cqe->res < 0 ? NULL : calloc(1, sizeof *conn);
    int on = 1;

    if (conn) {
        (void)setsockopt(cqe->res, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conn->fd = cqe->res;
        conn->first = NONE;
        start_receive(floor, conn);
    } else if (cqe->res >= 0) {
        (void)close(cqe->res);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        start_accept(floor);
}

static void received(struct floor_ring *floor, struct floor_conn *conn,
                     const struct io_uring_cqe *cqe)
{
    int buffer = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

    conn->receiving = cqe->flags & IORING_CQE_F_MORE;
    if (cqe->res == -ENOBUFS) {
        conn->starving = true;
        conn->next_starving = floor->starving;
        floor->starving = conn;
        return;
    }
    if (cqe->res <= 0) {
        if (cqe->flags & IORING_CQE_F_BUFFER)
            give_back(floor, buffer);
        end(conn);
        return;
    }
    floor->length[buffer] = (unsigned)cqe->res;
    floor->next[buffer] = NONE;
    if (conn->first == NONE)
        conn->first = buffer;
    else
        floor->next[conn->last] = buffer;
    conn->last = buffer;
    if (!conn->sending && !conn->ended)
        start_send(floor, conn);
    if (!conn->receiving && !conn->ended)
        start_receive(floor, conn);
}

static void sent(struct floor_ring *floor, struct floor_conn *conn, const struct io_uring_cqe *cqe)
{
    int buffer = conn->first;

    conn->sending = false;
    if (cqe->res < 0) {
        end(conn);
        return;
    }
    conn->sent += (unsigned)cqe->res;
    if (conn->sent == floor->length[buffer]) {
        conn->first = floor->next[buffer];
        conn->sent = 0;
        give_back(floor, buffer);
    }
    if (conn->first != NONE && !conn->ended)
        start_send(floor, conn);
}

static int make_ring(struct io_uring *ring)
{
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN,
                                     .cq_entries = COMPLETIONS};

    return io_uring_queue_init_params(ENTRIES, ring, &params);
}

static int set_up(struct floor_ring *floor)
{
    struct io_uring_buf_reg registration = {.ring_entries = BUFFERS};
    int rc = make_ring(&floor->ring);

    if (rc < 0)
        return rc;
    (void)io_uring_register_ring_fd(&floor->ring);
    floor->pool = aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf));
    floor->buffers = malloc((size_t)BUFFERS * BUFFER);
    if (!floor->pool || !floor->buffers)
        return -ENOMEM;
    registration.ring_addr = (uintptr_t)floor->pool;
    rc = io_uring_register_buf_ring(&floor->ring, &registration, 0);
    if (rc < 0)
        return rc;
    io_uring_buf_ring_init(floor->pool);
    for (int i = 0; i < BUFFERS; i++)
        give_back(floor, i);
    start_accept(floor);
    return 0;
}

static void turn(struct floor_ring *floor)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    io_uring_for_each_cqe(&floor->ring, head, cqe)
    {
        uint64_t data = io_uring_cqe_get_data64(cqe);
        struct floor_conn *conn = (struct floor_conn *)(uintptr_t)(data & ~(uint64_t)WHAT);

        count++;
        if (!conn) {
            accepted(floor, cqe);
            continue;
        }
        if ((data & WHAT) == RECEIVE)
            received(floor, conn, cqe);
        else
            sent(floor, conn, cqe);
        drop_if_over(floor, conn);
    }
    io_uring_cq_advance(&floor->ring, count);
}

/* The process ends with it: what was set up is left to that. */
int rdl_bench_floor_uring(int listener)
{
    static struct floor_ring floor;
    int rc;

    floor.listener = listener;
    rc = set_up(&floor);
    while (rc >= 0 || rc == -EINTR) {
        rc = io_uring_submit_and_wait(&floor.ring, 1);
        turn(&floor);
    }
    return rc;
}

/* Kernels that have these flags have multishot receives, too. */
int rdl_bench_floor_uring_probe(void)
{
    struct io_uring ring;
    int rc = make_ring(&ring);

    if (rc == 0)
        io_uring_queue_exit(&ring);
    return rc;
}

#endif
