/*
 * raddle/bench_server.h - servers to be measured, and the load that measures them.
 *
 * Server and client are processes of their own; with two CPUs and more the server has one of them and
 * the client the others, so that what a core spends on one is not spent on the other. All servers run
 * on one thread.
 */
#ifndef RDL_TOOLS_BENCH_SERVER_H
#define RDL_TOOLS_BENCH_SERVER_H

#include <stddef.h>
#include <sys/types.h>

#include "tools/raddle/bench.h"
#include "tools/raddle/load.h"

enum rdl_bench_server {
    RDL_SERVER_ECHO,       /* raddle serve echo */
    RDL_SERVER_ECHO_PAGED, /* the same, --page-out */
    RDL_SERVER_HTTP,       /* raddle serve http */
    RDL_SERVER_EPOLL,      /* an echo written by hand on epoll */
    RDL_SERVER_URING,      /* and on io_uring */
    RDL_BENCH_SERVERS
};

struct rdl_bench_served {
    pid_t pid;
    char address[128];
};

/* 0, or 1 after an error line. Ends with rdl_bench_stop(), or with this process. */
int rdl_bench_serve(const struct rdl_bench *bench, enum rdl_bench_server kind,
                    struct rdl_bench_served *served);
void rdl_bench_stop(struct rdl_bench_served *served);

struct rdl_bench_load {
    double server_ns, client_ns; /* CPU time per request */
    double per_second, p99_us;
};

/* Starts a server, puts load on it, as load says but for the address, and stops it. 0, or 1 after an
 * error line: no answer, or one that was wrong, is an error. */
int rdl_bench_load(const struct rdl_bench *bench, enum rdl_bench_server kind,
                   const struct rdl_load *load, struct rdl_bench_load *out);

#endif
