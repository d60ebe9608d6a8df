/*
 * raddle/bench_idle.c - what a connection costs the server that does nothing.
 *
 *     idle.rss            resident memory of `raddle serve echo`, or of another server, per connection that is open and silent, after
 *                         one message was sent and came back
 *     idle.page_tables    of its page tables
 *     idle.fresh.rss      the same before any message
 *     idle.paged...       the same of `raddle serve echo --page-out`
 *
 * The kernel's own memory for the sockets is not in it.
 */
#include "tools/raddle/bench_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tools/raddle/cli.h"
#include "tools/raddle/process.h"

enum { MESSAGE = 64 };

enum figure { RSS, PAGE_TABLES, FRESH, FIGURES };

static const char *const names[2][FIGURES] = {
    {"idle.rss", "idle.page_tables", "idle.fresh.rss"},
    {"idle.paged.rss", "idle.paged.page_tables", "idle.paged.fresh.rss"},
};

struct idling {
    const struct rdl_bench *bench;
    const struct rdl_bench_served *served;
    uint64_t connections;
};

/* A server gives back what it needed for a message after a second of silence, and stacks a second later. */
static void wait_for_silence(void)
{
    struct timespec length = {.tv_sec = 3};

    while (nanosleep(&length, &length))
        ;
}

/* Returns a socket or -errno. */
static int open_connection(const struct sockaddr_in *server)
{
    /* So that the port is free again at once. */
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(fd, (const struct sockaddr *)server, sizeof *server) == 0)
        return fd;
    (void)close(fd);
    return -errno;
}

static int send_one(int fd)
{
    char message[MESSAGE];

    memset(message, 7, sizeof message);
    return send(fd, message, sizeof message, MSG_NOSIGNAL) == MESSAGE ? 0 : -EPIPE;
}

static int receive_one(int fd)
{
    char message[MESSAGE], wanted[MESSAGE];

    memset(wanted, 7, sizeof wanted);
    if (recv(fd, message, sizeof message, MSG_WAITALL) != MESSAGE)
        return -EPIPE;
    return memcmp(message, wanted, MESSAGE) == 0 ? 0 : -EPROTO;
}

static int for_all(const int *fds, uint64_t count, int (*step)(int fd))
{
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < count; i++)
        rc = step(fds[i]);
    return rc;
}

static int idle(void *arg, void *out)
{
    const struct idling *idling = arg;
    pid_t server = idling->served->pid;
    uint64_t count = idling->connections, opened = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int *fds = malloc(count * sizeof *fds);
    double *value = out;
    double resident, tables;
    int rc = fds ? 0 : -ENOMEM;

    rdl_bench_bind(1, true);
    rdl_raise_descriptors();
    address.sin_port = htons((uint16_t)atoi(strrchr(idling->served->address, ':') + 1));
    resident = (double)rdl_process_resident_of(server);
    tables = (double)rdl_process_page_tables_of(server);
    while (rc == 0 && opened < count) {
        fds[opened] = open_connection(&address);
        rc = fds[opened] < 0 ? fds[opened] : 0;
        opened += rc == 0;
    }
    wait_for_silence();
    value[FRESH] = ((double)rdl_process_resident_of(server) - resident) / (double)count;
    if (rc == 0)
        rc = for_all(fds, count, send_one);
    if (rc == 0)
        rc = for_all(fds, count, receive_one);
    wait_for_silence();
    value[RSS] = ((double)rdl_process_resident_of(server) - resident) / (double)count;
    value[PAGE_TABLES] = ((double)rdl_process_page_tables_of(server) - tables) / (double)count;
    /* Connections that the server has closed meanwhile would cost it nothing. */
    if (rc == 0)
        rc = for_all(fds, count, send_one);
    if (rc == 0)
        rc = for_all(fds, count, receive_one);
    for (uint64_t i = 0; i < opened; i++)
        (void)close(fds[i]);
    free(fds);
    if (rc < 0)
        return rdl_cli_error("bench idle: %llu of %llu connections: %s", (unsigned long long)opened,
                             (unsigned long long)count, raddle_strerror(rc));
    return 0;
}

/* Ours, or the one that was named. */
static int find_server(const struct rdl_bench *bench, enum rdl_bench_server kind,
                       struct rdl_bench_served *served)
{
    if (!bench->connect)
        return rdl_bench_serve(bench, kind, served);
    served->pid = bench->server_pid;
    (void)snprintf(served->address, sizeof served->address, "%s", bench->connect);
    return 0;
}

/* One server, its samples added to series. */
static int measure(const struct rdl_bench *bench, enum rdl_bench_server kind,
                   struct rdl_series *series)
{
    unsigned samples = rdl_bench_samples(bench, 3);

    for (unsigned i = 0; i < samples; i++) {
        struct rdl_bench_served served;
        struct idling idling = {bench, &served, bench->connections};
        double value[FIGURES];
        int status = find_server(bench, kind, &served);

        if (!idling.connections)
            idling.connections = bench->quick ? 1000 : 10 * 1000;
        if (status == 0)
            status = rdl_bench_in_child(idle, &idling, value, sizeof value);
        if (!bench->connect)
            rdl_bench_stop(&served);
        if (status)
            return 1;
        for (unsigned figure = 0; figure < FIGURES; figure++)
            rdl_series_add(&series[figure], value[figure], -1);
    }
    return 0;
}

int rdl_bench_idle(struct rdl_bench *bench)
{
    struct rdl_series series[2][FIGURES];
    int kinds = bench->connect ? 1 : 2;

    for (int kind = 0; kind < kinds; kind++)
        for (unsigned i = 0; i < FIGURES; i++)
            rdl_series_init(&series[kind][i], names[kind][i], "bytes", 1);
    for (int kind = 0; kind < kinds; kind++)
        if (measure(bench, kind ? RDL_SERVER_ECHO_PAGED : RDL_SERVER_ECHO, series[kind]))
            return 1;
    for (int kind = 0; kind < kinds; kind++)
        for (unsigned i = 0; i < FIGURES; i++)
            rdl_bench_print(bench, &series[kind][i]);
    return 0;
}
