/*
 * runtime/monitor.c - the monitor of a run: a thread, or for one loop's Ctrl-C that loop itself.
 *
 * Signals. The handlers only add to a counter and write to an eventfd, and the thread does the
 * rest: so the tree of tasks is printed and the main task cancelled by ordinary code, and also when
 * every loop is stuck. After the first SIGINT the previous action is put back: the second one is
 * not ours any more.
 *
 * Without a thread. Where SIGINT is all that there is to see to, and one loop to run, no thread is started, as a
 * process that has one thread is faster (sched/single.h). The handler posts to the loop, which cancels the main
 * task in its next turn. A task that gives no turn is poked, and sees to it at its next cancellation point, or where
 * it asks whether it is cancelled (rdl_monitor_look()); who does neither ends by the second SIGINT.
 *
 * Handlers may run on any thread, so they count themselves; who gives the signals back says that nobody owns them,
 * and waits until the last handler that may have seen him as their owner is out.
 *
 * Slow steps. A loop that runs task after task counts its switches, and in debug mode the callbacks that it calls. When
 * neither count, nor who runs, has changed for slow_ns, the thread sends SIGURG (ignored by default, so a late one harms
 * nobody) to the loop's thread. What that interrupts can't end meanwhile: the handler notes who it is, and where, in the
 * loop, and answers; and this thread reports it. A loop's thread that doesn't answer is reported all the same.
 */
#define _GNU_SOURCE
#include "runtime/monitor.h"

#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <raddle/debug.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/describe.h"
#include "runtime/loop.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "sched/sys.h"

enum {
    PATIENCE_MS =
        2000, /* for a thread to say what it is at: on a busy machine it has to get a CPU first */
    SKIPPED = 2, /* frames of the signal handler */
};

struct watched {
    uint64_t switches, calls;
    struct rdl_fiber *fiber;
    raddle_callback_fn *calling;
    int64_t since_ns;
    bool reported;
};

struct rdl_monitor {
    struct rdl_runnable turn; /* without a thread: what a handler posts */
    struct rdl_loop *loop;    /* without a thread: to which; else NULL */
    rdl_atomic(bool) posted;
    bool stopped;  /* the loop frees it when it has come to the turn */
    pid_t process; /* not that of a vfork(), whose handlers run in this memory */

    struct rdl_monitor_options options;
    pthread_t thread;
    int wake_fd;
    rdl_atomic(bool) stop;
    rdl_atomic(raddle_task *) main;
    rdl_atomic(bool) owns_signals;
    rdl_atomic(bool) sigint_taken; /* by this monitor, and not given back yet */
    bool sigquit_taken;
    struct sigaction old_sigint, old_sigquit;
    struct rdl_loop *only;   /* the loop, if there is one */
    struct watched *watched; /* one per loop, or NULL */
};

/* For the handlers. */
static rdl_atomic(struct rdl_monitor *) signal_owner;
static rdl_atomic(uint32_t) handling, sigints, sigquits;

static void give_back_sigint(struct rdl_monitor *m)
{
    if (rdl_atomic_exchange_acquire(&m->sigint_taken, false))
        (void)rdl_sys_sigaction(SIGINT, &m->old_sigint, NULL);
}

static void post_turn(struct rdl_monitor *m)
{
    struct rdl_fiber *fiber = NULL;

    if (getpid() != m->process)
        return;
    if (rdl_loop_current() == m->loop)
        fiber = rdl_atomic_load_relaxed(&m->loop->current);
    if (fiber) /* which is on this stack, or will be */
        (void)rdl_atomic_exchange_seq_cst(&fiber->stack->wait.poked, 1u);
    /* One that came before there was a main task waits for it, and no other is let through meanwhile. */
    if (rdl_atomic_load_acquire(&m->main))
        give_back_sigint(m);
    if (!rdl_atomic_exchange_acq_rel(&m->posted, true))
        (void)rdl_loop_post(m->loop, &m->turn);
}

static void wake(struct rdl_monitor *m)
{
    rdl_sys_eventfd_post(m->wake_fd);
}

