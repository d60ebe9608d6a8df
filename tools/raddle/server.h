/*
 * raddle/server.h - what the connections of `raddle serve` share.
 */
#ifndef RDL_TOOLS_SERVER_H
#define RDL_TOOLS_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <raddle.h>

#include "sched/atomic.h"

struct rdl_conn;

struct rdl_server {
    const char *driver;
    unsigned loops;
    int64_t idle_ns; /* how long a connection may do nothing; RADDLE_NEVER */
    raddle_time started;

    rdl_atomic(bool) stopping;
    rdl_atomic(uint64_t) connections; /* since the start */
    rdl_atomic(uint64_t) open;
    rdl_atomic(uint64_t) requests;
    rdl_atomic(uint64_t) refused; /* answers to what was no proper request */

    pthread_mutex_t idle_lock; /* the list, and the scopes of those on it */
    struct rdl_conn *idle_first;
};

/* Handlers for raddle_serve(), whose context is a struct rdl_server. */
int rdl_serve_echo(void *arg);
int rdl_serve_http(void *arg);

/* No new work: connections that do nothing end, the others end with what they are doing. */
void rdl_server_stop(struct rdl_server *server);

/* The figures of /stats, as JSON. Inside a task. Returns the length, or -1 if size is too small. */
int64_t rdl_server_stats(struct rdl_server *server, char *buffer, size_t size);

#endif
