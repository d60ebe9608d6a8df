/*
 * raddle/load.c - the connections of `raddle load`, and their clock.
 *
 * Closed loop: each connection asks again when it has its answer. Open loop (--rate): the requests
 * have their times before the load begins; one that can't start in time because the answer before
 * is late still counts from the time it should have started, and one that never could is counted as
 * well. So a server that stalls for a second shows it in the percentiles, as its users would feel
 * it.
 *
 * All connections are made before the load begins: they wait for a task, the gate, to end.
 */
#include "tools/raddle/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "sched/atomic.h"
#include "tools/raddle/cli.h"
#include "tools/raddle/process.h"

static const int64_t connect_step_ns = RADDLE_US(20); /* between two connects, of all */
static const int64_t retry_ns = RADDLE_MS(100);       /* after a connection was lost */

/* The calling task's loop's share of the figures; not to be kept across a suspension. */
static __attribute__((noinline)) struct rdl_load_part *part_of(struct rdl_load *load)
{
    return &load->parts[raddle_loop_index(raddle_running_loop())];
}

void rdl_client_failed(struct rdl_client *client, enum rdl_load_error error)
{
    part_of(client->load)->errors[error]++;
}

void rdl_client_answered(struct rdl_client *client, size_t bytes)
{
    struct rdl_load *load = client->load;
    struct rdl_load_part *part = part_of(load);
    raddle_time now = raddle_now();

    client->answered++;
    if (now >= load->from && now < load->until) {
        part->requests++;
        part->bytes += bytes;
    }
    if (client->intended >= load->from && client->intended < load->until)
        rdl_histogram_record(part->latency, now - client->intended);
}

ssize_t rdl_client_read(struct rdl_client *client, char *buffer, size_t bytes)
{
    ssize_t n = raddle_read(client->stream, buffer, bytes);

    if (n < 0 && n != -ECANCELED)
        rdl_client_failed(client, RDL_LOAD_READ);
    return n;
}

int rdl_client_write(struct rdl_client *client, const char *bytes, size_t count)
{
    ssize_t n = raddle_write_all(client->stream, bytes, count);

    if (n < 0 && n != -ECANCELED)
        rdl_client_failed(client, RDL_LOAD_WRITE);
    return n < 0 ? (int)n : 0;
}

static void disconnect(struct rdl_client *client)
{
    raddle_stream_abort(client->stream);
    client->stream = NULL;
}

/* 0, -ECANCELED, or another -errno that has been counted. */
static int connect_client(struct rdl_client *client)
{
    struct raddle_scope limit;
    int rc;

    raddle_scope_enter(&limit, raddle_in(client->load->timeout_ns), 0);
    rc = raddle_connect(client->load->address, &client->stream);
    rc = raddle_scope_leave(&limit, rc);
    if (rc == 0)
        client->load->protocol->connected(client);
    else if (rc != -ECANCELED)
        rdl_client_failed(client, RDL_LOAD_CONNECT);
    return rc;
}

/* One batch. 0, or -errno when the load is over for this client. */
static int run_batch(struct rdl_client *client)
{
    struct rdl_load *load = client->load;
    struct raddle_scope limit;
    int rc;

    client->answered = 0;
    raddle_scope_enter(&limit, raddle_in_coarse(load->timeout_ns), 0);
    rc = load->protocol->exchange(client);
    rc = raddle_scope_leave(&limit, rc);
    if (rc == -ETIMEDOUT)
        rdl_client_failed(client, RDL_LOAD_TIMEOUT);
    if (rc != 0)
        disconnect(client);
    if (rc == -ECANCELED)
        return rc;
    return rc < 0 ? raddle_sleep(retry_ns) : 0;
}

/* The requests that were due and never started. What their latency would have been is not known;
 * that it was at least this long is. */
