/*
 * tests/fault/scenarios_sim.c - a simulated run, for the sweep: its world, its loops' stacks, its network, its jobs.
 */
#define _GNU_SOURCE
#include "tests/fault/scenarios.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <raddle.h>
#include <string.h>
#include <unistd.h>

enum { BYTES = 3000 };

struct meeting {
    struct sockaddr_in at;
    int listener;
};

static int doubles(void *arg)
{
    *(int *)arg *= 2;
    return 5;
}

static int has_a_job(void)
{
    int number = 21, result = 0;
    int rc = raddle_run_in_executor(NULL, doubles, &number, &result);

    if (rc < 0)
        return rc;
    return number == 42 && result == 5 ? 0 : FAULT_WRONG;
}

static int sends(int fd)
{
    char bytes[BYTES];
    size_t sent = 0;

    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = fault_byte(i);
    while (sent < BYTES) {
        ssize_t n = raddle_fd_send(fd, bytes + sent, BYTES - sent, 0);
        if (n < 0)
            return (int)n;
        sent += (size_t)n;
    }
    return 0;
}

static int receives(int fd)
{
    char bytes[500];
    size_t got = 0;
    ssize_t n;

    while ((n = raddle_fd_recv(fd, bytes, sizeof(bytes), 0)) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (bytes[i] != fault_byte(got++))
                return FAULT_WRONG;
    if (n == 0 && got < BYTES)
        return -ECONNRESET;
    return (int)n;
}

static int calls(void *arg)
{
    struct meeting *m = arg;
    int fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0), rc;

    if (fd < 0)
        return fd;
    rc = raddle_fd_connect(fd, (const void *)&m->at, sizeof(m->at));
    if (rc == 0)
        rc = sends(fd);
    return fault_first(rc, raddle_fd_close(fd));
}

static int meets(struct meeting *m)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL), fd;

    if (rc < 0)
        return rc;
    rc = raddle_spawn(&g, NULL, calls, m, NULL);
    if (rc == 0) {
        rc = fd = raddle_fd_accept(m->listener, NULL, NULL);
        if (fd >= 0) {
            rc = receives(fd);
            rc = fault_first(rc, raddle_fd_close(fd));
        }
    }
    if (rc < 0)
        raddle_group_cancel(&g, "the other end has failed");
    return fault_first(rc, raddle_group_close(&g, rc == FAULT_WRONG ? 0 : rc));
}

static int lives(void *arg)
{
    struct meeting m = {.at = {.sin_family = AF_INET}};
    socklen_t length = sizeof(m.at);
    struct raddle_scope scope;
    char byte;
    int rc;

    (void)arg;
    m.at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    rc = m.listener = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    if (rc < 0)
        return rc;
    /* It is known before it listens, and is looked at again after that. */
    if (raddle_fd_recv(m.listener, &byte, 1, 0) >= 0)
        rc = FAULT_WRONG;
    if (bind(m.listener, (const void *)&m.at, sizeof(m.at)) < 0 || listen(m.listener, 4) < 0 ||
        getsockname(m.listener, (void *)&m.at, &length) < 0)
        rc = -errno;
    raddle_scope_enter(&scope, raddle_in(RADDLE_S(300)), 0);
    if (rc >= 0)
        rc = meets(&m);
    rc = raddle_scope_leave(&scope, rc);
    rc = fault_first(rc, has_a_job());
    return fault_first(rc, raddle_fd_close(m.listener));
}

static int scenario_simulated(void)
{
    return raddle_run(lives, NULL,
                      &(struct raddle_run_options){.loops = 2, .driver = "sim:seed=3"});
}

const struct fault_scenario fault_sim_scenarios[] = {
    {"simulated", scenario_simulated, false},
    {NULL, NULL, false},
};
