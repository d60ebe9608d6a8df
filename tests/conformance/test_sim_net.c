/*
 * tests/conformance/test_sim_net.c - the simulated network: whatever it does to what is sent, the bytes of a connection
 * arrive in their order or the connection fails, and the same seed does the same again.
 */
#define _GNU_SOURCE
#include "tests/conformance/sim_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(sim_net, .timeout = 120);

enum { CLIENTS = 3, ADDRESS = 128, THROUGH = 200 };

static char byte_at(unsigned who, size_t i)
{
    return (char)(who * 31 + i * 7 + i / 251);
}

/* An echo server and its clients. */

struct place {
    const char *listen; /* NULL: TCP */
    char address[ADDRESS];
    struct raddle_event up;
    unsigned good, failed; /* clients */
    bool may_fail;
    size_t bytes; /* that each client sends */
};

static void is_up(const char *address, void *context)
{
    struct place *p = context;

    snprintf(p->address, sizeof(p->address), "%s", address);
    raddle_event_set(&p->up);
}

static int echoes(void *arg)
{
    raddle_stream *s = arg;
    char buffer[700];
    ssize_t n;

    while ((n = raddle_read(s, buffer, sizeof(buffer))) > 0)
        if (raddle_write_all(s, buffer, (size_t)n) < 0)
            break;
    raddle_stream_close(s);
    return 0;
}

static int serves(void *arg)
{
    struct place *p = arg;
    struct raddle_serve_options o = {.on_listening = is_up, .context = p};

    return raddle_serve(p->listen ? p->listen : "tcp:127.0.0.1:0", echoes, &o);
}

struct client {
    struct place *place;
    unsigned number;
    raddle_stream *stream;
};

static int sends(void *arg)
{
    struct client *c = arg;
    char buffer[1500];
    size_t sent = 0;

    while (sent < c->place->bytes) {
        size_t n =
            c->place->bytes - sent < sizeof(buffer) ? c->place->bytes - sent : sizeof(buffer);
        ssize_t rc;

        for (size_t i = 0; i < n; i++)
            buffer[i] = byte_at(c->number, sent + i);
        rc = raddle_write_all(c->stream, buffer, n);
        if (rc < 0)
            return (int)rc;
        sent += n;
    }
    return raddle_shutdown_write(c->stream);
}

/* Reads it all back. */
static int checks(struct client *c)
{
    char buffer[900];
    size_t got = 0;
    ssize_t n;

    while ((n = raddle_read(c->stream, buffer, sizeof(buffer))) > 0)
        for (ssize_t i = 0; i < n; i++, got++)
            EXPECT_EQ(buffer[i], byte_at(c->number, got));
    if (n == 0 && got < c->place->bytes)
        return -EPIPE;
    EXPECT(n < 0 || got == c->place->bytes);
    return (int)n;
}

static int is_client(void *arg)
{
    struct client *c = arg;
    struct raddle_group g;
    int rc = raddle_connect(c->place->address, &c->stream);

    if (rc == 0) {
        rc = raddle_group_open(&g, NULL);
        if (rc == 0)
            rc = raddle_spawn(&g, NULL, sends, c, NULL);
        if (rc == 0)
            rc = checks(c);
        rc = raddle_group_close(&g, rc);
        raddle_stream_close(c->stream);
    }
    if (rc == 0)
        c->place->good++;
    else
        c->place->failed++;
    if (rc == -ECONNRESET || rc == -EPIPE)
        return c->place->may_fail ? 0 : rc;
    return rc;
}

static int has_clients(struct place *p)
{
    struct client clients[CLIENTS];
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    for (unsigned i = 0; i < CLIENTS && rc == 0; i++) {
        clients[i] = (struct client){p, i, NULL};
        rc = raddle_spawn(&g, NULL, is_client, &clients[i], NULL);
    }
    return raddle_group_close(&g, rc);
}

/* fn(place) beside a server. */
static int beside_a_server(struct place *p, int (*fn)(struct place *p))
{
    struct raddle_group g;
    raddle_task *server = NULL;
    int rc;

    p->up = (struct raddle_event){0};
    rc = raddle_group_open(&g, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, &server, serves, p, NULL);
    if (rc == 0)
        rc = raddle_event_wait(&p->up);
    if (rc == 0)
        rc = fn(p);
    if (server) {
        (void)raddle_task_cancel(server, "the test is over");
        raddle_task_unref(server);
    }
    return raddle_group_close(&g, rc);
}

