/*
 * tests/io/denied.c - a process that is denied io_uring, or a part of it, runs on epoll and knows why.
 *
 * Containers deny by a seccomp filter with EPERM or ENOSYS; some let the setup pass and deny the rest. Each
 * case runs in a child of its own, because a filter can't be taken back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <raddle.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/driver.h"

enum { EXIT_SKIP = 77 };

static int deny(unsigned call, unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return -errno;
    return 0;
}

static int main_task(void *arg)
{
    int pair[2];
    char byte = 'x';

    (void)arg;
    if (strcmp(raddle_loop_driver(raddle_running_loop()), "epoll") != 0)
        return -ENOTRECOVERABLE;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    if (raddle_fd_send(pair[0], &byte, 1, 0) != 1 || raddle_fd_recv(pair[1], &byte, 1, 0) != 1)
        return -EIO;
    return raddle_fd_close(pair[0]) || raddle_fd_close(pair[1]);
}

/* In a child. */
static int check(unsigned call, const char *name, unsigned error, const char *policy)
{
    struct rdl_uring_facts facts;
    struct rdl_driver *driver;
    int rc = deny(call, error);

    if (rc < 0)
        return EXIT_SKIP;
    if (policy)
        setenv("RADDLE_POLICY", policy, 1);
    else
        unsetenv("RADDLE_POLICY");
    if (rdl_uring_probe(&facts) != -(int)error || facts.error != -(int)error) {
        fprintf(stderr, "%s: the probe says %d\n", name, facts.error);
        return 1;
    }
    if (!facts.denied || strcmp(facts.denied, name) != 0) {
        fprintf(stderr, "%s: the probe blames %s\n", name, facts.denied ? facts.denied : "nobody");
        return 1;
    }
    if (rdl_uring_create(&driver) != -(int)error) {
        fprintf(stderr, "%s: a driver was made\n", name);
        return 1;
    }
    rc = raddle_run(main_task, NULL, NULL);
    if (rc)
        fprintf(stderr, "%s: raddle_run: %s\n", name, raddle_strerror(rc));
    return rc != 0;
}

int main(void)
{
    static const struct {
        unsigned call;
        const char *name;
    } calls[] = {
        {__NR_io_uring_setup, "io_uring_setup"},
        {__NR_io_uring_enter, "io_uring_enter"},
        {__NR_io_uring_register, "io_uring_register"},
    };
    static const unsigned errors[] = {EPERM, ENOSYS};
    static const char *const policies[] = {NULL, "uring", "epoll"};
    int failed = 0, skipped = 0;

    /* Bad arguments are EINVAL or EFAULT, where the call isn't denied already. */
    if (syscall(__NR_io_uring_setup, 0, NULL) < 0 && (errno == EPERM || errno == ENOSYS)) {
        printf("skipped: io_uring is denied here already: %s\n", strerror(errno));
        return EXIT_SKIP;
    }
    for (unsigned i = 0; i < 3 * 2 * 3; i++) {
        unsigned call = i % 3, error = i / 3 % 2, policy = i / 6;
        pid_t child = fork();
        int status = 1;

        if (child == 0)
            _exit(check(calls[call].call, calls[call].name, errors[error], policies[policy]));
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP)
            skipped++;
        else if (status != 0)
            failed++;
        printf("%s denied with %s, policy %s: %s\n", calls[call].name,
               strerrorname_np((int)errors[error]), policies[policy] ? policies[policy] : "none",
               status == 0 ? "epoll" : "failed or skipped");
    }
    return failed ? 1 : skipped ? EXIT_SKIP : 0;
}
