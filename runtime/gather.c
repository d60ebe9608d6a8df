/*
 * runtime/gather.c - several calls at once, and several tasks that are waited for at once.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <raddle/gather.h>
#include <raddle/time.h>

#include "runtime/task.h"
#include "sched/loop.h"
#include "sched/sys.h"

/* What a call holds. */
struct entry {
    raddle_task *task;
    struct race *race;
};

static_assert(sizeof(struct entry) <= sizeof(((struct raddle_call *)0)->raddle_private),
              "fits what users compile in");

static struct entry *entry_of(struct raddle_call *call)
{
    return (struct entry *)(void *)call->raddle_private;
}

/* 0, or why none of the calls may be begun. Their outcomes are new. */
static int prepare(struct raddle_call *calls, size_t count)
{
    struct rdl_fiber *self = rdl_fiber_self();

    if (!calls && count)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (!calls[i].fn)
            return -EINVAL;
    if (!self)
        return -EPERM;
    for (size_t i = 0; i < count; i++) {
        calls[i].outcome = (struct raddle_outcome){.kind = RADDLE_PENDING};
        *entry_of(&calls[i]) = (struct entry){.task = NULL};
    }
    return rdl_cancel_check(self);
}

static int spawn(struct raddle_group *group, struct raddle_call *call, const char *otherwise,
                 raddle_task_fn *fn, void *arg)
{
    const struct raddle_spawn_options options = {.name = call->name ? call->name : otherwise};

    return raddle_spawn(group, &entry_of(call)->task, fn, arg, &options);
}

static int close_all(struct raddle_group *group, struct raddle_call *calls, size_t count, int rc)
{
    if (rc < 0)
        raddle_group_cancel(group, "another call could not be made");
    rc = raddle_group_close(group, rc);
    for (size_t i = 0; i < count; i++) {
        raddle_task *task = entry_of(&calls[i])->task;
        int ended = task ? raddle_outcome_of(task, &calls[i].outcome) : 0;
        rdl_check(ended == 0, "a closed group has a task that goes on");
        raddle_task_unref(task);
    }
    return rc;
}

int raddle_gather(struct raddle_call *calls, size_t count,
                  const struct raddle_group_options *options)
{
    struct raddle_group group;
    int rc = prepare(calls, count);

    if (rc == 0)
        rc = raddle_group_open(&group, options);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = spawn(&group, &calls[i], "gather", calls[i].fn, calls[i].arg);
    return close_all(&group, calls, count, rc);
}

struct race {
    rdl_atomic(struct raddle_call *) winner; /* set once */
};

static int contestant(void *arg)
{
    struct raddle_call *call = arg, *nobody = NULL;
    int rc = call->fn(call->arg);

    /* Orders nothing: the main task reads it, with the rest, when the group is closed, or as a hint. */
    if (rc >= 0)
        (void)rdl_atomic_cas_relaxed(&entry_of(call)->race->winner, &nobody, call);
    return rc;
}

/* Until the one that was started last has ended, or it is time for the next. */
static int wait_for_turn(struct raddle_call *call, int64_t stagger_ns)
{
    struct raddle_scope limit;

    raddle_scope_enter(&limit, raddle_in(stagger_ns), RADDLE_QUIET);
    return raddle_scope_leave(&limit, raddle_join(entry_of(call)->task, NULL));
}

int raddle_race(struct raddle_call *calls, size_t count, int64_t stagger_ns, size_t *winner)
{
    static const struct raddle_group_options first_ok = {.mode = RADDLE_FIRST_OK};
    struct race race;
    struct raddle_group group;
    struct raddle_call *first;
    int rc;

    if (!count || stagger_ns < 0)
        return -EINVAL;
    rc = prepare(calls, count);
    if (rc == 0)
        rc = raddle_group_open(&group, &first_ok);
    if (rc < 0)
        return rc;
    rdl_atomic_init(&race.winner, NULL);
    for (size_t i = 0; i < count && rc == 0 && !rdl_atomic_load_relaxed(&race.winner); i++) {
        entry_of(&calls[i])->race = &race;
        rc = spawn(&group, &calls[i], "race", contestant, &calls[i]);
        if (rc == 0 && i + 1 < count)
            rc = wait_for_turn(&calls[i], stagger_ns);
    }
    rc = close_all(&group, calls, count, rc);
    first = rdl_atomic_load_relaxed(&race.winner);
    if (!first)
        return rc < 0 ? rc : -ECANCELED; /* all have ended cancelled, and nobody has failed */
    if (winner)
        *winner = (size_t)(first - calls);
    return first->outcome.rc;
}

