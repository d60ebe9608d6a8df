/*
 * tests/conformance/test_all_tasks.c - the list of all tasks, and their stacks: rows G4 and G7, TC20 and TC21. TC19 is
 * tests/race/race_tasks.c.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(all_tasks, .timeout = 60);

/* The first line of that name, from *at on; NULL: there is none. */
static struct raddle_task_info *find(struct raddle_task_info *list, ssize_t n, const char *name)
{
    for (ssize_t i = 0; i < n; i++)
        if (strcmp(raddle_task_name(list[i].task), name) == 0)
            return &list[i];
    return NULL;
}

static ssize_t list_all(raddle_loop *loop, struct raddle_task_info **list)
{
    ssize_t n = raddle_all_tasks(loop, list);

    EXPECT(n >= 0);
    return n;
}

static int has_child(void *arg)
{
    struct child *c = arg;
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, child, c);
    return raddle_group_close(&g, 0);
}

static int reads(void *arg)
{
    char byte;

    return (int)raddle_fd_read(*(int *)arg, &byte, 1);
}

/* Until the task of that name waits for that. */
static void await_wait(const char *name, const char *what)
{
    raddle_time end = raddle_in(RADDLE_S(20) * test_slowness());
    bool waits = false;

    while (!waits && raddle_now() < end) {
        struct raddle_task_info *list, *line;
        ssize_t n = list_all(raddle_running_loop(), &list);

        line = find(list, n, name);
        waits = line && line->waits_for && strcmp(line->waits_for, what) == 0;
        raddle_all_tasks_free(list, (size_t)n);
        EXPECT_EQ(raddle_yield(), 0);
    }
    EXPECT(waits);
}

/* G4 */
Conform(all_tasks, each_line_says_who_it_is_what_it_does_and_below_whom)
{
    struct raddle_spawn_options parent = {.name = "parent"};
    struct raddle_task_info *list;
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_group g;
    int ends[2];
    ssize_t n;

    if (test_left_out("a pipe"))
        return 0;
    EXPECT_EQ(pipe(ends), 0);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, NULL, has_child, &c, &parent), 0);
    SPAWN(&g, NULL, reads, &ends[0]);

    await_wait("child", "a point in time");
    await_wait("reads", "read");
    await_wait("parent", "the tasks of its group");
    n = list_all(raddle_running_loop(), &list);
    EXPECT_EQ(n, 4);
    EXPECT(find(list, n, "parent") == &list[1]);
    EXPECT(list[1].depth == 1 && list[1].fn == has_child && list[1].fd == -1);
    EXPECT(raddle_task_arg(list[1].task) == &c);
    EXPECT_EQ(list[1].state, RADDLE_TASK_WAITING);
    EXPECT(list[1].site && strcmp(list[1].site->function, "has_child") == 0 && list[1].site->line);

    EXPECT_STR(raddle_task_name(list[0].task), "main");
    EXPECT(list[0].task == raddle_self() && list[0].depth == 0);
    EXPECT_EQ(list[0].state, RADDLE_TASK_RUNNING);
    EXPECT(!list[0].waits_for && !list[0].since);

    EXPECT_STR(raddle_task_name(list[2].task), "child");
    EXPECT(list[2].depth == 2 && list[2].state == RADDLE_TASK_WAITING);
    EXPECT_IN(list[2].since, 1, raddle_now() + 1);
    EXPECT_STR(raddle_task_name(list[3].task), "reads");
    EXPECT(list[3].depth == 1 && list[3].fd == ends[0]);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(list[3].reserved[i], 0);
    raddle_all_tasks_free(list, (size_t)n);

    raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_fd_close(ends[0]), 0);
    EXPECT_EQ(raddle_fd_close(ends[1]), 0);
    return 0;
}

static int lists_itself(void *arg)
{
    struct raddle_task_info *list, *line;
    ssize_t n = list_all(raddle_running_loop(), &list);

    line = find(list, n, "lists_itself");
    EXPECT(line && line->task == raddle_self());
    if (line)
        EXPECT_EQ(line->state, RADDLE_TASK_RUNNING);
    raddle_all_tasks_free(list, (size_t)n);
    *(unsigned *)arg = (unsigned)n;
    return 0;
}

static int lone(void *arg)
{
    static const struct raddle_spawn_options eagerly = {.eager_start = true};
    struct raddle_task_info *list, *line;
    struct raddle_group g;
    unsigned seen = 0;
    ssize_t n;
    (void)arg;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_spawn(&g, NULL, lists_itself, &seen, &eagerly), 0);
    EXPECT_EQ(seen, 2); /* in its eager part, too */
    SPAWN(&g, NULL, test_nothing, NULL);
    n = list_all(raddle_running_loop(), &list);
    EXPECT_EQ(n, 2);
    EXPECT(!find(list, n, "lists_itself"));
    line = find(list, n, "test_nothing");
    EXPECT(line && line->state == RADDLE_TASK_RUNNABLE && !line->waits_for && line->since == 0);
    raddle_all_tasks_free(list, (size_t)n);
    EXPECT_EQ(raddle_yield(), 0);
    n = list_all(raddle_running_loop(), &list);
    EXPECT_EQ(n, 1); /* it has ended */
    raddle_all_tasks_free(list, (size_t)n);
    return raddle_group_close(&g, 0);
}

