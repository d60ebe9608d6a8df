/*
 * runtime/select.c - one of several things, of which exactly one is done.
 *
 * The danger: two cases become possible at once, and two others serve them; or one becomes possible while the
 * select looks at the next, and nobody wakes it.
 *
 * 1. Every case is tried, in order. One that can be done is done, and that was all.
 * 2. The select gets in line for all of them, one after the other, each under the lock of its object and only if
 *    it still isn't possible; its turns share one choice. From here on another may serve one of them: it makes the
 *    choice first, by a compare-exchange, and a second one finds it made.
 * 3. It sleeps; or not, when a case has become possible on the way.
 * 4. It leaves all lines, each under its lock. Now nobody can make the choice any more, and whoever has made it has
 *    also done what it had to, under the lock that was just taken. If it was made, that case is done. Otherwise
 *    it was woken for nothing (an ended task, something new in a watch or broadcast, its timer, a cancellation, a case of step 3): from the beginning.
 *
 * A select serves others only in step 1, while it is in no line itself. So two selects that would serve each other
 * can't both have made a choice and wait for the other's.
 *
 * Descriptors. A task has one operation in flight at a time, so each descriptor gets a task that polls it, and the
 * select waits for its end as for any task's. They are the select's own: it returns when they have ended.
 *
 * Lifetime. Tickets that are fired after step 4 are stale and lose, see sched/wait.c.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <raddle/broadcast.h>
#include <raddle/io.h>
#include <raddle/select.h>

#include "io/op.h"
#include "runtime/channel.h"
#include "runtime/feed.h"
#include "runtime/future.h"
#include "runtime/task.h"
#include "sched/loop.h"
#include "sched/sys.h"

struct selection {
    struct rdl_fiber *self;
    struct raddle_case *cases;
    size_t count;
    struct rdl_choice choice;
    struct rdl_ticket ticket;
    int64_t nearest_ns; /* of the cases' points in time */
};

/* What a case holds. */
struct watch {
    struct rdl_exchange exchange; /* first */
    raddle_task *task;            /* that polls the descriptor */
    int fd;
    short events;
    int rc; /* its own until it has ended */
};

static_assert(sizeof(struct watch) <= sizeof(((struct raddle_case *)0)->raddle_private),
              "fits what users compile in");

static struct rdl_exchange *exchange_of(struct raddle_case *c)
{
    return (struct rdl_exchange *)(void *)c->raddle_private;
}

static struct watch *watch_of(const struct raddle_case *c)
{
    return (struct watch *)(void *)(uintptr_t)c->raddle_private;
}

static bool is_chan(const struct raddle_case *c)
{
    return c->op >= RADDLE_ON_GET && c->op <= RADDLE_ON_SEND;
}

static bool is_put(const struct raddle_case *c)
{
    return c->op == RADDLE_ON_PUT || c->op == RADDLE_ON_SEND;
}

static const struct rdl_end *end_of(const struct raddle_case *c)
{
    if (c->op == RADDLE_ON_RECEIVE)
        return rdl_receiver_end(c->object);
    return c->op == RADDLE_ON_SEND ? rdl_sender_end(c->object) : NULL;
}

static raddle_chan *chan_of(const struct raddle_case *c)
{
    const struct rdl_end *end = end_of(c);

    return end ? end->chan : c->object;
}

/* In the task that polls. A cancelled one has nothing to tell. */
static int poll_one(void *arg)
{
    struct watch *watch = arg;
    int rc = raddle_fd_poll(watch->fd, watch->events);

    if (rc != -ECANCELED)
        watch->rc = rc;
    return 0;
}

static int try_fd(const struct raddle_case *c)
{
    struct rdl_op op = {.code = RDL_OP_POLL, .fd = c->fd, .events = (uint16_t)c->events};
    const struct watch *watch = watch_of(c);
    struct raddle_outcome outcome;

    if (watch->task && raddle_outcome_of(watch->task, &outcome) == 0)
        return watch->rc;
    return (int)rdl_op_try(&op);
}

