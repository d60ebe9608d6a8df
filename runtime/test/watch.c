/*
 * runtime/test/watch.c - a thread that watches over the time of the parts of a test.
 *
 * A thread, and not a timer of the loop: a task that never suspends holds its loop, and with it the timer. It has
 * real time, also beside a simulated run.
 *
 * A part that is over its time is shown, with all tasks, and cancelled; one that isn't over a while after that is
 * left where it is, and the process with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <raddle/debug.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "runtime/test/part.h"

/* For a part that was cancelled; in virtual time all that can happen then happens at once. */
#define GRACE_NS       RADDLE_S(5)
#define STILL_GRACE_NS RADDLE_S(2)

enum {
    ROOM = 256 * 1024, /* for a tree of tasks */
    LOOK_S = 5,        /* seconds for looking at it */
};

/* Under lock, all of it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_t thread;
static bool stopping;
static const char *part;    /* what runs; NULL: nothing that has a limit */
static int64_t limit_ns;    /* of it */
static int64_t deadline_ns; /* the end of it; RADDLE_NEVER: none */
static bool expired;        /* it has been told so */
static bool stops;          /* it is cancelled when the test has failed elsewhere, too */
static raddle_task *victim; /* what is cancelled then, with a reference; or NULL */

static int64_t real_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t real_in(int64_t length_ns)
{
    int64_t now_ns = real_now();

    return length_ns < RADDLE_NEVER - now_ns ? now_ns + length_ns : RADDLE_NEVER;
}

char *rdl_test_capture(int (*print)(int fd, void *arg), void *arg, int *result)
{
    int fd = memfd_create("raddle-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    char *text = NULL;
    off_t length;

    *result = fd < 0 ? -errno : 0;
    if (fd < 0)
        return NULL;
    /* Beyond its room a write fails: the tree of a test that spawns without end has no end either. */
    if (ftruncate(fd, ROOM) == 0)
        (void)fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
    *result = print(fd, arg);
    length = lseek(fd, 0, SEEK_CUR);
    if (length >= 0 && (text = calloc(1, (size_t)length + 1)) &&
        pread(fd, text, (size_t)length, 0) != length)
        text[0] = 0;
    close(fd);
    while (text && length > 0 && text[length - 1] == '\n')
        text[--length] = 0;
    return text;
}

static int print_tasks(int fd, void *arg)
{
    (void)arg;
    return raddle_print_tasks(fd);
}

/* Where the tasks grow faster than they can be looked at, looking doesn't end: a thread does it, and is left to it. */
struct look {
    pthread_mutex_t lock;
    pthread_cond_t done;
    char *tree;
    bool ended;
};

static void *look(void *arg)
{
    struct look *l = arg;
    int count;
    char *tree = rdl_test_capture(print_tasks, NULL, &count);

    pthread_mutex_lock(&l->lock);
    l->tree = tree;
    l->ended = true;
    pthread_cond_signal(&l->done);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* The tree of tasks, to be freed; NULL: there is too much of it. */
static char *look_at_tasks(void)
{
    struct look *l = calloc(1, sizeof(*l));
    struct timespec until;
    pthread_t looker;
    char *tree = NULL;
    bool ended;

    if (!l)
        return NULL;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->done, NULL);
    if (pthread_create(&looker, NULL, look, l) != 0) {
        free(l);
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOOK_S;
    pthread_mutex_lock(&l->lock);
    while (!l->ended && pthread_cond_timedwait(&l->done, &l->lock, &until) == 0)
        ;
    ended = l->ended;
    tree = l->tree;
    pthread_mutex_unlock(&l->lock);
    if (!ended) { /* l is its own */
        (void)pthread_detach(looker);
        return NULL;
    }
    (void)pthread_join(looker, NULL);
    free(l);
    return tree;
}

/* still: not because of its limit. The lock held, and again when it returns: it isn't held meanwhile, as printing waits for other locks. */
static void expire(bool still)
{
    raddle_task *task = victim ? raddle_task_ref(victim) : NULL;
    static const char too_many[] = "There are too many tasks to be shown.";
    const char *what = part;
    double seconds = (double)limit_ns / 1e9;
    bool again = expired;
    char *tree;

    expired = true;
    deadline_ns = again ? RADDLE_NEVER : real_in(still ? STILL_GRACE_NS : GRACE_NS);
    pthread_mutex_unlock(&lock);
    tree = look_at_tasks();
    if (again)
        rdl_test_fail("%s was cancelled and doesn't end\n%s", what, tree ? tree : too_many);
    else if (still)
        rdl_test_fail("%s waits, and nothing can happen any more\n%s", what,
                      tree ? tree : too_many);
    else
        rdl_test_fail("%s isn't over after its %.3f s\n%s", what, seconds, tree ? tree : too_many);
    free(tree);
    if (again)
        rdl_test_die("It is left there, and with it the teardown.");
    if (task)
        (void)raddle_task_cancel(task, "the time limit of the test");
    raddle_task_unref(task);
    pthread_mutex_lock(&lock);
}

static void *watch(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    while (!stopping) {
        struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                 .tv_nsec = (long)(deadline_ns % 1000000000)};

        if (!part || deadline_ns == RADDLE_NEVER)
            pthread_cond_wait(&changed, &lock);
        else if (real_now() < deadline_ns)
            (void)pthread_cond_timedwait(&changed, &lock, &until);
        else
            expire(false);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

int rdl_test_watch_start(void)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attributes);
    pthread_condattr_destroy(&attributes);
    stopping = false;
    return -pthread_create(&thread, NULL, watch, NULL);
}

void rdl_test_watch_stop(void)
{
    rdl_test_unwatch();
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    pthread_cond_destroy(&changed);
}

static void set(const char *what, int64_t length_ns, raddle_task *task, bool stops_on_failure)
{
    raddle_task *before;

    pthread_mutex_lock(&lock);
    before = victim;
    part = what;
    limit_ns = length_ns;
    deadline_ns = real_in(length_ns);
    expired = false;
    stops = stops_on_failure;
    victim = task ? raddle_task_ref(task) : NULL;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    raddle_task_unref(before);
}

void rdl_test_watch(const char *what, int64_t length_ns, raddle_task *task, bool stops_on_failure)
{
    set(what, length_ns, task, stops_on_failure);
}

void rdl_test_unwatch(void)
{
    set(NULL, RADDLE_NEVER, NULL, false);
}

void rdl_test_stands_still(void)
{
    pthread_mutex_lock(&lock);
    if (part && !expired) {
        expire(true);
        pthread_cond_signal(&changed);
    }
    pthread_mutex_unlock(&lock);
}

void rdl_test_stop_part(const char *reason)
{
    raddle_task *task;

    pthread_mutex_lock(&lock);
    task = victim && stops ? raddle_task_ref(victim) : NULL;
    pthread_mutex_unlock(&lock);
    if (task)
        (void)raddle_task_cancel(task, reason);
    raddle_task_unref(task);
}