static void on_signal(int number)
{
    int saved = errno;
    struct rdl_monitor *m;

    /* seq_cst, both of it: either give_back_signals() sees this count, or this sees that nobody owns the signals. */
    rdl_atomic_fetch_add_seq_cst(&handling, 1u);
    m = rdl_atomic_load_seq_cst(&signal_owner);
    if (number == SIGINT)
        rdl_atomic_fetch_add_relaxed(&sigints, 1u);
    else
        rdl_atomic_fetch_add_relaxed(&sigquits, 1u);
    if (m && m->loop)
        post_turn(m);
    else if (m)
        wake(m);
    rdl_atomic_fetch_sub_release(&handling, 1u);
    errno = saved;
}

/* The end of file, as far as there is room. */
static void note_site(struct rdl_look *look, const struct raddle_spawn_site *site)
{
    size_t length, room = sizeof(look->file) - 1;

    look->line = site ? site->line : 0;
    if (!look->line)
        return;
    length = strlen(site->file);
    if (length > room)
        length = room;
    memcpy(look->file, site->file + strlen(site->file) - length, length);
    look->file[length] = 0;
}

static void on_urgent(int number)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct rdl_look *look = loop ? &rdl_raddle_loop(loop)->look : NULL;
    const struct rdl_task *task;
    uint32_t asked;
    int saved = errno;

    (void)number;
    /* acquire pairs with the release in ask(): the monitor has read what was here before. */
    asked = look ? rdl_atomic_load_acquire(&look->asked) : 0;
    if (!look || rdl_atomic_load_relaxed(&look->answered) == asked)
        return; /* none of ours */
    task = rdl_task_self();
    look->task[0] = 0;
    look->line = 0;
    if (task) {
        memcpy(look->task, task->name, strnlen(task->name, sizeof(look->task) - 1) + 1);
        look->task[sizeof(look->task) - 1] = 0;
        note_site(look, task->site);
    }
    look->count = backtrace(look->frames, sizeof(look->frames) / sizeof(look->frames[0]));
    rdl_atomic_store_release(&look->answered, asked);
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

/* Asks the loop's thread what it is at; false: it hasn't answered in time. */
static bool ask(struct raddle_loop *loop)
{
    struct rdl_look *look = &loop->look;
    uint32_t number = rdl_atomic_load_relaxed(&look->asked) + 1;

    rdl_atomic_store_release(&look->asked, number);
    pthread_kill(loop->thread, SIGURG);
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        /* acquire pairs with the release in on_urgent(). */
        if (rdl_atomic_load_acquire(&look->answered) == number)
            return true;
        (void)rdl_sys_poll(NULL, 0, 1);
    }
    return false;
}

static void report_slow(struct raddle_loop *loop, const struct watched *w)
{
    const struct rdl_look *look = &loop->look;
    bool answered = ask(loop);
    char who[RDL_WHO_BYTES], name[RDL_WHO_BYTES], line[2 * RDL_WHO_BYTES];

    if (w->calling)
        snprintf(who, sizeof(who), "callback %.100s",
                 rdl_describe_code((void *)(uintptr_t)w->calling, name));
    else if (answered && look->task[0] && look->line)
        snprintf(who, sizeof(who), "task \"%s\" (%s:%d)", look->task, look->file, look->line);
    else if (answered && look->task[0])
        snprintf(who, sizeof(who), "task \"%s\"", look->task);
    else
        snprintf(who, sizeof(who), "a task");
    snprintf(line, sizeof(line), "%s has held loop %u for %lld ms", who, loop->base.index,
             (long long)((rdl_sys_now() - w->since_ns) / 1000000));
    if (answered && look->count > SKIPPED)
        rdl_report_trace(line, w->calling ? "slow callback" : "slow task", look->frames + SKIPPED,
                         look->count - SKIPPED);
    else
        rdl_report_line(line);
}

