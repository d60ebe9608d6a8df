/*
 * io/sim_net.c - the network of a simulated world: stream sockets whose bytes take their time.
 *
 * A socket that this library has made (raddle_fd_socket(), a listener, an accepted one) is the kernel's for its
 * number, its options and the address that it is bound to and listens on; so bind(2), listen(2) and setsockopt(2)
 * are what they are. What moves is simulated: connect, accept, and bytes. Nothing is sent through the kernel,
 * whose socket is never connected.
 *
 * What is sent is cut into segments, each of which arrives after a drawn time, those of one direction in their
 * order; so between connections the order is anybody's. One that is lost is sent again, and comes late, with
 * all that comes after it. A cut network loses everything until it is mended. Reads and writes move less than
 * they could, connections are reset, as the options say.
 *
 * What a socket's state means to those who wait:
 *
 *     FRESH      neither listens nor was connected
 *     LISTENS    queue holds connections that were not accepted
 *     CONNECTS   its request is under way
 *     CONNECTED  peer is the other end, which may be gone
 *
 * Lifetime. A socket is referred to by its descriptor, by its peer until both are gone, by each segment from or to
 * it that is under way, and by the queue of a listener.
 *
 * Standard input, output and error are real, and the world stands still while one of them makes it wait: what
 * comes and goes there is no matter of chance. Every other descriptor is refused.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <raddle/sim.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/fd.h"
#include "io/sim.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/sys.h"

#define AGAIN_NS ((int64_t)200 * 1000 * 1000)  /* until what was lost is sent again */
#define SYN_NS   ((int64_t)1000 * 1000 * 1000) /* a request, doubled each time */
#define DOOM_NS                                                                                    \
    ((int64_t)1000 * 1000 * 1000) /* a connection that will be reset lives so long at most */

enum {
    SYN_TRIES = 7,
    LEAST_WINDOW = 2048, /* of a connection; at most 2^5 times as much */
    WINDOW_BITS = 6,
    SEGMENT_BYTES = 16384,
};

enum state { FRESH, LISTENS, CONNECTS, CONNECTED };

enum kind { DATA, END, RESET };

struct rdl_sim_socket;

/* On its way. */
struct segment {
    struct rdl_chore chore; /* first: its arrival */
    struct rdl_sim_socket *from, *to;
    struct segment *next; /* after its arrival */
    enum kind kind;
    uint64_t number; /* of those to the same socket: they arrive in their order */
    size_t bytes, used;
    char *data; /* behind it; of an end or a reset, which are parts of their socket: NULL */
};

struct rdl_sim_socket {
    struct rdl_fd_backing backing; /* first */
    struct rdl_sim_world *world;
    struct rdl_sim_socket *next; /* in the world */
    unsigned refs;
    enum state state;
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
    struct segment *in, *in_last; /* what has arrived and was not read */
    size_t arrived, flying;       /* bytes, of these, and under way to here */
    size_t window;                /* for both */
    int64_t last_ns;              /* when the last that is under way to here arrives */
    uint64_t sent, come; /* segments to here: numbers given, and the last that has arrived */
    struct segment end, reset;
};

/* Those who wait for something here try again. */
static void changed(struct rdl_sim_socket *s)
{
    struct rdl_op *op;

    while ((op = s->waiting.first)) {
        rdl_op_remove(&s->waiting, op);
        op->place = RDL_OP_FLYING;
        rdl_op_append(&rdl_sim_of(op->fiber->home->driver)->news, op);
    }
}

void rdl_sim_queue(struct rdl_op *op)
{
    struct rdl_sim_socket *s = (struct rdl_sim_socket *)(void *)op->entry->backing;

    op->place = RDL_OP_QUEUED;
    rdl_op_append(&s->waiting, op);
}

void rdl_sim_unqueue(struct rdl_sim *sim, struct rdl_op *op)
{
    struct rdl_sim_socket *s = (struct rdl_sim_socket *)(void *)op->entry->backing;

    rdl_op_remove(op->place == RDL_OP_FLYING ? &sim->news : &s->waiting, op);
    op->place = RDL_OP_NOWHERE;
}

/* Life. */

static int socket_shutdown(struct rdl_fd_backing *backing, int how);
static void socket_closed(struct rdl_fd_backing *backing, int fd);
static void arrive(struct rdl_chore *chore);
static void request(struct rdl_chore *chore);
static void meet_doom(struct rdl_chore *chore);