/* Waiting. */

enum { LOCAL_PLACES = 16 };

struct waiting {
    struct rdl_fiber *self;
    raddle_task *const *tasks;
    size_t count;
    enum raddle_when when;
};

/* Who has ended: how many, *enough written. flags may be NULL. */
static int look(const struct waiting *w, bool *flags, bool *enough)
{
    int ended = 0;
    bool failed = false;

    for (size_t i = 0; i < w->count; i++) {
        struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
        bool has_ended = raddle_outcome_of(w->tasks[i], &outcome) == 0;
        ended += has_ended;
        failed |= outcome.kind == RADDLE_FAILED;
        if (flags)
            flags[i] = has_ended;
    }
    *enough = (size_t)ended == w->count || (w->when == RADDLE_ANY && ended) ||
              (w->when == RADDLE_ANY_ERROR && failed);
    return ended;
}

/*
 * One sleep, until one more than the ended that a look has counted has ended, or for nothing. Those that had ended
 * by then are not to wake us, and don't; one that ended since is found here or in the line, and must.
 */
static void wait_for_one(const struct waiting *w, struct rdl_place *places, int ended)
{
    struct rdl_ticket ticket = rdl_fiber_arm(w->self, RDL_PARK_CANCELLABLE);
    size_t i;

    for (i = 0; i < w->count && ended >= 0; i++) {
        places[i].ticket.wait = NULL;
        ended -= !rdl_task_join_line(w->tasks[i], &places[i], ticket);
    }
    if (ended == 0)
        (void)rdl_fiber_park(w->self, RDL_PARK_CANCELLABLE, "one of several tasks",
                             (uint64_t)(uintptr_t)w->tasks);
    else
        (void)rdl_fiber_disarm(w->self, RDL_PARK_CANCELLABLE);
    while (i-- > 0)
        if (places[i].ticket.wait)
            rdl_task_leave_line(w->tasks[i], &places[i]);
}

static int wait_for_some(const struct waiting *w)
{
    struct rdl_place local[LOCAL_PLACES], *places;
    bool enough;
    int rc = 0, ended = look(w, NULL, &enough);

    if (enough)
        return 0;
    places = w->count <= LOCAL_PLACES ? local : rdl_sys_calloc(w->count, sizeof(*places));
    if (!places)
        return -ENOMEM;
    while (!enough && rc == 0) {
        wait_for_one(w, places, ended);
        rc = rdl_cancel_check(w->self);
        ended = look(w, NULL, &enough);
    }
    if (places != local)
        rdl_sys_free(places);
    return enough ? 0 : rc;
}

static int wait_for_all(const struct waiting *w)
{
    int rc = 0;

    for (size_t i = 0; i < w->count && rc == 0; i++)
        rc = raddle_join(w->tasks[i], NULL);
    return rc;
}

int raddle_wait(raddle_task *const *tasks, size_t count, enum raddle_when when, bool *done)
{
    struct waiting w = {.self = rdl_fiber_self(), .tasks = tasks, .count = count, .when = when};
    bool enough;
    int rc, ended;

    if (!tasks || !count || count > INT_MAX || (unsigned)when > RADDLE_ALL)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (!tasks[i])
            return -EINVAL;
    if (!w.self)
        return -EPERM;
    for (size_t i = 0; i < count; i++)
        if (rdl_task_would_deadlock(tasks[i]))
            return -EDEADLK;
    rc = rdl_cancel_check(w.self);
    if (rc == 0)
        rc = when == RADDLE_ALL ? wait_for_all(&w) : wait_for_some(&w);
    ended = look(&w, done, &enough);
    return rc < 0 ? rc : ended;
}
