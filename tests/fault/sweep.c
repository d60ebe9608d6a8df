/*
 * tests/fault/sweep.c - runs each scenario once for each call that it makes and each error that the call can
 * have, and sees that it comes to an end and leaves nothing behind.
 *
 *     fault_sweep [--full] [--points N] [--floor PERCENT] [--scenario NAME] [--driver NAME] [--sites]
 *
 * A first run of each scenario counts its calls. From these come the points: the k-th call of each kind with
 * each of its errors, once; a burst of a shortage (of memory, of descriptors) that begins with the k-th; and
 * five runs in which nothing fails but all is made difficult: transfers of one byte, interrupted calls, events
 * late, events in another order, and nothing at all. Without --full it takes --points of them per scenario and
 * driver, evenly spread, and says so. With it every k is tried until a run doesn't reach it.
 *
 * Each point is a process of its own, with a limit to its time. There the scenario runs with the fault and,
 * as whatever failed must be over, once more without. Then there must be no task, as many descriptors and
 * threads as in the beginning, and no more memory than after two runs without a fault.
 *
 * At the end it lists the places in the library that call rdl_sys_*() (sites.h) which no run reached, or with
 * --sites all of them. Less than --floor percent reached, 95 if not told, is a failure, but where there is no
 * io_uring.
 *
 * Verdicts: fine, the scenario went through; told, it ended with an error; ended, the process was stopped
 * because a driver could not go on, where that is what the documentation says. All others are failures.
 */
#define _GNU_SOURCE
#include "tests/fault/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/driver.h"

static const char *const drivers[] = {"uring", "epoll", "any"};

struct tally {
    unsigned points, fine, told, ended, bad;
};

static struct {
    bool full, list_sites;
    unsigned points, floor;
    const char *scenario, *driver;
} options = {.points = 40, .floor = 95};

static struct sweep_shared *shared;
static unsigned reported;
static bool rings;

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void count(struct tally *tally, const struct sweep_case *c, const struct sweep_verdict *v)
{
    tally->points++;
    switch (v->kind) {
    case SWEEP_FINE:
        tally->fine++;
        break;
    case SWEEP_TOLD:
        tally->told++;
        break;
    case SWEEP_ENDED:
        tally->ended++;
        break;
    default:
        tally->bad++;
        if (reported++ < 40)
            sweep_report(c, v);
        break;
    }
}

static void run_point(struct sweep_case *c, const struct fault_plan *plan, struct tally *tally,
                      bool *reached)
{
    struct sweep_verdict v;

    c->plan = *plan;
    sweep_run(shared, c, &v);
    if (reached)
        *reached = v.injected > 0;
    count(tally, c, &v);
}

/* How many points of this kind there are by the census. Where the library picks the driver, what matters is
 * what makes it pick: all else is the same as with one that it was told to take. */
static unsigned sweep_counts(const struct sweep_case *c, enum rdl_sys_call call)
{
    bool of_ring = call == RDL_SYS_URING_SETUP || call == RDL_SYS_URING_REGISTER ||
                   call == RDL_SYS_URING_ENTER || call == RDL_SYS_EVENTFD;

    return of_ring || strcmp(c->driver, "any") != 0 ? c->calls[call] : 0;
}

/* Every k of a kind until a run doesn't reach it. */
static void sweep_call(struct sweep_case *c, enum rdl_sys_call call, enum fault_kind kind,
                       int error, struct tally *tally)
{
    bool reached = true;

    for (unsigned k = 1; reached || k <= sweep_counts(c, call); k++)
        run_point(c, &(struct fault_plan){kind, call, k, error}, tally, &reached);
}

static void sweep_all(struct sweep_case *c, struct tally *tally)
{
    for (int call = 0; call < RDL_SYS_COUNT; call++) {
        enum rdl_sys_call which = (enum rdl_sys_call)call;

        if (!sweep_counts(c, which))
            continue;
        for (const int *error = fault_errors(which); *error; error++)
            sweep_call(c, which, FAULT_ONCE, *error, tally);
        if (fault_burst_error(which))
            sweep_call(c, which, FAULT_BURST, fault_burst_error(which), tally);
    }
}

