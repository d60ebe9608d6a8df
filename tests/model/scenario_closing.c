/*
 * tests/model/scenario_closing.c - posts and spawns to a loop that is ending: what was accepted is run, what is
 * refused is not, and the loop isn't freed under somebody's hands.
 *
 * A loop of its own, by the runtime: run, closed and freed by one thread, while others post.
 */
#include <errno.h>

#include <raddle/error.h>
#include <raddle/loop.h>
#include <raddle/task.h>

#include "runtime/dump.h"
#include "runtime/loop.h"
#include "runtime/replay.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { STRANGERS = 2, POSTS = 2 };

static raddle_loop *loop;
static unsigned ran[STRANGERS][POSTS]; /* plain: the loop's */
static bool accepted[STRANGERS][POSTS];
static rdl_atomic(uint32_t) strangers; /* that are done with the loop */
static unsigned stranger_count;
static bool closed;

/* What runtime/ wants beyond the host. */

_Noreturn void rdl_die(const char *what)
{
    model_fail("%s", what);
}

void rdl_replay_begin(const struct rdl_driver *driver)
{
    (void)driver;
}

void rdl_replay_end(const struct rdl_driver *driver)
{
    (void)driver;
}

void rdl_report(const char *what, ...)
{
    (void)what;
}

void rdl_report_error(const struct raddle_error_event *event, const char *what, ...)
{
    (void)event;
    (void)what;
}

/* Nobody has asked for any. */
void rdl_callbacks_drop(struct raddle_loop *loop)
{
    (void)loop;
}

void rdl_readers_fini(struct raddle_loop *loop)
{
    (void)loop;
}

const char *raddle_strerror(int error)
{
    (void)error;
    return "";
}

void rdl_replay_result(const struct rdl_driver *driver, int result)
{
    (void)driver;
    (void)result;
}

int rdl_dump_install(void)
{
    return 0;
}

int rdl_fork_install(void)
{
    return 0;
}

int rdl_overflow_thread_init(struct rdl_overflow_thread *thread)
{
    (void)thread;
    return 0;
}

void rdl_overflow_thread_fini(struct rdl_overflow_thread *thread)
{
    (void)thread;
}

void rdl_default_executor_init(struct rdl_default_executor *d,
                               const struct raddle_executor_options *options)
{
    *d = (struct rdl_default_executor){.options = options};
}

void rdl_default_executor_fini(struct rdl_default_executor *d)
{
    (void)d;
}

void rdl_policy_loop_started(const struct raddle_policy *policy, struct raddle_loop *started)
{
    (void)policy;
    model_check(started == loop);
}

/* The last that is heard of a loop before it is freed. The contract: who posts has stopped by then. */
void rdl_policy_loop_closed(const struct raddle_policy *policy, struct raddle_loop *ended)
{
    uint32_t n;

    (void)policy;
    model_check(ended == loop);
    while ((n = rdl_atomic_fetch_add_acq_rel(&strangers, 0u)) != stranger_count)
        model_sleep_while(&strangers, n);
}

static void begin(model_thread_fn *owner)
{
    host_begin();
    rdl_atomic_init(&strangers, 0u);
    stranger_count = 0;
    closed = false;
    for (unsigned i = 0; i < STRANGERS; i++)
        for (unsigned j = 0; j < POSTS; j++) {
            ran[i][j] = 0;
            accepted[i][j] = false;
        }
    model_check(rdl_raddle_loop_create(host_driver(0), NULL, RADDLE_FRESH, &loop) == 0);
    model_spawn("owner", owner, NULL);
}

static void end(void)
{
    model_check(closed);
    for (unsigned i = 0; i < STRANGERS; i++)
        for (unsigned j = 0; j < POSTS; j++)
            model_check(ran[i][j] == accepted[i][j]);
    host_end();
}

static void close_loop(void)
{
    model_check(raddle_loop_close(loop) == 0);
    closed = true;
}

static void close_at_once(void *arg)
{
    (void)arg;
    close_loop();
}

static void run_and_close(void *arg)
{
    (void)arg;
    model_check(raddle_loop_run_forever(loop) == 0);
    close_loop();
}

static void note_run(void *arg)
{
    ++*(unsigned *)arg;
}

/* True: it was accepted. */
static bool was_accepted(int rc)
{
    model_check(rc == 0 || rc == RADDLE_ESHUTDOWN);
    return rc == 0;
}

static void leave(void)
{
    (void)rdl_atomic_fetch_add_acq_rel(&strangers, 1u);
}

