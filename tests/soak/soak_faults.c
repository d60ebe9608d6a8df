/*
 * tests/soak/soak_faults.c - what the parent does to the two processes of the soak: stops them, takes the CPU or the
 * descriptors from them, loses their packets.
 */
#define _GNU_SOURCE
#include "tests/soak/soak.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *const soak_fault_names[SOAK_FAULTS] = {
    [SOAK_STOP] = "a process stopped",
    [SOAK_QUOTA] = "a tenth of a CPU",
    [SOAK_EMFILE] = "no descriptors",
    [SOAK_PACKETS] = "packet loss in network namespaces",
};

static const char *const link_loss[] = {
    "iptables -%c INPUT -p tcp -m statistic --mode random --probability 0.05 -j DROP",
    "tc qdisc %s dev soak0 root tbf rate 20mbit burst 16kb limit 32kb",
};

static void pass_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* A shell's command, in silence. */
__attribute__((format(printf, 1, 2))) static bool command(const char *format, ...)
{
    char wanted[400], line[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(wanted, sizeof(wanted), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(wanted))
        return false;
    (void)snprintf(line, sizeof(line), "%s >/dev/null 2>&1 </dev/null", wanted);
    return system(line) == 0;
}

static bool write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    FILE *file;
    bool good;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    if (!file)
        return false;
    good = fputs(text, file) >= 0;
    return fclose(file) == 0 && good;
}

/* Namespaces. */

bool soak_faults_unshare(void)
{
    return unshare(CLONE_NEWNET) == 0;
}

bool soak_faults_connect(struct soak_faults *f, char *address, size_t bytes)
{
    bool good =
        command("nsenter -t %d -n ip link add soak0 type veth peer name soak1 netns %d",
                (int)f->server, (int)f->client) &&
        command(
            "nsenter -t %d -n sh -c 'ip addr add 10.77.0.1/24 dev soak0 && ip link set soak0 up'",
            (int)f->server) &&
        command(
            "nsenter -t %d -n sh -c 'ip addr add 10.77.0.2/24 dev soak1 && ip link set soak1 up'",
            (int)f->client);

    if (good)
        (void)snprintf(address, bytes, "tcp:10.77.0.1:0");
    else
        f->skipped[SOAK_PACKETS] = "ip(8) could not make a link between namespaces";
    return good;
}

/* Makes the link lose packets, or sets it right again. */
static bool lose(const struct soak_faults *f, unsigned how, bool on)
{
    char line[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (how == 0)
        (void)snprintf(line, sizeof(line), link_loss[0], on ? 'A' : 'D');
    else
        (void)snprintf(line, sizeof(line), link_loss[1], on ? "replace" : "del");
#pragma GCC diagnostic pop
    return command("nsenter -t %d -n %s", (int)f->server, line);
}

/* The CPU. */

static void join_cgroup(struct soak_faults *f)
{
    static const char *const roots[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup"};
    static const char *const limits[] = {"cpu.cfs_quota_us", "cpu.max"};
    char pid[16];

    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(f->cgroup, sizeof(f->cgroup), "%s/raddle-soak-%d", roots[i], (int)getpid());
        if (mkdir(f->cgroup, 0755) != 0)
            continue;
        if (write_file(f->cgroup, limits[i], i ? "max 100000" : "-1")) {
            (void)snprintf(f->limit, sizeof(f->limit), "%s", limits[i]);
            break;
        }
        (void)rmdir(f->cgroup);
    }
    if (!f->limit[0]) {
        f->skipped[SOAK_QUOTA] = "no cgroup with a CPU quota can be made";
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(pid, sizeof(pid), "%d", (int)(i ? f->client : f->server));
        if (!write_file(f->cgroup, "cgroup.procs", pid))
            f->skipped[SOAK_QUOTA] = "a process can't be put into a cgroup";
    }
}

static bool set_quota(const struct soak_faults *f, bool on)
{
    bool old = strcmp(f->limit, "cpu.max") != 0;

    return write_file(f->cgroup, f->limit,
                      on    ? (old ? "10000" : "10000 100000")
                      : old ? "-1"
                            : "max 100000");
}

/* Descriptors. */

static unsigned long open_descriptors(pid_t pid)
{
    char path[64];
    unsigned long count = 0;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    while (dir && readdir(dir))
        count++;
    if (dir)
        (void)closedir(dir);
    return count;
}

static bool take_descriptors(pid_t pid, unsigned ms)
{
    unsigned long few = open_descriptors(pid) / 2 + 3;
    struct rlimit old, low;

    if (prlimit(pid, RLIMIT_NOFILE, NULL, &old) != 0)
        return false;
    low = old;
    low.rlim_cur = few < old.rlim_cur ? few : old.rlim_cur;
    if (prlimit(pid, RLIMIT_NOFILE, &low, NULL) != 0)
        return false;
    pass_ms(ms);
    return prlimit(pid, RLIMIT_NOFILE, &old, NULL) == 0;
}

static bool stop_for(pid_t pid, unsigned ms)
{
    if (kill(pid, SIGSTOP) != 0)
        return false;
    pass_ms(ms);
    return kill(pid, SIGCONT) == 0;
}

void soak_faults_open(struct soak_faults *f)
{
    join_cgroup(f);
    if (f->skipped[SOAK_PACKETS])
        return;
    for (unsigned i = 0; i < 2; i++)
        f->can_lose[i] = lose(f, i, true) && lose(f, i, false);
    if (!f->can_lose[0] && !f->can_lose[1])
        f->skipped[SOAK_PACKETS] = "neither iptables(8) nor tc(8) can lose packets";
}

void soak_faults_inject(struct soak_faults *f)
{
    enum soak_fault fault = (enum soak_fault)(f->next++ % SOAK_FAULTS);
    unsigned ms = 100 + test_random(&f->random) % 900;
    pid_t pid = test_random(&f->random) % 2 ? f->server : f->client;
    unsigned how = f->can_lose[0] && (!f->can_lose[1] || test_random(&f->random) % 2) ? 0 : 1;
    bool good = true;

    if (f->skipped[fault]) {
        pass_ms(100);
        return;
    }
    switch (fault) {
    case SOAK_STOP:
        good = stop_for(pid, ms);
        break;
    case SOAK_QUOTA:
        good = set_quota(f, true);
        pass_ms(ms);
        good = set_quota(f, false) && good;
        break;
    case SOAK_EMFILE:
        good = take_descriptors(pid, ms / 2);
        break;
    default:
        good = lose(f, how, true);
        pass_ms(ms);
        good = lose(f, how, false) && good;
        break;
    }
    EXPECT(good);
    f->done[fault]++;
    pass_ms(test_random(&f->random) % 300);
}

void soak_faults_close(struct soak_faults *f)
{
    if (f->limit[0])
        EXPECT_EQ(rmdir(f->cgroup), 0);
}
