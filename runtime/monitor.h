/*
 * runtime/monitor.h - what looks after a run's loops: signals, and tasks that hold their loop for
 * too long.
 */
#ifndef RDL_RUNTIME_MONITOR_H
#define RDL_RUNTIME_MONITOR_H

#include <stdint.h>

#include <raddle/task.h>

#include "sched/loop.h"

struct rdl_monitor;

struct rdl_monitor_options {
    struct rdl_loop **loops; /* count of them; loops is copied if there is one only */
    unsigned count;
    bool sigint;     /* the first SIGINT cancels main */
    bool sigquit;    /* SIGQUIT prints all tasks */
    int64_t slow_ns; /* 0: don't watch */
};

/* Starts it, with a thread unless it is for SIGINT on one loop, whose thread calls this then; NULL in *out when there is nothing to monitor. Only one monitor of a process
 * gets the signals: the first. */
int rdl_monitor_start(const struct rdl_monitor_options *options, struct rdl_monitor **out);

/* On the loop's thread, once: whom SIGINT cancels. Takes a reference of its own. */
void rdl_monitor_set_main(struct rdl_monitor *monitor, raddle_task *main);

/* In the child of a fork, which has no monitor: the signals are as they were before it. */
void rdl_monitor_after_fork(void);

/* In a task that is about to ask whether it is cancelled: sees to a SIGINT that nobody else has seen to. */
void rdl_monitor_look(void);

/* On the thread that started it, outside of tasks: puts the signals' actions back. What a handler has posted to the loop
 * has its turn. NULL does nothing. */
void rdl_monitor_stop(struct rdl_monitor *monitor);

#endif