/* G2 G4 TC20 */
RuntimeTest(all_tasks, an_eager_one_is_among_them_and_one_that_has_ended_is_not)
{
    cr_assert_eq(test_run_on(1, lone, NULL), 0);
}

/* G4: the idiom `for t in all_tasks(): t.cancel()`. */
Conform(all_tasks, they_may_be_cancelled_and_joined_by_it_and_outlive_their_tasks)
{
    enum { CHILDREN = 20 };
    struct raddle_task_info *list;
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_outcome outcome;
    struct raddle_group g;
    unsigned cancelled = 0;
    ssize_t n;

    OPEN(&g, .mode = RADDLE_COLLECT);
    for (int i = 0; i < CHILDREN; i++)
        SPAWN(&g, NULL, child, &c);
    n = list_all(raddle_running_loop(), &list);
    EXPECT_EQ(n, CHILDREN + 1);
    for (ssize_t i = 0; i < n; i++)
        if (list[i].task != raddle_self())
            EXPECT_EQ(raddle_task_cancel(list[i].task, "all"), 0);
    EXPECT_EQ(raddle_join(list[1].task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (ssize_t i = 0; i < n; i++)
        cancelled +=
            raddle_outcome_of(list[i].task, &outcome) == 0 && outcome.kind == RADDLE_CANCELLED;
    EXPECT_EQ(cancelled, CHILDREN);
    EXPECT_EQ(c.ended, CHILDREN);
    raddle_all_tasks_free(list, (size_t)n);
    return 0;
}

/* Several loops. */

struct apart {
    raddle_loop *loop;
    rdl_atomic(unsigned) up, over;
};

static int waits_for_the_end(void *arg)
{
    struct apart *a = arg;

    rdl_atomic_store_release(&a->up, 1u);
    test_await(&a->over, 1);
    return 0;
}

static void *runs_a_loop(void *arg)
{
    struct apart *a = arg;

    EXPECT_EQ(raddle_loop_run_until_complete(a->loop, waits_for_the_end, a), 0);
    EXPECT_EQ(raddle_loop_close(a->loop), 0);
    return NULL;
}

/* G4 C8 */
RuntimeTest(all_tasks, a_plain_thread_lists_those_of_one_loop_or_of_all)
{
    struct raddle_task_info *list = NULL;
    struct apart apart[3] = {{.loop = NULL}};
    pthread_t threads[3];
    ssize_t n;

    cr_assert_eq(raddle_all_tasks(NULL, NULL), -EINVAL);
    n = raddle_all_tasks(NULL, &list);
    cr_assert_eq(n, 0);
    raddle_all_tasks_free(list, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(raddle_new_loop(&apart[i].loop), 0);
        cr_assert_eq(pthread_create(&threads[i], NULL, runs_a_loop, &apart[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        test_await(&apart[i].up, 1);
        cr_assert_eq(raddle_loop_spawn(apart[i].loop, test_sleep_forever, NULL, NULL), 0);
    }
    for (int i = 0; i < 3; i++) {
        n = raddle_all_tasks(apart[i].loop, &list);
        EXPECT_EQ(n, 2);
        EXPECT(find(list, n, "main") == &list[0]);
        raddle_all_tasks_free(list, (size_t)n);
    }
    n = raddle_all_tasks(NULL, &list);
    EXPECT_EQ(n, 6);
    raddle_all_tasks_free(list, (size_t)n);
    for (int i = 0; i < 3; i++)
        rdl_atomic_store_release(&apart[i].over, 1u);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

static int child_on_each_loop(void *arg)
{
    struct raddle_task_info *list;
    struct child c = {.sleep_ns = RADDLE_NEVER};
    unsigned loops = raddle_loop_count();
    struct raddle_group g;
    ssize_t n;

    (void)arg;
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (unsigned i = 0; i < 8 * loops; i++)
        SPAWN(&g, NULL, child, &c);
    test_await(&c.began, 8 * loops);
    n = list_all(raddle_running_loop(), &list);
    EXPECT_EQ(n, 8 * loops + 1);
    raddle_all_tasks_free(list, (size_t)n);
    raddle_group_cancel(&g, NULL);
    return raddle_group_close(&g, 0);
}

/* G4 */
RuntimeTest(all_tasks, a_loop_of_a_team_has_those_of_its_run)
{
    cr_assert_eq(test_run(child_on_each_loop, NULL), 0);
    cr_assert_eq(test_run_on(3, child_on_each_loop, NULL), 0);
}

/* No memory. */

static rdl_atomic(int) fails_in; /* so many calls from now on; 0: never */

static int failing(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if ((call != RDL_SYS_MALLOC && call != RDL_SYS_REALLOC) || !rdl_atomic_load_relaxed(&fails_in))
        return 0;
    return rdl_atomic_fetch_sub_relaxed(&fails_in, 1) == 1 ? -ENOMEM : 0;
}

/* G4 */
Conform(all_tasks, without_memory_there_is_no_list_and_nothing_is_lost)
{
    struct raddle_task_info nothing, *const untouched = &nothing;
    struct raddle_task_info *list;
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_group g;
    int refused = 0;
    ssize_t n;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (int i = 0; i < 100; i++)
        SPAWN(&g, NULL, child, &c);
    test_await(&c.began, 100);
    do {
        list = untouched;
        rdl_atomic_store_relaxed(&fails_in, ++refused);
        rdl_sys_set_hook(failing);
        n = raddle_all_tasks(raddle_running_loop(), &list);
        rdl_sys_set_hook(NULL);
        EXPECT(n > 0 || (n == -ENOMEM && list == untouched));
    } while (n == -ENOMEM);
    EXPECT(refused > 10); /* a try makes some handles, which stay */
    EXPECT_EQ(n, 101);
    raddle_all_tasks_free(list, (size_t)n);
    rdl_atomic_store_relaxed(&fails_in, 0);
    raddle_group_cancel(&g, NULL);
    return raddle_group_close(&g, 0);
}

/* Stacks. */

enum { DEEP = 5, FRAMES = 64 };

typedef int level_fn(int depth);

static __attribute__((noinline)) int level0(int depth)
{
    volatile char room[200];

    room[depth] = 1;
    return raddle_sleep_until(RADDLE_NEVER) + room[depth];
}

#define LEVEL(number, below)                                                                       \
    static __attribute__((noinline)) int level##number(int depth)                                  \
    {                                                                                              \
        volatile int mine = below(depth + 1);                                                      \
        return mine + depth;                                                                       \
    }

LEVEL(1, level0)
LEVEL(2, level1)
LEVEL(3, level2)
LEVEL(4, level3)

static level_fn *const levels[DEEP] = {level0, level1, level2, level3, level4};

static int sleeps_deep(void *arg)
{
    (void)arg;
    return level4(0) < 0 ? -ECANCELED : 0;
}

/* Which of them pc is in: the one that begins next before it; -1: in none. */
static int level_of(const void *pc)
{
    int best = -1;

    for (int i = 0; i < DEEP; i++)
        if ((uintptr_t)levels[i] < (uintptr_t)pc && (uintptr_t)pc - (uintptr_t)levels[i] < 512 &&
            (best < 0 || (uintptr_t)levels[i] > (uintptr_t)levels[best]))
            best = i;
    return best;
}

struct stack_look {
    raddle_task *task;
    ssize_t count;
    void *pcs[FRAMES];
};

static void *takes_the_stack(void *arg)
{
    struct stack_look *look = arg;

    look->count = raddle_task_stack(look->task, look->pcs, FRAMES);
    return NULL;
}

static int stacks(void *arg)
{
    struct stack_look look = {.count = -1};
    struct raddle_group g;
    pthread_t thread;
    int next = 0;
    (void)arg;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_task_stack(NULL, look.pcs, FRAMES), -EINVAL);
    EXPECT_EQ(raddle_task_stack(raddle_self(), NULL, 1), -EINVAL);
    EXPECT_EQ(raddle_task_stack(raddle_self(), look.pcs, FRAMES), -EBUSY);
    SPAWN(&g, &look.task, sleeps_deep, NULL);
    test_let_park_for(look.task, "a point in time");
    for (int tries = 0; tries < 2; tries++) { /* from a thread, then from a task */
        if (tries == 0) {
            EXPECT_EQ(pthread_create(&thread, NULL, takes_the_stack, &look), 0);
            pthread_join(thread, NULL);
        } else {
            (void)takes_the_stack(&look);
        }
        next = 0;
        for (ssize_t i = 0; i < look.count; i++)
            if (next < DEEP && level_of(look.pcs[i]) == next)
                next++;
#ifdef __x86_64__
        EXPECT_EQ(next, DEEP);
#endif
    }
#ifdef __x86_64__
    EXPECT_IN(look.count, DEEP, FRAMES);
    EXPECT_EQ(raddle_task_stack(look.task, look.pcs, 2), 2);
    EXPECT_EQ(raddle_task_stack(look.task, NULL, 0), 0);
#endif
    raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_task_stack(look.task, look.pcs, FRAMES), 0);
    raddle_task_unref(look.task);
    return 0;
}

/* G7 TC21 */
RuntimeTest(all_tasks, the_stack_of_one_that_waits_has_all_its_frames_the_innermost_first)
{
    cr_assert_eq(test_run(stacks, NULL), 0);
}
