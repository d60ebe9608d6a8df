/*
 * runtime/cpus.c - the CPUs that affinity and the control group's quota leave to this process.
 *
 * The quota is looked for where this process is in the hierarchy and in every parent, since the
 * least of them holds. In a container the hierarchy is usually mounted at its own group, so a path
 * that isn't there counts as the root.
 */
#define _GNU_SOURCE
#include "runtime/cpus.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sched/sys.h"

static bool read_file(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, text, bytes - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    return true;
}

/* quota / period in CPUs, rounded up; 0 when there is none. */
static unsigned cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    return (unsigned)((quota + period - 1) / period);
}

static unsigned quota_v2(const char *dir)
{
    char path[512], text[128];
    long long quota, period;

    if (snprintf(path, sizeof(path), "%s/cpu.max", dir) >= (int)sizeof(path) ||
        !read_file(path, text, sizeof(text)) || sscanf(text, "%lld %lld", &quota, &period) != 2)
        return 0; /* "max": no quota */
    return cpus_of(quota, period);
}

static unsigned quota_v1(const char *dir)
{
    char path[512], quota[64], period[64];

    if (snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir) >= (int)sizeof(path) ||
        !read_file(path, quota, sizeof(quota)))
        return 0;
    if (snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir) >= (int)sizeof(path) ||
        !read_file(path, period, sizeof(period)))
        return 0;
    return cpus_of(atoll(quota), atoll(period));
}

/* The least quota of mount/group and its parents. */
static unsigned least_quota(const char *mount, const char *group,
                            unsigned (*read_quota)(const char *))
{
    char dir[384];
    unsigned least = 0;
    size_t root = strlen(mount);

    if (snprintf(dir, sizeof(dir), "%s%s", mount, group) >= (int)sizeof(dir))
        return 0;
    for (;;) {
        unsigned quota = read_quota(dir);
        char *slash;
        if (quota && (!least || quota < least))
            least = quota;
        slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < root)
            break;
        *slash = 0;
    }
    return least;
}

unsigned rdl_cpus_quota(void)
{
    static const char *const v1_mounts[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    char text[4096];
    unsigned least = 0;

    if (!read_file("/proc/self/cgroup", text, sizeof(text)))
        return 0;
    for (char *rest, *line = strtok_r(text, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        /* hierarchy:controllers:path */
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        unsigned quota = 0;
        if (!group)
            continue;
        *group++ = 0;
        controllers++;
        if (!*controllers)
            quota = least_quota("/sys/fs/cgroup", group, quota_v2);
        else if (strstr(controllers, "cpu"))
            for (unsigned i = 0; i < 2 && !quota; i++)
                quota = least_quota(v1_mounts[i], group, quota_v1);
        if (quota && (!least || quota < least))
            least = quota;
    }
    return least;
}

unsigned rdl_cpus_allowed(void)
{
    unsigned affinity = rdl_sys_cpus(0);
    unsigned quota = rdl_cpus_quota();

    return quota && quota < affinity ? quota : affinity;
}
