/*
 * runtime/monitor.c - the monitor thread of a run.
 *
 * Signals. The handlers only add to a counter and write to an eventfd, and the thread does the
 * rest: so the tree of tasks is printed and the main task cancelled by ordinary code, and also when
 * every loop is stuck. After the first SIGINT the previous action is put back: the second one is
 * not ours any more.
 *
 * Slow tasks. A loop that runs task after task counts its switches. When neither the count nor the
 * task has changed for slow_ns, the thread reports it, and sends SIGURG (ignored by default, so a
 * late one harms nobody) to the loop's thread, whose handler writes the backtrace of what it
 * interrupted.
 */
#define _GNU_SOURCE
#include "runtime/monitor.h"

#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <raddle/debug.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/loop.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "sched/sys.h"

struct watched {
    uint64_t switches;
    struct rdl_fiber *fiber;
    int64_t since_ns;
    bool reported;
};

struct rdl_monitor {
    struct rdl_monitor_options options;
    pthread_t thread;
    int wake_fd;
    rdl_atomic(bool) stop;
    rdl_atomic(raddle_task *) main;
    rdl_atomic(bool) owns_signals;
    /* By this monitor, and not given back yet; sigint's is its thread's, then the stopper's. */
    bool sigint_taken, sigquit_taken, sigurg_taken;
    struct sigaction old_sigint, old_sigquit, old_sigurg;
    struct watched *watched; /* one per loop, or NULL */
};

/* For the handlers: the monitor that owns the signals. They touch only these. */
static rdl_atomic(int) signal_fd = -1;
static rdl_atomic(uint32_t) sigints, sigquits;
static rdl_atomic(struct rdl_monitor *) signal_owner;

static void on_signal(int number)
{
    int saved = errno;
    uint64_t one = 1;
    int fd = rdl_atomic_load_relaxed(&signal_fd);

    if (number == SIGINT)
        rdl_atomic_fetch_add_relaxed(&sigints, 1);
    else
        rdl_atomic_fetch_add_relaxed(&sigquits, 1);
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0) {
        /* The counter is full: the thread has been woken already. */
    }
    errno = saved;
}

static void on_urgent(int number)
{
    static const char head[] = "raddle: backtrace of the slow task:\n";
    int saved = errno;
    void *frames[64];
    int n;

    (void)number;
    n = backtrace(frames, 64);
    if (write(STDERR_FILENO, head, sizeof(head) - 1) > 0)
        backtrace_symbols_fd(frames, n, STDERR_FILENO);
    errno = saved;
}

static int take_signal(int number, void (*handler)(int), struct sigaction *old)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    return rdl_sys_sigaction(number, &action, old);
}

static void give_back_sigint(struct rdl_monitor *m)
{
    if (m->sigint_taken)
        (void)rdl_sys_sigaction(SIGINT, &m->old_sigint, NULL);
    m->sigint_taken = false;
}

static void look_at_loops(struct rdl_monitor *m)
{
    struct rdl_team *team = m->options.team;
    int64_t now = rdl_sys_now();

    for (unsigned i = 0; i < team->count; i++) {
        struct rdl_loop *loop = team->loops[i];
        struct watched *w = &m->watched[i];
        struct rdl_fiber *fiber = rdl_atomic_load_relaxed(&loop->current);
        uint64_t switches = rdl_atomic_load_relaxed(&loop->counters.switches);

        if (!fiber || fiber != w->fiber || switches != w->switches) {
            *w = (struct watched){.switches = switches, .fiber = fiber, .since_ns = now};
        } else if (!w->reported && now - w->since_ns >= m->options.slow_ns) {
            w->reported = true;
            rdl_report("a task has held loop %u for more than %lld ms", i,
                       (long long)((now - w->since_ns) / 1000000));
            pthread_kill(rdl_raddle_loop(loop)->thread, SIGURG);
        }
    }
}

static void wake(struct rdl_monitor *m)
{
    rdl_sys_eventfd_post(m->wake_fd);
}

