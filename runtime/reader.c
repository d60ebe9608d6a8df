/*
 * runtime/reader.c - readers and writers: a task of the loop for each, which polls, and calls back.
 *
 * A task costs more than an entry of an epoll instance. But it waits as everything else does, on every driver;
 * the loop's close ends it, raddle_fd_close() does, and dumps show it.
 *
 * The callback runs on the loop's own stack: the task queues it and gives way. Both are pinned, so they pass
 * through one queue, the callback first.
 *
 * What is watched is kept by number, under the slot's lock. The danger is a number that is used again. A poll
 * must not begin on a stranger's descriptor: it says which generation it is for (io/fd.h). And a close ends the
 * poll, and before the task has seen that, the program has a new descriptor of the same number and asks for a
 * reader. That finds one, and replaces its callback. So a task whose poll has failed goes only if nobody has
 * asked since the poll began (asked); else it polls again, and that is the new descriptor.
 *
 * Lifetime. The slot has a reference to the watch, and so has the task, for as long as it runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <raddle/error.h>
#include <raddle/reader.h>

#include "io/fd.h"
#include "io/op.h"
#include "io/table.h"
#include "runtime/call.h"
#include "runtime/loop.h"
#include "runtime/report.h"
#include "sched/sys.h"

enum direction { READS, WRITES };

struct watch;

struct slot {
    struct rdl_lock lock;
    struct watch *watches[2]; /* by direction; under lock */
};

struct watch {
    struct rdl_runnable run; /* first */
    rdl_atomic(uint32_t) references;
    struct slot *slot;
    int fd;
    enum direction direction;
    raddle_task *task; /* set before it is in its slot */

    /* Under the slot's lock. */
    raddle_callback_fn *fn; /* NULL: removed */
    void *arg;
    struct rdl_map *vars; /* of who asked last */
    uint32_t generation;  /* of the descriptor */
    uint32_t asked;       /* how often */
    bool ended;           /* its task is about to return */
};

static const char *const names[] = {"reader", "writer"};

static void give_back(struct watch *watch)
{
    /* acq_rel: what others did with it comes before the free. */
    if (watch && rdl_atomic_fetch_sub_acq_rel(&watch->references, 1) == 1) {
        raddle_task_unref(watch->task);
        rdl_map_unref(watch->vars);
        rdl_sys_free(watch);
    }
}

/* The loop's slots, made when make is set; NULL: there are none. */
static struct rdl_table *slots_of(struct raddle_loop *loop, bool make)
{
    struct rdl_table *slots, *fresh = NULL;

    rdl_lock_acquire(&loop->lock);
    slots = loop->watched;
    rdl_lock_release(&loop->lock);
    if (slots || !make)
        return slots;
    fresh = rdl_sys_calloc(1, sizeof(*fresh));
    if (!fresh)
        return NULL;
    fresh->element_bytes = sizeof(struct slot);
    rdl_lock_acquire(&loop->lock);
    slots = loop->watched;
    if (!slots)
        slots = loop->watched = fresh;
    rdl_lock_release(&loop->lock);
    if (slots != fresh)
        rdl_sys_free(fresh);
    return slots;
}

/* On the loop's thread. */

/* Since the poll has found something, a close may have been begun or have ended: then there is nobody to call. */
static bool is_open(int fd, uint32_t generation)
{
    struct rdl_fd *entry;
    bool open;

    if (rdl_fd_find(fd, &entry) < 0)
        return false;
    rdl_lock_acquire(&entry->lock);
    open = !entry->closing && entry->generation == generation;
    rdl_lock_release(&entry->lock);
    return open;
}