static int echo_world(void *arg)
{
    struct place *totals = arg, p = *totals;
    int rc;

    p.good = p.failed = 0;
    rc = beside_a_server(&p, has_clients);

    totals->good += p.good;
    totals->failed += p.failed;
    return rc;
}

/* AB5 */
RuntimeTest(sim_net, through_many_seeds_every_byte_arrives_in_its_order)
{
    struct place p = {.bytes = 5000};

    cr_assert_eq(through_seeds(THROUGH, "", echo_world, &p), 0);
    cr_assert(p.good > 0 && p.failed == 0);
}

RuntimeTest(sim_net, through_many_seeds_losses_make_it_late_and_lose_nothing)
{
    struct place p = {.bytes = 3000};

    cr_assert_eq(through_seeds(THROUGH, "loss=20,short=60", echo_world, &p), 0);
    cr_assert(p.good > 0 && p.failed == 0);
}

/* AB5 */
RuntimeTest(sim_net, through_many_seeds_resets_fail_connections_and_nothing_else)
{
    struct place p = {.bytes = 60000, .may_fail = true};

    cr_assert_eq(through_seeds(THROUGH, "reset=60,latency=20ms", echo_world, &p), 0);
    cr_assert(p.good > 0 && p.failed > 0, "%u good, %u failed", p.good, p.failed);
}

/* The same again. */

struct arrivals {
    char address[ADDRESS];
    unsigned order[6], count;
    uint64_t trace;
};

struct arrival {
    struct arrivals *all;
    unsigned number;
};

static int calls(void *arg)
{
    struct arrival *a = arg;
    raddle_stream *s;
    char byte = (char)a->number;
    int rc = raddle_connect(a->all->address, &s);

    if (rc < 0)
        return rc;
    rc = (int)raddle_write_all(s, &byte, 1);
    if (rc == 1)
        rc = (int)raddle_read(s, &byte, 1); /* the other end's close */
    raddle_stream_close(s);
    return rc;
}

static int listening_socket(int family, struct sockaddr_in *at)
{
    socklen_t length = sizeof(*at);
    int fd = raddle_fd_socket(family, SOCK_STREAM, 0);

    memset(at, 0, sizeof(*at));
    at->sin_family = AF_INET;
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT(fd >= 0);
    EXPECT_EQ(bind(fd, (const void *)at, sizeof(*at)), 0);
    EXPECT_EQ(listen(fd, 16), 0);
    EXPECT_EQ(getsockname(fd, (void *)at, &length), 0);
    return fd;
}

static int takes_calls(void *arg)
{
    struct arrivals *all = arg;
    struct arrival callers[6];
    struct sockaddr_in at, from;
    struct raddle_group g;
    int listener = listening_socket(AF_INET, &at), rc;

    memset(all, 0, sizeof(*all));
    snprintf(all->address, sizeof(all->address), "tcp:127.0.0.1:%u", ntohs(at.sin_port));
    rc = raddle_group_open(&g, NULL);
    for (unsigned i = 0; i < 6 && rc == 0; i++) {
        callers[i] = (struct arrival){all, i};
        rc = raddle_spawn(&g, NULL, calls, &callers[i], NULL);
    }
    while (rc == 0 && all->count < 6) {
        socklen_t length = sizeof(from);
        int fd = raddle_fd_accept(listener, (void *)&from, &length);
        char byte = 99;

        EXPECT(fd >= 0);
        EXPECT_EQ(length, sizeof(from));
        EXPECT_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        EXPECT(from.sin_port != 0);
        EXPECT_EQ(raddle_fd_recv(fd, &byte, 1, 0), 1);
        all->order[all->count++] = (unsigned)byte;
        EXPECT_EQ(raddle_fd_close(fd), 0);
    }
    rc = raddle_group_close(&g, rc);
    EXPECT_EQ(raddle_fd_close(listener), 0);
    EXPECT_EQ(raddle_sim_trace(&all->trace), 0);
    return rc;
}

static bool same_order(const struct arrivals *a, const struct arrivals *b)
{
    return a->count == b->count && memcmp(a->order, b->order, sizeof(a->order)) == 0;
}

