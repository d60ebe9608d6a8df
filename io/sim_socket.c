/*
 * io/sim_socket.c - a socket of a simulated world: from its making to its close, what comes to it.
 *
 * What is sent is cut into segments, each of which arrives after a drawn time, those of one direction in their
 * order; so between connections the order is anybody's. One that is lost is sent again, and comes late, with
 * all that comes after it. A cut network loses everything until it is mended.
 */
#include "io/sim_socket.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/sys.h"

#define AGAIN_NS ((int64_t)200 * 1000 * 1000) /* until what was lost is sent again */

/* Those who wait. */

void rdl_sim_changed(struct rdl_sim_socket *s)
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

/* Letting go. */

static void drop_input(struct rdl_sim_socket *s)
{
    struct rdl_sim_segment *next;

    for (struct rdl_sim_segment *segment = s->in; segment; segment = next) {
        next = segment->next;
        rdl_sys_free(segment);
    }
    s->in = s->in_last = NULL;
    s->arrived = 0;
}

void rdl_sim_socket_unref(struct rdl_sim_socket *s)
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
    rdl_sim_socket_unref(peer);
    rdl_sim_socket_unref(s);
}

/* Segments. */

static void arrive(struct rdl_chore *chore);

int64_t rdl_sim_latency(struct rdl_sim_world *world)
{
    return rdl_sim_length(world, world->options.latency_ns / 64, world->options.latency_ns);
}

/* Its arrival, after all that was sent before it. */
static void schedule(struct rdl_sim_segment *segment, int64_t at_ns)
{
    struct rdl_sim_socket *to = segment->to;

    if (at_ns <= to->last_ns)
        at_ns = to->last_ns + 1;
    to->last_ns = at_ns;
    rdl_sim_at(to->world, &segment->chore, at_ns);
}

void rdl_sim_send(struct rdl_sim_segment *segment, struct rdl_sim_socket *from,
                  struct rdl_sim_socket *to)
{
    struct rdl_sim_world *world = from->world;
    int64_t at_ns = world->now_ns + rdl_sim_latency(world);

    segment->chore.call = arrive;
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

static void send_signal(struct rdl_sim_socket *from, struct rdl_sim_segment *signal)
{
    /* With the last loop the world has come to its end, and nobody is there to be told. */
    if (signal->chore.pending || !from->peer || !from->world->loops)
        return;
    rdl_sim_send(signal, from, from->peer);
}

static void fail(struct rdl_sim_socket *s, int error)
{
    if (!s->broken)
        s->error = error;
    rdl_sim_changed(s);
}

static void take_data(struct rdl_sim_socket *to, struct rdl_sim_segment *segment)
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
    struct rdl_sim_segment *segment = (struct rdl_sim_segment *)(void *)chore;
    struct rdl_sim_socket *from = segment->from, *to = segment->to;

    /* What was sent before it may have been lost to a cut, and comes later. */
    if (to->world->cut || segment->number != to->come + 1) {
        schedule(segment, to->world->now_ns + AGAIN_NS);
        return;
    }
    to->come = segment->number;
    to->flying -= segment->bytes;
    if (segment->kind == RDL_SIM_SEGMENT_RESET) {
        fail(to, ECONNRESET);
    } else if (segment->kind == RDL_SIM_SEGMENT_END) {
        to->ended = true;
        rdl_sim_changed(to);
    } else if (to->open && !to->broken && !to->error) {
        take_data(to, segment);
        rdl_sim_changed(to);
    } else {
        send_signal(to, &to->reset); /* nobody will read it */
        rdl_sys_free(segment);
    }
    rdl_sim_socket_unref(from);
    rdl_sim_socket_unref(to);
}

static void meet_doom(struct rdl_chore *chore)
{
    struct rdl_sim_socket *s =
        (struct rdl_sim_socket *)(void *)((char *)chore - offsetof(struct rdl_sim_socket, doom));

    fail(s, ECONNRESET);
    if (s->peer)
        fail(s->peer, ECONNRESET);
}

/* Its end. */

static int socket_shutdown(struct rdl_fd_backing *backing, int how)
{
    struct rdl_sim_socket *s = (struct rdl_sim_socket *)(void *)backing;

    if (s->state != RDL_SIM_CONNECTED || s->broken)
        return -ENOTCONN;
    if (how != SHUT_WR)
        s->deaf = true;
    if (how != SHUT_RD && !s->shut) {
        s->shut = true;
        send_signal(s, &s->end);
    }
    rdl_sim_changed(s);
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
        rdl_sim_socket_unref(server);
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
    if (s->state == RDL_SIM_LISTENS)
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
    rdl_sim_socket_unref(s);
}

/* Its making. */

struct rdl_sim_socket *rdl_sim_socket_create(struct rdl_sim_world *world)
{
    struct rdl_sim_socket *s = rdl_sys_calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->backing = (struct rdl_fd_backing){.shutdown = socket_shutdown, .closed = socket_closed};
    s->refs = 1;
    s->doom.call = meet_doom;
    s->end.kind = RDL_SIM_SEGMENT_END;
    s->reset.kind = RDL_SIM_SEGMENT_RESET;
    s->world = world;
    rdl_sim_world_ref(world);
    s->next = world->sockets;
    world->sockets = s;
    return s;
}
