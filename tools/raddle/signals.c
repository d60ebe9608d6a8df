/*
 * raddle/signals.c - SIGINT and SIGTERM through a signalfd.
 */
#include "tools/raddle/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <raddle/io.h>

static void both(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

int rdl_signals_open(void)
{
    sigset_t set;
    int fd, rc;

    both(&set);
    rc = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (rc)
        return -rc;
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* Not inlined: the thread that the caller runs on is asked for in one piece. */
static __attribute__((noinline)) void default_again(void)
{
    sigset_t set;

    /* The other threads block all signals: one that takes them is enough. */
    both(&set);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int rdl_signals_wait(int fd)
{
    struct signalfd_siginfo info;
    ssize_t n = raddle_fd_read(fd, &info, sizeof info);

    if (n < 0)
        return (int)n;
    if (n != (ssize_t)sizeof info)
        return -EIO;
    default_again();
    return (int)info.ssi_signo;
}
