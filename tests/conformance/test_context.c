/*
 * tests/conformance/test_context.c - context variables: rows Y1 to Y9 of the contract, TC110 and TC111.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(context, .timeout = 60);

static struct raddle_var a = RADDLE_VAR_INIT("a", "otherwise", NULL);
static struct raddle_var b = RADDLE_VAR_INIT("b", NULL, NULL);

/* In any thread, on any stack. */
#define EXPECT_VAR(var, wanted) EXPECT_STR(raddle_var_get(&(var)), (wanted))

static void set(struct raddle_var *var, const char *value)
{
    EXPECT_EQ(raddle_var_set(var, value, NULL), 0);
}

/* Values that count how many of them there are. */
static rdl_atomic(int) living;

static void drop(void *value)
{
    rdl_atomic_fetch_sub_relaxed(&living, 1);
    free(value);
}

static struct raddle_var counted = RADDLE_VAR_INIT("counted", NULL, drop);

static int set_counted(int value, struct raddle_var_token *token)
{
    int *memory = malloc(sizeof(*memory)), rc;

    *memory = value;
    rdl_atomic_fetch_add_relaxed(&living, 1);
    rc = raddle_var_set(&counted, memory, token);
    if (rc < 0)
        drop(memory);
    return rc;
}

static int get_counted(void)
{
    int *value = raddle_var_get(&counted);

    return value ? *value : 0;
}

static int sets_and_resets(void *arg)
{
    struct raddle_var_token first = {{0}}, second = {{0}};
    void *value = NULL;
    (void)arg;

    EXPECT_VAR(a, "otherwise");
    EXPECT_EQ(raddle_var_lookup(&a, &value), -ENOENT);
    EXPECT(value == NULL);
    EXPECT_EQ(raddle_var_set(&a, "1", &first), 0);
    EXPECT_VAR(a, "1");
    EXPECT_EQ(raddle_var_lookup(&a, &value), 0);
    EXPECT_STR(value, "1");
    EXPECT_EQ(raddle_var_set(&a, "2", &second), 0);
    set(&a, "3");
    EXPECT_VAR(a, "3");
    EXPECT_EQ(raddle_var_reset(&a, &second), 0);
    EXPECT_VAR(a, "1"); /* what it was before the 2 */
    EXPECT_EQ(raddle_var_reset(&a, &first), 0);
    EXPECT_VAR(a, "otherwise");
    EXPECT_EQ(raddle_var_lookup(&a, &value), -ENOENT);
    set(&a, NULL);
    EXPECT_EQ(raddle_var_lookup(&a, &value), 0); /* set to NULL is set */
    EXPECT(value == NULL);
    EXPECT_EQ(raddle_var_lookup(NULL, &value), -EINVAL);
    EXPECT_EQ(raddle_var_lookup(&a, NULL), -EINVAL);
    EXPECT_EQ(raddle_var_set(NULL, "1", NULL), -EINVAL);
    return 0;
}

/* Y1 */
RuntimeTest(context, a_variable_is_set_and_reset_to_what_it_was_before)
{
    cr_assert_eq(test_run(sets_and_resets, NULL), 0);
}

static int uses_anothers_token(void *arg)
{
    EXPECT_EQ(raddle_var_reset(&a, arg), -EINVAL);
    return 0;
}

static int refuses_tokens(void *arg)
{
    struct raddle_var_token token = {{0}}, used;
    raddle_ctx *ctx = NULL;
    struct raddle_group g;
    (void)arg;

    EXPECT_EQ(raddle_var_reset(&a, &token), -EINVAL);
    EXPECT_EQ(raddle_var_set(&a, "1", &token), 0);
    set(&b, "1");
    EXPECT_EQ(raddle_var_reset(&b, &token), -EINVAL);
    EXPECT_EQ(raddle_var_reset(NULL, &token), -EINVAL);
    EXPECT_EQ(raddle_var_reset(&a, NULL), -EINVAL);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, uses_anothers_token, &token, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_ctx_copy(&ctx), 0);
    EXPECT_EQ(raddle_ctx_run(ctx, uses_anothers_token, &token), 0);
    raddle_ctx_unref(ctx);
    EXPECT_VAR(a, "1");
    EXPECT_EQ(raddle_var_reset(&a, &token), 0);
    EXPECT_EQ(raddle_var_reset(&a, &token), -EINVAL);
    EXPECT_VAR(a, "otherwise");
    EXPECT_EQ(raddle_var_set(&a, "2", &token), 0);
    used = token;
    raddle_var_token_fini(&token);
    EXPECT_EQ(raddle_var_reset(&a, &token), -EINVAL);
    raddle_var_token_fini(&token);
    raddle_var_token_fini(NULL);
    EXPECT_VAR(a, "2");
    (void)used;
    return 0;
}