static struct rdl_sim_socket *create(struct rdl_sim_world *world)
{
    struct rdl_sim_socket *s = rdl_sys_calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->backing = (struct rdl_fd_backing){.shutdown = socket_shutdown, .closed = socket_closed};
    s->refs = 1;
    s->request.call = request;
    s->doom.call = meet_doom;
    s->end = (struct segment){.chore.call = arrive, .from = s, .kind = END};
    s->reset = (struct segment){.chore.call = arrive, .from = s, .kind = RESET};
    s->world = world;
    rdl_sim_world_ref(world);
    s->next = world->sockets;
    world->sockets = s;
    return s;
}

static void drop_input(struct rdl_sim_socket *s)
{
    struct segment *next;

    for (struct segment *segment = s->in; segment; segment = next) {
        next = segment->next;
        rdl_sys_free(segment);
    }
    s->in = s->in_last = NULL;
    s->arrived = 0;
}

static void unref(struct rdl_sim_socket *s)
{
    struct rdl_sim_socket **link = &s->world->sockets;

    if (--s->refs)
        return;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    drop_input(s);
    rdl_sim_forget(s->world, &s->doom);
    rdl_sim_world_unref(s->world);
    rdl_sys_free(s);
}

/* Once neither end has a descriptor, they let go of each other. */
static void part(struct rdl_sim_socket *s)
{
    struct rdl_sim_socket *peer = s->peer;

    if (s->open || peer->open)
        return;
    s->peer = peer->peer = NULL;
    unref(peer);
    unref(s);
}

/* Segments. */

static int64_t latency(struct rdl_sim_world *world)
{
    return rdl_sim_length(world, world->options.latency_ns / 64, world->options.latency_ns);
}

/* Its arrival, after all that was sent before it. */
static void schedule(struct segment *segment, int64_t at_ns)
{
    struct rdl_sim_socket *to = segment->to;

    if (at_ns <= to->last_ns)
        at_ns = to->last_ns + 1;
    to->last_ns = at_ns;
    rdl_sim_at(to->world, &segment->chore, at_ns);
}

static void send_segment(struct segment *segment, struct rdl_sim_socket *from,
                         struct rdl_sim_socket *to)
{
    struct rdl_sim_world *world = from->world;
    int64_t at_ns = world->now_ns + latency(world);

    segment->from = from;
    segment->to = to;
    segment->number = ++to->sent;
    from->refs++;
    to->refs++;
    to->flying += segment->bytes;
    while (rdl_sim_chance(world, world->options.losses) && at_ns < world->now_ns + 10 * AGAIN_NS)
        at_ns += AGAIN_NS;
    schedule(segment, at_ns);
}

static void send_signal(struct rdl_sim_socket *from, struct segment *signal)
{
    /* With the last loop the world has come to its end, and nobody is there to be told. */
    if (signal->chore.pending || !from->peer || !from->world->loops)
        return;
    send_segment(signal, from, from->peer);
}

static void fail(struct rdl_sim_socket *s, int error)
{
    if (!s->broken)
        s->error = error;
    changed(s);
}

static void take_data(struct rdl_sim_socket *to, struct segment *segment)
{
    segment->next = NULL;
    if (to->in)
        to->in_last->next = segment;
    else
        to->in = segment;
    to->in_last = segment;
    to->arrived += segment->bytes;
}

static void arrive(struct rdl_chore *chore)
{
    struct segment *segment = (struct segment *)(void *)chore;
    struct rdl_sim_socket *from = segment->from, *to = segment->to;

    /* What was sent before it may have been lost to a cut, and comes later. */
    if (to->world->cut || segment->number != to->come + 1) {
        schedule(segment, to->world->now_ns + AGAIN_NS);
        return;
    }
    to->come = segment->number;
    to->flying -= segment->bytes;
    if (segment->kind == RESET) {
        fail(to, ECONNRESET);
    } else if (segment->kind == END) {
        to->ended = true;
        changed(to);
    } else if (to->open && !to->broken && !to->error) {
        take_data(to, segment);
        changed(to);
    } else {
        send_signal(to, &to->reset); /* nobody will read it */
        rdl_sys_free(segment);
    }
    unref(from);
    unref(to);
}

static void meet_doom(struct rdl_chore *chore)
{
    struct rdl_sim_socket *s =
        (struct rdl_sim_socket *)(void *)((char *)chore - offsetof(struct rdl_sim_socket, doom));

    fail(s, ECONNRESET);
    if (s->peer)
        fail(s->peer, ECONNRESET);
}

