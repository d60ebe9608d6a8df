/*
 * runtime/policy.c - policies: where drivers, loops and threads meet.
 *
 * A policy's functions may be NULL; the first in the chain of its bases is called then, with the
 * policy that it belongs to. The chain ends in the built-in policy, whose functions are all set.
 */
#include <errno.h>
#include <raddle/error.h>
#include <raddle/policy.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/driver.h"
#include "io/sim.h"
#include "runtime/loop.h"
#include "runtime/monitor.h"
#include "runtime/replay.h"
#include "runtime/report.h"
#include "sched/sys.h"

/* The calling thread's loop, as raddle_set_loop() said: a policy's own record, like asyncio's. */
static _Thread_local struct raddle_loop *thread_loop;
static _Thread_local uint64_t thread_loop_id; /* another thread may have closed it */
static _Thread_local bool thread_has_none;    /* as it was told: none is made */

static rdl_atomic(const struct raddle_policy *) process_policy;
static struct rdl_lock process_lock;
static const char *process_site; /* where process_policy was set. Under process_lock */

/* noinline, as the address of a thread-local is the thread's: the caller may be a task that moves. */
static _Thread_local const struct raddle_policy *thread_policy;

static __attribute__((noinline)) const struct raddle_policy *policy_of_thread(void)
{
    const struct raddle_policy *policy = thread_policy;

    __asm__ volatile("" : "+r"(policy) : : "memory");
    return policy;
}

/* 0, or why there are no rings. */
static int uring_error(void)
{
    struct rdl_uring_facts facts;

    return rdl_uring_probe(&facts);
}

/* A world whose seed nobody has said gets that which was drawn when the first one did. */
static uint64_t drawn_seed(void)
{
    static rdl_atomic(uint64_t) drawn;
    uint64_t seed = rdl_atomic_load_relaxed(&drawn), none = 0;

    if (seed)
        return seed;
    seed = (uint64_t)rdl_sys_real_now() % 1000000007 + 1;
    if (!rdl_atomic_cas_relaxed(&drawn, &none, seed))
        return none;
    rdl_report("the simulation's seed was drawn: RADDLE_POLICY=sim:seed=%llu has the same again",
               (unsigned long long)seed);
    return seed;
}

static int make_sim(const char *name, struct rdl_driver **out)
{
    struct rdl_sim_options options;
    int rc = rdl_sim_parse(name, &options);

    if (rc < 0)
        return rc;
    if (!options.seeded)
        options.seed = drawn_seed();
    rdl_sim_on_standstill(rdl_replay_standstill);
    return rdl_sim_create(&options, out);
}

static int make_driver(const char *name, struct rdl_driver **out)
{
    if (!name)
        name = uring_error() == 0 ? "uring" : "epoll";
    if (strcmp(name, "uring") == 0)
        return rdl_uring_create(out);
    if (strcmp(name, "epoll") == 0)
        return rdl_epoll_create(out);
    if (rdl_sim_is_name(name))
        return make_sim(name, out);
    return -EINVAL;
}

/* What RADDLE_POLICY asks for; NULL: nothing. Where the kernel denies io_uring, asking for it is
 * not an error: the process runs on epoll and says so once. */
static const char *wanted_driver(void)
{
    static rdl_atomic(bool) told;
    const char *name = getenv("RADDLE_POLICY");

    if (!name || !*name)
        return NULL;
    if (strcmp(name, "uring") == 0 && uring_error() < 0) {
        if (!rdl_atomic_exchange_relaxed(&told, true))
            rdl_report("RADDLE_POLICY=uring: %s; using epoll", raddle_strerror(uring_error()));
        return "epoll";
    }
    if (strcmp(name, "uring") != 0 && strcmp(name, "epoll") != 0 && !rdl_sim_is_name(name) &&
        !rdl_atomic_exchange_relaxed(&told, true))
        rdl_report("RADDLE_POLICY=%s: there is uring, epoll and sim:seed=N", name);
    return name;
}