/* Y1 */
RuntimeTest(context, a_token_is_good_once_for_its_own_variable_and_context)
{
    cr_assert_eq(test_run(refuses_tokens, NULL), 0);
}

static int owns_values(void *arg)
{
    struct raddle_var_token token;
    raddle_ctx *ctx = NULL;
    (void)arg;

    EXPECT_EQ(set_counted(1, NULL), 0);
    EXPECT_EQ(set_counted(2, &token), 0);
    EXPECT_EQ(living, 2); /* the token has the first */
    EXPECT_EQ(raddle_ctx_copy(&ctx), 0);
    EXPECT_EQ(raddle_var_reset(&counted, &token), 0);
    EXPECT_EQ(get_counted(), 1);
    EXPECT_EQ(living, 2); /* the copy has the second */
    EXPECT_EQ(*(int *)raddle_ctx_get(ctx, &counted), 2);
    raddle_ctx_unref(ctx);
    EXPECT_EQ(living, 1);
    EXPECT_EQ(set_counted(3, &token), 0);
    EXPECT_EQ(living, 2);
    raddle_var_token_fini(&token);
    EXPECT_EQ(living, 1);
    return 0;
}

/* Y1 */
RuntimeTest(context, a_value_is_dropped_once_when_no_context_and_no_token_has_it)
{
    cr_assert_eq(test_run(owns_values, NULL), 0);
    cr_assert_eq(living, 0);
}

enum { MANY = 5000 };

static int sets_many(void *arg)
{
    static struct raddle_var vars[MANY];
    raddle_ctx *before = NULL;
    (void)arg;

    for (uintptr_t i = 0; i < MANY; i++) {
        if (i == MANY / 2)
            EXPECT_EQ(raddle_ctx_copy(&before), 0);
        EXPECT_EQ(raddle_var_set(&vars[i], (void *)(i + 1), NULL), 0);
    }
    for (uintptr_t i = 0; i < MANY; i++) {
        EXPECT_EQ((uintptr_t)raddle_var_get(&vars[i]), i + 1);
        EXPECT_EQ((uintptr_t)raddle_ctx_get(before, &vars[i]), i < MANY / 2 ? i + 1 : 0);
    }
    raddle_ctx_unref(before);
    return 0;
}

/* Y1 */
RuntimeTest(context, thousands_of_variables_keep_their_values_apart)
{
    cr_assert_eq(test_run(sets_many, NULL), 0);
}

/* Y2: a family, whose members set the same variable at every point where another might see it. */
struct family {
    raddle_ctx *ctx;
    rdl_atomic(unsigned) stage;
};

static int sibling(void *arg)
{
    struct family *family = arg;

    EXPECT_VAR(a, "parent");
    test_await(&family->stage, 1);
    EXPECT_VAR(a, "parent"); /* neither the other child's nor the parent's new one */
    return 0;
}

static int child(void *arg)
{
    struct family *family = arg;

    EXPECT_VAR(a, "parent");
    set(&a, "child");
    rdl_atomic_fetch_add_acq_rel(&family->stage, 1u);
    EXPECT_VAR(a, "child");
    return 0;
}

static int parent(void *arg)
{
    struct raddle_group g;

    set(&a, "parent");
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, sibling, arg, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, arg, NULL), 0);
    set(&a, "changed");
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_VAR(a, "changed");
    return 0;
}

/* Y2 */
RuntimeTest(context, a_child_has_what_its_parent_had_and_neither_sees_what_the_other_sets)
{
    struct family family = {.ctx = NULL};

    cr_assert_eq(test_run(parent, &family), 0);
    cr_assert_eq(family.stage, 1);
}

