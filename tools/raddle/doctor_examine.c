/*
 * raddle/doctor_examine.c - looks at what the kernel and the container allow a runtime.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <raddle.h>

#include "io/driver.h"
#include "runtime/cpus.h"
#include "sched/sys.h"
#include "sched/stack.h"
#include "tools/raddle/doctor.h"
#include "tools/raddle/process.h"

#define KIB 1024ll
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static __attribute__((format(printf, 4, 5))) struct rdl_finding *found(struct rdl_doctor *doctor,
                                                                       const char *name,
                                                                       enum rdl_finding_state state,
                                                                       const char *format, ...)
{
    struct rdl_finding *finding = &doctor->finding[doctor->findings];
    va_list args;

    if (doctor->findings + 1 < RDL_FINDINGS_MAX)
        doctor->findings++;
    finding->name = name;
    finding->state = state;
    finding->advice[0] = '\0';
    va_start(args, format);
    (void)vsnprintf(finding->value, sizeof finding->value, format, args);
    va_end(args);
    return finding;
}

static __attribute__((format(printf, 2, 3))) void advise(struct rdl_finding *finding,
                                                         const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(finding->advice, sizeof finding->advice, format, args);
    va_end(args);
}

static void fact(struct rdl_doctor *doctor, const char *name, int64_t value)
{
    if (doctor->facts < RDL_FACTS_MAX)
        doctor->fact[doctor->facts++] = (struct rdl_fact){name, value};
}

/* The number in a file, or fallback. */
static int64_t number_in(const char *path, int64_t fallback)
{
    char text[64], *end;
    int64_t value;

    if (rdl_read_file(path, text, sizeof text) <= 0)
        return fallback;
    value = strtoll(text, &end, 10);
    return end == text ? fallback : value;
}

/* A size with a unit, in one of a few static buffers. */
static const char *size_text(uint64_t bytes)
{
    static char texts[4][32];
    static unsigned next;
    char *text = texts[next++ % 4];

    if (bytes >= (uint64_t)LLONG_MAX)
        (void)snprintf(text, sizeof texts[0], "unlimited");
    else if (bytes >= 10 * (uint64_t)GIB)
        (void)snprintf(text, sizeof texts[0], "%llu GiB", (unsigned long long)bytes / GIB);
    else if (bytes >= 10 * (uint64_t)MIB)
        (void)snprintf(text, sizeof texts[0], "%llu MiB", (unsigned long long)bytes / MIB);
    else
        (void)snprintf(text, sizeof texts[0], "%llu KiB", (unsigned long long)bytes / KIB);
    return text;
}

static void limit(struct rdl_doctor *doctor, int resource, const char *soft_name,
                  const char *hard_name, struct rlimit *out)
{
    if (getrlimit((__rlimit_resource_t)resource, out))
        out->rlim_cur = out->rlim_max = RLIM_INFINITY;
    fact(doctor, soft_name, out->rlim_cur == RLIM_INFINITY ? -1 : (int64_t)out->rlim_cur);
    fact(doctor, hard_name, out->rlim_max == RLIM_INFINITY ? -1 : (int64_t)out->rlim_max);
}

static void examine_kernel(struct rdl_doctor *doctor, const struct utsname *kernel)
{
    (void)found(doctor, "kernel", RDL_FINDING_OK, "%s %s %s", kernel->sysname, kernel->release,
                kernel->machine);
}

