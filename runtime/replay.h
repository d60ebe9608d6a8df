/*
 * runtime/replay.h - says how a simulated run that went wrong can be had again.
 */
#ifndef RDL_RUNTIME_REPLAY_H
#define RDL_RUNTIME_REPLAY_H

#include "sched/driver.h"

/* A main task has ended with this result on a loop of this driver, simulated or not. */
void rdl_replay_result(const struct rdl_driver *driver, int result);

/* A thread runs a loop of this driver between them: a process that aborts then says which world there is. Nested. */
void rdl_replay_begin(const struct rdl_driver *driver);
void rdl_replay_end(const struct rdl_driver *driver);

/* A world of this name stands still: says what each task waits for, and aborts. */
void rdl_replay_standstill(const char *name);

#endif
