/*
 * tests/fault/scenarios_net.c - servers and their clients, for the sweep.
 */
#define _GNU_SOURCE
#include "tests/fault/scenarios.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <raddle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BYTES = 300, CHUNK = 100 };

static int run(raddle_task_fn *fn, void *arg, unsigned loops)
{
    return raddle_run(fn, arg, &(struct raddle_run_options){.loops = loops});
}

/* --- a server and its clients --- */

struct site {
    struct raddle_group group;
    const char *address;
    char real[128];
    unsigned clients, max_connections;
    int rc; /* of what on_listening could not do */
    int result[4];
    unsigned next;
};

static int echoes(void *arg)
{
    raddle_stream *stream = arg;
    char buffer[CHUNK];
    ssize_t n;

    while ((n = raddle_read(stream, buffer, sizeof(buffer))) > 0)
        if ((n = raddle_write_all(stream, buffer, (size_t)n)) < 0)
            break;
    return fault_first(n, raddle_stream_close(stream));
}

static int exchanges(raddle_stream *stream)
{
    char out[CHUNK], in[CHUNK];
    size_t got = 0;
    ssize_t n;
    int rc;

    for (size_t sent = 0; sent < BYTES; sent += CHUNK) {
        for (size_t i = 0; i < CHUNK; i++)
            out[i] = fault_byte(sent + i);
        n = raddle_write_all(stream, out, CHUNK);
        if (n < 0)
            return (int)n;
        if (n != CHUNK)
            return FAULT_WRONG;
    }
    rc = raddle_shutdown_write(stream);
    if (rc < 0)
        return rc;
    while ((n = raddle_read(stream, in, sizeof(in))) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (got >= BYTES || in[i] != fault_byte(got++))
                return FAULT_WRONG;
    /* The server gave up before the end: an error of the connection, as good as a reset. */
    return n < 0 ? (int)n : got == BYTES ? 0 : -ECONNRESET;
}

static int client(void *arg)
{
    struct site *site = arg;
    unsigned me = site->next++;
    raddle_stream *stream;
    int rc = raddle_connect(site->real, &stream);

    if (rc == 0) {
        rc = exchanges(stream);
        if (rc < 0)
            raddle_stream_abort(stream);
        else
            rc = raddle_stream_close(stream);
    }
    site->result[me] = rc;
    if (--site->clients == 0)
        raddle_group_cancel(&site->group, "the clients have ended");
    return 0;
}

static void starts_clients(const char *address, void *arg)
{
    struct raddle_spawn_options here = {.name = "client", .mobility = RADDLE_PINNED};
    struct site *site = arg;
    unsigned count = site->clients;

    snprintf(site->real, sizeof(site->real), "%s", address);
    for (unsigned i = 0; i < count; i++) {
        int rc = raddle_spawn(&site->group, NULL, client, site, &here);
        if (rc < 0) {
            site->rc = rc;
            site->clients--;
        }
    }
    if (site->clients == 0)
        raddle_group_cancel(&site->group, "no client could be started");
}

static int server(void *arg)
{
    struct site *site = arg;
    struct raddle_serve_options options = {
        .context = site,
        .on_listening = starts_clients,
        .max_connections = site->max_connections,
        .drain_ns = RADDLE_MS(200),
    };

    return raddle_serve(site->address, echoes, &options);
}

static int serves(void *arg)
{
    struct site *site = arg;
    int rc = raddle_group_open(&site->group, NULL);

    if (rc < 0)
        return rc;
    rc = raddle_spawn(&site->group, NULL, server, site,
                      &(struct raddle_spawn_options){.mobility = RADDLE_PINNED});
    rc = raddle_group_close(&site->group, rc);
    for (unsigned i = 0; i < 4; i++)
        rc = fault_first(rc, site->result[i]);
    return fault_first(rc, site->rc);
}

static int scenario_tcp(void)
{
    struct site site = {.address = "tcp:127.0.0.1:0", .clients = 2};

    return run(serves, &site, 1);
}

/* --- descriptors whose entries in the library's table have yet to be made --- */

struct high {
    struct raddle_group group;
    int client; /* a plain socket with a low number */
    int fill[256];
    unsigned filled;
    int rc;
};

static int low_client(void *arg)
{
    struct high *high = arg;
    char in[CHUNK];
    size_t got = 0;
    ssize_t n;

    while ((n = raddle_fd_recv(high->client, in, sizeof(in), 0)) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (got >= CHUNK || in[i] != fault_byte(got++))
                n = FAULT_WRONG;
    if (n == 0 && got < CHUNK)
        n = -ECONNRESET;
    high->rc = fault_first(high->rc, n);
    raddle_group_cancel(&high->group, "the client has ended");
    return 0;
}

/* Connects, so that the connection waits to be accepted, and uses up the numbers below 128. */
static void connects_and_fills(const char *address, void *arg)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct high *high = arg;
    char out[CHUNK];
    int fd;

    for (size_t i = 0; i < CHUNK; i++)
        out[i] = fault_byte(i);
    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    high->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (high->client < 0 || connect(high->client, (struct sockaddr *)&to, sizeof(to)) < 0 ||
        send(high->client, out, CHUNK, MSG_NOSIGNAL) != CHUNK ||
        shutdown(high->client, SHUT_WR) < 0)
        high->rc = FAULT_WRONG;
    while (high->filled < 256 && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        high->fill[high->filled++] = fd;
        if (fd >= 127)
            break;
    }
    high->rc = fault_first(high->rc, raddle_spawn(&high->group, NULL, low_client, high, NULL));
    if (high->rc < 0)
        raddle_group_cancel(&high->group, "the client could not be started");
}

static int high_server(void *arg)
{
    struct raddle_serve_options options = {.context = arg, .on_listening = connects_and_fills};

    return raddle_serve("tcp:127.0.0.1:0", echoes, &options);
}

static int serves_high(void *arg)
{
    struct high *high = arg;
    int rc = raddle_group_open(&high->group, NULL);

    if (rc < 0)
        return rc;
    rc = raddle_spawn(&high->group, NULL, high_server, high, NULL);
    rc = raddle_group_close(&high->group, rc);
    if (high->client >= 0)
        rc = fault_first(rc, raddle_fd_close(high->client));
    return fault_first(rc, high->rc);
}

static int scenario_high(void)
{
    struct high high = {.client = -1};
    int rc = run(serves_high, &high, 1);

    while (high.filled)
        close(high.fill[--high.filled]);
    return rc;
}

static int scenario_crowded(void)
{
    struct site site = {.address = "tcp:127.0.0.1:0", .clients = 3, .max_connections = 1};

    return run(serves, &site, 1);
}

static int scenario_team_tcp(void)
{
    struct site site = {.address = "tcp:127.0.0.1:0", .clients = 3};

    return run(serves, &site, 2);
}

/* Once for all addresses, of both families where there are both. */
static int scenario_everywhere(void)
{
    struct site site = {.address = "tcp:*:0"};

    return run(serves, &site, 2);
}

static int scenario_unix(void)
{
    struct site site = {.address = "unix:" FAULT_SOCKET, .clients = 2};
    int rc = run(serves, &site, 2);

    unlink(FAULT_SOCKET); /* left when it could not be looked at */
    return rc;
}

/* Where a server has died and left its file. */
static int scenario_stale(void)
{
    struct sockaddr_un dead = {.sun_family = AF_UNIX};
    struct site site = {.address = "unix:" FAULT_SOCKET, .clients = 1};
    int fd, rc;

    strcpy(dead.sun_path, FAULT_SOCKET);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&dead, sizeof(dead)) < 0)
        return FAULT_WRONG;
    close(fd);
    rc = run(serves, &site, 1);
    unlink(dead.sun_path);
    return rc;
}

