/*
 * raddle/serve.c - `raddle serve`: runs a server until SIGINT or SIGTERM.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <raddle.h>

#include "tools/raddle/buffers.h"
#include "tools/raddle/cli.h"
#include "tools/raddle/commands.h"
#include "tools/raddle/process.h"
#include "tools/raddle/run_options.h"
#include "tools/raddle/server.h"
#include "tools/raddle/signals.h"

struct serve {
    struct rdl_run_options run;
    struct raddle_serve_options options;
    raddle_task_fn *handler;
    const char *address;
    int64_t idle_ns;

    int signals; /* descriptor */
    struct rdl_server server;
    int result; /* of raddle_serve(), when it failed */
};

enum {
    KEY_LISTEN = 0x200,
    KEY_CONNECTIONS,
    KEY_DRAIN,
    KEY_LISTENERS,
    KEY_IDLE,
    KEY_BACKLOG,
    KEY_STACK,
    KEY_PAGE_OUT
};

static const struct argp_option options[] = {
    {"listen", KEY_LISTEN, "ADDRESS", 0,
     "tcp:HOST:PORT (numeric; port 0 picks one) or unix:PATH (default: tcp:127.0.0.1:8080)", 0},
    {"max-connections", KEY_CONNECTIONS, "N", 0,
     "Connections at once; more wait in the backlog (default: no limit)", 0},
    {"idle", KEY_IDLE, "SEC", 0,
     "Close a connection on which nothing happened for so long, in seconds (default: 120)", 0},
    {"drain", KEY_DRAIN, "SEC", 0,
     "How long a stop waits for what is being answered, in seconds (default: 5)", 0},
    {"listeners", KEY_LISTENERS, "N", 0, "Loops that accept (default: all)", 0},
    {"backlog", KEY_BACKLOG, "N", 0,
     "Connections that wait to be accepted, per loop (default: 4096, and what the system allows)",
     0},
    {"stack", KEY_STACK, "BYTES", 0,
     "Stack of a connection's task, in bytes, k and M allowed (default: 64k)", 0},
    {"page-out", KEY_PAGE_OUT, NULL, 0,
     "Give the memory of a stack back while its connection is idle, for two or three more system "
     "calls per request",
     0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct serve *serve = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        rdl_cli_begin(state);
        state->child_inputs[0] = &serve->run;
        return 0;
    case KEY_LISTEN:
        serve->address = rdl_cli_address(state, "--listen", text);
        return 0;
    case KEY_CONNECTIONS:
        serve->options.max_connections =
            rdl_cli_count(state, "--max-connections", text, 1, 100 * 1000 * 1000);
        return 0;
    case KEY_IDLE:
        serve->idle_ns = rdl_cli_time(state, "--idle", text, RADDLE_MS(10), RADDLE_S(86400 * 365));
        return 0;
    case KEY_DRAIN:
        serve->options.drain_ns = rdl_cli_time(state, "--drain", text, 0, RADDLE_S(86400));
        if (serve->options.drain_ns == 0)
            serve->options.drain_ns = -1;
        return 0;
    case KEY_LISTENERS:
        serve->options.listeners = (unsigned)rdl_cli_count(state, "--listeners", text, 1, 1024);
        return 0;
    case KEY_BACKLOG:
        serve->options.backlog = (int)rdl_cli_count(state, "--backlog", text, 1, 1000 * 1000);
        return 0;
    case KEY_STACK:
        serve->options.stack_bytes =
            rdl_cli_bytes(state, "--stack", text, 16 * 1024, 64 * 1024 * 1024);
        return 0;
    case KEY_PAGE_OUT:
        serve->options.page_out = true;
        return 0;
    case ARGP_KEY_ARG:
        if (serve->handler)
            rdl_cli_fail(state, "one server at a time: '%s'", text);
        if (strcmp(text, "echo") == 0)
            serve->handler = rdl_serve_echo;
        else if (strcmp(text, "http") != 0)
            rdl_cli_fail(state, "no server '%s' (echo or http)", text);
#if RADDLE_HAVE_HTTP
        else
            serve->handler = rdl_serve_http;
#else
        else
            rdl_cli_fail(state, "built without http: llhttp was not found (Debian: node-llhttp)");
#endif
        return 0;
    case ARGP_KEY_END:
        if (!serve->handler)
            rdl_cli_fail(state, "a server is missing (echo or http)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&rdl_run_argp, 0, "Loops and threads:", 1}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "echo|http",
    .doc =
        "Serves until SIGINT or SIGTERM; then it stops listening, lets requests that are being "
        "answered end, and exits with status 0.\v"
        "`echo' sends back what it gets. `http' speaks HTTP/1.1: / says hello, /hash?n=N computes "
        "N "
        "times SHA-256 in a thread of its own (default: 80000, about 20 ms), /stats tells what the "
        "loops did as JSON. When it listens, it prints `listening on ADDRESS'.",
    .children = children,
};

static void on_listening(const char *address, void *context)
{
    (void)context;
    printf("listening on %s\n", address);
    (void)fflush(stdout);
}

static int listen_task(void *arg)
{
    struct serve *serve = arg;
    int rc = raddle_serve(serve->address, serve->handler, &serve->options);

    /* A failure cancels the task that waits for a signal. */
    serve->result = rc == -ECANCELED ? 0 : rc;
    return serve->result;
}

static uint64_t steals(void)
{
    struct raddle_loop_stats loop;
    uint64_t sum = 0;

    for (unsigned i = 0; raddle_get_loop_stats(i, &loop) == 0; i++)
        sum += loop.steals;
    return sum;
}

static void print_summary(struct rdl_server *server)
{
    printf(
        "served %llu requests on %llu connections in %.1f s: %.2f s of CPU, %u loop%s (%s), %llu "
        "steals\n",
        (unsigned long long)rdl_atomic_load_relaxed(&server->requests),
        (unsigned long long)rdl_atomic_load_relaxed(&server->connections),
        (double)(raddle_now() - server->started) / 1e9, (double)rdl_process_cpu() / 1e9,
        server->loops, server->loops == 1 ? "" : "s", server->driver, (unsigned long long)steals());
    (void)fflush(stdout);
}

static int main_task(void *arg)
{
    struct serve *serve = arg;
    struct rdl_server *server = &serve->server;
    struct raddle_group group;
    raddle_task *listener = NULL;
    int rc;

    server->started = raddle_now();
    server->loops = raddle_loop_count();
    server->driver = raddle_loop_driver(raddle_running_loop());

    rc = raddle_group_open(&group, NULL);
    if (rc == 0)
        rc = raddle_spawn(&group, &listener, listen_task, serve, NULL);
    if (rc == 0)
        rc = rdl_signals_wait(serve->signals);
    if (rc > 0) {
        rdl_server_stop(server);
        (void)raddle_task_cancel(listener, "signal");
    }
    rc = raddle_group_close(&group, rc < 0 ? rc : 0);
    raddle_task_unref(listener);

    if (serve->result < 0)
        return rdl_cli_error("%s: %s", serve->address, raddle_strerror(serve->result)), -1;
    if (rc < 0)
        return rdl_cli_error("%s", raddle_strerror(rc)), -1;
    (void)raddle_fd_close(serve->signals);
    print_summary(server);
    return 0;
}

int rdl_command_serve(int argc, char **argv)
{
    struct serve serve = {.address = "tcp:127.0.0.1:8080", .idle_ns = RADDLE_S(120)};
    int status;

    rdl_cli_parse(&argp, "raddle serve", argc, argv, &serve);
    serve.options.mobility = serve.run.mobility;
    serve.options.context = &serve.server;
    serve.options.on_listening = on_listening;
    serve.server.idle_ns = serve.idle_ns;
    pthread_mutex_init(&serve.server.idle_lock, NULL);
    rdl_raise_descriptors();
    serve.signals = rdl_signals_open();
    if (serve.signals < 0)
        return rdl_cli_error("signals: %s", raddle_strerror(serve.signals));
    status = rdl_run(&serve.run, RADDLE_RUN_NO_SIGINT | RADDLE_RUN_SIGQUIT, main_task, &serve);
    rdl_buffers_trim();
    pthread_mutex_destroy(&serve.server.idle_lock);
    return status;
}
