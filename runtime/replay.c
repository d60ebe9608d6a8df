/*
 * runtime/replay.c - says how a simulated run that went wrong can be had again.
 *
 * A failed assertion aborts, and its handler may only write. So what it would write is put ready when the run
 * begins: the names of the worlds are those of runs in progress, of which a process has one, or a few.
 */
#define _GNU_SOURCE
#include "runtime/replay.h"

#include <errno.h>
#include <pthread.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/sim.h"
#include "runtime/report.h"
#include "sched/sys.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned runs;                /* under lock */
static bool handling;                /* under lock: the handler is ours */
static struct sigaction before;      /* under lock */
static char text[RDL_SIM_NAME + 64]; /* of the latest run; read by the handler */
static volatile sig_atomic_t text_length;

static void on_abort(int number)
{
    size_t length = (size_t)text_length;

    if (length && write(STDERR_FILENO, text, length) < 0) {
        /* There is nobody left to tell. */
    }
    (void)signal(number, SIG_DFL); /* abort() raises it again */
}

void rdl_replay_begin(const struct rdl_driver *driver)
{
    struct sigaction action;
    char name[RDL_SIM_NAME];

    if (!rdl_sim_is(driver))
        return;
    rdl_sim_name(driver, name, sizeof(name));
    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_abort;
    action.sa_flags = SA_ONSTACK;
    pthread_mutex_lock(&lock);
    text_length = 0;
    (void)snprintf(text, sizeof(text), "raddle: aborted: RADDLE_POLICY=%s has the same again\n",
                   name);
    text_length = (sig_atomic_t)strlen(text);
    /* Whoever has a handler of their own finds the name otherwise. */
    if (runs++ == 0)
        handling = rdl_sys_sigaction(SIGABRT, NULL, &before) == 0 && before.sa_handler == SIG_DFL &&
                   rdl_sys_sigaction(SIGABRT, &action, NULL) == 0;
    pthread_mutex_unlock(&lock);
}

void rdl_replay_end(const struct rdl_driver *driver)
{
    if (!rdl_sim_is(driver))
        return;
    pthread_mutex_lock(&lock);
    if (--runs == 0) {
        text_length = 0;
        if (handling)
            (void)rdl_sys_sigaction(SIGABRT, &before, NULL);
    }
    pthread_mutex_unlock(&lock);
}

void rdl_replay_result(const struct rdl_driver *driver, int result)
{
    char name[RDL_SIM_NAME];

    if (result >= 0 || !rdl_sim_is(driver))
        return;
    rdl_sim_name(driver, name, sizeof(name));
    rdl_report("a simulated run ended with %d (%s): RADDLE_POLICY=%s has the same again", result,
               raddle_strerror(result), name);
}

void rdl_replay_standstill(const char *name)
{
    rdl_report("RADDLE_POLICY=%s: nothing can happen any more, and tasks wait:", name);
    (void)raddle_print_tasks(STDERR_FILENO);
    abort();
}