/* Listening and connecting. */

/* Makes a socket of this library's one of the world's. */
static int adopt(struct rdl_sim_world *world, int fd, struct rdl_fd *entry,
                 struct rdl_sim_socket **out)
{
    int kind = rdl_fd_ask(entry, fd), listens = 0, rc;
    socklen_t length = sizeof(listens);
    struct rdl_sim_socket *s;

    if (kind < 0)
        return kind;
    if (kind != RDL_FD_TCP && kind != RDL_FD_STREAM)
        return -ENOTSUP;
    rc = rdl_sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length);
    if (rc < 0)
        return rc;
    s = create(world);
    if (!s)
        return -ENOMEM;
    s->open = true;
    s->address_length = sizeof(s->address);
    if (listens)
        rc = rdl_sys_getsockname(fd, (struct sockaddr *)(void *)&s->address, &s->address_length);
    if (rc < 0) {
        unref(s);
        return rc;
    }
    s->state = listens ? LISTENS : FRESH;
    entry->backing = &s->backing;
    *out = s;
    return 0;
}

/* One that has begun to listen since it was first seen. */
static void look_again(struct rdl_sim_socket *s, int fd)
{
    int listens = 0;
    socklen_t length = sizeof(listens);

    if (s->state != FRESH ||
        rdl_sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) < 0 || !listens)
        return;
    s->address_length = sizeof(s->address);
    if (rdl_sys_getsockname(fd, (struct sockaddr *)(void *)&s->address, &s->address_length) == 0)
        s->state = LISTENS;
}

static unsigned port_of(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6
               ? ((const struct sockaddr_in6 *)(const void *)address)->sin6_port
               : ((const struct sockaddr_in *)(const void *)address)->sin_port;
}

/* Does the listener have the address that client asks for? */
static bool is_at(const struct rdl_sim_socket *listener, const struct rdl_sim_socket *client)
{
    const struct sockaddr_storage *a = &listener->address, *b = &client->address;
    const struct sockaddr_in *in = (const void *)a, *to = (const void *)b;
    const struct sockaddr_in6 *in6 = (const void *)a, *to6 = (const void *)b;

    if (a->ss_family == AF_UNIX || b->ss_family == AF_UNIX)
        return listener->address_length == client->address_length &&
               memcmp(a, b, client->address_length) == 0;
    if (port_of(a) != port_of(b))
        return false;
    if (a->ss_family == AF_INET6 && memcmp(&in6->sin6_addr, &in6addr_any, sizeof(in6addr_any)) == 0)
        return true;
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET6)
        return memcmp(&in6->sin6_addr, &to6->sin6_addr, sizeof(in6->sin6_addr)) == 0;
    return in->sin_addr.s_addr == htonl(INADDR_ANY) || in->sin_addr.s_addr == to->sin_addr.s_addr;
}

/* A descriptor of ours that the world has not seen: if it listens where a client wants to go, it is found. */
static void look_at(int fd, struct rdl_fd *entry, void *arg)
{
    const struct rdl_sim_socket *client = arg;
    struct rdl_sim_socket probe = {.state = FRESH}, *s;

    look_again(&probe, fd);
    if (probe.state == LISTENS && is_at(&probe, client))
        (void)adopt(client->world, fd, entry, &s);
}

/* One of those that listen where client wants to go, or NULL. */
static struct rdl_sim_socket *find_listener(struct rdl_sim_socket *client)
{
    struct rdl_sim_world *world = client->world;
    struct rdl_sim_socket *found = NULL;
    unsigned among = 0;

    rdl_fd_each_own(look_at, client);
    for (struct rdl_sim_socket *s = world->sockets; s; s = s->next)
        if (s->state == LISTENS && s->open && is_at(s, client) &&
            rdl_sim_below(world, ++among) == 0)
            found = s;
    return found;
}

static void join(struct rdl_sim_socket *client, struct rdl_sim_socket *server)
{
    struct rdl_sim_world *world = client->world;

    client->peer = server;
    server->peer = client;
    client->refs++;
    server->refs++;
    client->state = server->state = CONNECTED;
    client->window = (size_t)LEAST_WINDOW << rdl_sim_below(world, WINDOW_BITS);
    server->window = (size_t)LEAST_WINDOW << rdl_sim_below(world, WINDOW_BITS);
    client->port = ++world->port;
    if (rdl_sim_chance(world, world->options.resets))
        rdl_sim_at(world, &client->doom, world->now_ns + rdl_sim_length(world, 0, DOOM_NS));
}