static int sets_in_shared(void *arg)
{
    struct family *family = arg;

    EXPECT_VAR(a, "of the context");
    EXPECT_VAR(b, NULL);
    EXPECT_EQ(raddle_ctx_run(family->ctx, test_nothing, NULL), -EBUSY); /* it is in it */
    set(&b, "by the child");
    rdl_atomic_fetch_add_acq_rel(&family->stage, 1u);
    test_await(&family->stage, 2);
    EXPECT_VAR(a, "by the parent");
    return 0;
}

static int set_by_parent(void *arg)
{
    struct family *family = arg;

    EXPECT_VAR(b, "by the child");
    set(&a, "by the parent");
    EXPECT_EQ(raddle_ctx_run(family->ctx, test_nothing, NULL), -EBUSY);
    return 7;
}

static int set_first(void *arg)
{
    (void)arg;
    set(&a, "of the context");
    return 0;
}

static int shares(void *arg)
{
    struct family *family = arg;
    struct raddle_spawn_options options = {.context = NULL};
    struct raddle_group g;

    set(&a, "parent");
    EXPECT_EQ(raddle_ctx_create(&family->ctx), 0);
    EXPECT_EQ(raddle_ctx_run(family->ctx, set_first, NULL), 0);
    options.context = family->ctx;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, sets_in_shared, family, &options), 0);
    test_await(&family->stage, 1);
    EXPECT_EQ(raddle_ctx_run(family->ctx, set_by_parent, family), 7);
    EXPECT_VAR(a, "parent");
    EXPECT_VAR(b, NULL);
    rdl_atomic_fetch_add_acq_rel(&family->stage, 1u);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_STR(raddle_ctx_get(family->ctx, &b), "by the child");
    raddle_ctx_unref(family->ctx);
    return 0;
}

/* Y2 G6 */
RuntimeTest(context, a_task_that_is_given_a_context_shares_it)
{
    struct family family = {.ctx = NULL};

    cr_assert_eq(test_run(shares, &family), 0);
}

/* Y3, TC110: who runs later sees what was set when it was registered. */
struct later {
    raddle_future *future;
    rdl_atomic(unsigned) called;
};

static void called(void *arg)
{
    struct later *later = arg;

    EXPECT_VAR(a, "registered");
    EXPECT_VAR(b, NULL);
    set(&b, "gone with the callback");
    rdl_atomic_fetch_add_acq_rel(&later->called, 1u);
}

static void called_bare(void *arg)
{
    struct later *later = arg;

    EXPECT_VAR(a, "otherwise");
    EXPECT_VAR(b, NULL);
    set(&a, "gone with the callback");
    rdl_atomic_fetch_add_acq_rel(&later->called, 1u);
}

static int registers(void *arg)
{
    struct later *later = arg;
    raddle_loop *loop = raddle_running_loop();

    /* The second and the third see nothing of what the one before them has set. */
    EXPECT_EQ(raddle_call_soon(loop, called_bare, later), 0);
    EXPECT_EQ(raddle_call_soon(loop, called_bare, later), 0);
    set(&a, "registered");
    EXPECT_EQ(raddle_call_soon(loop, called, later), 0);
    EXPECT_EQ(raddle_future_create(&later->future), 0);
    EXPECT_EQ(raddle_future_on_done(later->future, loop, called, later), 0);
    set(&a, "changed");
    EXPECT_EQ(raddle_future_set(later->future, 0, NULL), 0);
    test_await(&later->called, 4);
    raddle_future_unref(later->future);
    EXPECT_VAR(a, "changed");
    EXPECT_VAR(b, NULL);
    return 0;
}

/* Y3 B7 TC110 */
RuntimeTest(context, a_callback_has_the_context_in_which_it_was_registered)
{
    struct later later = {.future = NULL};

    cr_assert_eq(test_run(registers, &later), 0);
}

/* Y3: the other ways to be called back. */
struct reader {
    struct later *later;
    int fd;
};

static void reads(void *arg)
{
    struct reader *reader = arg;
    char byte;

    EXPECT_EQ(read(reader->fd, &byte, 1), 1);
    called(reader->later);
}

