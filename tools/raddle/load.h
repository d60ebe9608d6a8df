/*
 * raddle/load.h - what the clients of `raddle load` share: one task per connection, one exchange
 * after the other.
 */
#ifndef RDL_TOOLS_LOAD_H
#define RDL_TOOLS_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <raddle.h>

#include "tools/histogram.h"
#include "tools/raddle/run_options.h"

enum rdl_load_error {
    RDL_LOAD_CONNECT,  /* no connection */
    RDL_LOAD_READ,     /* a read failed */
    RDL_LOAD_WRITE,    /* a write failed */
    RDL_LOAD_CLOSED,   /* the server closed the connection instead of answering */
    RDL_LOAD_TIMEOUT,  /* no answer in time */
    RDL_LOAD_STATUS,   /* an answer whose status is not 2xx */
    RDL_LOAD_PROTOCOL, /* an answer that can't be understood */
    RDL_LOAD_MISMATCH, /* an echo of something else */
    RDL_LOAD_ERRORS
};

/* What the tasks on one loop have counted: nobody else writes to it. */
struct rdl_load_part {
    _Alignas(64) struct rdl_histogram *latency;
    uint64_t requests; /* answered within the measured time */
    uint64_t bytes;    /* received meanwhile */
    uint64_t not_started;
    uint64_t errors[RDL_LOAD_ERRORS];
};

struct rdl_client;

/* How a protocol does it. All are called inside the connection's task. */
struct rdl_load_protocol {
    const char *name;
    size_t client_bytes; /* of what embeds struct rdl_client as its first member, zeroed */
    int (*init)(struct rdl_client *client); /* 0 or -errno */
    void (*connected)(struct rdl_client *client);
    /* Sends a batch of requests, and calls rdl_client_answered() for each answer. Returns 0; 1: all
     * answered, but a new connection is needed; -errno after rdl_client_failed(). */
    int (*exchange)(struct rdl_client *client);
    void (*fini)(struct rdl_client *client);
};

extern const struct rdl_load_protocol rdl_load_echo, rdl_load_http;

struct rdl_load {
    struct rdl_run_options run;
    const struct rdl_load_protocol *protocol;
    const char *url;     /* or NULL */
    const char *connect; /* or NULL: from the url */
    char address[128];
    char host[256]; /* for Host */
    const char *path;
    uint64_t connections;
    int64_t duration_ns, warmup_ns, timeout_ns;
    double rate; /* requests per second on all connections; 0: closed loop */
    unsigned pipeline;
    size_t size;
    pid_t server_pid; /* 0: unknown */
    bool json;

    raddle_time start;           /* of the load */
    raddle_time from, until;     /* what is measured */
    struct rdl_load_part *parts; /* one per loop */
};

struct rdl_client {
    struct rdl_load *load;
    uint64_t index;
    raddle_stream *stream;
    raddle_time intended; /* when the batch at hand should have started */
    unsigned answered;    /* of it */
};

/* One more request of the batch has its answer, of so many bytes. */
void rdl_client_answered(struct rdl_client *client, size_t bytes);

/* Counts an error. */
void rdl_client_failed(struct rdl_client *client, enum rdl_load_error error);

/* Read and write that count their errors. */
ssize_t rdl_client_read(struct rdl_client *client, char *buffer, size_t bytes);
int rdl_client_write(struct rdl_client *client, const char *bytes, size_t count);

/* What a load came to, over all loops. */
struct rdl_load_result {
    struct rdl_histogram *latency;
    uint64_t requests, bytes, not_started;
    uint64_t errors[RDL_LOAD_ERRORS], errors_sum;
    int64_t cpu_ns, server_cpu_ns; /* negative: unknown */
    int64_t measured_ns;
    unsigned loops;
    const char *driver;
};

/* Runs it. Returns 0; 1 after it has said on standard error what went wrong: measured_ns is 0 when
 * there is no result at all. rdl_load_free() in any case. */
int rdl_load_run(struct rdl_load *load, struct rdl_load_result *result);
void rdl_load_free(struct rdl_load_result *result);

/* The values of all options. */
extern const struct rdl_load rdl_load_defaults;

/* Prints the result. */
void rdl_load_report(const struct rdl_load *load, const struct rdl_load_result *result);

#endif
