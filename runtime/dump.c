/*
 * runtime/dump.c - prints the tree of tasks, and what a stack overflow report says of a task.
 *
 * A task is printed while it is pinned (runtime/tree.c), so its control block stays. What it is
 * doing may change while it is read: each field is read once, and a line tells a moment.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <raddle/debug.h>
#include <raddle/run.h>
#include <raddle/time.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/op.h"
#include "io/sim.h"
#include "runtime/dump.h"
#include "runtime/loop.h"
#include "runtime/task.h"
#include "sched/overflow.h"
#include "sched/sys.h"

struct dump {
    int fd;
    int rc;
    int count;
    int64_t now_ns;
    bool clocked; /* now_ns is of the clock by which the loop's tasks wait */
    size_t used;
    char text[4096];
};

static void flush(struct dump *d)
{
    size_t done = 0;

    while (d->rc == 0 && done < d->used) {
        ssize_t n = rdl_sys_write(d->fd, d->text + done, d->used - done);
        if (n == -EAGAIN || n == -EINTR)
            usleep(1000);
        else if (n < 0)
            d->rc = (int)n;
        else
            done += (size_t)n;
    }
    d->used = 0;
}

static void print(struct dump *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct dump *d, const char *format, ...)
{
    va_list args;
    int n;

    if (d->used > sizeof(d->text) - 512)
        flush(d);
    va_start(args, format);
    n = vsnprintf(d->text + d->used, sizeof(d->text) - d->used, format, args);
    va_end(args);
    if (n > 0)
        d->used += (size_t)n < 511 ? (size_t)n : 511;
}

static const char *mobility_name(unsigned mobility)
{
    static const char *const names[] = {"?", "fresh", "migratable", "pinned"};

    return mobility < 4 ? names[mobility] : "?";
}

bool rdl_dump_is_operation(const char *what)
{
    for (unsigned code = 0; code < RDL_OP_CODES; code++)
        if (what == rdl_op_name((enum rdl_op_code)code))
            return true;
    return false;
}

static void print_wait(struct dump *d, struct rdl_fiber *fiber)
{
    const char *what = rdl_atomic_load_relaxed(&fiber->waiting_for);
    uint64_t object = rdl_atomic_load_relaxed(&fiber->waiting_object);
    int64_t since = rdl_atomic_load_relaxed(&fiber->waiting_since_ns);

    if (!what) {
        print(d, "runnable or running");
        return;
    }
    if (rdl_dump_is_operation(what))
        print(d, "waits in %s(%d)", what, (int)object);
    else
        print(d, "waits for %s", what);
    if (strcmp(what, "a point in time") == 0 && object == (uint64_t)RADDLE_NEVER)
        print(d, " that never comes");
    else if (strcmp(what, "a point in time") == 0 && d->clocked)
        print(d, " in %.3f s", (double)((int64_t)object - d->now_ns) / 1e9);
    if (d->clocked)
        print(d, ", since %.3f s", (double)(d->now_ns - since) / 1e9);
}

static void print_task(struct rdl_task *task, unsigned depth, void *arg)
{
    struct dump *d = arg;
    const struct raddle_spawn_site *site = task->site;
    const char *generator = rdl_atomic_load_relaxed(&task->gen_name);

    print(d, "%*s%s", (int)(2 + 2 * (depth < 40 ? depth : 40)), "", task->name);
    if (site && site->line)
        print(d, " (%s:%d)", site->file, site->line);
    print(d, " [%s]: ", mobility_name(rdl_atomic_load_relaxed(&task->fiber.mobility)));
    if (generator)
        print(d, "in generator %s, ", generator);
    print_wait(d, &task->fiber);
    print(d, "\n");
    d->count++;
}

static void print_loop(struct raddle_loop *loop, void *arg)
{
    struct dump *d = arg;
    struct rdl_loop_counters *c = &loop->base.counters;

    /* A simulated loop has a clock that is seen from inside only. */
    d->clocked = !rdl_sim_is(loop->base.driver) || rdl_loop_current();
    print(d, "loop %u (%s): %llu switches, %llu steals, %llu parks\n", loop->base.index,
          raddle_loop_driver(loop), (unsigned long long)rdl_atomic_load_relaxed(&c->switches),
          (unsigned long long)rdl_atomic_load_relaxed(&c->steals),
          (unsigned long long)rdl_atomic_load_relaxed(&c->parks));
    rdl_tree_visit(&loop->mains, print_task, d);
    rdl_tree_visit(&loop->root, print_task, d);
}