/* The n-th of all points, in an order in which those of one call are neighbours. False: there are less. */
static bool nth_point(const struct sweep_case *c, unsigned n, struct fault_plan *out)
{
    for (int call = 0; call < RDL_SYS_COUNT; call++) {
        const int *errors = fault_errors((enum rdl_sys_call)call);
        unsigned kinds = 0, points, calls;

        while (errors[kinds])
            kinds++;
        calls = sweep_counts(c, (enum rdl_sys_call)call);
        points = calls * kinds;
        if (n < points) {
            *out = (struct fault_plan){FAULT_ONCE, (enum rdl_sys_call)call, n / kinds + 1,
                                       errors[n % kinds]};
            return true;
        }
        n -= points;
        if (!fault_burst_error((enum rdl_sys_call)call))
            continue;
        if (n < calls) {
            *out = (struct fault_plan){FAULT_BURST, (enum rdl_sys_call)call, n + 1,
                                       fault_burst_error((enum rdl_sys_call)call)};
            return true;
        }
        n -= calls;
    }
    return false;
}

static unsigned sweep_some(struct sweep_case *c, struct tally *tally)
{
    struct fault_plan plan;
    unsigned limit = c->scenario->slow ? options.points / 8 : options.points;
    unsigned all = 0, taken, last = 0;

    while (nth_point(c, all, &plan))
        all++;
    taken = all < limit ? all : limit;
    for (unsigned i = 0; i < taken; i++) {
        /* In the middle of each part, so that the step and the number of errors don't keep in step. */
        unsigned n = (unsigned)(((uint64_t)all * (2 * i + 1)) / (2 * taken));
        if (i && n == last)
            continue;
        last = n;
        if (nth_point(c, n, &plan))
            run_point(c, &plan, tally, NULL);
    }
    return all;
}