static void call_back(struct rdl_runnable *run)
{
    struct watch *watch = (struct watch *)(void *)run;
    struct rdl_map *vars = NULL;
    raddle_callback_fn *fn;
    uint32_t generation;
    void *arg;

    rdl_lock_acquire(&watch->slot->lock);
    generation = watch->generation;
    rdl_lock_release(&watch->slot->lock);
    if (!is_open(watch->fd, generation))
        return;
    rdl_lock_acquire(&watch->slot->lock);
    fn = watch->generation == generation ? watch->fn : NULL;
    arg = watch->arg;
    if (fn)
        vars = rdl_map_ref(watch->vars);
    rdl_lock_release(&watch->slot->lock);
    if (fn)
        rdl_call(vars, fn, arg, 0);
}

/* False: it was removed. */
static bool begin_poll(struct watch *watch, struct rdl_op *op, uint32_t *asked)
{
    bool wanted;

    *op = (struct rdl_op){.code = RDL_OP_POLL, .fd = watch->fd, .entered = true};
    op->events = watch->direction == READS ? POLLIN : POLLOUT;
    rdl_lock_acquire(&watch->slot->lock);
    wanted = watch->fn != NULL;
    op->generation = watch->generation;
    *asked = watch->asked;
    rdl_lock_release(&watch->slot->lock);
    return wanted;
}

/* Takes it out of its slot, unless somebody has asked since the poll began and last is not set. */
static bool end(struct watch *watch, uint32_t asked, bool last)
{
    struct watch **place = &watch->slot->watches[watch->direction];
    bool in_slot;

    rdl_lock_acquire(&watch->slot->lock);
    watch->ended = last || watch->asked == asked;
    in_slot = watch->ended && *place == watch;
    if (in_slot)
        *place = NULL;
    rdl_lock_release(&watch->slot->lock);
    if (in_slot)
        give_back(watch);
    return watch->ended;
}

static int watches(void *arg)
{
    struct watch *watch = arg;
    struct rdl_op op;
    uint32_t asked;
    int rc = 0;

    while (begin_poll(watch, &op, &asked)) {
        rc = (int)rdl_op_run(&op);
        if (rc < 0) {
            if (end(watch, asked, rc == -ECANCELED))
                break;
            continue;
        }
        watch->run.call = call_back;
        rdl_loop_enqueue(rdl_loop_current(), &watch->run);
        rdl_fiber_yield(rdl_fiber_self());
    }
    if (rc < 0 && rc != -ECANCELED && rc != RADDLE_ECLOSED)
        rdl_report_error(&(struct raddle_error_event){.rc = rc},
                         "the %s of descriptor %d has ended: %s", names[watch->direction],
                         watch->fd, raddle_strerror(rc));
    give_back(watch);
    return 0;
}

/* Any thread. */

/* 0 with *generation written; -EBADF; -EPERM: there is nothing to wait for. */
static int check(int fd, uint32_t *generation)
{
    struct rdl_fd *entry;
    int rc = fd < 0 ? -EBADF : rdl_sys_get_cloexec(fd);

    if (rc >= 0)
        rc = rdl_fd_find(fd, &entry);
    if (rc >= 0)
        rc = rdl_fd_ask(entry, fd);
    if (rc < 0 || rc == RDL_FD_FILE)
        return rc < 0 ? rc : -EPERM;
    rdl_lock_acquire(&entry->lock);
    *generation = entry->generation;
    rdl_lock_release(&entry->lock);
    return 0;
}

/* One that is there gets another callback. */
static bool replace(struct slot *slot, enum direction direction, uint32_t generation,
                    raddle_callback_fn *fn, void *arg)
{
    struct rdl_map *vars = rdl_vars_capture(), *before = vars;
    struct watch *watch;

    rdl_lock_acquire(&slot->lock);
    watch = slot->watches[direction];
    if (watch) {
        watch->fn = fn;
        watch->arg = arg;
        before = watch->vars;
        watch->vars = vars;
        watch->generation = generation;
        watch->asked++;
    }
    rdl_lock_release(&slot->lock);
    rdl_map_unref(before);
    return watch != NULL;
}

/* Takes the watch out of the slot, to be cancelled. */
static struct watch *take_out(struct slot *slot, enum direction direction)
{
    struct watch *watch;