/* Its rc, or -EAGAIN: it isn't possible. */
static int try_case(const struct raddle_case *c)
{
    struct raddle_outcome unread, *outcome = c->item ? c->item : &unread;

    if (c->op == RADDLE_ON_TIME)
        return c->when <= rdl_sys_now() ? 0 : -EAGAIN;
    if (c->op == RADDLE_ON_FD)
        return try_fd(c);
    if (!c->object)
        return -EAGAIN;
    switch (c->op) {
    case RADDLE_ON_GET:
    case RADDLE_ON_RECEIVE:
        return rdl_chan_get(chan_of(c), end_of(c), c->item, false);
    case RADDLE_ON_PUT:
    case RADDLE_ON_SEND:
        return rdl_chan_put(chan_of(c), end_of(c), c->item, false);
    case RADDLE_ON_WATCH:
        return rdl_watch_try(c->object, c->number, c->item);
    case RADDLE_ON_BROADCAST:
        return raddle_bcast_try_receive(c->object, c->item, c->number);
    case RADDLE_ON_FUTURE:
        return raddle_future_outcome(c->object, outcome) == 0 ? 0 : -EAGAIN;
    case RADDLE_ON_TASK:
        return raddle_outcome_of(c->object, outcome) == 0 ? 0 : -EAGAIN;
    default:
        return -EAGAIN;
    }
}

/* In line for it, or false: it need not wait. */
static bool join_case(struct selection *s, struct raddle_case *c)
{
    struct rdl_exchange *exchange = exchange_of(c);

    *exchange = (struct rdl_exchange){.item = c->item};
    if (c->op == RADDLE_ON_TIME && c->when < s->nearest_ns)
        s->nearest_ns = c->when;
    if (c->op == RADDLE_ON_FD)
        return rdl_task_join_line(watch_of(c)->task, &exchange->turn.place, s->ticket);
    if (!c->object)
        return true;
    if (is_chan(c)) {
        exchange->end = end_of(c);
        return rdl_chan_join_choice(chan_of(c), exchange, is_put(c), s->ticket, &s->choice);
    }
    if (c->op == RADDLE_ON_WATCH)
        return rdl_watch_join(c->object, *c->number, &exchange->turn.place, s->ticket);
    if (c->op == RADDLE_ON_BROADCAST)
        return rdl_bcast_join(c->object, &exchange->turn.place, s->ticket);
    if (c->op == RADDLE_ON_FUTURE)
        return rdl_future_join_choice(c->object, &exchange->turn, s->ticket, &s->choice);
    return c->op != RADDLE_ON_TASK ||
           rdl_task_join_line(c->object, &exchange->turn.place, s->ticket);
}

static void leave_case(struct raddle_case *c)
{
    struct rdl_exchange *exchange = exchange_of(c);

    if (c->op == RADDLE_ON_FD)
        rdl_task_leave_line(watch_of(c)->task, &exchange->turn.place);
    if (!c->object)
        return;
    if (is_chan(c))
        rdl_chan_leave(chan_of(c), exchange, is_put(c));
    else if (c->op == RADDLE_ON_WATCH)
        rdl_watch_leave(c->object, &exchange->turn.place);
    else if (c->op == RADDLE_ON_BROADCAST)
        rdl_bcast_leave(c->object, &exchange->turn.place);
    else if (c->op == RADDLE_ON_FUTURE)
        rdl_future_leave(c->object, &exchange->turn);
    else if (c->op == RADDLE_ON_TASK)
        rdl_task_leave_line(c->object, &exchange->turn.place);
}

/* Step 1. The index, or -EAGAIN. */
static int try_all(struct selection *s, size_t start)
{
    for (size_t i = 0; i < s->count; i++) {
        size_t at = (start + i) % s->count;
        int rc = try_case(&s->cases[at]);
        if (rc != -EAGAIN) {
            s->cases[at].rc = rc;
            return (int)at;
        }
    }
    return -EAGAIN;
}

