/*
 * io/sim_socket.h - what the parts of a simulated network share: its sockets, with what is under way to them. What the
 * rest of the simulation needs of it is in io/sim.h.
 *
 * What a socket's state means to those who wait:
 *
 *     UNUSED     neither listens nor was connected
 *     LISTENS    first to last are connections that were not accepted
 *     CONNECTS   its request is under way
 *     CONNECTED  peer is the other end, which may be gone
 *
 * Lifetime. A socket is referred to by its descriptor, by its peer until both are gone, by each segment from or to
 * it that is under way, and by the queue of a listener.
 */
#ifndef RDL_IO_SIM_SOCKET_H
#define RDL_IO_SIM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "io/fd.h"
#include "io/op.h"
#include "io/sim.h"

enum rdl_sim_socket_state {
    RDL_SIM_UNUSED,
    RDL_SIM_LISTENS,
    RDL_SIM_CONNECTS,
    RDL_SIM_CONNECTED,
};

enum rdl_sim_segment_kind { RDL_SIM_SEGMENT_DATA, RDL_SIM_SEGMENT_END, RDL_SIM_SEGMENT_RESET };

struct rdl_sim_socket;

/* On its way. */
struct rdl_sim_segment {
    struct rdl_chore chore; /* first: its arrival */
    struct rdl_sim_socket *from, *to;
    struct rdl_sim_segment *next; /* after its arrival */
    enum rdl_sim_segment_kind kind;
    uint64_t number; /* of those to the same socket: they arrive in their order */
    size_t bytes, used;
    char *data; /* behind it; of an end or a reset, which are parts of their socket: NULL */
};

struct rdl_sim_socket {
    struct rdl_fd_backing backing; /* first */
    struct rdl_sim_world *world;
    struct rdl_sim_socket *next; /* in the world */
    unsigned refs;
    enum rdl_sim_socket_state state;
    bool open;   /* has a descriptor, or will have one */
    int error;   /* to be reported; a positive errno */
    bool broken; /* was reported */
    bool shut;   /* writes no more */
    bool deaf;   /* reads no more */
    bool ended;  /* the other end writes no more */
    struct rdl_op_list waiting;

    /* LISTENS: the first and the last of its queue. In a queue: the next. */
    struct rdl_sim_socket *first, *last, *behind;

    struct sockaddr_storage address; /* LISTENS: its own. Otherwise that which it connects to */
    socklen_t address_length;
    struct rdl_chore request;
    unsigned tries;
    unsigned port;         /* of a client, as its server sees it */
    struct rdl_chore doom; /* its reset, if it is to have one */

    struct rdl_sim_socket *peer;
    struct rdl_sim_segment *in, *in_last; /* what has arrived and was not read */
    size_t arrived, flying;               /* bytes, of these, and under way to here */
    size_t window;                        /* for both */
    int64_t last_ns;                      /* when the last that is under way to here arrives */
    uint64_t sent, come; /* segments to here: numbers given, and the last that has arrived */
    struct rdl_sim_segment end, reset;
};

/* sim_socket.c */

/* One that is unused, with a reference for the caller; NULL without memory. */
struct rdl_sim_socket *rdl_sim_socket_create(struct rdl_sim_world *world);
void rdl_sim_socket_unref(struct rdl_sim_socket *s);

/* Those who wait for something here try again. */
void rdl_sim_changed(struct rdl_sim_socket *s);

/* How long something is under way that is not lost. */
int64_t rdl_sim_latency(struct rdl_sim_world *world);
/* Sends a segment, of which only kind, bytes and data are set; one of data is given away. */
void rdl_sim_send(struct rdl_sim_segment *segment, struct rdl_sim_socket *from,
                  struct rdl_sim_socket *to);

/* sim_connect.c */

/* Makes a socket of this library's one of the world's. */
int rdl_sim_adopt(struct rdl_sim_world *world, int fd, struct rdl_fd *entry,
                  struct rdl_sim_socket **out);
/* If it was unused: has it begun to listen meanwhile? Then it is one that listens. */
void rdl_sim_look_again(struct rdl_sim_socket *s, int fd);

/* As rdl_sim_attempt(). */
ssize_t rdl_sim_attempt_connect(struct rdl_sim_socket *s, struct rdl_op *op);
ssize_t rdl_sim_attempt_accept(struct rdl_sim_socket *s, struct rdl_op *op);

#endif
