/*
 * runtime/task.h - tasks, their groups and their handles, as the runtime sees them.
 *
 * A task's control block lies at the top of its stack and goes with it. Its handle is a small
 * record of its own, made only when somebody asks for one, that outlives the task.
 *
 * Locks, in the order in which they may be nested: a handle's, a task's tree, a group's. None is
 * held across a wake, a suspension or a system call.
 */
#ifndef RDL_RUNTIME_TASK_H
#define RDL_RUNTIME_TASK_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raddle/error.h>
#include <raddle/group.h>
#include <raddle/scope.h>
#include <raddle/task.h>

#include "runtime/context.h"
#include "sched/cancel.h"
#include "sched/fiber.h"
#include "sched/line.h"
#include "sched/lock.h"
#include "sched/wait.h"

enum { RDL_TASK_NAME_BYTES = 32 };

struct rdl_held;
struct rdl_local;
struct raddle_gen;
struct rdl_starting;
struct rdl_task;

/* What struct raddle_group holds. */
struct rdl_group {
    struct rdl_scope scope;
    char pad[sizeof(struct raddle_scope) - sizeof(struct rdl_scope)];

    struct rdl_lock lock;
    uint8_t mode;         /* enum raddle_group_mode */
    uint8_t open;         /* OPEN_MARK while children may be spawned; under lock */
    bool poked;           /* a canceller has been here: a child spawned now must look. Under lock */
    bool failed;          /* first_rc is a failure. Under lock */
    bool succeeded;       /* RADDLE_FIRST_OK: first_rc is a success. Under lock */
    bool reports;         /* failures are nobody's result, and are reported */
    bool ended_cancelled; /* some child ended cancelled. Under lock */
    bool as_completed;    /* handles of children that have ended are kept in ended */
    bool wants_next;      /* the closer wants to be woken by every end. Under lock */
    int first_rc;         /* under lock */
    struct rdl_task *owner;  /* whose scope this is; NULL: a root, which a loop owns */
    struct rdl_group *outer; /* the owner's next open group, under the owner's tree lock */
    struct rdl_task *first;  /* children, in spawn order, under lock */
    struct rdl_task *last;
    size_t live;              /* how many: under lock */
    struct rdl_ticket closer; /* whom the last child wakes; wait NULL: nobody. Under lock */

    /* Of a group with a limit (group.c, "Room"). */
    size_t max_live;      /* 0: none */
    size_t places;        /* taken by live children, and by spawners. Under lock */
    size_t stuck;         /* children that wait for a place. Under lock */
    struct rdl_line room; /* spawners that wait for a place. Under lock */

    struct raddle_task *ended_first, *ended_last; /* for raddle_group_next(). Under lock */
    struct raddle_group_error *errors;            /* the caller's. Under lock */
    size_t max_errors, error_count;               /* error_count under lock */
};

static_assert(sizeof(struct rdl_scope) <= sizeof(struct raddle_scope),
              "fits what users compile in");
static_assert(sizeof(struct rdl_group) <= sizeof(struct raddle_group),
              "fits what users compile in");

struct rdl_task {
    struct rdl_fiber fiber; /* first */

    /* In the group, under its lock. */
    struct rdl_group *group;
    struct rdl_task *next, *prev;
    uint32_t pins;          /* walkers (runtime/tree.c) that stand on this task: it may not go */
    struct rdl_ticket exit; /* the task, waiting for the last pin; wait NULL: it isn't */

    struct rdl_lock tree;
    struct rdl_group *groups; /* the open ones, innermost first, under tree */

    raddle_task_fn *fn;
    void *arg;
    /* NULL until somebody wants one. Set once: before the task starts, by it, or by a walker that has pinned it. The
     * task's reference is given back when nobody can pin it any more. */
    rdl_atomic(struct raddle_task *) handle;
    uint64_t walks; /* that had begun when it was linked (runtime/tree.c) */
    const struct raddle_spawn_site *site;
    void *context;          /* of the server that accepted its connection */
    struct rdl_loop *stops; /* a main task: the loop that runs for it, on which it ends */
    const char *name;       /* never NULL */
    struct rdl_held *held;  /* what it owns that others may wait for; its own (runtime/waiter.h) */
    struct rdl_vars vars;   /* its context; its own (runtime/context.h) */
    struct raddle_gen *gen; /* the one that runs, innermost; its own (runtime/generator.c) */
    rdl_atomic(const char *) gen_name; /* of that, a static string: for dumps */
    struct rdl_local *locals; /* task-local storage, the newest first; its own (runtime/local.c) */
    struct rdl_starting *starting; /* who waits for it to be up (started.c), or NULL; its own */

    /* From here on not zeroed. */
    struct rdl_scope root;
    char name_copy[RDL_TASK_NAME_BYTES];
};

struct raddle_task {
    rdl_atomic(uint32_t) references;
    struct rdl_lock lock;
    struct rdl_task *task; /* NULL when it has ended. Under lock */
    struct raddle_outcome outcome;
    struct rdl_line joiners;
    unsigned
        requests; /* raddle_task_cancel()s that raddle_uncancel() has not answered. Under lock */
    void *arg;
    char *
        reason; /* a copy; set once, when it has ended cancelled and somebody had said why. Under lock */
    struct raddle_task *next_ended; /* in line for raddle_group_next(), under the group's lock */
    bool left;                      /* the task has left the group; under that lock, too */
    int unread; /* debug mode: the failure that nobody was told of; 0: none. Under lock */
    char name[RDL_TASK_NAME_BYTES];
};