static int registers_others(void *arg)
{
    struct later *later = arg;
    raddle_loop *loop = raddle_running_loop();
    struct reader reader = {later, -1};
    raddle_handle *soon = NULL, *never = NULL;
    int fds[2] = {-1, -1};

    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    reader.fd = fds[0];
    EXPECT_EQ(raddle_add_reader(loop, fds[0], called_bare, later), 0); /* replaced below */
    set(&a, "registered");
    EXPECT_EQ(set_counted(1, NULL), 0);
    EXPECT_EQ(raddle_call_soon_handle(loop, called, later, &soon), 0);
    EXPECT_EQ(raddle_call_later(loop, RADDLE_US(100), called, later, NULL), 0);
    EXPECT_EQ(raddle_call_later(loop, RADDLE_S(1000), called, later, &never), 0);
    EXPECT_EQ(raddle_add_reader(loop, fds[0], reads, &reader), 0);
    set(&a, "changed");
    test_await(&later->called, 2);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(write(fds[1], "x", 1), 1);
        test_await(&later->called, 3 + i);
    }
    EXPECT_EQ(raddle_remove_reader(loop, fds[0]), 1);
    EXPECT_EQ(raddle_handle_cancel(never), 0);
    raddle_handle_unref(never);
    raddle_handle_unref(soon);
    EXPECT_EQ(raddle_fd_close(fds[0]), 0);
    close(fds[1]);
    EXPECT_VAR(a, "changed");
    return 0;
}

/* Y3 B7 TC110 */
RuntimeTest(context, handles_timers_and_readers_have_it_too_and_give_it_back)
{
    struct later later = {.future = NULL};

    cr_assert_eq(test_run(registers_others, &later), 0);
    cr_expect_eq(later.called, 5);
    cr_assert_eq(living, 0);
}

static int registers_in_vain(void *arg)
{
    struct later *later = arg;

    EXPECT_EQ(set_counted(1, NULL), 0);
    EXPECT_EQ(raddle_future_create(&later->future), 0);
    EXPECT_EQ(raddle_future_on_done(later->future, NULL, called, later), 0);
    EXPECT_EQ(raddle_future_on_done(later->future, NULL, called_bare, later), 0);
    EXPECT_EQ(raddle_future_remove_done(later->future, called, later), 1);
    raddle_future_unref(later->future);
    return 0;
}

/* Y3 */
RuntimeTest(context, a_callback_that_is_never_called_gives_its_context_back)
{
    struct later later = {.future = NULL};

    cr_assert_eq(test_run(registers_in_vain, &later), 0);
    cr_expect_eq(later.called, 0);
    cr_assert_eq(living, 0);
}

static int runs_inside(void *arg)
{
    raddle_ctx *ctx = arg;

    EXPECT_VAR(a, "inside");
    EXPECT_EQ(raddle_ctx_run(ctx, test_nothing, NULL), -EBUSY);
    set(&a, "left inside");
    EXPECT_EQ(raddle_sleep(1), 0);
    EXPECT_VAR(a, "left inside");
    return -EPIPE;
}

static int set_inside(void *arg)
{
    (void)arg;
    EXPECT_VAR(a, "outside");
    set(&a, "inside");
    return 3;
}