/* A client's request arrives. */
static void request(struct rdl_chore *chore)
{
    struct rdl_sim_socket *client =
        (struct rdl_sim_socket *)(void *)((char *)chore - offsetof(struct rdl_sim_socket, request));
    struct rdl_sim_world *world = client->world;
    struct rdl_sim_socket *listener = NULL, *server = NULL;
    bool lost = world->cut || rdl_sim_chance(world, world->options.losses);

    if (!lost) {
        listener = find_listener(client);
        server = listener ? create(world) : NULL;
        lost = listener && !server; /* no memory: as if it had been lost */
    }
    if (lost && client->tries < SYN_TRIES) {
        rdl_sim_at(world, chore, world->now_ns + (SYN_NS << client->tries++));
        return;
    }
    if (!server) {
        client->error = lost ? ETIMEDOUT : ECONNREFUSED;
        changed(client);
        return;
    }
    server->open = true;
    join(client, server);
    if (listener->last)
        listener->last->behind = server;
    else
        listener->first = server;
    listener->last = server;
    changed(listener);
    changed(client);
}

static ssize_t attempt_connect(struct rdl_sim_socket *s, struct rdl_op *op)
{
    ssize_t error = -s->error;

    if (!op->connecting) {
        if (s->state == CONNECTS)
            return -EALREADY;
        if (s->state != FRESH)
            return -EISCONN;
        if (op->size.length > sizeof(s->address) || op->size.length < sizeof(sa_family_t))
            return -EINVAL;
        memset(&s->address, 0, sizeof(s->address));
        memcpy(&s->address, op->at.peer, op->size.length);
        s->address_length = op->size.length;
        s->state = CONNECTS;
        s->tries = 0;
        op->connecting = true;
        rdl_sim_at(s->world, &s->request, s->world->now_ns + latency(s->world));
        return RDL_OP_WAIT;
    }
    if (s->state == CONNECTED)
        return 0;
    if (!error)
        return RDL_OP_WAIT;
    s->error = 0;
    s->state = FRESH;
    return error;
}

/* What its server sees of a client. */
static void tell_address(const struct rdl_sim_socket *client, const struct rdl_op *op)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } at = {.any.sa_family = client->address.ss_family};
    socklen_t length = sizeof(sa_family_t), room;

    if (!op->at.address || !op->size.length_out)
        return;
    if (at.any.sa_family == AF_INET) {
        at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        at.in.sin_port = htons((uint16_t)client->port);
        length = sizeof(at.in);
    } else if (at.any.sa_family == AF_INET6) {
        at.in6.sin6_addr = in6addr_loopback;
        at.in6.sin6_port = htons((uint16_t)client->port);
        length = sizeof(at.in6);
    }
    room = *op->size.length_out;
    memcpy(op->at.address, &at, room < length ? room : length);
    *op->size.length_out = length;
}

