/*
 * runtime/snapshot.c - a list of all tasks as they were at a moment.
 *
 * The list is made while the tree is walked (runtime/tree.c): each task is pinned while it is looked at, and its
 * handle, made if it has none, gets a reference that outlives it. No user's code runs meanwhile, and no lock is held
 * but the registry's, which keeps loops from going away.
 */
#include <errno.h>
#include <raddle/debug.h>
#include <raddle/time.h>
#include <string.h>

#include "runtime/dump.h"
#include "runtime/loop.h"
#include "runtime/task.h"
#include "sched/sys.h"

enum { FIRST_ROOM = 64 };

struct snapshot {
    const struct rdl_loop *loop; /* whose; NULL: all */
    struct raddle_task_info *list;
    size_t count, room;
    int rc;
};

static bool make_room(struct snapshot *s)
{
    size_t room = s->room ? 2 * s->room : FIRST_ROOM;
    struct raddle_task_info *list;

    if (s->count < s->room)
        return true;
    list = rdl_sys_realloc(s->list, room * sizeof(*list));
    if (!list)
        return false;
    s->list = list;
    s->room = room;
    return true;
}

static void look_at_wait(struct raddle_task_info *info, struct rdl_fiber *fiber)
{
    uint64_t object;

    info->fd = -1;
    info->waits_for = rdl_atomic_load_relaxed(&fiber->waiting_for);
    if (!info->waits_for) {
        info->state = rdl_raddle_loops_run(fiber) ? RADDLE_TASK_RUNNING : RADDLE_TASK_RUNNABLE;
        return;
    }
    object = rdl_atomic_load_relaxed(&fiber->waiting_object);
    info->state = RADDLE_TASK_WAITING;
    info->since = rdl_atomic_load_relaxed(&fiber->waiting_since_ns);
    if (rdl_dump_is_operation(info->waits_for))
        info->fd = (int)object;
}

static bool has_ended(struct raddle_task *handle)
{
    bool ended;

    rdl_lock_acquire(&handle->lock);
    ended = handle->task == NULL;
    rdl_lock_release(&handle->lock);
    return ended;
}

static void list_task(struct rdl_task *task, unsigned depth, void *arg)
{
    struct snapshot *s = arg;
    struct raddle_task_info *info;
    struct raddle_task *handle;

    if (s->rc < 0)
        return;
    handle = rdl_task_handle(task);
    if (!handle || !make_room(s)) {
        s->rc = -ENOMEM;
        return;
    }
    if (has_ended(handle))
        return;
    info = &s->list[s->count++];
    *info = (struct raddle_task_info){
        .task = raddle_task_ref(handle),
        .fn = task->fn,
        .site = task->site,
        .mobility = (enum raddle_mobility)rdl_atomic_load_relaxed(&task->fiber.mobility),
        .depth = depth,
        .generator = rdl_atomic_load_relaxed(&task->gen_name),
    };
    look_at_wait(info, &task->fiber);
}

static void list_loop(struct raddle_loop *loop, void *arg)
{
    struct snapshot *s = arg;
    const struct rdl_loop *wanted = s->loop;

    if (wanted && wanted != &loop->base && (!wanted->team || wanted->team != loop->base.team))
        return;
    rdl_tree_visit(&loop->mains, list_task, s);
    rdl_tree_visit(&loop->root, list_task, s);
}

ssize_t raddle_all_tasks(raddle_loop *loop, struct raddle_task_info **out)
{
    struct snapshot s = {.loop = loop ? &loop->base : NULL};

    if (!out)
        return -EINVAL;
    rdl_raddle_loop_for_each(list_loop, &s);
    if (s.rc < 0) {
        raddle_all_tasks_free(s.list, s.count);
        return s.rc;
    }
    *out = s.list;
    return (ssize_t)s.count;
}

void raddle_all_tasks_free(struct raddle_task_info *list, size_t count)
{
    if (!list)
        return;
    for (size_t i = 0; i < count; i++)
        raddle_task_unref(list[i].task);
    rdl_sys_free(list);
}
