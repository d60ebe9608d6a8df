/*
 * tests/conformance/seeds_net.c - echoes over a network that loses, is cut and mended, and resets connections: what
 * comes back is what was sent, in its order and once, and a server that is stopped leaves nobody behind.
 */
#include "tests/conformance/seeds.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CLIENTS = 3, BYTES = 6000, CHUNK = 700 };

struct net {
    char address[64];
    struct raddle_event listening;
    raddle_task *server;
    uint32_t random;
    bool may_fail;          /* connections are reset */
    unsigned served, ended; /* handlers */
    unsigned connected, whole,
        finished; /* clients: got a connection, all of what they sent, and to their end */
};

static struct net *net_of(void)
{
    return raddle_serve_context();
}

static int echoes(void *arg)
{
    raddle_stream *stream = arg;
    struct net *net = net_of();
    char buffer[CHUNK];
    ssize_t n;

    net->served++;
    while ((n = raddle_read(stream, buffer, sizeof(buffer))) > 0) {
        n = raddle_write_all(stream, buffer, (size_t)n);
        if (n < 0)
            break;
    }
    EXPECT(n == 0 || net->may_fail || n == -ECANCELED);
    (void)raddle_stream_close(stream);
    net->ended++;
    return 0;
}

static void is_listening(const char *address, void *context)
{
    struct net *net = context;

    (void)snprintf(net->address, sizeof(net->address), "%s", address);
    raddle_event_set(&net->listening);
}

static int serves(void *arg)
{
    struct net *net = arg;
    struct raddle_serve_options options = {
        .context = net, .on_listening = is_listening, .drain_ns = RADDLE_S(1)};

    EXPECT_EQ(raddle_serve("tcp:127.0.0.1:0", echoes, &options), -ECANCELED);
    return 0;
}

/* Of what is sent: another one for each client and place. */
static char byte_of(unsigned number, size_t at)
{
    return (char)(at * 7 + at / 251 + number * 31);
}

struct client {
    struct net *net;
    unsigned number;
    raddle_stream *stream;
};

static int sends(void *arg)
{
    struct client *c = arg;
    char chunk[CHUNK];
    ssize_t n = 0;

    for (size_t at = 0; at < BYTES && n >= 0; at += CHUNK) {
        size_t bytes = BYTES - at < CHUNK ? BYTES - at : CHUNK;

        for (size_t i = 0; i < bytes; i++)
            chunk[i] = byte_of(c->number, at + i);
        n = raddle_write_all(c->stream, chunk, bytes);
    }
    if (n >= 0)
        n = raddle_shutdown_write(c->stream);
    EXPECT(n >= 0 || c->net->may_fail || n == -ECANCELED);
    return 0;
}

static size_t receives(struct client *c, ssize_t *end)
{
    char chunk[CHUNK];
    size_t at = 0;
    bool same = true;
    ssize_t n;

    while ((n = raddle_read(c->stream, chunk, sizeof(chunk))) > 0)
        for (ssize_t i = 0; i < n; i++)
            same &= chunk[i] == byte_of(c->number, at++);
    EXPECT(same && at <= BYTES);
    *end = n;
    return at;
}

static int is_client(void *arg)
{
    struct client *c = arg;
    struct net *net = c->net;
    struct raddle_group g;
    ssize_t end;
    size_t got;
    int rc = raddle_connect(net->address, &c->stream);

    net->finished++;
    if (rc < 0) {
        EXPECT(net->may_fail || rc == -ECANCELED);
        return 0;
    }
    net->connected++;
    seeds_open(&g);
    seeds_spawn(&g, NULL, sends, c, &net->random);
    got = receives(c, &end);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    (void)raddle_stream_close(c->stream);
    net->whole += got == BYTES;
    EXPECT(net->may_fail || (end == 0 && got == BYTES));
    return 0;
}

/* Cuts the network for a while, a few times. */
static void disturb(uint32_t *random)
{
    for (unsigned i = seeds_below(random, 3); i; i--) {
        EXPECT_EQ(raddle_sleep((int64_t)seeds_below(random, 4) * RADDLE_MS(1)), 0);
        EXPECT_EQ(raddle_sim_cut_network(true), 0);
        EXPECT_EQ(raddle_sleep((int64_t)seeds_below(random, 50) * RADDLE_MS(10)), 0);
        EXPECT_EQ(raddle_sim_cut_network(false), 0);
    }
}

static int echo(uint32_t *random, bool may_fail)
{
    struct net net = {.may_fail = may_fail, .random = test_random(random)};
    struct client clients[CLIENTS];
    struct raddle_group server, g;

    seeds_open(&server);
    seeds_spawn(&server, &net.server, serves, &net, random);
    EXPECT_EQ(raddle_event_wait(&net.listening), 0);
    seeds_open(&g);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.net = &net, .number = i};
        seeds_spawn(&g, NULL, is_client, &clients[i], random);
    }
    disturb(random);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_task_cancel(net.server, "enough"), 0);
    EXPECT_EQ(raddle_group_close(&server, 0), 0);
    raddle_task_unref(net.server);
    EXPECT_EQ(net.finished, CLIENTS);
    EXPECT_EQ(net.served, net.ended);
    EXPECT(may_fail || net.whole == CLIENTS);
    return 0;
}

int seeds_echo(void *random)
{
    return echo(random, false);
}

int seeds_broken_echo(void *random)
{
    return echo(random, true);
}
