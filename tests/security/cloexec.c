/*
 * tests/security/cloexec.c - a program that is started in the middle of a loaded server has descriptors 0, 1 and 2
 * and no other.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/security/loaded.h"
#include "tests/support/runtime.h"

enum { OPEN_AT_LEAST = 50 }; /* both ends of 24 connections, and the loops' own */

static unsigned open_here(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

/* What ls says of descriptor number fd: its own of the folder is no guest of ours. */
static bool is_its_own(const char *target)
{
    return strncmp(target, "/proc/", 6) == 0 && strstr(target, "/fd");
}

/* The lines end in "NUMBER -> TARGET". */
static unsigned examine(FILE *lines)
{
    char line[512];
    unsigned standard = 0;

    while (fgets(line, sizeof(line), lines)) {
        char *arrow = strstr(line, " -> "), *number;
        int fd;

        if (!arrow)
            continue;
        *arrow = 0;
        number = strrchr(line, ' ');
        fd = number ? atoi(number + 1) : -1;
        if (fd >= 0 && fd <= 2) {
            standard |= 1u << fd;
        } else if (!is_its_own(arrow + 4)) {
            fprintf(stderr, "the child has %d -> %s", fd, arrow + 4);
            test_expect(false, "a descriptor was inherited", __FILE__, __LINE__);
        }
    }
    return standard;
}

static int starts_a_program(void *arg)
{
    int ends[2], status = -1;
    FILE *lines;
    pid_t pid;

    (void)arg;
    EXPECT_IN(open_here(), OPEN_AT_LEAST, 1000000);
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        execlp("ls", "ls", "-l", "/proc/self/fd", (char *)NULL);
        _exit(127);
    }
    EXPECT(pid > 0);
    close(ends[1]);
    lines = fdopen(ends[0], "re");
    EXPECT_EQ(lines ? examine(lines) : 0, 7);
    if (lines)
        fclose(lines);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

int main(void)
{
    close_range(3, ~0U, 0); /* what who started us has left open */
    EXPECT_EQ(loaded_run(test_loops(), starts_a_program, NULL), 0);
    return test_result();
}