static int builtin_new_loop(const struct raddle_policy *policy,
                            const struct raddle_loop_options *options, raddle_loop **out)
{
    const char *name = options->driver ? options->driver : wanted_driver();
    struct rdl_driver *driver;
    int rc = make_driver(name, &driver);

    /* A ring may still be refused, for want of locked memory, say. But the real world is no simulated one. */
    if (rc < 0 && rc != -EINVAL && !options->driver && !(name && rdl_sim_is_name(name)))
        rc = rdl_epoll_create(&driver);
    if (rc < 0)
        return rc;
    rc = rdl_raddle_loop_create(driver, policy, options->mobility, out);
    if (rc < 0)
        driver->ops->destroy(driver);
    return rc;
}

static int builtin_set_loop(const struct raddle_policy *policy, raddle_loop *loop)
{
    (void)policy;
    thread_loop = loop;
    thread_loop_id = loop ? loop->id : 0;
    thread_has_none = !loop;
    return 0;
}

static int builtin_get_loop(const struct raddle_policy *policy, raddle_loop **out)
{
    raddle_loop *loop;
    int rc;

    if (!thread_loop || !rdl_raddle_loop_exists(thread_loop, thread_loop_id)) {
        if (thread_has_none || rdl_sys_thread_id() != (int)getpid())
            return -ENXIO;
        rc = raddle_new_loop(&loop);
        if (rc < 0)
            return rc;
        (void)builtin_set_loop(policy, loop);
    }
    *out = thread_loop;
    return 0;
}

static void builtin_loop_event(const struct raddle_policy *policy, raddle_loop *loop)
{
    (void)policy;
    (void)loop;
}

static void builtin_after_fork_child(const struct raddle_policy *policy)
{
    (void)policy;
}

static const struct raddle_policy builtin = {
    .name = "default",
    .new_loop = builtin_new_loop,
    .get_loop = builtin_get_loop,
    .set_loop = builtin_set_loop,
    .loop_started = builtin_loop_event,
    .loop_closed = builtin_loop_event,
    .after_fork_child = builtin_after_fork_child,
};

const struct raddle_policy *raddle_default_policy(void)
{
    return &builtin;
}

static int check(const struct raddle_policy *policy)
{
    unsigned length = 0;

    for (const struct raddle_policy *p = policy; p; p = p->base) {
        for (unsigned i = 0; i < 3; i++)
            if (p->reserved[i])
                return -EINVAL;
        if (++length > 64)
            return -EINVAL;
    }
    return 0;
}

/* Does policy, in the end, call base? */
static bool builds_on(const struct raddle_policy *policy, const struct raddle_policy *base)
{
    while (policy && policy != base)
        policy = policy->base;
    return policy != NULL;
}

static const char *name_of(const struct raddle_policy *policy)
{
    while (!policy->name && policy->base)
        policy = policy->base;
    return policy->name ? policy->name : "unnamed";
}

/* Two that don't know of each other: the second would silently take the first one's place. */
static bool conflicts(const struct raddle_policy *policy, const struct raddle_policy *before)
{
    return policy && before && !builds_on(policy, before) && !builds_on(before, policy);
}

int raddle_set_policy_at(const struct raddle_policy *policy, const char *site)
{
    const struct raddle_policy *before;
    const char *before_site;
    bool refused;

    if (check(policy) < 0)
        return -EINVAL;
    rdl_lock_acquire(&process_lock);
    before = rdl_atomic_load_relaxed(&process_policy);
    before_site = process_site;
    refused = conflicts(policy, before);
    if (!refused) {
        rdl_atomic_store_release(&process_policy, policy);
        if (policy != before)
            process_site = site ? site : "?";
    }
    rdl_lock_release(&process_lock);
    if (!refused)
        return 0;
    rdl_report("policy \"%s\", set at %s, is refused: \"%s\" was set at %s", name_of(policy),
               site ? site : "?", name_of(before), before_site);
    return -EBUSY;
}

int raddle_set_thread_policy(const struct raddle_policy *policy)
{
    if (check(policy) < 0)
        return -EINVAL;
    thread_policy = policy;
    return 0;
}