static int runs_in_a_context(void *arg)
{
    raddle_ctx *ctx = NULL;
    (void)arg;

    EXPECT_EQ(raddle_ctx_create(NULL), -EINVAL);
    EXPECT_EQ(raddle_ctx_copy(NULL), -EINVAL);
    EXPECT_EQ(raddle_ctx_run(NULL, test_nothing, NULL), -EINVAL);
    raddle_ctx_unref(NULL);
    set(&a, "outside");
    EXPECT_EQ(raddle_ctx_copy(&ctx), 0);
    EXPECT_EQ(raddle_ctx_run(ctx, NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_ctx_run(ctx, set_inside, NULL), 3);
    EXPECT_VAR(a, "outside");
    EXPECT_EQ(raddle_ctx_run(ctx, runs_inside, ctx), -EPIPE);
    EXPECT_VAR(a, "outside");
    EXPECT_STR(raddle_ctx_get(ctx, &a), "left inside");
    EXPECT_STR(raddle_ctx_get(raddle_ctx_ref(ctx), &b), NULL);
    raddle_ctx_unref(ctx);
    raddle_ctx_unref(ctx);
    return 0;
}

/* Y4 */
RuntimeTest(context, a_function_runs_in_a_context_which_keeps_what_it_sets)
{
    cr_assert_eq(test_run(runs_in_a_context, NULL), 0);
}

/* Y4: in a plain thread. */
static void *uses_variables(void *arg)
{
    raddle_ctx *ctx = arg;

    EXPECT_VAR(a, "otherwise");
    EXPECT_EQ(raddle_ctx_run(ctx, set_first, NULL), 0);
    EXPECT_VAR(a, "otherwise");
    set(&a, "of the thread");
    EXPECT_EQ(set_counted(4, NULL), 0);
    EXPECT_EQ(raddle_ctx_run(ctx, set_first, NULL), 0);
    EXPECT_VAR(a, "of the thread");
    return NULL;
}

static int sees_the_threads(void *arg)
{
    (void)arg;
    EXPECT_VAR(a, "of the main thread");
    set(&a, "of the main task");
    return 0;
}

/* Y4 */
RuntimeTest(context, a_plain_thread_has_a_context_of_its_own_which_its_runs_copy)
{
    raddle_ctx *ctx = NULL;
    pthread_t thread;

    set(&a, "of the main thread");
    cr_assert_eq(raddle_ctx_create(&ctx), 0);
    cr_assert_eq(pthread_create(&thread, NULL, uses_variables, ctx), 0);
    pthread_join(thread, NULL);
    cr_expect_eq(living, 0); /* the thread's went with it */
    EXPECT_STR(raddle_ctx_get(ctx, &a), "of the context");
    cr_assert_eq(test_run(sees_the_threads, NULL), 0);
    EXPECT_VAR(a, "of the main thread");
    raddle_ctx_unref(ctx);
}

static int works(void *arg)
{
    (void)arg;
    EXPECT_VAR(a, "of the task");
    set(&a, "of the job");
    set(&b, "of the job");
    return 5;
}

static int works_bare(void *arg)
{
    (void)arg;
    EXPECT_VAR(a, "otherwise");
    EXPECT_VAR(b, NULL);
    set(&b, "of the job");
    return 6;
}

static int gives_work(void *arg)
{
    int result = 0;
    (void)arg;

    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(raddle_run_in_executor(NULL, works_bare, NULL, &result), 0);
        EXPECT_EQ(result, 6);
    }
    set(&a, "of the task");
    EXPECT_EQ(set_counted(1, NULL), 0);
    EXPECT_EQ(raddle_run_in_executor(NULL, works, NULL, &result), 0);
    EXPECT_EQ(result, 5);
    EXPECT_VAR(a, "of the task");
    EXPECT_VAR(b, NULL);
    return 0;
}

/* Y5 TC110 */
RuntimeTest(context, a_job_has_a_copy_of_its_tasks_context)
{
    cr_assert_eq(test_run(gives_work, NULL), 0);
    cr_assert_eq(living, 0);
}

/* Y7: a server's handlers. */
struct served {
    char path[64];
    rdl_atomic(unsigned) handled;
};

static struct raddle_var the_server = RADDLE_VAR_INIT("the server", NULL, NULL);

static int handles(void *arg)
{
    struct served *served = raddle_var_get(&the_server);

    EXPECT_VAR(a, "of who serves");
    EXPECT(served != NULL);
    set(&a, "of the handler");
    raddle_stream_close(arg);
    if (served)
        rdl_atomic_fetch_add_acq_rel(&served->handled, 1u);
    return 0;
}

static int serves(void *arg)
{
    struct served *served = arg;
    char address[80];

    set(&a, "of who serves");
    EXPECT_EQ(raddle_var_set(&the_server, served, NULL), 0);
    snprintf(address, sizeof(address), "unix:%s", served->path);
    return raddle_serve(address, handles, NULL);
}

static int asks(void *arg)
{
    struct served *served = arg;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct raddle_group g;
    raddle_time end = raddle_in(RADDLE_S(20));
    raddle_task *server = NULL;

    memcpy(address.sun_path, served->path, sizeof(served->path));
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &server, serves, served, NULL), 0);
    for (unsigned i = 0; i < 3 && raddle_now() < end;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            i++;
        close(fd);
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    }
    test_await(&served->handled, 3);
    EXPECT_EQ(raddle_task_cancel(server, "enough"), 0);
    raddle_task_unref(server);
    (void)!raddle_group_close(&g, 0);
    EXPECT_VAR(a, "otherwise");
    return 0;
}

