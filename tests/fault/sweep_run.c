/*
 * tests/fault/sweep_run.c - forks, waits, and judges.
 */
#define _GNU_SOURCE
#include "tests/fault/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <raddle.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/annotate.h"
#include "sched/stack.h"
#include "tests/support/runtime.h"

enum { PATIENCE_MS = 10000, DUMP_MS = 1000 };

/* A thread that was joined may be in /proc for another moment. */
static int threads(void)
{
    int count = (int)test_entries("/proc/self/task");

    for (int i = 0; i < 1000 && count > 3; i++) {
        usleep(1000);
        count = (int)test_entries("/proc/self/task");
    }
    return count - 2;
}

/* Those that a run takes and gives back. */
static const int borrowed[] = {SIGINT, SIGQUIT, SIGURG, SIGPIPE};
enum { BORROWED = sizeof(borrowed) / sizeof(borrowed[0]) };

static void own_handler(int number)
{
    (void)number;
}

/* SIGPIPE stays as it is: only what is not handled is taken. */
static void set_signals(void)
{
    struct sigaction action = {.sa_handler = own_handler};

    for (unsigned i = 0; i < BORROWED - 1; i++)
        sigaction(borrowed[i], &action, NULL);
}

static int changed_signals(void)
{
    struct sigaction action;
    int count = 0;

    for (unsigned i = 0; i < BORROWED; i++)
        count += sigaction(borrowed[i], NULL, &action) < 0 ||
                 action.sa_handler != (i < BORROWED - 1 ? own_handler : SIG_DFL);
    return count;
}

static void on_dump(int number)
{
    (void)number;
    /* It hangs already: nothing is lost if this does, too. */
    (void)raddle_print_tasks(STDERR_FILENO); // NOLINT(bugprone-signal-handler)
}

static void child(struct sweep_shared *shared, const struct sweep_case *c, int words)
{
    struct sweep_result *r = &shared->result;
    struct rdl_stack_stats stats;
    int descriptors;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(words, STDERR_FILENO);
    signal(SIGUSR2, on_dump);
    if (strcmp(c->driver, "any") == 0)
        unsetenv("RADDLE_POLICY");
    else
        setenv("RADDLE_POLICY", c->driver, 1);
    set_signals();
    descriptors = (int)test_entries("/proc/self/fd");
    fault_set(&c->plan);
    r->faulty = c->scenario->run();
    fault_set(NULL);
    r->healthy = c->scenario->run();
    rdl_stack_stats(&stats);
    r->stacks = stats.in_use;
    r->threads = threads();
    r->signals = changed_signals();
    r->descriptors = (int)test_entries("/proc/self/fd") - descriptors;
    r->held = fault_held();
    rdl_atomic_store_release(&r->done, true);
    exit(0); /* and let a leak checker look */
}

static void copy_file(const char *path, FILE *to)
{
    char text[400];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    fprintf(to, " %.*s", (int)strcspn(text, "\n"), text);
}

/* What each thread of a process that hangs is in. */
static void dump_threads(pid_t pid)
{
    char path[64], file[400];
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        static const char *const files[] = {"comm", "wchan", "syscall"};

        if (entry->d_name[0] == '.')
            continue;
        fprintf(stderr, "thread %s:", entry->d_name);
        for (unsigned i = 0; i < 3; i++) {
            snprintf(file, sizeof(file), "%s/%s/%s", path, entry->d_name, files[i]);
            copy_file(file, stderr);
        }
        fputc('\n', stderr);
    }
    if (dir)
        closedir(dir);
}

/* False: it had to be killed. */
static bool wait_for(pid_t pid, int *status)
{
    struct pollfd fd = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    bool ended = poll(&fd, 1, PATIENCE_MS * test_slowness()) > 0;

    if (!ended) {
        kill(pid, SIGUSR2);
        (void)poll(&fd, 1, DUMP_MS);
        dump_threads(pid);
        kill(pid, SIGKILL);
    }
    close(fd.fd);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    return ended;
}

static void read_words(int fd, struct sweep_verdict *v)
{
    ssize_t n = pread(fd, v->words, sizeof(v->words) - 1, 0);

    v->words[n > 0 ? n : 0] = '\0';
}

/* What a kernel or a filter refuses for good, the probe remembers; then the ring can't be had. */
static bool is_lasting(const struct sweep_case *c, const struct sweep_result *r)
{
    bool of_ring = c->plan.call == RDL_SYS_URING_SETUP || c->plan.call == RDL_SYS_URING_REGISTER ||
                   c->plan.call == RDL_SYS_URING_ENTER;

    return of_ring && strcmp(c->driver, "uring") == 0 && r->healthy == c->plan.error;
}