const struct raddle_policy *raddle_get_policy(void)
{
    const struct raddle_policy *policy = policy_of_thread();

    if (!policy)
        policy = rdl_atomic_load_acquire(&process_policy);
    return policy ? policy : &builtin;
}

/* The first policy from policy on whose function at this place is set. */
#define NEAREST(policy, function)                                                                  \
    do {                                                                                           \
        while (!(policy)->function)                                                                \
            (policy) = (policy)->base ? (policy)->base : &builtin;                                 \
    } while (0)

/* The nearest that wants to see spawns; NULL: none does, and the built-in one never. */
static const struct raddle_policy *asked_before_spawn(const struct raddle_policy *policy)
{
    while (policy && !policy->before_spawn)
        policy = policy->base;
    return policy;
}

int rdl_policy_new_loop(const struct raddle_policy *policy,
                        const struct raddle_loop_options *options, struct raddle_loop **out)
{
    const struct raddle_policy *p = policy;
    struct rdl_debug debug;
    int rc;

    for (unsigned i = 0; i < 3; i++)
        if (options->reserved[i])
            return -EINVAL;
    if ((unsigned)options->mobility > RADDLE_PINNED)
        return -EINVAL;
    rc = rdl_debug_read(options->debug, &debug);
    if (rc < 0)
        return rc;
    NEAREST(p, new_loop);
    rc = p->new_loop(p, options, out);
    if (rc < 0)
        return rc;
    (*out)->policy = policy;
    (*out)->spawns = asked_before_spawn(policy);
    (*out)->debug = debug;
    rdl_debug_begin(&debug);
    return 0;
}

/* A loop of a run is watched by the run's monitor, and in a simulation nothing takes time. */
static void watch(struct raddle_loop *loop)
{
    struct rdl_loop *base = &loop->base;
    struct rdl_monitor_options options = {
        .loops = &base, .count = 1, .slow_ns = loop->debug.slow_ns};

    if (loop->debug.slow_ns && !loop->of_run && !rdl_sim_is(base->driver) &&
        rdl_monitor_start(&options, &loop->monitor) < 0)
        rdl_report("there is nothing left for a thread that looks for slow steps of a loop");
}

void rdl_policy_loop_started(const struct raddle_policy *policy, struct raddle_loop *loop)
{
    watch(loop);
    NEAREST(policy, loop_started);
    policy->loop_started(policy, loop);
}

void rdl_policy_loop_closed(const struct raddle_policy *policy, struct raddle_loop *loop)
{
    rdl_monitor_stop(loop->monitor);
    rdl_debug_end(&loop->debug);
    NEAREST(policy, loop_closed);
    policy->loop_closed(policy, loop);
}

void rdl_policy_after_fork_child(void)
{
    const struct raddle_policy *policy = raddle_get_policy();

    thread_loop = NULL;
    thread_has_none = false;
    rdl_atomic_store_relaxed(&process_lock.held, 0u); /* by a thread that doesn't exist here */
    rdl_debug_after_fork();
    NEAREST(policy, after_fork_child);
    policy->after_fork_child(policy);
}

int raddle_new_loop(raddle_loop **out)
{
    static const struct raddle_loop_options defaults;

    return out ? rdl_policy_new_loop(raddle_get_policy(), &defaults, out) : -EINVAL;
}

int rdl_policy_set_loop(const struct raddle_policy *policy, struct raddle_loop *loop)
{
    NEAREST(policy, set_loop);
    return policy->set_loop(policy, loop);
}

int raddle_set_loop(raddle_loop *loop)
{
    return rdl_loop_current() ? -EBUSY : rdl_policy_set_loop(raddle_get_policy(), loop);
}

int raddle_get_loop(raddle_loop **out)
{
    raddle_loop *running;
    const struct raddle_policy *policy = raddle_get_policy();

    if (!out)
        return -EINVAL;
    running = raddle_running_loop();
    if (running) {
        *out = running;
        return 0;
    }
    NEAREST(policy, get_loop);
    return policy->get_loop(policy, out);
}