static void look_at_loops(struct rdl_monitor *m)
{
    for (unsigned i = 0; i < m->options.count; i++) {
        struct raddle_loop *loop = rdl_raddle_loop(m->options.loops[i]);
        struct watched *w = &m->watched[i];
        struct watched now = {
            .switches = rdl_atomic_load_relaxed(&loop->base.counters.switches),
            .calls = rdl_atomic_load_relaxed(&loop->calls),
            .fiber = rdl_atomic_load_relaxed(&loop->base.current),
            .calling = rdl_atomic_load_relaxed(&loop->calling),
            .since_ns = rdl_sys_now(),
        };

        if ((!now.fiber && !now.calling) || now.fiber != w->fiber || now.calling != w->calling ||
            now.switches != w->switches || now.calls != w->calls) {
            *w = now;
        } else if (!w->reported && now.since_ns - w->since_ns >= m->options.slow_ns) {
            w->reported = true;
            report_slow(loop, w);
        }
    }
}

/* SIGURG is shared by all monitors: the first takes it, and the last gives it back. */

static pthread_mutex_t urgent_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned urgent_users;
static bool urgent_taken;
static struct sigaction old_urgent;

static void take_urgent(void)
{
    pthread_mutex_lock(&urgent_lock);
    if (urgent_users++ == 0)
        urgent_taken = take_signal(SIGURG, on_urgent, &old_urgent) == 0;
    pthread_mutex_unlock(&urgent_lock);
}

static void give_back_urgent(void)
{
    pthread_mutex_lock(&urgent_lock);
    if (--urgent_users == 0 && urgent_taken)
        (void)rdl_sys_sigaction(SIGURG, &old_urgent, NULL);
    pthread_mutex_unlock(&urgent_lock);
}

/* What has come of SIGINT. A Ctrl-C that came before there was a main task waits for it. */
static void catch_up(struct rdl_monitor *m)
{
    raddle_task *main = rdl_atomic_load_acquire(&m->main);

    if (main && rdl_atomic_exchange_acquire(&sigints, 0u)) {
        give_back_sigint(m);
        raddle_task_cancel(main, "SIGINT");
    }
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
            catch_up(m);
            if (rdl_atomic_exchange_acquire(&sigquits, 0))
                (void)raddle_print_tasks(STDERR_FILENO);
        }
        if (m->watched)
            look_at_loops(m);
    }
    return NULL;
}

static void free_monitor(struct rdl_monitor *m)
{
    raddle_task_unref(rdl_atomic_load_relaxed(&m->main));
    if (m->wake_fd >= 0)
        (void)rdl_sys_close(m->wake_fd);
    rdl_sys_free(m->watched);
    rdl_sys_free(m);
}

static void take_turn(struct rdl_runnable *self)
{
    struct rdl_monitor *m = (struct rdl_monitor *)(void *)self;

    rdl_atomic_store_release(&m->posted, false);
    if (m->stopped)
        free_monitor(m);
    else
        catch_up(m);
}

void rdl_monitor_look(void)
{
    struct rdl_monitor *m;
    bool mine;

    if (!rdl_atomic_load_relaxed(&sigints))
        return;
    /* As a handler does: the owner may be another thread's, which is about to free it. One of this loop isn't. */
    rdl_atomic_fetch_add_seq_cst(&handling, 1u);
    m = rdl_atomic_load_seq_cst(&signal_owner);
    mine = m && m->loop && m->loop == rdl_loop_current();
    rdl_atomic_fetch_sub_release(&handling, 1u);
    if (mine)
        catch_up(m);
}

/* True: this one owns the signals, from now on. */
static bool own_signals(struct rdl_monitor *m)
{
    struct rdl_monitor *nobody = NULL;

    /* acquire: what the last owner did is done. */
    if (!rdl_atomic_cas_acq_rel(&signal_owner, &nobody, m))
        return false;
    rdl_atomic_store_relaxed(&sigints, 0u);
    rdl_atomic_store_relaxed(&sigquits, 0u);
    m->process = getpid();
    if (m->loop)
        m->loop->before_look = rdl_monitor_look;
    if (m->options.sigint)
        rdl_atomic_store_relaxed(&m->sigint_taken,
                                 take_signal(SIGINT, on_signal, &m->old_sigint) == 0);
    if (m->options.sigquit)
        m->sigquit_taken = take_signal(SIGQUIT, on_signal, &m->old_sigquit) == 0;
    rdl_atomic_store_release(&m->owns_signals, true);
    return true;
}