    rdl_lock_acquire(&slot->lock);
    watch = slot->watches[direction];
    slot->watches[direction] = NULL;
    if (watch)
        watch->fn = NULL;
    rdl_lock_release(&slot->lock);
    return watch;
}

static void cancel(struct watch *watch)
{
    if (watch)
        (void)raddle_task_cancel(watch->task, "nobody watches its descriptor any more");
    give_back(watch);
}

/* Its task has been started, and may have ended. */
static void put_in(struct slot *slot, struct watch *watch)
{
    struct watch *other = NULL;
    bool ended;

    rdl_lock_acquire(&slot->lock);
    ended = watch->ended;
    if (!ended) {
        other = slot->watches[watch->direction]; /* of another thread, which asked meanwhile */
        slot->watches[watch->direction] = watch;
        if (other)
            other->fn = NULL;
    }
    rdl_lock_release(&slot->lock);
    cancel(other);
    if (ended)
        give_back(watch);
}

static int start(struct raddle_loop *loop, struct watch *watch)
{
    static const struct raddle_spawn_site sites[] = {{"reader", "raddle_add_reader", 0},
                                                     {"writer", "raddle_add_writer", 0}};
    struct raddle_spawn_options options = {
        .loop = loop, .stack_bytes = 16384, .strand = RADDLE_NO_STRAND};
    struct rdl_spawn spawn = {.group = &loop->root,
                              .fn = watches,
                              .arg = watch,
                              .options = &options,
                              .site = &sites[watch->direction]};

    return rdl_task_spawn(&spawn, &watch->task);
}

static int add(raddle_loop *loop, int fd, enum direction direction, raddle_callback_fn *fn,
               void *arg)
{
    struct rdl_table *slots;
    struct watch *watch;
    void *slot = NULL;
    uint32_t generation;
    int rc;

    if (!loop || !fn)
        return -EINVAL;
    if (rdl_atomic_load_relaxed(&loop->closing))
        return RADDLE_ESHUTDOWN;
    rc = check(fd, &generation);
    if (rc < 0)
        return rc;
    slots = slots_of(loop, true);
    rc = slots ? rdl_table_reach(slots, (uint32_t)fd, &slot) : -ENOMEM;
    if (rc < 0 || replace(slot, direction, generation, fn, arg))
        return rc;
    watch = rdl_sys_calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    rdl_atomic_init(&watch->references, 2);
    watch->slot = slot;
    watch->fd = fd;
    watch->direction = direction;
    watch->generation = generation;
    watch->fn = fn;
    watch->arg = arg;
    watch->vars = rdl_vars_capture();
    rc = start(loop, watch);
    if (rc == 0) {
        put_in(slot, watch);
    } else {
        rdl_map_unref(watch->vars);
        rdl_sys_free(watch);
    }
    return rc;
}

static int take_away(raddle_loop *loop, int fd, enum direction direction)
{
    struct rdl_table *slots = loop ? slots_of(loop, false) : NULL;
    struct slot *slot = slots && fd >= 0 ? rdl_table_at(slots, (uint32_t)fd) : NULL;
    struct watch *watch = slot ? take_out(slot, direction) : NULL;

    cancel(watch);
    return !loop ? -EINVAL : watch != NULL;
}

int raddle_add_reader(raddle_loop *loop, int fd, raddle_callback_fn *fn, void *arg)
{
    return add(loop, fd, READS, fn, arg);
}

int raddle_remove_reader(raddle_loop *loop, int fd)
{
    return take_away(loop, fd, READS);
}

int raddle_add_writer(raddle_loop *loop, int fd, raddle_callback_fn *fn, void *arg)
{
    return add(loop, fd, WRITES, fn, arg);
}

int raddle_remove_writer(raddle_loop *loop, int fd)
{
    return take_away(loop, fd, WRITES);
}

void rdl_readers_fini(struct raddle_loop *loop)
{
    if (!loop->watched)
        return;
    rdl_table_fini(loop->watched); /* the tasks have ended, and taken their watches out */
    rdl_sys_free(loop->watched);
}