RuntimeTest(sim_net, connections_overtake_each_other_as_the_seed_will_have_it)
{
    enum { SEEDS = 40 };
    struct arrivals first[SEEDS], again;
    unsigned different = 0;

    for (unsigned i = 0; i < SEEDS; i++)
        cr_assert_eq(run_world(i, "", 1 + i % 3, takes_calls, &first[i]), 0);
    for (unsigned i = SEEDS; i-- > 0;) {
        cr_assert_eq(run_world(i, "", 1 + i % 3, takes_calls, &again), 0);
        cr_assert(same_order(&again, &first[i]), "seed %u", i);
        cr_assert_eq(again.trace, first[i].trace, "seed %u", i);
        different += i && !same_order(&first[i], &first[i - 1]);
    }
    cr_assert_gt(different, SEEDS / 2);
}

/* What goes wrong. */

static int calls_nobody(void *arg)
{
    struct sockaddr_in at;
    int listener = listening_socket(AF_INET, &at), fd, rc;
    raddle_stream *s = NULL;
    char address[ADDRESS];

    (void)arg;
    snprintf(address, sizeof(address), "tcp:127.0.0.1:%u", ntohs(at.sin_port));
    EXPECT_EQ(raddle_connect(address, &s), 0);
    EXPECT_EQ(raddle_fd_close(listener), 0); /* without having accepted it */
    EXPECT_EQ(raddle_read(s, address, 1), -ECONNRESET);
    EXPECT_EQ(raddle_read(s, address, 1), 0);
    EXPECT_EQ(raddle_write_all(s, address, 1), -EPIPE);
    raddle_stream_close(s);
    fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(raddle_fd_recv(fd, address, 1, 0), -ENOTCONN);
    EXPECT_EQ(raddle_fd_send(fd, address, 1, 0), -EPIPE);
    EXPECT_EQ(raddle_fd_accept(fd, NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_fd_poll(fd, POLLIN), POLLHUP);
    rc = raddle_fd_connect(fd, (const void *)&at, sizeof(at));
    EXPECT_EQ(rc, -ECONNREFUSED);
    EXPECT_EQ(raddle_fd_connect(fd, (const void *)&at, 1), -EINVAL);
    EXPECT_EQ(raddle_fd_close(fd), 0);
    fd = raddle_fd_socket(AF_INET, SOCK_DGRAM, 0);
    EXPECT_EQ(raddle_fd_recv(fd, address, 1, 0), -ENOTSUP);
    EXPECT_EQ(raddle_fd_close(fd), 0);
    return 0;
}

RuntimeTest(sim_net, who_calls_nobody_is_refused_and_who_was_not_accepted_is_reset)
{
    cr_assert_eq(run_world(1, "", 1, calls_nobody, NULL), 0);
    cr_assert_eq(run_world(2, "", 3, calls_nobody, NULL), 0);
}

/* Both ends of a connection. */
static int make_pair(int ends[2])
{
    struct sockaddr_in at;
    int listener = listening_socket(AF_INET, &at), rc;

    ends[0] = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    rc = raddle_fd_connect(ends[0], (const void *)&at, sizeof(at));
    EXPECT_EQ(rc, 0);
    EXPECT_EQ(raddle_fd_connect(ends[0], (const void *)&at, sizeof(at)), -EISCONN);
    ends[1] = raddle_fd_accept(listener, NULL, NULL);
    EXPECT(ends[1] >= 0);
    EXPECT_EQ(raddle_fd_close(listener), 0);
    return rc;
}

static ssize_t recv_within(int fd, void *buffer, size_t bytes, int64_t length_ns)
{
    struct raddle_scope scope;
    ssize_t n;

    raddle_scope_enter(&scope, raddle_in(length_ns), 0);
    n = raddle_fd_recv(fd, buffer, bytes, 0);
    return raddle_scope_leave(&scope, (int)n);
}

static int is_cut(void *arg)
{
    struct sockaddr_in at;
    char text[8] = "";
    raddle_time begin;
    int ends[2], fd, rc = make_pair(ends);

    (void)arg;
    if (rc < 0)
        return rc;
    EXPECT_EQ(raddle_sim_cut_network(true), 0);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(raddle_fd_send(ends[0], &"word"[i], 1, 0), 1);
    EXPECT_EQ(recv_within(ends[1], text, 4, RADDLE_S(3)), -ETIMEDOUT);
    /* Nobody is called through a cut network, until the caller gives up. */
    fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    memset(&at, 0, sizeof(at));
    at.sin_family = AF_INET;
    at.sin_port = htons(1);
    begin = raddle_now();
    EXPECT_EQ(raddle_fd_connect(fd, (const void *)&at, sizeof(at)), -ETIMEDOUT);
    EXPECT_IN(raddle_now() - begin, RADDLE_S(100), RADDLE_S(200));
    EXPECT_EQ(raddle_fd_close(fd), 0);
    EXPECT_EQ(raddle_sim_cut_network(false), 0);
    EXPECT_EQ(raddle_fd_recv(ends[1], text, 4, MSG_WAITALL), 4);
    EXPECT_STR(text, "word");
    EXPECT_EQ(raddle_fd_close(ends[0]), 0);
    EXPECT_EQ(raddle_fd_recv(ends[1], text, 4, 0), 0);
    EXPECT_EQ(raddle_fd_close(ends[1]), 0);
    return 0;
}

RuntimeTest(sim_net, through_a_cut_network_nothing_comes_and_after_it_all_that_was_sent)
{
    for (uint64_t seed = 0; seed < 20; seed++)
        cr_assert_eq(run_world(seed, "", 1 + (unsigned)seed % 3, is_cut, NULL), 0);
    cr_assert_eq(raddle_sim_cut_network(true), -EPERM);
}

static int cannot_cut(void *arg)
{
    (void)arg;
    return raddle_sim_cut_network(true);
}

RuntimeTest(sim_net, a_real_network_is_not_cut)
{
    struct raddle_run_options o = {.loops = 1, .driver = "epoll"};

    cr_assert_eq(raddle_run(cannot_cut, NULL, &o), -ENOTSUP);
}

/* Ends. */

static int fills_up(void *arg)
{
    char text[16] = "";
    struct raddle_scope scope;
    int ends[2], rc = make_pair(ends);
    unsigned sent = 0;

    (void)arg;
    if (rc < 0)
        return rc;
    EXPECT_EQ(raddle_fd_poll(ends[1], POLLIN | POLLOUT), POLLOUT);
    EXPECT_EQ(raddle_fd_recv(ends[1], text, 1, MSG_DONTWAIT), -EAGAIN);
    EXPECT_EQ(raddle_fd_send(ends[0], "whole", 5, 0), 5);
    EXPECT_EQ(raddle_fd_poll(ends[1], POLLIN), POLLIN);
    EXPECT_EQ(raddle_fd_recv(ends[1], text, sizeof(text), MSG_PEEK), 5);
    EXPECT_EQ(raddle_fd_recv(ends[1], text, sizeof(text), 0), 5);
    EXPECT_STR(text, "whole");

    /* As much as there is room for, and not more. */
    raddle_scope_enter(&scope, raddle_in(RADDLE_S(1)), 0);
    while ((rc = (int)raddle_fd_send(ends[0], text, sizeof(text), 0)) > 0)
        sent += (unsigned)rc;
    EXPECT_EQ(raddle_scope_leave(&scope, rc), -ETIMEDOUT);
    EXPECT(sent >= 2048);
    /* Which there is again when something was read. */
    raddle_scope_enter(&scope, raddle_in(RADDLE_S(1)), 0);
    rc = raddle_fd_poll(ends[0], POLLOUT);
    EXPECT_EQ(raddle_scope_leave(&scope, rc), -ETIMEDOUT);
    EXPECT_EQ(raddle_fd_recv(ends[1], text, sizeof(text), MSG_WAITALL), sizeof(text));
    EXPECT_EQ(raddle_fd_poll(ends[0], POLLOUT), POLLOUT);
    EXPECT_EQ(raddle_fd_close(ends[0]), 0);
    EXPECT_EQ(raddle_fd_close(ends[1]), 0);
    return 0;
}

static int half_closed(void *arg)
{
    char text[16] = "";
    raddle_stream *client, *server;
    int ends[2], rc = make_pair(ends);

    (void)arg;
    if (rc < 0)
        return rc;
    EXPECT_EQ(raddle_stream_from_fd(ends[0], &client), 0);
    EXPECT_EQ(raddle_stream_from_fd(ends[1], &server), 0);
    EXPECT_EQ(raddle_write_all(client, "ask", 3), 3);
    EXPECT_EQ(raddle_shutdown_write(client), 0);
    EXPECT_EQ(raddle_write_all(client, "more", 4), -EPIPE);
    EXPECT_EQ(raddle_read(server, text, sizeof(text)), 3);
    EXPECT_EQ(raddle_read(server, text, sizeof(text)), 0);
    EXPECT_EQ(raddle_fd_poll(ends[1], POLLRDHUP), POLLRDHUP);
    EXPECT_EQ(raddle_write_all(server, "answer", 6), 6);
    EXPECT_EQ(raddle_read(client, text, sizeof(text)), 6);
    EXPECT_STR(text, "answer");
    raddle_stream_close(server);
    EXPECT_EQ(raddle_read(client, text, sizeof(text)), 0);
    raddle_stream_close(client);
    return 0;
}

static int writes_to_the_dead(void *arg)
{
    raddle_stream *client, *server;
    char text[16] = "";
    int ends[2], rc = make_pair(ends);
    ssize_t n;

    (void)arg;
    if (rc < 0)
        return rc;
    EXPECT_EQ(raddle_stream_from_fd(ends[0], &client), 0);
    EXPECT_EQ(raddle_stream_from_fd(ends[1], &server), 0);
    raddle_stream_close(server);
    do {
        n = raddle_write_all(client, text, sizeof(text));
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    } while (n > 0);
    EXPECT(n == -ECONNRESET || n == -EPIPE);
    raddle_stream_close(client);

    /* Aborted, and closed with something unread. */
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQ(make_pair(ends), 0);
        EXPECT_EQ(raddle_stream_from_fd(ends[0], &client), 0);
        EXPECT_EQ(raddle_stream_from_fd(ends[1], &server), 0);
        if (i == 0) {
            raddle_stream_abort(server);
        } else {
            EXPECT_EQ(raddle_write_all(client, "unread", 6), 6);
            EXPECT_EQ(raddle_sleep(RADDLE_S(1)), 0);
            raddle_stream_close(server);
        }
        EXPECT_EQ(raddle_read(client, text, sizeof(text)), -ECONNRESET);
        raddle_stream_close(client);
    }
    return 0;
}

