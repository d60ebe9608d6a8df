/*
 * tests/security/seccomp.c - a server under the allow-list of tools/seccomp.json, and nothing besides, serves.
 *
 * The filter is set before raddle_run(), and a call that isn't listed ends the process with its number. What
 * the load itself calls (loaded.c) is allowed by name below. A last child shows that the filter filters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/security/loaded.h"
#include "tests/support/runtime.h"

enum { EXIT_SKIP = 77, EXIT_CAUGHT = 3, CALLS_MAX = 120, CALLS_MIN = 50, NOWHERE = -1 };

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

static const struct {
    const char *name;
    int number; /* NOWHERE: another architecture's */
} known[] = {
#define CALL(name)                                                                                 \
    {                                                                                              \
#name, __NR_##name                                                                         \
    }
    CALL(brk),
    CALL(faccessat),
    CALL(getrandom),
    CALL(madvise),
    CALL(mmap),
    CALL(mprotect),
    CALL(mremap),
    CALL(munmap),
    CALL(clone),
    CALL(clone3),
    CALL(exit),
    CALL(exit_group),
    CALL(futex),
    CALL(getpid),
    CALL(getpriority),
    CALL(gettid),
    CALL(prctl),
    CALL(prlimit64),
    CALL(restart_syscall),
    CALL(rseq),
    CALL(sched_getaffinity),
    CALL(sched_yield),
    CALL(set_robust_list),
    CALL(setpriority),
    CALL(sigaltstack),
    CALL(kill),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(rt_sigtimedwait),
    CALL(tgkill),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(close),
    CALL(eventfd2),
    CALL(fcntl),
    CALL(fstat),
    CALL(lseek),
    CALL(newfstatat),
    CALL(openat),
    CALL(ppoll),
    CALL(read),
    CALL(readv),
    CALL(unlinkat),
    CALL(write),
    CALL(writev),
    CALL(accept4),
    CALL(bind),
    CALL(connect),
    CALL(getsockname),
    CALL(getsockopt),
    CALL(listen),
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(sendmsg),
    CALL(sendto),
    CALL(setsockopt),
    CALL(shutdown),
    CALL(socket),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_pwait),
    CALL(epoll_pwait2),
    CALL(io_uring_enter),
    CALL(io_uring_register),
    CALL(io_uring_setup),
    CALL(pipe2),
#if defined(__x86_64__)
    CALL(access),
    CALL(poll),
    CALL(unlink),
    CALL(epoll_wait),
#else
    {"access", NOWHERE},
    {"poll", NOWHERE},
    {"unlink", NOWHERE},
    {"epoll_wait", NOWHERE},
#endif
};

static int numbers[CALLS_MAX];
static unsigned count;

static void allow(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].name) != length || strncmp(known[i].name, name, length) != 0)
            continue;
        if (known[i].number != NOWHERE && count < CALLS_MAX)
            numbers[count++] = known[i].number;
        return;
    }
    fprintf(stderr, "the profile has %.*s, which this test doesn't know\n", (int)length, name);
    test_expect(false, "an unknown name", __FILE__, __LINE__);
}

/* Each string of each list of "names". */
static void allow_names_of(const char *text)
{
    while ((text = strstr(text, "\"names\""))) {
        const char *end, *quote;

        text = strchr(text, '[');
        end = text ? strchr(text, ']') : NULL;
        if (!end)
            break;
        while ((quote = strchr(text, '"')) && quote < end) {
            const char *name = quote + 1;

            text = strchr(name, '"') + 1;
            allow(name, (size_t)(text - 1 - name));
        }
        text = end;
    }
}

static void read_profile(const char *path)
{
    static char text[16 * 1024];
    FILE *file = fopen(path, "re");
    size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    text[length] = 0;
    if (file)
        fclose(file);
    EXPECT(strstr(text, "\"defaultAction\": \"SCMP_ACT_ERRNO\""));
    allow_names_of(text);
    EXPECT_IN(count, CALLS_MIN, CALLS_MAX);
}

static void caught(int signal, siginfo_t *info, void *context)
{
    char text[64];
    int length =
        snprintf(text, sizeof(text), "system call %d isn't in the profile\n", info->si_syscall);

    (void)signal;
    (void)context;
    if (write(2, text, (size_t)length) < 0)
        _exit(1);
    _exit(EXIT_CAUGHT);
}

/* 0 or -errno. */
static int filter(void)
{
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    struct sock_filter code[2 * CALLS_MAX + 8];
    struct sock_fprog program = {.len = 0, .filter = code};
    unsigned short n = 0;

    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < count; i++) {
        code[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)numbers[i], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    program.len = n;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return -errno;
    return 0;
}

/* In a child: what it exits with. */
static int filtered(int (*fn)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        int rc = filter();

        if (rc < 0)
            fprintf(stderr, "skipped: no seccomp filter can be set here: %s\n", strerror(-rc));
        _exit(rc < 0 ? EXIT_SKIP : fn());
    }
    EXPECT(pid > 0);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int in_the_middle(void *arg)
{
    (void)arg;
    return 0;
}

static int serves(void)
{
    EXPECT_EQ(loaded_run(test_loops(), in_the_middle, NULL), 0);
    return test_result();
}

/* It does no harm, nobody of ours has reason to call it, and it isn't in the profile. */
static int calls_another(void)
{
    (void)syscall(__NR_getppid);
    return 0;
}

int main(void)
{
    int status;

    read_profile(RADDLE_SECCOMP_PROFILE);
    allow("pipe2", 5); /* of loaded.c */
    if (test_result())
        return 1;
    status = filtered(serves);
    if (status == EXIT_SKIP)
        return EXIT_SKIP;
    EXPECT_EQ(status, 0);
    EXPECT_EQ(filtered(calls_another), EXIT_CAUGHT);
    printf("%u system calls are allowed\n", count);
    return test_result();
}