static void post(unsigned i, bool stop)
{
    for (unsigned j = 0; j < POSTS; j++)
        accepted[i][j] = was_accepted(raddle_call_soon(loop, note_run, &ran[i][j]));
    if (stop)
        raddle_loop_stop(loop);
    leave();
}

static void poster(void *arg)
{
    post(*(const unsigned *)arg, false);
}

static void stopper(void *arg)
{
    post(*(const unsigned *)arg, true);
}

static int child(void *arg)
{
    note_run(arg);
    return 0;
}

/* Until the closing loop cancels it. */
static int sleeping_child(void *arg)
{
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    note_run(arg);
    while ((rc = rdl_cancel_check(self)) == 0) {
        (void)rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "nothing", 0);
    }
    return rc;
}

static void spawner(void *arg)
{
    unsigned i = *(const unsigned *)arg;

    for (unsigned j = 0; j < POSTS; j++)
        accepted[i][j] =
            was_accepted(raddle_loop_spawn(loop, j ? child : sleeping_child, &ran[i][j], NULL));
    leave();
}

static void add(model_thread_fn *fn)
{
    static const char *const names[STRANGERS] = {"stranger 0", "stranger 1"};
    static const unsigned numbers[STRANGERS] = {0, 1};

    model_spawn(names[stranger_count], fn, (void *)(uintptr_t)&numbers[stranger_count]);
    stranger_count++;
}

static void begin_post(void)
{
    begin(close_at_once);
    add(poster);
    add(poster);
}

static void begin_spawn(void)
{
    begin(close_at_once);
    add(spawner);
}

static void begin_post_spawn(void)
{
    begin(close_at_once);
    add(poster);
    add(spawner);
}

/* Runs until it is stopped: what the stopper posted before its stop has run by then. */
static void run_until_stopped(void *arg)
{
    (void)arg;
    model_check(raddle_loop_run_forever(loop) == 0);
    for (unsigned j = 0; j < POSTS; j++)
        model_check(ran[0][j] == 1);
    close_loop();
}

static void begin_stop(void)
{
    begin(run_until_stopped);
    add(stopper);
    add(poster);
}

/* The post is what the loop waits for, and nothing else keeps it: its memory is given back while the poster is
 * still on its way out of the call. */
static struct rdl_ticket waiting;
static rdl_atomic(uint32_t) main_waits;
static bool came;

static int wait_for_call(void *arg)
{
    struct rdl_fiber *self = rdl_fiber_self();

    (void)arg;
    waiting = rdl_fiber_arm(self, RDL_PARK_SHIELDED);
    (void)rdl_atomic_exchange_acq_rel(&main_waits, 1u);
    (void)rdl_fiber_park(self, RDL_PARK_SHIELDED, "the call", 0);
    model_check(came);
    return 7;
}

static void come(void *arg)
{
    (void)arg;
    came = true;
    model_check(rdl_fiber_fire(waiting, 0));
}

static void last_poster(void *arg)
{
    (void)arg;
    model_sleep_while(&main_waits, 0);
    (void)rdl_atomic_fetch_add_acq_rel(&main_waits, 0u);
    model_check(raddle_call_soon(loop, come, NULL) == 0);
}

/* The same by the waker itself, a thread outside. */
static void last_waker(void *arg)
{
    (void)arg;
    model_sleep_while(&main_waits, 0);
    (void)rdl_atomic_fetch_add_acq_rel(&main_waits, 0u);
    came = true;
    model_check(rdl_fiber_fire(waiting, 0));
}

static void run_main(void *arg)
{
    (void)arg;
    model_check(raddle_loop_run_until_complete(loop, wait_for_call, NULL) == 7);
    close_loop();
}

static void begin_last(model_thread_fn *stranger)
{
    rdl_atomic_init(&main_waits, 0u);
    came = false;
    begin(run_main);
    model_spawn("stranger", stranger, NULL);
}

static void begin_last_post(void)
{
    begin_last(last_poster);
}

static void begin_last_wake(void)
{
    begin_last(last_waker);
}

/* So is a stop, of a loop that runs for ever. */
static void last_stopper(void *arg)
{
    (void)arg;
    raddle_loop_stop(loop);
}

static void begin_last_stop(void)
{
    begin(run_and_close);
    model_spawn("stranger", last_stopper, NULL);
}

const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "closing";
const struct model_case model_cases[] = {
    {"post", begin_post, end},
    {"spawn", begin_spawn, end},
    {"post_spawn", begin_post_spawn, end},
    {"stop", begin_stop, end},
    {"last_post", begin_last_post, end},
    {"last_wake", begin_last_wake, end},
    {"last_stop", begin_last_stop, end},
    {0},
};
