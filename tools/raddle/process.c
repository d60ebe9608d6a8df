/*
 * raddle/process.c - what a process has used, from its clocks and /proc. Blocks for as long as
 * reading /proc takes, some microseconds.
 */
#include "tools/raddle/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now))
        return -errno;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t rdl_process_cpu(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t rdl_process_cpu_of(pid_t pid)
{
    clockid_t clock;
    int rc = clock_getcpuclockid(pid, &clock);

    return rc ? -rc : read_clock(clock);
}

ssize_t rdl_read_file(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;

    if (fd < 0)
        return -errno;
    while (used + 1 < size) {
        ssize_t n = read(fd, buffer + used, size - 1 - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    buffer[used] = '\0';
    (void)close(fd);
    return (ssize_t)used;
}

int64_t rdl_find_number(const char *text, const char *key, int64_t fallback)
{
    const char *at = text;

    while (at) {
        if (strncmp(at, key, strlen(key)) == 0)
            return strtoll(at + strlen(key), NULL, 10);
        at = strchr(at, '\n');
        if (at)
            at++;
    }
    return fallback;
}

uint64_t rdl_process_resident_of(pid_t pid)
{
    char text[128], path[64];
    char *end;

    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (rdl_read_file(path, text, sizeof text) <= 0)
        return 0;
    (void)strtoull(text, &end, 10);
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t rdl_process_resident(void)
{
    return rdl_process_resident_of(getpid());
}

uint64_t rdl_process_page_tables_of(pid_t pid)
{
    /* Not on the stack: a task that asks would touch one more page of its own. */
    enum { SIZE = 4096 };
    char *text = malloc(SIZE), path[64];
    int64_t kib = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (text && rdl_read_file(path, text, SIZE) > 0)
        kib = rdl_find_number(text, "VmPTE:", 0);
    free(text);
    return (uint64_t)kib * 1024;
}

uint64_t rdl_process_page_tables(void)
{
    return rdl_process_page_tables_of(getpid());
}

uint64_t rdl_process_descriptors(void)
{
    static const char path[] = "/proc/self/fd";
    struct stat info;
    uint64_t count = 0;
    DIR *folder;

    /* Since Linux 6.2 its size is their number; reading it takes long when there are many. */
    if (stat(path, &info) == 0 && info.st_size > 0)
        return (uint64_t)info.st_size;
    folder = opendir(path);
    if (!folder)
        return 0;
    while (readdir(folder))
        count++;
    (void)closedir(folder);
    return count > 3 ? count - 3 : 0; /* ".", "..", and the folder itself */
}