/* The running task; NULL outside of one. */
struct rdl_task *rdl_task_self(void);

/* What spawning takes, from wherever. */
struct rdl_spawn {
    struct rdl_group *group;
    raddle_task_fn *fn;
    void *arg;
    const struct raddle_spawn_options *options; /* checked by the callee; may be NULL */
    const struct raddle_spawn_site *site;
    void *context;
    bool quiet;
    struct rdl_loop *stops;
    struct rdl_starting *starting;
};

int rdl_task_spawn(const struct rdl_spawn *spawn, raddle_task **out);

/* What raddle_spawn_at() does; starting: NULL, or who waits for the child to be up. */
int rdl_task_spawn_user(struct raddle_group *group, raddle_task **out, raddle_task_fn *fn,
                        void *arg, const struct raddle_spawn_options *options,
                        const struct raddle_spawn_site *site, struct rdl_starting *starting);

/* Is it the caller, or does it wait, in some group of its own, for the caller to end? */
bool rdl_task_would_deadlock(const struct raddle_task *handle);

/* In line for the end of a task; false: it has ended. And out of it, if it still is in line. */
bool rdl_task_join_line(struct raddle_task *handle, struct rdl_place *place,
                        struct rdl_ticket ticket);
void rdl_task_leave_line(struct raddle_task *handle, struct rdl_place *place);

/* Groups that belong to a loop or a run rather than to a task. */
void rdl_group_init_root(struct rdl_group *group);

/* In a task: no more children, those there are cancelled, and waited for. */
void rdl_group_finish_root(struct rdl_group *group, const char *reason);

/*
 * Before a spawn, in a group with a limit: waits for a place, which the child then has. 0, -ECANCELED,
 * RADDLE_ESHUTDOWN; -EAGAIN outside a task, -EDEADLK when only children that wait here have places.
 * drop_place: the spawn came to nothing.
 */
int rdl_group_wait_place(struct rdl_group *group);
void rdl_group_drop_place(struct rdl_group *group);

static inline int rdl_group_take_place(struct rdl_group *group)
{
    return group->max_live ? rdl_group_wait_place(group) : 0;
}

/* A child links itself in and out (runtime/group.c). link: false when the group is closed. child_ended: how it
 * ended, which its group need not hear when it is as expected. line_up: of a group opened as_completed. unlink:
 * outcome is NULL of one that was never started. */
bool rdl_group_link(struct rdl_group *group, struct rdl_task *child);
void rdl_group_child_ended(struct rdl_task *child, const struct raddle_outcome *outcome);
void rdl_group_line_up(struct rdl_task *child);
void rdl_group_unlink(struct rdl_task *child, const struct raddle_outcome *outcome);

/* A task at its end, which has a handle, tells those who watch it; again in rdl_group_unlink(), if somebody has begun to since. */
void rdl_task_tell(struct rdl_task *self, const struct raddle_outcome *outcome);

/* The task itself, or who has pinned it: its handle, which the task has a reference to; NULL: no memory for it. */
struct raddle_task *rdl_task_handle(struct rdl_task *task);

static inline bool rdl_group_expected(const struct rdl_task *child,
                                      const struct raddle_outcome *outcome)
{
    return outcome->kind == RADDLE_OK && !child->starting && child->group->mode != RADDLE_FIRST_OK;
}

/* Debug mode: a failure that its group has no use for, and that nobody has read. site: "file:line" or NULL. */
void rdl_task_report_unread(const char *name, const char *site, int rc);

/* started.c: a child that has not said that it is up has ended. */
void rdl_starting_ended(struct rdl_starting *starting, const struct raddle_outcome *outcome);

/* Any thread, while task can't end: keeps it from ending until the unpin. */
void rdl_task_pin(struct rdl_task *task);
void rdl_task_unpin(struct rdl_task *task);

/* The task itself, at its end: calls the destructors of what it has set. */
void rdl_locals_end(struct rdl_task *self);

/* What a failure is to be called: -ECANCELED of what nobody has cancelled is RADDLE_ESTRAY. */
static inline int rdl_outcome_rc(int rc)
{
    return rc == -ECANCELED ? RADDLE_ESTRAY : rc;
}

/* Cancels what lies inside scope, which is entered. poke_tree: makes it look, of a scope that is marked. */
void rdl_scope_cancel_tree(struct rdl_scope *scope, const char *reason);
void rdl_scope_poke_tree(struct rdl_scope *scope);
void rdl_group_cancel_root(struct rdl_group *group, const char *reason);

/* The task that has just entered it: says where, a static string or NULL. */
void rdl_scope_set_site(struct rdl_scope *scope, const char *site);

/* Stops the process: self has returned inside a scope. */
_Noreturn void rdl_scope_die_inside(const struct rdl_task *self);

/* The task that entered it: is scope past its deadline, or cancelled from outside of it? */
bool rdl_scope_overrun(struct rdl_scope *scope);

/* Any thread: visits every task below a root group that was there when the walk began, parents first; each is kept
 * from ending while it is visited. depth counts from 0. */
void rdl_tree_visit(struct rdl_group *root,
                    void (*visit)(struct rdl_task *, unsigned depth, void *), void *arg);

/* For rdl_group_link(): such walks that have begun. */
extern rdl_atomic(uint64_t) rdl_tree_walks;

/* Stops the process: what only a bug in the caller can do. */
_Noreturn void rdl_die(const char *what);

#define rdl_check(condition, what)                                                                 \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            rdl_die(what);                                                                         \
    } while (0)

#endif