static enum sweep_kind judge(const struct sweep_case *c, const struct sweep_verdict *v,
                             bool in_time)
{
    const struct sweep_result *r = &v->result;
    bool said_so = strstr(v->words, "a loop's driver failed while tasks were running") != NULL;

    if (!in_time)
        return SWEEP_HUNG;
    if (WIFSIGNALED(v->status) && WTERMSIG(v->status) == SIGABRT && said_so &&
        fault_ends_process(&c->plan))
        return SWEEP_ENDED;
    if (!WIFEXITED(v->status) || WEXITSTATUS(v->status) || !rdl_atomic_load_relaxed(&r->done))
        return SWEEP_CRASHED;
    if (r->faulty == FAULT_WRONG || r->healthy == FAULT_WRONG || r->faulty > 0)
        return SWEEP_WRONG;
    /* Nothing failed, it was only difficult. */
    if (c->plan.kind != FAULT_ONCE && c->plan.kind != FAULT_BURST && r->faulty)
        return SWEEP_WRONG;
    if (r->healthy && !is_lasting(c, r))
        return SWEEP_BROKEN;
    /* Of a sigaction() that failed it may have been the one that gives it back. */
    if (r->signals && c->plan.call != RDL_SYS_SIGACTION)
        return SWEEP_LEFT;
    if (r->stacks || r->descriptors || r->threads != 1 || r->held.blocks > c->held.blocks ||
        r->held.mapped_bytes - r->held.refused_bytes > c->held.mapped_bytes)
        return SWEEP_LEFT;
    return r->faulty ? SWEEP_TOLD : SWEEP_FINE;
}

void sweep_run(struct sweep_shared *shared, const struct sweep_case *c, struct sweep_verdict *v)
{
    int words = memfd_create("words", MFD_CLOEXEC);
    bool in_time;
    pid_t pid;

    memset(v, 0, sizeof(*v));
    memset(&shared->result, 0, sizeof(shared->result));
    (void)unlink(FAULT_SOCKET); /* of one that was stopped */
    fflush(NULL);
    pid = words < 0 ? -1 : fork();
    if (pid < 0) {
        perror("fault_sweep");
        exit(1);
    }
    if (pid == 0)
        child(shared, c, words);
    in_time = wait_for(pid, &v->status);
    read_words(words, v);
    close(words);
    v->result = shared->result;
    v->injected = rdl_atomic_load_relaxed(&shared->fault.injected);
    v->kind = judge(c, v, in_time);
}

void sweep_census(struct sweep_shared *shared, struct sweep_case *c, struct sweep_verdict *v)
{
    c->plan = (struct fault_plan){.kind = FAULT_NONE};
    c->held = (struct fault_held){.blocks = LONG_MAX, .mapped_bytes = LONG_MAX};
    sweep_run(shared, c, v);
    for (unsigned i = 0; i < RDL_SYS_COUNT; i++)
        c->calls[i] = rdl_atomic_load_relaxed(&shared->fault.calls[i]);
    c->held = v->result.held;
}

void sweep_report(const struct sweep_case *c, const struct sweep_verdict *v)
{
    static const char *const kinds[] = {"fine", "told",  "ended",  "crashed",
                                        "hung", "wrong", "broken", "left something"};
    static const char *const plans[] = {"nothing", "once",  "burst",  "short",
                                        "eintr",   "delay", "reorder"};
    const struct fault_plan *p = &c->plan;
    const struct sweep_result *r = &v->result;

    fprintf(stderr, "-- %s on %s, %s", c->scenario->name, c->driver, plans[p->kind]);
    if (p->kind == FAULT_ONCE || p->kind == FAULT_BURST)
        fprintf(stderr, ": %s number %u is %s", rdl_sys_name(p->call), p->number,
                strerrorname_np(-p->error));
    fprintf(stderr, " (%u injected): %s\n", v->injected, kinds[v->kind]);
    if (v->kind == SWEEP_CRASHED || v->kind == SWEEP_HUNG)
        fprintf(stderr, "   status %#x\n", (unsigned)v->status);
    else
        fprintf(stderr,
                "   returned %d, then %d; left: %d signals, %d descriptors, %d threads, %zu "
                "stacks, %ld blocks "
                "(%ld without a fault), %ld bytes (%ld), %ld of them refused\n",
                r->faulty, r->healthy, r->signals, r->descriptors, r->threads - 1, r->stacks,
                r->held.blocks, c->held.blocks, r->held.mapped_bytes, c->held.mapped_bytes,
                r->held.refused_bytes);
    if (v->words[0])
        fprintf(stderr, "%s\n", v->words);
}