int raddle_print_tasks(int fd)
{
    struct dump d = {.fd = fd, .now_ns = rdl_sys_now()};

    rdl_raddle_loop_for_each(print_loop, &d);
    print(&d, "%d tasks\n", d.count);
    flush(&d);
    return d.rc < 0 ? d.rc : d.count;
}

/* What a run leaves. */

static void print_callback(const struct raddle_spawn_site *site, raddle_time when, void *arg)
{
    struct dump *d = arg;

    print(d, "  callback %s", site ? site->function : "?");
    if (site && site->line)
        print(d, " (%s:%d)", site->file, site->line);
    if (when == RADDLE_NEVER)
        print(d, ": at a point in time that never comes\n");
    else
        print(d, ": in %.3f s\n", (double)(when - d->now_ns) / 1e9);
    d->count++;
}

/* The calling task goes from loop to loop of its team: only on its own thread can be seen what is timed. */
static int print_callbacks(struct dump *d)
{
    struct raddle_loop *here = raddle_running_loop();
    struct rdl_team *team = here->base.team;
    int rc = 0;

    if (!team) {
        rdl_callbacks_visit(here, print_callback, d);
        return 0;
    }
    for (unsigned i = 0; i < team->count && rc == 0; i++) {
        rc = raddle_move_to(rdl_raddle_loop(team->loops[i]));
        if (rc == 0)
            rdl_callbacks_visit(rdl_raddle_loop(team->loops[i]), print_callback, d);
    }
    return rc < 0 ? rc : raddle_move_to(here);
}

int raddle_print_left(int fd, unsigned what)
{
    struct raddle_loop *here = raddle_running_loop();
    struct dump d = {.fd = fd, .now_ns = rdl_sys_now(), .clocked = true};
    int rc = 0;

    if (!rdl_task_self())
        return -EPERM;
    if (what & ~(unsigned)(RADDLE_LEFT_TASKS | RADDLE_LEFT_CALLBACKS))
        return -EINVAL;
    for (unsigned i = 0; what & RADDLE_LEFT_TASKS && i < raddle_loop_count(); i++) {
        struct rdl_team *team = here->base.team;
        rdl_tree_visit(team ? &rdl_raddle_loop(team->loops[i])->root : &here->root, print_task, &d);
    }
    if (what & RADDLE_LEFT_CALLBACKS)
        rc = print_callbacks(&d);
    flush(&d);
    if (rc < 0 || d.rc < 0)
        return rc < 0 ? rc : d.rc;
    return d.count;
}

/* In a signal handler, about the task that overflowed: only what is certain to be safe. */
static void write_text(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0) {
        /* There is nobody left to tell. */
    }
}

static void write_number(int fd, unsigned long number)
{
    char digits[24];
    size_t at = sizeof(digits) - 1;

    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    write_text(fd, digits + at);
}

/* Of the task, when it stands on the stack of a generator. */
static const struct rdl_task *owner_of(const struct rdl_stack *stack)
{
    const struct rdl_task *task = NULL;

    while (stack && !(task = rdl_atomic_load_relaxed(&stack->owner)))
        stack = rdl_atomic_load_relaxed(&stack->user);
    return task;
}

static void describe(int fd, const struct rdl_stack *stack)
{
    const struct rdl_task *task = owner_of(stack);
    const char *generator;

    if (!task)
        return;
    write_text(fd, "  task \"");
    write_text(fd, task->name);
    write_text(fd, "\"");
    if (task->site && task->site->line) {
        write_text(fd, ", spawned at ");
        write_text(fd, task->site->file);
        write_text(fd, ":");
        write_number(fd, (unsigned long)task->site->line);
    }
    generator = rdl_atomic_load_relaxed(&task->gen_name);
    if (generator) {
        write_text(fd, ", in generator ");
        write_text(fd, generator);
    }
    write_text(fd, ", with a stack of ");
    write_number(fd, (unsigned long)rdl_stack_class_bytes(stack->size_class) / 1024);
    write_text(fd, " KiB\n");
}

int rdl_dump_install(void)
{
    rdl_overflow_set_describe(describe);
    return rdl_overflow_install();
}