static void count_not_started(struct rdl_client *client, int64_t step_ns)
{
    struct rdl_load *load = client->load;
    struct rdl_load_part *part = part_of(load);

    for (raddle_time due = client->intended; due < load->until; due += step_ns) {
        if (due < load->from)
            continue;
        part->not_started += load->pipeline;
        rdl_histogram_record_n(part->latency, load->until - due, load->pipeline);
    }
}

static int run_client(struct rdl_client *client)
{
    struct rdl_load *load = client->load;
    int64_t step_ns = 0;
    uint64_t batch = 0;
    int rc = 0;

    if (load->rate > 0)
        step_ns = (int64_t)(1e9 * load->pipeline * (double)load->connections / load->rate);
    client->intended = load->start;
    while (rc == 0) {
        raddle_time now = raddle_now();

        if (load->rate > 0) {
            /* Connections take turns, at equal distances. */
            client->intended =
                load->start + step_ns * (int64_t)batch++ +
                (int64_t)((double)step_ns * (double)client->index / (double)load->connections);
            if (client->intended >= load->until)
                break;
            if (now >= load->until) {
                count_not_started(client, step_ns);
                break;
            }
            if (client->intended > now)
                rc = raddle_sleep_until(client->intended);
            if (rc < 0)
                break;
        } else {
            if (now >= load->until)
                break;
            client->intended = now;
        }
        if (!client->stream) {
            rc = connect_client(client);
            if (rc < 0) {
                rc = rc == -ECANCELED ? rc : raddle_sleep(retry_ns);
                continue;
            }
        }
        rc = run_batch(client);
    }
    return rc;
}

struct run {
    struct rdl_load *load;
    struct rdl_load_result result;
    raddle_task *gate;
    rdl_atomic(uint64_t) ready;
    rdl_atomic(uint64_t) next;
    rdl_atomic(int) connect_error; /* one of them */
    rdl_atomic(bool) connected;    /* at least one is */
    raddle_time connect_start;
};

static int gate_task(void *arg)
{
    (void)arg;
    return raddle_sleep_until(RADDLE_NEVER) == -ECANCELED ? 0 : -EPROTO;
}

/* By the client that is ready last. What it writes is read after a join with the gate only. */
static void open_gate(struct run *run)
{
    struct rdl_load *load = run->load;

    load->start = raddle_in(RADDLE_MS(1));
    load->from = load->start + load->warmup_ns;
    load->until = load->from + load->duration_ns;
    (void)raddle_task_cancel(run->gate, "all connected");
}

static int client_task(void *arg)
{
    struct run *run = arg;
    struct rdl_load *load = run->load;
    struct rdl_client *client = calloc(1, load->protocol->client_bytes);
    int rc;

    if (!client)
        return -ENOMEM;
    client->load = load;
    client->index = rdl_atomic_fetch_add_relaxed(&run->next, 1u);
    rc = load->protocol->init(client);
    if (rc == 0)
        rc = raddle_sleep_until(run->connect_start + (int64_t)client->index * connect_step_ns);
    if (rc == 0) {
        int failure = connect_client(client);
        if (failure == -ECANCELED)
            rc = failure;
        else if (failure < 0)
            rdl_atomic_store_relaxed(&run->connect_error, failure);
        else
            rdl_atomic_store_relaxed(&run->connected, true);
    }
    if (rc == 0 && rdl_atomic_fetch_add_acq_rel(&run->ready, 1u) + 1 == load->connections)
        open_gate(run);
    if (rc == 0)
        rc = raddle_join(run->gate, NULL);
    if (rc == 0)
        rc = raddle_sleep_until(load->start);
    if (rc == 0)
        rc = run_client(client);
    load->protocol->fini(client);
    if (client->stream)
        (void)raddle_stream_close(client->stream);
    free(client);
    return rc;
}

