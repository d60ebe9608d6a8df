/*
 * tests/conformance/sim_seeds.c - a family of small scenarios in simulated runs, each through many seeds.
 *
 *     sim_seeds [--seeds N] [--first SEED] [--scenario NAME]
 *
 * A seed decides the order of everything in a run, on how many loops it is (1 to 4), and what its scenario does. All
 * seeds are gone through in one process, a child of this one, so that a crash, a standstill or a run without an
 * end has a seed as well: that is printed as a command which has the same again, and no more seeds follow. Of some
 * seeds each scenario is run twice, and both runs must have had the same history.
 *
 *     failed: sim_seeds --first 4711 --seeds 1 --scenario semaphore
 */
#define _GNU_SOURCE
#include "tests/conformance/seeds.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/counted.h"

enum {
    SEEDS = 1000,
    AGAIN = 31,     /* every so many seeds are run twice: odd, for each number of loops */
    PATIENCE_S = 60 /* of CPU, for a run that takes a few hundred microseconds */
};

static const struct scenario {
    const char *name;
    raddle_task_fn *fn;
    const char *network; /* what the name of its world says beside the seed */
} scenarios[] = {
    {"pairs", seeds_pairs, ""},
    {"semaphore", seeds_semaphore, ""},
    {"locks", seeds_locks, ""},
    {"condition", seeds_condition, ""},
    {"meetings", seeds_meetings, ""},
    {"channels", seeds_channels, ""},
    {"ends", seeds_ends, ""},
    {"watch", seeds_watch, ""},
    {"broadcast", seeds_broadcast, ""},
    {"generators", seeds_generators, ""},
    {"groups", seeds_groups, ""},
    {"scopes", seeds_scopes, ""},
    {"gather", seeds_gather, ""},
    {"echo", seeds_echo, ",loss=10"},
    {"broken_echo", seeds_broken_echo, ",loss=3,reset=40"},
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

/* Where the child is, for its parent to see. */
struct progress {
    uint64_t seed;
    unsigned scenario;
    uint64_t done; /* seeds */
};

static volatile struct progress *progress;

/* One run. */
struct run {
    const struct scenario *scenario;
    uint32_t random;
    uint64_t trace;
};

static int run_scenario(void *arg)
{
    struct run *run = arg;
    int rc = run->scenario->fn(&run->random);

    EXPECT_EQ(raddle_sim_trace(&run->trace), 0);
    return rc;
}

/* Its trace, by which two runs are compared. */
static uint64_t run_seed(const struct scenario *scenario, uint64_t seed)
{
    struct run run = {.scenario = scenario, .random = (uint32_t)(seed * 2654435761u) | 1u};
    struct itimerval patience = {.it_value.tv_sec = (time_t)PATIENCE_S * test_slowness()};
    char name[96];
    struct raddle_run_options options = {.loops = 1 + (unsigned)(seed % 4), .driver = name};

    (void)setitimer(ITIMER_PROF, &patience, NULL); /* the process is killed by it */
    snprintf(name, sizeof(name), "sim:seed=%" PRIu64 "%s", seed, scenario->network);
    EXPECT_EQ(raddle_run(run_scenario, &run, &options), 0);
    return run.trace;
}

/* In the child: 0, or 1 after a failure. */
static int go_through(uint64_t first, uint64_t count, const char *only)
{
    struct test_footprint before;

    (void)run_seed(&scenarios[0], 0); /* what the library keeps for good is there now */
    before = test_footprint();
    for (uint64_t seed = first; seed < first + count; seed++) {
        progress->seed = seed;
        for (unsigned i = 0; i < SCENARIOS; i++) {
            const struct scenario *s = &scenarios[i];
            uint64_t trace;

            if (only && strcmp(only, s->name) != 0)
                continue;
            progress->scenario = i;
            trace = run_seed(s, seed);
            if (seed % AGAIN == 0)
                EXPECT(run_seed(s, seed) == trace);
            if (test_failures())
                return 1;
        }
        test_same_footprint(&before);
        if (test_failures())
            return 1;
        progress->done++;
    }
    return 0;
}

/* Says how the child's last run can be had again. */
static void report(const char *program, int status)
{
    if (WIFSIGNALED(status))
        fprintf(stderr, "sim_seeds: ended by signal %d (%s)\n", WTERMSIG(status),
                WTERMSIG(status) == SIGPROF ? "a run doesn't end" : strsignal(WTERMSIG(status)));
    fprintf(stderr, "failed: %s --first %" PRIu64 " --seeds 1 --scenario %s\n", program,
            progress->seed, scenarios[progress->scenario].name);
}

static const char *scenario_argument(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--scenario") == 0)
            return argv[i + 1];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *only = scenario_argument(argc, argv);
    uint64_t seeds = test_argument(argc, argv, "--seeds", SEEDS / (unsigned long)test_slowness());
    uint64_t first = test_argument(argc, argv, "--first", 1);
    int status = 0;
    pid_t child;

    for (unsigned i = 0; only; i++) {
        if (i == SCENARIOS) {
            fprintf(stderr, "sim_seeds: there is no scenario %s\n", only);
            return 2;
        }
        if (strcmp(only, scenarios[i].name) == 0)
            break;
    }
    progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    child = fork();
    if (child < 0) {
        perror("fork");
        return 1;
    }
    if (child == 0)
        exit(go_through(first, seeds, only));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        report(argv[0], status);
    test_counted(progress->done, "seeds");
    return status == 0 && progress->done == seeds ? 0 : 1;
}
