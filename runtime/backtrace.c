/*
 * runtime/backtrace.c - the frames of a task that is parked.
 *
 * The task is pinned, so its stack stays; but it may be woken while its stack is copied. The word of its wait tells:
 * parked before and in the same generation after, it was parked all the while. The second look is a compare-exchange
 * that changes nothing: what was read before it can't be read after it.
 */
#include <errno.h>
#include <limits.h>
#include <raddle/debug.h>

#include "runtime/task.h"
#include "sched/pageout.h"
#include "sched/sys.h"
#include "sched/unwind.h"

enum { TRIES = 8, SLACK = 64 };

/* Of a pinned task. -EAGAIN: it went on meanwhile. */
static ssize_t look_once(struct rdl_task *task, void **pcs, int max)
{
    struct rdl_wait *wait = &task->fiber.stack->wait;
    struct rdl_paging *paging = task->fiber.paging;
    const char *low = task->fiber.stack->low;
    const char *top = paging ? task->fiber.stack->top : (const char *)task;
    struct rdl_unwind at;
    uint32_t phase = 0;
    uint64_t word;
    ssize_t count;
    char *copy;

    if (!rdl_wait_is_parked(wait, &word) || (paging && !rdl_paging_is_in(paging, &phase)))
        return -EBUSY;
    if (!rdl_unwind_begin(&at, &task->fiber.co, low, top))
        return rdl_wait_still_is(wait, word) ? -ENOTSUP : -EAGAIN;
    copy = rdl_sys_calloc(1, (size_t)(top - (const char *)at.sp) + SLACK);
    if (!copy)
        return -ENOMEM;
    rdl_unwind_copy(&at, top, copy);
    if (rdl_wait_still_is(wait, word) && (!paging || rdl_paging_still_in(paging, phase)))
        count = rdl_unwind_frames(&at, pcs, max);
    else
        count = -EAGAIN;
    rdl_sys_free(copy);
    return count;
}

ssize_t raddle_task_stack(raddle_task *handle, void **pcs, size_t max)
{
    struct rdl_task *task;
    ssize_t rc = -EAGAIN;

    if (!handle || (!pcs && max))
        return -EINVAL;
    rdl_lock_acquire(&handle->lock);
    task = handle->task;
    if (task)
        rdl_task_pin(task);
    rdl_lock_release(&handle->lock);
    if (!task)
        return 0;
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++)
        rc = look_once(task, pcs, max < INT_MAX ? (int)max : INT_MAX);
    rdl_task_unpin(task);
    return rc == -EAGAIN ? -EBUSY : rc;
}
