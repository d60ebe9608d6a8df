/*
 * raddle/bench_child.c - where a benchmark runs: in a process of its own, on a CPU of its own, on a loop
 * of its own.
 */
#define _GNU_SOURCE
#include "tools/raddle/bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/lock.h"
#include "tools/raddle/cli.h"

int rdl_bench_in_child(rdl_child_fn *fn, void *arg, void *out, size_t bytes)
{
    int ends[2], status = 1;
    ssize_t n;
    pid_t child;

    if (pipe(ends))
        return rdl_cli_error("pipe: %s", strerror(errno));
    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        /* Also when the benchmark is interrupted. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(ends[0]);
        status = fn(arg, out);
        if (status == 0 && write(ends[1], out, bytes) != (ssize_t)bytes)
            status = 1;
        exit(status ? 1 : 0);
    }
    (void)close(ends[1]);
    if (child < 0) {
        (void)close(ends[0]);
        return rdl_cli_error("fork: %s", strerror(errno));
    }
    n = read(ends[0], out, bytes);
    (void)close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        return rdl_cli_error("a sample was ended by signal %d", WTERMSIG(status));
    return n == (ssize_t)bytes && status == 0 ? 0 : 1;
}

void rdl_bench_bind(unsigned place, bool rest)
{
    /* The first call is made by the main thread, before there are others. */
    static cpu_set_t allowed;
    static bool known;
    cpu_set_t chosen;
    unsigned seen = 0;

    if (!known && sched_getaffinity(0, sizeof allowed, &allowed))
        return;
    known = true;
    if ((unsigned)CPU_COUNT(&allowed) <= place)
        return;
    CPU_ZERO(&chosen);
    for (size_t cpu = 0; cpu < (size_t)CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        if (seen == place || (rest && seen > place))
            CPU_SET(cpu, &chosen);
        seen++;
    }
    (void)sched_setaffinity(0, sizeof chosen, &chosen);
}

static int apart_task(void *arg)
{
    struct rdl_bench_apart *apart = arg;

    apart->loop = raddle_running_loop();
    rdl_atomic_store_release(&apart->started, true);
    return apart->fn(apart->arg);
}

int rdl_bench_spawn_apart(struct raddle_group *group, struct rdl_bench_apart *apart,
                          raddle_task_fn *fn, void *arg)
{
    raddle_time end = raddle_in(RADDLE_S(10));
    int rc;

    apart->fn = fn;
    apart->arg = arg;
    rdl_atomic_store_relaxed(&apart->started, false);
    rc = raddle_spawn(group, NULL, apart_task, apart, NULL);
    /* A fresh task is started by another loop if this one doesn't come to it. */
    while (rc == 0 && !rdl_atomic_load_acquire(&apart->started)) {
        if (raddle_now() > end)
            return -ETIMEDOUT;
        rdl_cpu_relax();
    }
    if (rc == 0 && apart->loop == raddle_running_loop())
        rc = -EXDEV;
    return rc;
}
