/*
 * raddle/load_options.c - `raddle load`: its options, and what it makes of a URL.
 */
#include "tools/raddle/load.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "tools/raddle/cli.h"
#include "tools/raddle/commands.h"

enum {
    KEY_URL = 0x300,
    KEY_CONNECT,
    KEY_CONNECTIONS,
    KEY_DURATION,
    KEY_WARMUP,
    KEY_RATE,
    KEY_PIPELINE,
    KEY_SIZE,
    KEY_TIMEOUT,
    KEY_PID,
    KEY_JSON
};

static const struct argp_option options[] = {
    {"url", KEY_URL, "URL", 0, "http://HOST[:PORT][/PATH] (http; default: http://127.0.0.1:8080/)",
     0},
    {"connect", KEY_CONNECT, "ADDRESS", 0,
     "tcp:HOST:PORT (numeric) or unix:PATH (default: from the URL; echo: tcp:127.0.0.1:8080)", 0},
    {"connections", KEY_CONNECTIONS, "N", 0, "Connections (default: 64)", 0},
    {"duration", KEY_DURATION, "SEC", 0, "How long to measure, in seconds (default: 10)", 0},
    {"warmup", KEY_WARMUP, "SEC", 0, "Load before that, not measured, in seconds (default: 0.5)",
     0},
    {"rate", KEY_RATE, "R", 0,
     "Open loop: so many requests per second, over all connections; latency counts from when each "
     "should have started (default: closed loop)",
     0},
    {"pipeline", KEY_PIPELINE, "N", 0, "Requests sent together on a connection (default: 1)", 0},
    {"size", KEY_SIZE, "BYTES", 0, "Bytes per message, k and M allowed (echo; default: 64)", 0},
    {"timeout", KEY_TIMEOUT, "SEC", 0, "For an answer or a connect, in seconds (default: 10)", 0},
    {"server-pid", KEY_PID, "PID", 0, "Also measure the CPU time of that process", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object instead of a table", 0},
    {0}};

/* Takes an URL apart. The name is looked up here, before any loop runs. */
static void take_url(struct argp_state *state, struct rdl_load *load)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char name[256], number[64];
    const char *host = load->url, *end, *port = "80";
    size_t length;
    int rc;

    if (strncmp(host, "http://", 7) != 0)
        rdl_cli_fail(state, "--url: not http://HOST[:PORT][/PATH]: '%s'", load->url);
    host += 7;
    end = host + strcspn(host, "/?#");
    load->path = *end == '/' ? end : "/";
    length = (size_t)(end - host);
    if (length == 0 || length >= sizeof load->host || length >= sizeof name || *end == '?' ||
        *end == '#' || strcspn(load->path, " \t\r\n#") != strlen(load->path))
        rdl_cli_fail(state, "--url: not http://HOST[:PORT][/PATH]: '%s'", load->url);
    memcpy(load->host, host, length);
    load->host[length] = '\0';
    if (load->connect)
        return;

    memcpy(name, load->host, length + 1);
    host = name;
    if (name[0] == '[') {
        char *close = strchr(name, ']');
        if (!close || (close[1] && close[1] != ':'))
            rdl_cli_fail(state, "--url: not http://HOST[:PORT][/PATH]: '%s'", load->url);
        port = close[1] ? close + 2 : port;
        *close = '\0';
        host++;
    } else if (strchr(name, ':')) {
        char *colon = strchr(name, ':');
        *colon = '\0';
        port = colon + 1;
    }
    rc = getaddrinfo(host, port, &hints, &found);
    if (rc)
        rdl_cli_fail(state, "--url: %s: %s", load->host, gai_strerror(rc));
    rc = getnameinfo(found->ai_addr, found->ai_addrlen, name, sizeof name, number, sizeof number,
                     NI_NUMERICHOST | NI_NUMERICSERV);
    if (rc)
        rdl_cli_fail(state, "--url: %s: %s", load->host, gai_strerror(rc));
    (void)snprintf(load->address, sizeof load->address,
                   found->ai_family == AF_INET6 ? "tcp:[%.64s]:%.8s" : "tcp:%.64s:%.8s", name,
                   number);
    freeaddrinfo(found);
}