/* Y7 */
RuntimeTest(context, a_connection_is_handled_in_the_context_of_who_serves)
{
    struct served served = {.handled = 0};

    snprintf(served.path, sizeof(served.path), "/tmp/raddle-y7-%d", (int)getpid());
    cr_assert_eq(test_run(asks, &served), 0);
    unlink(served.path);
}

/* Y8, TC111: whatever thread it wakes on. */
enum { ROUNDS = 200, MOVERS = 16 };

static int moves(void *arg)
{
    raddle_task *self = raddle_self();

    EXPECT_EQ(raddle_var_set(&b, arg, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        errno = i;
        EXPECT_EQ(i % 2 ? raddle_yield() : raddle_sleep(1), 0);
        EXPECT(raddle_var_get(&b) == arg);
        EXPECT_VAR(a, "parent");
        EXPECT(raddle_self() == self);
        EXPECT(raddle_running_loop() != NULL);
    }
    return 0;
}

static int has_movers(void *arg)
{
    struct raddle_spawn_options options = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group g;
    char values[MOVERS];
    (void)arg;

    set(&a, "parent");
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < MOVERS; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, moves, &values[i], &options), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* Y8 TC111 */
RuntimeTest(context, a_variable_moves_with_its_task_from_thread_to_thread)
{
    cr_assert_eq(test_run(has_movers, NULL), 0);
}

static __attribute__((noinline)) void set_errno(int value)
{
    errno = value;
}

static __attribute__((noinline)) int get_errno(void)
{
    return errno;
}

static int has_errno(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        set_errno(*(int *)arg + i);
        EXPECT_EQ(raddle_yield(), 0);
        EXPECT_EQ(get_errno(), *(int *)arg + i);
    }
    return 0;
}

static int rounds_upwards(void *arg)
{
    (void)arg;
    /* A loop's thread: what is in its control words stays there. */
    fesetround(FE_UPWARD);
    EXPECT_EQ(raddle_yield(), 0);
    fesetround(FE_TONEAREST);
    return 0;
}

static int sees_rounding(void *arg)
{
    *(int *)arg = fegetround();
    return 0;
}

static int keeps_errno(void *arg)
{
    struct raddle_group g;
    int first = 1000, second = 5000;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, has_errno, &first, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, has_errno, &second, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, rounds_upwards, NULL, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, sees_rounding, arg, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* Y9 */
RuntimeTest(context, errno_is_the_tasks_and_the_rounding_mode_is_the_threads)
{
    int seen = -1;

    /* On one loop the second task runs while the first has changed the mode. */
    cr_assert_eq(test_run_on(1, keeps_errno, &seen), 0);
    cr_assert_eq(seen, FE_UPWARD);
}

static int is_as_stated(void *arg)
{
    struct raddle_var_token token = {{0}};
    struct later later = {.future = NULL};
    (void)arg;

    EXPECT_EQ(raddle_var_set(&a, "registered", &token), 0);
    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), called, &later), 0);
    EXPECT_EQ(raddle_var_reset(&a, &token), 0);
    test_await(&later.called, 1);
    EXPECT_VAR(a, "otherwise");
    return 0;
}

/* TC110 */
RuntimeTest(context, what_was_reset_since_is_still_seen_by_who_was_registered_before)
{
    cr_assert_eq(test_run(is_as_stated, NULL), 0);
}

static int ends_its_thread(void *arg)
{
    EXPECT_EQ(set_counted(5, NULL), 0);
    pthread_exit(arg);
}

static void *ends_in_a_context(void *arg)
{
    (void)!raddle_ctx_run(arg, ends_its_thread, arg);
    return NULL; /* not reached */
}

/* Y5 */
RuntimeTest(context, a_thread_may_end_inside_of_a_call_with_one)
{
    raddle_ctx *ctx;
    pthread_t thread;
    void *ended;

    cr_assert_eq(raddle_ctx_create(&ctx), 0);
    cr_assert_eq(pthread_create(&thread, NULL, ends_in_a_context, ctx), 0);
    pthread_join(thread, &ended);
    cr_assert_eq(ended, ctx);
    raddle_ctx_unref(ctx);
    cr_assert_eq(living, 0);
}