/* What a thread needs, and the thread. 0 or -errno, with nothing left. */
static int start_thread(struct rdl_monitor *m)
{
    void *warm[1];
    int rc;

    if (m->options.slow_ns) {
        m->watched = rdl_sys_calloc(m->options.count, sizeof(*m->watched));
        if (!m->watched)
            return -ENOMEM;
        /* backtrace() loads a library when it is first called, which a handler must not. */
        (void)backtrace(warm, 1);
    }
    rc = rdl_sys_eventfd();
    if (rc < 0)
        return rc;
    m->wake_fd = rc;
    if (m->options.slow_ns)
        take_urgent();
    rc = rdl_sys_thread_create(&m->thread, 0, monitor_main, m);
    if (rc < 0 && m->options.slow_ns)
        give_back_urgent();
    return rc;
}

int rdl_monitor_start(const struct rdl_monitor_options *options, struct rdl_monitor **out)
{
    struct rdl_monitor *m;
    int rc;

    *out = NULL;
    if (!options->sigint && !options->sigquit && !options->slow_ns)
        return 0;
    m = rdl_sys_calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->options = *options;
    if (options->count == 1) {
        m->only = options->loops[0];
        m->options.loops = &m->only;
    }
    m->turn.call = take_turn;
    m->wake_fd = -1;
    if (options->count == 1 && !options->sigquit && !options->slow_ns) {
        m->loop = m->only;
        (void)own_signals(m);
    } else {
        rc = start_thread(m);
        if (rc < 0) {
            free_monitor(m);
            return rc;
        }
        if ((options->sigint || options->sigquit) && own_signals(m))
            wake(m); /* for a signal that has come already */
    }
    *out = m;
    return 0;
}

void rdl_monitor_set_main(struct rdl_monitor *m, raddle_task *main)
{
    rdl_atomic_store_release(&m->main, raddle_task_ref(main));
    if (!m->loop)
        wake(m);
    else if (rdl_atomic_load_relaxed(&m->owns_signals))
        catch_up(m);
}

static void give_back_signals(struct rdl_monitor *m)
{
    if (!rdl_atomic_load_acquire(&m->owns_signals))
        return;
    give_back_sigint(m);
    if (m->sigquit_taken)
        (void)rdl_sys_sigaction(SIGQUIT, &m->old_sigquit, NULL);
    rdl_atomic_store_seq_cst(&signal_owner, NULL);
    while (rdl_atomic_load_seq_cst(&handling))
        sched_yield();
}

void rdl_monitor_after_fork(void)
{
    struct rdl_monitor *m = rdl_atomic_load_relaxed(&signal_owner);

    rdl_atomic_store_relaxed(&handling, 0u); /* of threads that don't exist here */
    if (m)
        give_back_signals(m);
    pthread_mutex_init(&urgent_lock, NULL); /* it may be held by a thread that doesn't exist here */
    if (urgent_users && urgent_taken)
        (void)rdl_sys_sigaction(SIGURG, &old_urgent, NULL);
    urgent_users = 0;
}

void rdl_monitor_stop(struct rdl_monitor *m)
{
    int rc = 0;

    if (!m)
        return;
    if (!m->loop) {
        rdl_atomic_store_release(&m->stop, true);
        wake(m);
        pthread_join(m->thread, NULL);
    }
    give_back_signals(m);
    if (m->watched)
        give_back_urgent();
    /* acquire: the handler that has posted it has done so. */
    while (rc == 0 && rdl_atomic_load_acquire(&m->posted)) {
        rdl_loop_stop(m->loop);
        rc = rdl_loop_run(m->loop);
    }
    if (m->loop)
        m->loop->before_look = NULL;
    m->stopped = rdl_atomic_load_acquire(&m->posted); /* by a loop that is broken */
    if (!m->stopped)
        free_monitor(m);
}
