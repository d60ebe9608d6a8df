/*
 * raddle/run_options.c - the options of commands that run loops.
 */
#include "tools/raddle/run_options.h"

#include <errno.h>
#include <stddef.h>
#include <sys/resource.h>

#include "tools/raddle/cli.h"

enum { KEY_LOOPS = 0x100, KEY_POLICY, KEY_MOBILITY, KEY_THREADS, KEY_NICE, KEY_SLOW };

#define OPTION_LOOPS                                                                               \
    {                                                                                              \
        "loops", KEY_LOOPS, "N", 0,                                                                \
            "Loops, each in a thread, 1 to 1024 (default: one per CPU that is allowed)", 0         \
    }
#define OPTION_POLICY                                                                              \
    {                                                                                              \
        "policy", KEY_POLICY, "NAME", 0,                                                           \
            "How loops wait: uring or epoll (default: RADDLE_POLICY, else uring where the kernel " \
            "allows it)",                                                                          \
            0                                                                                      \
    }

static const struct argp_option short_options[] = {OPTION_LOOPS, OPTION_POLICY, {0}};

static const struct argp_option options[] = {
    OPTION_LOOPS,
    OPTION_POLICY,
    {"mobility", KEY_MOBILITY, "HOW", 0,
     "Whether tasks change loops: fresh (until they have started; default), migratable (whenever "
     "they "
     "wait) or pinned (never)",
     0},
    {"threads", KEY_THREADS, "N", 0,
     "Most threads for blocking work, 1 to 1024 (default: CPUs + 4, at most 32)", 0},
    {"nice", KEY_NICE, "N", 0, "Niceness of these threads, 0 to 19 (default: 0)", 0},
    {"slow", KEY_SLOW, "MS", 0,
     "Report, with a backtrace, a task that holds its loop for longer, in milliseconds (default: "
     "never)",
     0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state)
{
    static const char *const drivers[] = {"uring", "epoll", NULL};
    static const char *const mobilities[] = {"fresh", "migratable", "pinned", NULL};
    static const enum raddle_mobility mobility[] = {RADDLE_FRESH, RADDLE_MIGRATABLE, RADDLE_PINNED};
    struct rdl_run_options *run = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        rdl_cli_begin(state);
        return 0;
    case KEY_LOOPS:
        run->loops = (unsigned)rdl_cli_count(state, "--loops", text, 1, 1024);
        return 0;
    case KEY_POLICY:
        run->driver = drivers[rdl_cli_choice(state, "--policy", text, drivers)];
        return 0;
    case KEY_MOBILITY:
        run->mobility = mobility[rdl_cli_choice(state, "--mobility", text, mobilities)];
        return 0;
    case KEY_THREADS:
        run->threads = (unsigned)rdl_cli_count(state, "--threads", text, 1, 1024);
        return 0;
    case KEY_NICE:
        run->nice = (int)rdl_cli_count(state, "--nice", text, 0, 19);
        return 0;
    case KEY_SLOW:
        run->slow_ns = (int64_t)(rdl_cli_number(state, "--slow", text, 0.1, 3600e3) * 1e6);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp rdl_run_argp_short = {short_options, parse, NULL, NULL, NULL, NULL, NULL};
const struct argp rdl_run_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

/* The base's loop, with the driver that was asked for on the command line. */
static int new_loop(const struct raddle_policy *policy, const struct raddle_loop_options *given,
                    raddle_loop **out)
{
    struct raddle_loop_options with_driver = *given;

    with_driver.driver = policy->data;
    return policy->base->new_loop(policy->base, &with_driver, out);
}

struct main_task {
    raddle_task_fn *fn;
    void *arg;
    bool ran;
};

static int main_task(void *arg)
{
    struct main_task *task = arg;

    task->ran = true;
    return task->fn(task->arg);
}

int rdl_run(const struct rdl_run_options *run, unsigned flags, raddle_task_fn *fn, void *arg)
{
    /* data is not const because it belongs to the policy; this one only reads it. */
    struct raddle_policy policy = {.base = raddle_default_policy(),
                                   .data = (void *)(uintptr_t)run->driver,
                                   .new_loop = new_loop};
    struct raddle_executor_options executor = {.max_threads = run->threads, .nice = run->nice};
    struct raddle_run_options how = {.loops = run->loops,
                                     .flags = flags,
                                     .policy = run->driver ? &policy : NULL,
                                     .mobility = run->mobility,
                                     .slow_ns = run->slow_ns,
                                     .executor = &executor};
    struct main_task task = {fn, arg, false};
    int rc = raddle_run(main_task, &task, &how);

    if (rc < 0 && !task.ran)
        return rdl_cli_error("the loops can't be made%s%s%s: %s", run->driver ? " (policy " : "",
                             run->driver ? run->driver : "", run->driver ? ")" : "",
                             raddle_strerror(rc));
    return rc < 0 ? 1 : 0;
}

void rdl_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}