static void finish_options(struct argp_state *state, struct rdl_load *load)
{
    bool http;

    if (!load->protocol)
        rdl_cli_fail(state, "what to load is missing (echo or http)");
    http = load->protocol != &rdl_load_echo;
    if (!http && load->url)
        rdl_cli_fail(state, "--url: of http only; echo takes --connect");
    if (load->size * load->pipeline > 64 * 1024 * 1024)
        rdl_cli_fail(state, "--pipeline times --size is above 64 MiB");
    if (http && load->connect && !load->url) {
        load->path = "/";
        memcpy(load->host, "localhost", sizeof "localhost");
    } else if (http) {
        if (!load->url)
            load->url = "http://127.0.0.1:8080/";
        take_url(state, load);
    } else if (!load->connect) {
        load->connect = "tcp:127.0.0.1:8080";
    }
    if (load->connect) {
        if (strlen(load->connect) >= sizeof load->address)
            rdl_cli_fail(state, "--connect: too long");
        memcpy(load->address, load->connect, strlen(load->connect) + 1);
    }
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct rdl_load *load = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        rdl_cli_begin(state);
        state->child_inputs[0] = &load->run;
        return 0;
    case KEY_URL:
        load->url = text;
        return 0;
    case KEY_CONNECT:
        load->connect = rdl_cli_address(state, "--connect", text);
        return 0;
    case KEY_CONNECTIONS:
        load->connections = rdl_cli_count(state, "--connections", text, 1, 10 * 1000 * 1000);
        return 0;
    case KEY_DURATION:
        load->duration_ns =
            rdl_cli_time(state, "--duration", text, RADDLE_MS(1), RADDLE_S(86400 * 365));
        return 0;
    case KEY_WARMUP:
        load->warmup_ns = rdl_cli_time(state, "--warmup", text, 0, RADDLE_S(3600));
        return 0;
    case KEY_RATE:
        load->rate = rdl_cli_number(state, "--rate", text, 0.001, 1e9);
        return 0;
    case KEY_PIPELINE:
        load->pipeline = (unsigned)rdl_cli_count(state, "--pipeline", text, 1, 256);
        return 0;
    case KEY_SIZE:
        load->size = rdl_cli_bytes(state, "--size", text, 1, 64 * 1024 * 1024);
        return 0;
    case KEY_TIMEOUT:
        load->timeout_ns = rdl_cli_time(state, "--timeout", text, RADDLE_MS(1), RADDLE_S(86400));
        return 0;
    case KEY_PID:
        load->server_pid = (pid_t)rdl_cli_count(state, "--server-pid", text, 1, 1 << 30);
        return 0;
    case KEY_JSON:
        load->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (load->protocol)
            rdl_cli_fail(state, "one load at a time: '%s'", text);
        if (strcmp(text, "echo") == 0)
            load->protocol = &rdl_load_echo;
        else if (strcmp(text, "http") != 0)
            rdl_cli_fail(state, "no load '%s' (echo or http)", text);
#if RADDLE_HAVE_HTTP
        else
            load->protocol = &rdl_load_http;
#else
        else
            rdl_cli_fail(state, "built without http: llhttp was not found (Debian: node-llhttp)");
#endif
        return 0;
    case ARGP_KEY_END:
        finish_options(state, load);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&rdl_run_argp_short, 0, "Loops:", 1}, {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "echo|http",
    .doc =
        "Puts load on a server and measures it: requests per second, latency, errors.\v"
        "Without --rate each connection asks again when it has its answer; with it, requests start "
        "when they are due, and latency counts from then, also when the server was too slow to let "
        "them start. One loop is used unless --loops says otherwise. Exit status 1 when there were "
        "errors, or no answer.",
    .children = children,
};

const struct rdl_load rdl_load_defaults = {.run = {.loops = 1},
                                           .connections = 64,
                                           .duration_ns = RADDLE_S(10),
                                           .warmup_ns = RADDLE_MS(500),
                                           .timeout_ns = RADDLE_S(10),
                                           .pipeline = 1,
                                           .size = 64};

int rdl_command_load(int argc, char **argv)
{
    struct rdl_load load = rdl_load_defaults;
    struct rdl_load_result result;
    int status;

    rdl_cli_parse(&argp, "raddle load", argc, argv, &load);
    status = rdl_load_run(&load, &result);
    if (result.measured_ns > 0)
        rdl_load_report(&load, &result);
    if (result.errors_sum || result.requests == 0 || fflush(stdout) != 0)
        status = 1;
    rdl_load_free(&result);
    return status;
}