/* The names of the bits that are set, in their order, separated by commas. */
static void name_bits(char *text, size_t size, uint32_t bits, const char *const *names)
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned bit = 0; names[bit]; bit++) {
        int n;

        if (!(bits & 1u << bit) || !names[bit][0])
            continue;
        n = snprintf(text + used, size - used, "%s%s", used ? "," : "", names[bit]);
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

/* The bits of struct io_uring_params, by number: the kernel's interface does not change. */
static const char *const setup_names[] = {
    "iopoll",        "sqpoll",        "sq_aff",       "cqsize",        "clamp",      "attach_wq",
    "r_disabled",    "submit_all",    "coop_taskrun", "taskrun_flag",  "sqe128",     "cqe32",
    "single_issuer", "defer_taskrun", "no_mmap",      "registered_fd", "no_sqarray", NULL};
static const char *const feature_names[] = {
    "single_mmap", "nodrop",      "submit_stable",   "rw_cur_pos",   "cur_personality",
    "fast_poll",   "poll_32bits", "sqpoll_nonfixed", "ext_arg",      "native_workers",
    "rsrc_tags",   "cqe_skip",    "linked_file",     "reg_reg_ring", "recvsend_bundle",
    "min_timeout", NULL};

static void explain_denial(const struct rdl_uring_facts *uring, int64_t sysctl, int64_t seccomp,
                           struct rdl_finding *finding)
{
    if (uring->error == -EPERM && sysctl > 0)
        advise(finding,
               "the sysctl kernel.io_uring_disabled is %lld: set it to 0, or (at 1) add the "
               "process to "
               "kernel.io_uring_group; epoll is used meanwhile",
               (long long)sysctl);
    else if ((uring->error == -EPERM || uring->error == -ENOSYS || uring->error == -EACCES) &&
             seccomp == 2)
        advise(finding,
               "a seccomp filter denies it, as containers do by default: allow io_uring_setup, "
               "io_uring_enter and io_uring_register; epoll is used meanwhile");
    else if (uring->error == -ENOSYS)
        advise(finding, "this kernel or this build has no io_uring; epoll is used");
    else if (uring->error == -ENOMEM)
        advise(finding,
               "not enough locked memory for a ring: raise RLIMIT_MEMLOCK (ulimit -l); epoll "
               "is used meanwhile");
    else
        advise(finding, "epoll is used");
}

static void examine_uring(struct rdl_doctor *doctor)
{
    struct rdl_uring_facts uring = {0};
    char status[4096], setup[256], features[256];
    int64_t sysctl = number_in("/proc/sys/kernel/io_uring_disabled", -1), seccomp = 0;
    struct rdl_finding *finding;
    int rc = rdl_uring_probe(&uring);

    if (rdl_read_file("/proc/self/status", status, sizeof status) > 0)
        seccomp = rdl_find_number(status, "Seccomp:", 0);
    fact(doctor, "io_uring_error", rc);
    fact(doctor, "io_uring_disabled", sysctl);
    fact(doctor, "io_uring_features", uring.features);
    fact(doctor, "io_uring_setup_flags", uring.setup_flags);
    fact(doctor, "io_uring_sq_entries", uring.sq_entries);
    fact(doctor, "io_uring_cq_entries", uring.cq_entries);
    fact(doctor, "io_uring_deferred", uring.deferred);
    fact(doctor, "io_uring_poll_first", uring.poll_first);
    fact(doctor, "io_uring_registered_ring", uring.registered_ring);
    fact(doctor, "seccomp", seccomp);
    if (rc < 0) {
        finding = found(doctor, "io_uring", RDL_FINDING_WARNING, "no: %s%s%s (errno %d)%s",
                        uring.denied ? uring.denied : "", uring.denied ? ": " : "", strerror(-rc),
                        -rc, sysctl > 0 ? ", disabled by sysctl" : "");
        explain_denial(&uring, sysctl, seccomp, finding);
        return;
    }
    finding = found(doctor, "io_uring", RDL_FINDING_OK,
                    "works: rings of %u/%u entries, %s task work%s%s", uring.sq_entries,
                    uring.cq_entries, uring.deferred ? "deferred" : "cooperative or immediate",
                    uring.poll_first ? ", poll first" : "",
                    uring.registered_ring ? ", registered rings" : "");
    if (!uring.deferred) {
        finding->state = RDL_FINDING_NOTE;
        advise(finding, "with Linux 6.1 or later completions would cost less (DEFER_TASKRUN)");
    }
    name_bits(setup, sizeof setup, uring.setup_flags, setup_names);
    name_bits(features, sizeof features, uring.features, feature_names);
    (void)found(doctor, "  flags", RDL_FINDING_OK, "%s", setup);
    (void)found(doctor, "  features", RDL_FINDING_OK, "%s", features);
}

static void examine_memlock(struct rdl_doctor *doctor)
{
    struct rlimit memlock;

    limit(doctor, RLIMIT_MEMLOCK, "memlock_soft_bytes", "memlock_hard_bytes", &memlock);
    (void)found(doctor, "memlock", RDL_FINDING_OK, "%s, hard limit %s", size_text(memlock.rlim_cur),
                size_text(memlock.rlim_max));
}

static void examine_descriptors(struct rdl_doctor *doctor)
{
    struct rlimit files;
    struct rdl_finding *finding;
    char hard[32];

    limit(doctor, RLIMIT_NOFILE, "descriptors_soft", "descriptors_hard", &files);
    if (files.rlim_max == RLIM_INFINITY)
        (void)snprintf(hard, sizeof hard, "unlimited");
    else
        (void)snprintf(hard, sizeof hard, "%llu", (unsigned long long)files.rlim_max);
    finding = found(doctor, "descriptors", RDL_FINDING_OK, "%llu, hard limit %s",
                    (unsigned long long)files.rlim_cur, hard);
    if (files.rlim_max < 4096) {
        finding->state = RDL_FINDING_WARNING;
        advise(finding,
               "each connection takes one: raise the hard limit of RLIMIT_NOFILE (ulimit -Hn)");
    } else if (files.rlim_cur < files.rlim_max && files.rlim_cur < 4096) {
        finding->state = RDL_FINDING_NOTE;
        advise(finding,
               "`raddle serve' and `load' raise the soft limit to the hard one; other programs "
               "must do so themselves (ulimit -n)");
    }
}

static void examine_stacks(struct rdl_doctor *doctor)
{
    enum rdl_stack_guard guard = rdl_stack_guard_kind();
    int64_t map_count = number_in("/proc/sys/vm/max_map_count", -1);
    struct rdl_stack_stats stats;
    struct rdl_finding *finding;
    size_t tasks;

    rdl_stack_stats(&stats);
    fact(doctor, "max_map_count", map_count);
    fact(doctor, "guard_regions", guard == RDL_STACK_GUARD_REGIONS);
    if (guard == RDL_STACK_GUARD_REGIONS) {
        (void)found(
            doctor, "stacks", RDL_FINDING_OK,
            "guarded by guard regions (MADV_GUARD_INSTALL): as many tasks as fit into memory");
    } else {
        tasks = stats.areas_budget / 2; /* a guard splits an area in two more */
        fact(doctor, "mprotect_tasks_max", (int64_t)tasks);
        finding =
            found(doctor, "stacks", RDL_FINDING_WARNING,
                  "guarded by mprotect: at most about %zu tasks, then spawning fails with -ENOMEM",
                  tasks);
        advise(finding,
               "the kernel has no guard regions (Linux 6.13): for more tasks raise the sysctl "
               "vm.max_map_count; each takes 2");
    }
    (void)found(doctor, "map count", RDL_FINDING_OK, "vm.max_map_count is %lld",
                (long long)map_count);
}

static void examine_cpus(struct rdl_doctor *doctor)
{
    unsigned affinity = rdl_sys_cpus(0), quota = rdl_cpus_quota();
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    char quota_text[64] = "no quota";

    doctor->loops = rdl_cpus_allowed();
    fact(doctor, "cpus_online", online);
    fact(doctor, "cpus_affinity", affinity);
    fact(doctor, "cpus_quota", quota);
    if (quota)
        (void)snprintf(quota_text, sizeof quota_text, "a quota of %u (control group, rounded up)",
                       quota);
    (void)found(doctor, "CPUs", RDL_FINDING_OK, "%ld online, %u by affinity, %s", online, affinity,
                quota_text);
}

static void examine_memory(struct rdl_doctor *doctor)
{
    int64_t overcommit = number_in("/proc/sys/vm/overcommit_memory", -1), total, available;
    struct rdl_finding *finding;
    struct rlimit space;
    char text[4096];

    if (rdl_read_file("/proc/meminfo", text, sizeof text) <= 0)
        text[0] = '\0';
    total = rdl_find_number(text, "MemTotal:", 0) * KIB;
    available = rdl_find_number(text, "MemAvailable:", 0) * KIB;
    fact(doctor, "memory_total_bytes", total);
    fact(doctor, "memory_available_bytes", available);
    fact(doctor, "overcommit_memory", overcommit);
    (void)found(doctor, "memory", RDL_FINDING_OK, "%s, %s available", size_text((uint64_t)total),
                size_text((uint64_t)available));

    finding = found(doctor, "overcommit", RDL_FINDING_OK, "vm.overcommit_memory is %lld",
                    (long long)overcommit);
    if (overcommit == 2) {
        finding->state = RDL_FINDING_WARNING;
        advise(finding,
               "strict accounting counts the whole of every stack (128 KiB each), used or not: "
               "set vm.overcommit_memory to 0, or use smaller stacks");
    }
    limit(doctor, RLIMIT_AS, "address_space_soft_bytes", "address_space_hard_bytes", &space);
    if (space.rlim_cur != RLIM_INFINITY) {
        finding = found(doctor, "address space", RDL_FINDING_WARNING, "limited to %s",
                        size_text(space.rlim_cur));
        advise(finding, "each task reserves 128 KiB of it: at most about %llu tasks (ulimit -v)",
               (unsigned long long)space.rlim_cur / (128 * KIB));
    }
}

static void examine_pages(struct rdl_doctor *doctor)
{
    static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
    char text[128];
    struct rdl_finding *finding;
    char *end;

    if (rdl_read_file(path, text, sizeof text) <= 0)
        return;
    end = strchr(text, '\n');
    if (end)
        *end = '\0';
    finding = found(doctor, "huge pages", RDL_FINDING_OK, "%s", text);
    if (strstr(text, "[always]")) {
        finding->state = RDL_FINDING_NOTE;
        advise(finding,
               "stacks are kept from them (MADV_NOHUGEPAGE); your own large allocations are not");
    }
}

static void examine_network(struct rdl_doctor *doctor)
{
    int64_t backlog = number_in("/proc/sys/net/core/somaxconn", -1);
    struct rdl_finding *finding;

    fact(doctor, "somaxconn", backlog);
    if (backlog < 0)
        return;
    finding =
        found(doctor, "backlog", RDL_FINDING_OK, "net.core.somaxconn is %lld", (long long)backlog);
    if (backlog < 1024) {
        finding->state = RDL_FINDING_NOTE;
        advise(finding, "a burst of connections is cut off at that; raise net.core.somaxconn");
    }
}

static void examine_threads(struct rdl_doctor *doctor)
{
    struct rlimit processes;

    limit(doctor, RLIMIT_NPROC, "threads_soft", "threads_hard", &processes);
    if (processes.rlim_cur != RLIM_INFINITY && processes.rlim_cur < 256) {
        struct rdl_finding *finding =
            found(doctor, "threads", RDL_FINDING_NOTE, "RLIMIT_NPROC is %llu",
                  (unsigned long long)processes.rlim_cur);
        advise(finding, "loops and blocking work need threads: raise it if they can't be made");
    }
}

/* Asks the policy itself: makes a loop. */
static void examine_choice(struct rdl_doctor *doctor)
{
    const char *wanted = getenv("RADDLE_POLICY");
    struct rdl_uring_facts uring = {0};
    raddle_loop *loop;
    const char *why;
    int rc = raddle_new_loop(&loop);

    if (rc < 0) {
        struct rdl_finding *finding =
            found(doctor, "chosen", RDL_FINDING_WARNING, "nothing: a loop can't be made: %s",
                  raddle_strerror(rc));
        advise(finding, "no program of raddle's will run here%s",
               wanted && *wanted ? "; look at RADDLE_POLICY" : "");
        return;
    }
    doctor->driver = raddle_loop_driver(loop);
    (void)raddle_loop_close(loop);
    if (wanted && *wanted && strcmp(wanted, doctor->driver) == 0)
        why = "as RADDLE_POLICY says";
    else if (rdl_uring_probe(&uring) == 0)
        why = strcmp(doctor->driver, "uring") == 0 ? "io_uring works" : "no ring could be made";
    else
        why = "io_uring is not allowed";
    (void)found(doctor, "chosen", RDL_FINDING_OK,
                "%s (%s), %u loop%s (one per CPU that is allowed)", doctor->driver, why,
                doctor->loops, doctor->loops == 1 ? "" : "s");
}

void rdl_doctor_examine(struct rdl_doctor *doctor)
{
    struct utsname kernel = {0};

    (void)uname(&kernel);
    examine_kernel(doctor, &kernel);
    examine_uring(doctor);
    examine_memlock(doctor);
    examine_descriptors(doctor);
    examine_stacks(doctor);
    examine_cpus(doctor);
    examine_memory(doctor);
    examine_pages(doctor);
    examine_network(doctor);
    examine_threads(doctor);
    examine_choice(doctor);
}