/* Asked in a process of its own: the answer is remembered, and each scenario is to find it out. */
static bool has_rings(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(rdl_uring_probe(NULL) < 0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void sweep_scenario(const struct fault_scenario *scenario, const char *driver,
                           struct tally *total)
{
    static const enum fault_kind hardships[] = {FAULT_SHORT, FAULT_EINTR, FAULT_DELAY,
                                                FAULT_REORDER, FAULT_NONE};
    struct sweep_case c = {.scenario = scenario, .driver = driver};
    struct sweep_verdict v;
    struct tally tally = {0};
    unsigned all;
    double begin = seconds();

    sweep_census(shared, &c, &v);
    if (v.kind != SWEEP_FINE) {
        if (v.kind == SWEEP_TOLD)
            v.kind = SWEEP_WRONG; /* nothing was made to fail */
        count(&tally, &c, &v);
        all = 1;
    } else {
        for (unsigned i = 0; i < sizeof(hardships) / sizeof(hardships[0]); i++)
            run_point(&c, &(struct fault_plan){.kind = hardships[i]}, &tally, NULL);
        if (options.full) {
            sweep_all(&c, &tally);
            all = tally.points;
        } else {
            all = sweep_some(&c, &tally) + 5;
        }
    }
    printf("%-12s %-6s %7u %7u %7u %7u %7u %7u %8.1f\n", scenario->name, driver, all, tally.points,
           tally.fine, tally.told, tally.ended, tally.bad, seconds() - begin);
    total->points += tally.points;
    total->fine += tally.fine;
    total->told += tally.told;
    total->ended += tally.ended;
    total->bad += tally.bad;
}

static void sweep_list(const struct fault_scenario *list, struct tally *total)
{
    for (; list->name; list++) {
        if (options.scenario && strcmp(options.scenario, list->name) != 0)
            continue;
        for (unsigned i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
            if (options.driver && strcmp(options.driver, drivers[i]) != 0)
                continue;
            /* The library would take epoll in its place. */
            if (strcmp(drivers[i], "uring") == 0 && !rings) {
                printf("%-12s %-6s skipped: io_uring is not to be had here\n", list->name,
                       drivers[i]);
                continue;
            }
            sweep_scenario(list, drivers[i], total);
        }
    }
}

/* Within the source tree. */
static const char *path_of(const struct fault_site *site)
{
    static const size_t above = sizeof(__FILE__) - sizeof("tests/fault/sweep.c");

    return strncmp(site->file, __FILE__, above) == 0 ? site->file + above : site->file;
}

/* Returns how many of a hundred were reached. */
static unsigned print_sites(void)
{
    unsigned count = fault_site_count(), reached = 0, failed = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct fault_site *site = fault_site(i);
        unsigned r = rdl_atomic_load_relaxed(&shared->fault.site[i].reached);
        unsigned f = rdl_atomic_load_relaxed(&shared->fault.site[i].failed);

        reached += r > 0;
        failed += f > 0;
        if (options.list_sites || !r)
            printf("%-8s %s:%d %s\n",
                   !r  ? "not hit"
                   : f ? "failed"
                       : "hit",
                   path_of(site), site->line, site->call);
    }
    printf("call sites: %u, hit %u (%u%%), made to fail %u (%u%%)\n", count, reached,
           count ? reached * 100 / count : 0, failed, count ? failed * 100 / count : 0);
    return count ? reached * 100 / count : 0;
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--full") == 0)
            options.full = true;
        else if (strcmp(argv[i], "--sites") == 0)
            options.list_sites = true;
        else if (value && strcmp(argv[i], "--points") == 0)
            options.points = (unsigned)atoi(argv[++i]);
        else if (value && strcmp(argv[i], "--floor") == 0)
            options.floor = (unsigned)atoi(argv[++i]);
        else if (value && strcmp(argv[i], "--scenario") == 0)
            options.scenario = argv[++i];
        else if (value && strcmp(argv[i], "--driver") == 0)
            options.driver = argv[++i];
        else {
            fprintf(stderr,
                    "usage: %s [--full] [--points N] [--floor PERCENT] [--scenario NAME] [--driver "
                    "NAME] [--sites]\n",
                    argv[0]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    char directory[] = "/tmp/raddle-fault-XXXXXX";
    struct tally total = {0};
    unsigned hit;

    parse(argc, argv);
    if (!mkdtemp(directory) || chdir(directory) < 0) {
        perror(directory);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    fault_init(&shared->fault);
    rings = has_rings();
    printf("%-12s %-6s %7s %7s %7s %7s %7s %7s %8s\n", "scenario", "driver", "points", "run",
           "fine", "told", "ended", "bad", "seconds");
    sweep_list(fault_core_scenarios, &total);
    sweep_list(fault_process_scenarios, &total);
    sweep_list(fault_share_scenarios, &total);
    sweep_list(fault_context_scenarios, &total);
    sweep_list(fault_seen_scenarios, &total);
    sweep_list(fault_sim_scenarios, &total);
    sweep_list(fault_net_scenarios, &total);
    sweep_list(fault_fd_scenarios, &total);
    (void)unlink(FAULT_SOCKET);
    (void)rmdir(directory);
    if (!options.full)
        printf("Of each scenario's points at most %u were run, evenly spread; --full runs all.\n",
               options.points + 5);
    hit = print_sites();
    printf("%u fault points: %u fine, %u told, %u ended as documented, %u bad\n", total.points,
           total.fine, total.told, total.ended, total.bad);
    printf("counted: %u fault points\n", total.points); /* for tools/check */
    if (total.bad || !total.points)
        return 1;
    if (!options.scenario && !options.driver && rings && hit < options.floor) {
        fprintf(stderr, "only %u%% of the call sites were hit, not %u%%\n", hit, options.floor);
        return 1;
    }
    return 0;
}