static ssize_t attempt_accept(struct rdl_sim_socket *s, struct rdl_op *op)
{
    struct rdl_sim_socket *server = s->first;
    struct rdl_fd *entry;
    int fd, rc;

    if (s->state != LISTENS)
        return -EINVAL;
    if (!server)
        return RDL_OP_WAIT;
    fd = rdl_sys_socket(s->address.ss_family, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    rc = rdl_fd_find(fd, &entry);
    if (rc < 0) {
        (void)rdl_sys_close(fd);
        return rc;
    }
    s->first = server->behind;
    if (!s->first)
        s->last = NULL;
    server->behind = NULL;
    /* The queue's reference is the descriptor's now. */
    rdl_fd_born_backed(entry, &server->backing);
    tell_address(server->peer, op);
    return fd;
}

/* Bytes. */

static size_t shorten(struct rdl_sim_world *world, size_t bytes)
{
    return bytes > 1 && rdl_sim_chance(world, world->options.shorts)
               ? 1 + (size_t)rdl_sim_below(world, bytes)
               : bytes;
}

/* Copies n bytes of what has arrived, and takes them unless peek. */
static void copy_in(struct rdl_sim_socket *s, const struct msghdr *to, size_t n, bool peek)
{
    struct segment *segment = s->in;
    size_t used = segment ? segment->used : 0;

    for (size_t i = 0; i < to->msg_iovlen; i++) {
        const struct iovec *iov = &to->msg_iov[i];

        for (size_t filled = 0, piece; n && segment && filled < iov->iov_len; filled += piece) {
            struct segment *next = segment->next;

            piece = segment->bytes - used;
            if (piece > iov->iov_len - filled)
                piece = iov->iov_len - filled;
            if (piece > n)
                piece = n;
            memcpy((char *)iov->iov_base + filled, segment->data + used, piece);
            used += piece;
            n -= piece;
            if (!peek) {
                segment->used = used;
                s->arrived -= piece;
            }
            if (used < segment->bytes)
                continue;
            if (!peek) {
                s->in = next;
                rdl_sys_free(segment);
            }
            segment = next;
            used = segment ? segment->used : 0;
        }
    }
}

static ssize_t take_error(struct rdl_sim_socket *s)
{
    ssize_t error = -s->error;

    s->error = 0;
    s->broken = true;
    return error;
}

static ssize_t receive(struct rdl_sim_socket *s, const struct msghdr *to, size_t wanted, int flags)
{
    size_t n = s->arrived < wanted ? s->arrived : wanted;

    if (s->state == CONNECTS)
        return RDL_OP_WAIT;
    if (s->state != CONNECTED)
        return -ENOTCONN;
    if (flags & (MSG_OOB | MSG_ERRQUEUE))
        return -ENOTSUP;
    if (n) {
        n = shorten(s->world, n);
        copy_in(s, to, n, flags & MSG_PEEK);
        if (s->peer)
            changed(s->peer); /* there is room */
        return (ssize_t)n;
    }
    if (!wanted)
        return 0;
    if (s->error)
        return take_error(s);
    return s->ended || s->deaf || s->broken ? 0 : RDL_OP_WAIT;
}

static size_t room_for(const struct rdl_sim_socket *peer)
{
    size_t used = peer->arrived + peer->flying;

    return !peer->open || used < peer->window ? peer->window - (peer->open ? used : 0) : 0;
}

static ssize_t transmit(struct rdl_sim_socket *s, const struct msghdr *from, size_t wanted,
                        int flags)
{
    struct segment *segment;
    size_t n, filled = 0;

    if (s->state == CONNECTS)
        return RDL_OP_WAIT;
    if (s->state != CONNECTED)
        return -EPIPE;
    if (flags & MSG_OOB)
        return -ENOTSUP;
    if (s->error)
        return take_error(s);
    if (s->shut || s->broken || !s->peer)
        return -EPIPE;
    if (!wanted)
        return 0;
    /* What nobody has accepted yet has a window, too. */
    n = room_for(s->peer);
    if (!n)
        return RDL_OP_WAIT;
    n = n < wanted ? n : wanted;
    n = shorten(s->world, n < SEGMENT_BYTES ? n : SEGMENT_BYTES);
    segment = rdl_sys_calloc(1, sizeof(*segment) + n);
    if (!segment)
        return -ENOBUFS;
    segment->chore.call = arrive;
    segment->data = (char *)(segment + 1);
    segment->bytes = n;
    for (size_t i = 0; i < from->msg_iovlen && filled < n; i++) {
        const struct iovec *iov = &from->msg_iov[i];
        size_t piece = iov->iov_len < n - filled ? iov->iov_len : n - filled;

        if (piece)
            memcpy(segment->data + filled, iov->iov_base, piece);
        filled += piece;
    }
    send_segment(segment, s, s->peer);
    return (ssize_t)n;
}

static ssize_t attempt_bytes(struct rdl_sim_socket *s, struct rdl_op *op)
{
    size_t wanted = rdl_op_wanted(op);
    union {
        const void *given;
        void *wanted; /* what is sent is not written to */
    } data;
    struct iovec iov = {.iov_len = wanted};
    struct msghdr one = {.msg_iov = &iov, .msg_iovlen = 1};

    switch (op->code) {
    case RDL_OP_RECV:
        iov.iov_base = op->at.buffer;
        return receive(s, &one, wanted, op->flags);
    case RDL_OP_SEND:
        data.given = op->at.data;
        iov.iov_base = data.wanted;
        return transmit(s, &one, wanted, op->flags);
    case RDL_OP_RECVMSG:
        op->at.message->msg_namelen = 0;
        op->at.message->msg_controllen = 0;
        op->at.message->msg_flags = 0;
        return receive(s, op->at.message, wanted, op->flags);
    default:
        if (op->at.words->msg_controllen)
            return -ENOTSUP; /* descriptors and credentials don't travel */
        return transmit(s, op->at.words, wanted, op->flags);
    }
}

static ssize_t attempt_poll(const struct rdl_sim_socket *s, const struct rdl_op *op)
{
    uint32_t found = 0;

    switch (s->state) {
    case FRESH:
        found = POLLOUT | POLLHUP;
        break;
    case LISTENS:
        found = s->first ? POLLIN : 0;
        break;
    case CONNECTS:
        break;
    case CONNECTED:
        if (s->arrived || s->ended || s->deaf || s->error || s->broken)
            found |= POLLIN;
        if (s->error || s->broken || s->shut || (s->peer && room_for(s->peer)))
            found |= POLLOUT;
        if (s->ended || s->broken)
            found |= POLLRDHUP;
        if (s->error)
            found |= POLLERR;
        if (s->error || s->broken || (s->ended && s->shut))
            found |= POLLHUP;
        break;
    }
    found &= op->events | POLLERR | POLLHUP;
    return found ? (ssize_t)found : RDL_OP_WAIT;
}

/* Its end. */

static int socket_shutdown(struct rdl_fd_backing *backing, int how)
{
    struct rdl_sim_socket *s = (struct rdl_sim_socket *)(void *)backing;

    if (s->state != CONNECTED || s->broken)
        return -ENOTCONN;
    if (how != SHUT_WR)
        s->deaf = true;
    if (how != SHUT_RD && !s->shut) {
        s->shut = true;
        send_signal(s, &s->end);
    }
    changed(s);
    return 0;
}

/* Connections that nobody will accept. */
static void reset_queue(struct rdl_sim_socket *listener)
{
    struct rdl_sim_socket *server;

    while ((server = listener->first)) {
        listener->first = server->behind;
        server->open = false;
        send_signal(server, &server->reset);
        part(server);
        unref(server);
    }
    listener->last = NULL;
}

static void socket_closed(struct rdl_fd_backing *backing, int fd)
{
    struct rdl_sim_socket *s = (struct rdl_sim_socket *)(void *)backing;
    struct linger linger = {0};
    socklen_t length = sizeof(linger);

    s->open = false;
    rdl_sim_forget(s->world, &s->request);
    if (s->state == LISTENS)
        reset_queue(s);
    if (s->peer) {
        if (fd >= 0)
            (void)rdl_sys_getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length);
        if (s->arrived || (linger.l_onoff && !linger.l_linger))
            send_signal(s, &s->reset);
        else if (!s->shut)
            send_signal(s, &s->end);
        drop_input(s);
        part(s);
    }
    unref(s);
}

