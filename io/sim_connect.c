/*
 * io/sim_connect.c - how the sockets of a simulated world find each other: listen, connect, accept.
 *
 * A socket that this library has made (raddle_fd_socket(), a listener, an accepted one) is the kernel's for its
 * number, its options and the address that it is bound to and listens on; so bind(2), listen(2) and setsockopt(2)
 * are what they are. Nothing is sent through the kernel, whose socket is never connected.
 *
 * What a connection will be is drawn when it is made: how much may be under way in it, and, as the options say,
 * whether it is reset, and when.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "io/fd.h"
#include "io/sim_socket.h"
#include "sched/sys.h"

#define SYN_NS ((int64_t)1000 * 1000 * 1000) /* a request, doubled each time */
#define DOOM_NS                                                                                    \
    ((int64_t)1000 * 1000 * 1000) /* a connection that will be reset lives so long at most */

enum {
    SYN_TRIES = 7,
    LEAST_WINDOW = 2048, /* of a connection; at most 2^5 times as much */
    WINDOW_BITS = 6,
};

/* Listening. */

int rdl_sim_adopt(struct rdl_sim_world *world, int fd, struct rdl_fd *entry,
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
    s = rdl_sim_socket_create(world);
    if (!s)
        return -ENOMEM;
    s->open = true;
    s->address_length = sizeof(s->address);
    if (listens)
        rc = rdl_sys_getsockname(fd, (struct sockaddr *)(void *)&s->address, &s->address_length);
    if (rc < 0) {
        rdl_sim_socket_unref(s);
        return rc;
    }
    s->state = listens ? RDL_SIM_LISTENS : RDL_SIM_UNUSED;
    entry->backing = &s->backing;
    *out = s;
    return 0;
}

void rdl_sim_look_again(struct rdl_sim_socket *s, int fd)
{
    int listens = 0;
    socklen_t length = sizeof(listens);

    if (s->state != RDL_SIM_UNUSED ||
        rdl_sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) < 0 || !listens)
        return;
    s->address_length = sizeof(s->address);
    if (rdl_sys_getsockname(fd, (struct sockaddr *)(void *)&s->address, &s->address_length) == 0)
        s->state = RDL_SIM_LISTENS;
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
    struct rdl_sim_socket probe = {.state = RDL_SIM_UNUSED}, *s;

    rdl_sim_look_again(&probe, fd);
    if (probe.state == RDL_SIM_LISTENS && is_at(&probe, client))
        (void)rdl_sim_adopt(client->world, fd, entry, &s);
}

/* One of those that listen where client wants to go, or NULL. */
static struct rdl_sim_socket *find_listener(struct rdl_sim_socket *client)
{
    struct rdl_sim_world *world = client->world;
    struct rdl_sim_socket *found = NULL;
    unsigned among = 0;

    rdl_fd_each_own(look_at, client);
    for (struct rdl_sim_socket *s = world->sockets; s; s = s->next)
        if (s->state == RDL_SIM_LISTENS && s->open && is_at(s, client) &&
            rdl_sim_below(world, ++among) == 0)
            found = s;
    return found;
}

/* Connecting. */

static void join(struct rdl_sim_socket *client, struct rdl_sim_socket *server)
{
    struct rdl_sim_world *world = client->world;

    client->peer = server;
    server->peer = client;
    client->refs++;
    server->refs++;
    client->state = server->state = RDL_SIM_CONNECTED;
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
        server = listener ? rdl_sim_socket_create(world) : NULL;
        lost = listener && !server; /* no memory: as if it had been lost */
    }
    if (lost && client->tries < SYN_TRIES) {
        rdl_sim_at(world, chore, world->now_ns + (SYN_NS << client->tries++));
        return;
    }
    if (!server) {
        client->error = lost ? ETIMEDOUT : ECONNREFUSED;
        rdl_sim_changed(client);
        return;
    }
    server->open = true;
    join(client, server);
    if (listener->last)
        listener->last->behind = server;
    else
        listener->first = server;
    listener->last = server;
    rdl_sim_changed(listener);
    rdl_sim_changed(client);
}

ssize_t rdl_sim_attempt_connect(struct rdl_sim_socket *s, struct rdl_op *op)
{
    ssize_t error = -s->error;

    if (!op->connecting) {
        if (s->state == RDL_SIM_CONNECTS)
            return -EALREADY;
        if (s->state != RDL_SIM_UNUSED)
            return -EISCONN;
        if (op->size.length > sizeof(s->address) || op->size.length < sizeof(sa_family_t))
            return -EINVAL;
        memset(&s->address, 0, sizeof(s->address));
        memcpy(&s->address, op->at.peer, op->size.length);
        s->address_length = op->size.length;
        s->state = RDL_SIM_CONNECTS;
        s->tries = 0;
        op->connecting = true;
        s->request.call = request;
        rdl_sim_at(s->world, &s->request, s->world->now_ns + rdl_sim_latency(s->world));
        return RDL_OP_WAIT;
    }
    if (s->state == RDL_SIM_CONNECTED)
        return 0;
    if (!error)
        return RDL_OP_WAIT;
    s->error = 0;
    s->state = RDL_SIM_UNUSED;
    return error;
}

/* Accepting. */

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

ssize_t rdl_sim_attempt_accept(struct rdl_sim_socket *s, struct rdl_op *op)
{
    struct rdl_sim_socket *server = s->first;
    struct rdl_fd *entry;
    int fd, rc;

    if (s->state != RDL_SIM_LISTENS)
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
