/*
 * tests/support/deny_uring.c - runs a program that is denied io_uring, as containers deny it.
 *
 *     deny_uring EPERM|ENOSYS PROGRAM [ARGUMENT...]
 *
 * A seccomp filter makes the three io_uring system calls fail with the error named.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    EXIT_SKIP = 77,
    EXIT_NO_PROGRAM = 127,
};

static int deny(uint32_t error)
{
    /* The numbers of the three calls follow each other, on every architecture. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, __NR_io_uring_setup, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, __NR_io_uring_register, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {
        .len = sizeof(code) / sizeof(code[0]),
        .filter = code,
    };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return -errno;
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t error;
    int rc;

    if (argc >= 3 && strcmp(argv[1], "EPERM") == 0) {
        error = EPERM;
    } else if (argc >= 3 && strcmp(argv[1], "ENOSYS") == 0) {
        error = ENOSYS;
    } else {
        fprintf(stderr, "usage: deny_uring EPERM|ENOSYS PROGRAM [ARGUMENT...]\n");
        return EXIT_USAGE;
    }
    rc = deny(error);
    if (rc < 0) {
        fprintf(stderr, "deny_uring: no seccomp filter can be set here: %s\n", strerror(-rc));
        return EXIT_SKIP;
    }
    execvp(argv[2], argv + 2);
    fprintf(stderr, "deny_uring: %s: %s\n", argv[2], strerror(errno));
    return EXIT_NO_PROGRAM;
}