/* Standard input, output and error: blocks until it has been done. */
static ssize_t perform_standard(struct rdl_op *op)
{
    struct pollfd fd = {.fd = op->fd, .events = (short)op->events};
    ssize_t n;

    while ((n = rdl_op_perform(op)) == RDL_OP_WAIT)
        if (rdl_sys_poll(&fd, 1, -1) < 0)
            break; /* interrupted: it is tried again */
    return n == RDL_OP_WAIT ? -EINTR : n;
}

ssize_t rdl_sim_attempt(struct rdl_sim_world *world, struct rdl_op *op)
{
    struct rdl_sim_socket *s = (struct rdl_sim_socket *)(void *)op->entry->backing;
    int rc;

    if (!s) {
        if (!rdl_atomic_load_relaxed(&op->entry->own))
            return op->fd <= STDERR_FILENO ? perform_standard(op) : -ENOTSUP;
        rc = adopt(world, op->fd, op->entry, &s);
        if (rc < 0)
            return rc;
    }
    if (s->world != world)
        return -ENOTSUP;
    look_again(s, op->fd);
    switch (op->code) {
    case RDL_OP_CONNECT:
        return attempt_connect(s, op);
    case RDL_OP_ACCEPT:
        return attempt_accept(s, op);
    case RDL_OP_POLL:
        return attempt_poll(s, op);
    default:
        return attempt_bytes(s, op);
    }
}

int raddle_sim_cut_network(bool cut)
{
    struct rdl_sim_world *world = rdl_sim_here();

    if (!rdl_loop_current())
        return -EPERM;
    if (!world)
        return -ENOTSUP;
    world->cut = cut;
    return 0;
}
