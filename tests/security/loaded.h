/*
 * tests/security/loaded.h - a run with a bit of everything in use, in the middle of which something is looked at.
 */
#ifndef TESTS_SECURITY_LOADED_H
#define TESTS_SECURITY_LOADED_H

#include <raddle.h>

/*
 * Runs servers on TCP and on a unix socket, clients that are answered by both, jobs, timers, a monitor of slow
 * tasks and of Ctrl-C. When every client has been answered, and before any connection is closed, probe(arg) is
 * called in a thread of the executor and must return 0. Then all goes on to its orderly end. Expectations are
 * those of tests/support/runtime.h; returns what raddle_run() does.
 */
int loaded_run(unsigned loops, raddle_job_fn *probe, void *arg);

#endif