/* Reads the clocks when measuring begins and ends. */
static int measure(struct run *run)
{
    struct rdl_load *load = run->load;
    int64_t cpu, server = -1;
    int rc = raddle_sleep_until(load->from);

    if (rc < 0)
        return rc;
    cpu = rdl_process_cpu();
    if (load->server_pid)
        server = rdl_process_cpu_of(load->server_pid);
    rc = raddle_sleep_until(load->until);
    run->result.measured_ns =
        (raddle_now() < load->until ? raddle_now() : load->until) - load->from;
    run->result.cpu_ns = rdl_process_cpu() - cpu;
    if (server >= 0) {
        int64_t later = rdl_process_cpu_of(load->server_pid);
        run->result.server_cpu_ns = later < 0 ? -1 : later - server;
    }
    return rc;
}

static int main_task(void *arg)
{
    struct run *run = arg;
    struct rdl_load *load = run->load;
    struct raddle_group group;
    int rc;

    run->result.loops = raddle_loop_count();
    run->result.driver = raddle_loop_driver(raddle_running_loop());
    run->connect_start = raddle_now();

    rc = raddle_group_open(&group, NULL);
    if (rc == 0)
        rc = raddle_spawn(&group, &run->gate, gate_task, NULL, NULL);
    for (uint64_t i = 0; rc == 0 && i < load->connections; i++)
        rc = raddle_spawn(&group, NULL, client_task, run, NULL);
    if (rc == 0)
        rc = raddle_join(run->gate, NULL);
    if (rc == 0 && !rdl_atomic_load_relaxed(&run->connected))
        rc = -ENOTCONN;
    if (rc == 0)
        rc = measure(run);
    rc = raddle_group_close(&group, rc);
    raddle_task_unref(run->gate);

    if (rc == -ENOTCONN && !rdl_atomic_load_relaxed(&run->connected))
        return rdl_cli_error("%s: %s", load->address,
                             raddle_strerror(rdl_atomic_load_relaxed(&run->connect_error))),
               -1;
    /* Interrupted: what was measured until then is still worth something. */
    if (rc < 0)
        (void)rdl_cli_error("%s", rc == -ECANCELED ? "interrupted" : raddle_strerror(rc));
    return rc;
}

static bool make_parts(struct rdl_load *load, struct rdl_load_result *result)
{
    size_t bytes = load->run.loops * sizeof *load->parts;

    load->parts = aligned_alloc(64, bytes);
    result->latency = calloc(1, sizeof *result->latency);
    if (!load->parts || !result->latency)
        return false;
    memset(load->parts, 0, bytes);
    for (unsigned i = 0; i < load->run.loops; i++) {
        load->parts[i].latency = calloc(1, sizeof *load->parts[i].latency);
        if (!load->parts[i].latency)
            return false;
    }
    return true;
}

static void sum_and_free_parts(struct rdl_load *load, struct rdl_load_result *result)
{
    for (unsigned i = 0; load->parts && i < load->run.loops; i++) {
        const struct rdl_load_part *part = &load->parts[i];

        if (part->latency)
            rdl_histogram_merge(result->latency, part->latency);
        result->requests += part->requests;
        result->bytes += part->bytes;
        result->not_started += part->not_started;
        for (size_t kind = 0; kind < RDL_LOAD_ERRORS; kind++) {
            result->errors[kind] += part->errors[kind];
            result->errors_sum += part->errors[kind];
        }
        free(part->latency);
    }
    free(load->parts);
    load->parts = NULL;
}

int rdl_load_run(struct rdl_load *load, struct rdl_load_result *result)
{
    struct run run = {.load = load, .result = {.server_cpu_ns = -1}};
    int status;

    rdl_raise_descriptors();
    /* A sleep may otherwise end 50 us late, which would count as the server's. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    if (make_parts(load, &run.result))
        status = rdl_run(&load->run, 0, main_task, &run);
    else
        status = rdl_cli_error("no memory");
    sum_and_free_parts(load, &run.result);
    *result = run.result;
    return status;
}

void rdl_load_free(struct rdl_load_result *result)
{
    free(result->latency);
    result->latency = NULL;
}