RuntimeTest(sim_net, a_connection_ends_at_one_side_and_then_the_other_or_all_at_once)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        cr_assert_eq(run_world(seed, "short=0", 1 + (unsigned)seed % 3, half_closed, NULL), 0);
        cr_assert_eq(run_world(seed, "short=0", 1 + (unsigned)seed % 3, fills_up, NULL), 0);
        cr_assert_eq(
            run_world(seed, "short=0,loss=10", 1 + (unsigned)seed % 3, writes_to_the_dead, NULL),
            0);
    }
}

/* An accept that is cancelled while somebody connects loses nobody. */

struct door {
    int listener;
    struct sockaddr_in at;
    unsigned met, missed; /* over all seeds: the first accept did, or didn't */
};

static int knocks(void *arg)
{
    struct door *d = arg;
    char byte;
    int fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    int rc = raddle_fd_connect(fd, (const void *)&d->at, sizeof(d->at));

    EXPECT_EQ(rc, 0);
    EXPECT_EQ(raddle_fd_recv(fd, &byte, 1, 0), 0);
    EXPECT_EQ(raddle_fd_close(fd), 0);
    return rc;
}

static int opens_late_or_not(void *arg)
{
    struct door *totals = arg, d;
    struct raddle_scope scope;
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL), fd;

    if (rc < 0)
        return rc;
    d.listener = listening_socket(AF_INET, &d.at);
    rc = raddle_spawn(&g, NULL, knocks, &d, NULL);
    raddle_scope_enter(&scope, raddle_in(RADDLE_US(100)), 0);
    fd = raddle_fd_accept(d.listener, NULL, NULL);
    (void)!raddle_scope_leave(&scope, 0);
    EXPECT(fd >= 0 || fd == -ECANCELED);
    if (fd >= 0)
        totals->met++;
    else
        totals->missed++;
    if (fd < 0)
        fd = raddle_fd_accept(d.listener, NULL, NULL);
    EXPECT(fd >= 0);
    EXPECT_EQ(raddle_fd_close(fd), 0);
    rc = raddle_group_close(&g, rc);
    EXPECT_EQ(raddle_fd_close(d.listener), 0);
    return rc;
}

RuntimeTest(sim_net, through_many_seeds_an_accept_that_is_cancelled_loses_no_connection)
{
    struct door totals = {.listener = -1};

    cr_assert_eq(through_seeds(THROUGH, "", opens_late_or_not, &totals), 0);
    cr_assert(totals.met > 0 && totals.missed > 0, "%u %u", totals.met, totals.missed);
}

RuntimeTest(sim_net, unix_sockets_are_simulated_as_well)
{
    struct place p = {.bytes = 2000, .listen = "unix:@raddle-sim-net"};

    cr_assert_eq(run_world(1, "", 1, echo_world, &p), 0);
    cr_assert_eq(run_world(2, "", 3, echo_world, &p), 0);
    cr_assert_eq(p.good, 2 * CLIENTS);
}