/* Steps 2 to 4. The index, or -EAGAIN: from the beginning. */
static int wait_for_one(struct selection *s)
{
    int64_t nearest_ns = s->self->nearest_ns;
    struct rdl_turn *taken;
    size_t joined = 0;

    rdl_atomic_init(&s->choice.taken, NULL);
    s->nearest_ns = nearest_ns;
    s->ticket = rdl_fiber_arm(s->self, RDL_PARK_CANCELLABLE);
    while (joined < s->count && join_case(s, &s->cases[joined]))
        joined++;
    if (joined == s->count) {
        s->self->nearest_ns = s->nearest_ns;
        (void)rdl_fiber_park(s->self, RDL_PARK_CANCELLABLE, "one of several things",
                             (uint64_t)(uintptr_t)s->cases);
        s->self->nearest_ns = nearest_ns;
    } else {
        (void)rdl_fiber_disarm(s->self, RDL_PARK_CANCELLABLE);
    }
    for (size_t i = 0; i < joined; i++)
        leave_case(&s->cases[i]);
    taken = rdl_atomic_load_relaxed(&s->choice.taken); /* it was left in each line */
    for (size_t i = 0; taken && i < joined; i++) {
        if (&exchange_of(&s->cases[i])->turn != taken)
            continue;
        s->cases[i].rc = is_chan(&s->cases[i]) ? taken->result : try_case(&s->cases[i]);
        return (int)i;
    }
    return -EAGAIN;
}

/* By the loop's generator: what it says is part of what a simulated run repeats. */
static size_t random_start(size_t count)
{
    return rdl_loop_random_below(rdl_loop_current(), (unsigned)count);
}

/* The tasks that poll. 0, or why there can't be one; then those that were started still are to be ended. */
static int begin_watching(struct selection *s, struct raddle_group *group)
{
    static const struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct raddle_spawn_options options = {
        .name = "select", .mobility = RADDLE_PINNED, .strand = RADDLE_NO_STRAND};
    int rc = raddle_group_open(group, &collect);

    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        struct watch *watch = watch_of(&s->cases[i]);
        if (s->cases[i].op != RADDLE_ON_FD)
            continue;
        watch->fd = s->cases[i].fd;
        watch->events = s->cases[i].events;
        rc = raddle_spawn(group, &watch->task, poll_one, watch, &options);
    }
    return rc;
}

static void end_watching(struct selection *s, struct raddle_group *group)
{
    int rc;

    raddle_group_cancel(group, "another case was done");
    rc = raddle_group_close(group, 0);
    (void)rc; /* whether the caller is cancelled is not the question any more */
    for (size_t i = 0; i < s->count; i++)
        if (s->cases[i].op == RADDLE_ON_FD)
            raddle_task_unref(watch_of(&s->cases[i])->task);
}

/* Checks the cases. Whether there are descriptors among them; -EINVAL. */
static int prepare(struct raddle_case *cases, size_t count, unsigned flags)
{
    int descriptors = 0;

    if ((!cases && count) || count > INT_MAX || flags & ~3u)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if ((unsigned)cases[i].op > RADDLE_ON_FD)
            return -EINVAL;
        if ((cases[i].op == RADDLE_ON_WATCH || cases[i].op == RADDLE_ON_BROADCAST) &&
            cases[i].object && !cases[i].number)
            return -EINVAL;
        watch_of(&cases[i])->task = NULL;
        descriptors |= cases[i].op == RADDLE_ON_FD;
    }
    return descriptors;
}

static int choose(struct selection *s, unsigned flags, bool descriptors)
{
    struct raddle_group watchers;
    bool watching = false;
    int rc;

    for (;;) {
        rc = rdl_cancel_check(s->self);
        if (rc < 0)
            break;
        rc = try_all(s, flags & RADDLE_SELECT_FAIR && s->count ? random_start(s->count) : 0);
        if (rc != -EAGAIN || flags & RADDLE_SELECT_TRY)
            break;
        if (descriptors && !watching) {
            watching = true;
            rc = begin_watching(s, &watchers);
            if (rc < 0)
                break;
        }
        rc = wait_for_one(s);
        if (rc != -EAGAIN)
            break;
    }
    if (watching)
        end_watching(s, &watchers);
    return rc;
}

int raddle_select(struct raddle_case *cases, size_t count, unsigned flags)
{
    struct selection s = {.self = rdl_fiber_self(), .cases = cases, .count = count};
    int rc = prepare(cases, count, flags);

    if (!s.self)
        return -EPERM;
    if (rc < 0)
        return rc;
    rc = choose(&s, flags, rc > 0);
    if (rdl_loop_slice_over(rdl_loop_current(), 1))
        rdl_fiber_yield(s.self);
    return rc;
}