static int is_refused(void *arg)
{
    raddle_stream *stream;
    int rc = raddle_connect(arg, &stream);

    if (rc == -ECONNREFUSED)
        return 0;
    if (rc == 0) {
        /* A call that was made to say so; the stream is none, and says so when it is used. */
        rc = (int)raddle_write_all(stream, "x", 1);
        raddle_stream_abort(stream);
        return rc < 0 ? rc : FAULT_WRONG;
    }
    return rc;
}

static int scenario_refused(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(here);
    char address[64];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    /* Bound, and nobody listens: so nobody else can either. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, length) < 0 ||
        getsockname(fd, (struct sockaddr *)&here, &length) < 0)
        return FAULT_WRONG;
    snprintf(address, sizeof(address), "tcp:127.0.0.1:%d", ntohs(here.sin_port));
    rc = run(is_refused, address, 1);
    close(fd);
    return rc;
}

const struct fault_scenario fault_net_scenarios[] = {
    {"tcp", scenario_tcp, false},
    {"high", scenario_high, false},
    {"crowded", scenario_crowded, false},
    {"team_tcp", scenario_team_tcp, false},
    {"everywhere", scenario_everywhere, false},
    {"unix", scenario_unix, false},
    {"stale", scenario_stale, false},
    {"refused", scenario_refused, false},
    {NULL, NULL, false},
};