static void *monitor_main(void *arg)
{
    struct rdl_monitor *m = arg;
    struct pollfd wake = {.fd = m->wake_fd, .events = POLLIN};
    int timeout_ms = -1;

    if (m->watched) {
        int64_t ms = m->options.slow_ns / 4000000;
        timeout_ms = ms < 1 ? 1 : ms > 1000 ? 1000 : (int)ms;
    }
    while (!rdl_atomic_load_acquire(&m->stop)) {
        uint64_t count;

        if (rdl_sys_poll(&wake, 1, timeout_ms) > 0)
            (void)rdl_sys_read(m->wake_fd, &count, sizeof(count));
        if (rdl_atomic_load_acquire(&m->owns_signals)) {
            raddle_task *main = rdl_atomic_load_acquire(&m->main);
            /* A Ctrl-C that came before there was a main task waits for it. */
            if (main && rdl_atomic_exchange_acquire(&sigints, 0)) {
                give_back_sigint(m);
                raddle_task_cancel(main, "SIGINT");
            }
            if (rdl_atomic_exchange_acquire(&sigquits, 0))
                (void)raddle_print_tasks(STDERR_FILENO);
        }
        if (m->watched)
            look_at_loops(m);
    }
    return NULL;
}

int rdl_monitor_start(const struct rdl_monitor_options *options, struct rdl_monitor **out)
{
    struct rdl_monitor *m;
    struct rdl_monitor *nobody = NULL;
    void *warm[1];
    int rc;

    *out = NULL;
    if (!options->sigint && !options->sigquit && !options->slow_ns)
        return 0;
    m = rdl_sys_calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->options = *options;
    m->wake_fd = -1;
    rc = -ENOMEM;
    if (options->slow_ns) {
        m->watched = rdl_sys_calloc(options->team->count, sizeof(*m->watched));
        if (!m->watched)
            goto free_monitor;
        /* backtrace() loads a library when it is first called, which a handler must not. */
        (void)backtrace(warm, 1);
    }
    rc = rdl_sys_eventfd();
    if (rc < 0)
        goto free_monitor;
    m->wake_fd = rc;
    rc = rdl_sys_thread_create(&m->thread, 0, monitor_main, m);
    if (rc < 0)
        goto close_fd;
    if ((options->sigint || options->sigquit) &&
        rdl_atomic_cas_acq_rel(&signal_owner, &nobody, m)) {
        rdl_atomic_store_relaxed(&sigints, 0);
        rdl_atomic_store_relaxed(&sigquits, 0);
        rdl_atomic_store_relaxed(&signal_fd, m->wake_fd);
        if (options->sigint)
            m->sigint_taken = take_signal(SIGINT, on_signal, &m->old_sigint) == 0;
        if (options->sigquit)
            m->sigquit_taken = take_signal(SIGQUIT, on_signal, &m->old_sigquit) == 0;
        rdl_atomic_store_release(&m->owns_signals, true);
        wake(m); /* for a signal that has come already */
    }
    if (options->slow_ns)
        m->sigurg_taken = take_signal(SIGURG, on_urgent, &m->old_sigurg) == 0;
    *out = m;
    return 0;
close_fd:
    (void)rdl_sys_close(m->wake_fd);
free_monitor:
    rdl_sys_free(m->watched);
    rdl_sys_free(m);
    return rc;
}

void rdl_monitor_set_main(struct rdl_monitor *m, raddle_task *main)
{
    rdl_atomic_store_release(&m->main, raddle_task_ref(main));
    wake(m);
}

static void give_back_signals(struct rdl_monitor *m)
{
    if (!rdl_atomic_load_acquire(&m->owns_signals))
        return;
    give_back_sigint(m);
    if (m->sigquit_taken)
        (void)rdl_sys_sigaction(SIGQUIT, &m->old_sigquit, NULL);
    rdl_atomic_store_relaxed(&signal_fd, -1);
    rdl_atomic_store_release(&signal_owner, NULL);
}

void rdl_monitor_after_fork(void)
{
    struct rdl_monitor *m = rdl_atomic_load_relaxed(&signal_owner);

    if (m)
        give_back_signals(m);
}

void rdl_monitor_stop(struct rdl_monitor *m)
{
    if (!m)
        return;
    rdl_atomic_store_release(&m->stop, true);
    wake(m);
    pthread_join(m->thread, NULL);
    give_back_signals(m);
    if (m->sigurg_taken)
        (void)rdl_sys_sigaction(SIGURG, &m->old_sigurg, NULL);
    raddle_task_unref(rdl_atomic_load_relaxed(&m->main));
    (void)rdl_sys_close(m->wake_fd);
    rdl_sys_free(m->watched);
    rdl_sys_free(m);
}
