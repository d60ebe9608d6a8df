/*
 * raddle/sync.h - what tasks and threads wait on each other with: all of it.
 *
 * Each of these lives in the caller's memory, needs no allocation, and is ready when it is zero or has its _INIT
 * value. It belongs to no loop: tasks of any loop, of any run, and plain threads use the same one in the same way. What
 * holds for all of them:
 *
 * Context       A call that may wait suspends a task, and blocks a plain thread (a job of an executor, too). On a
 *               loop's thread outside a task, in a callback, it returns -EPERM without waiting. What doesn't wait
 *               may be called from anywhere but a signal handler.
 * Fairness      First come, first served, by the order in which they came to wait. What is given back goes to the
 *               first in line, and nobody who comes later can take it from there.
 * Cancellation  A call that may wait is a cancellation point in a task, also when it needn't wait. When it returns
 *               -ECANCELED, the task has got nothing, and was out of line at once. What it was given before that is
 *               its own: then the call returns 0, and the next cancellation point fails. So nothing is ever lost.
 *               For a limit in time, put a scope with a deadline around the call. Plain threads have neither.
 * Lifetime      It must not move or be copied while it is in use. It may go away when nobody owns any of it and
 *               nobody waits: a task that was woken last may destroy it, even if who woke it hasn't returned yet.
 * Memory        Before a call that waits returns, it sees all that was done before the call that ended its wait.
 */
#ifndef RADDLE_SYNC_H
#define RADDLE_SYNC_H

#include <raddle/barrier.h>
#include <raddle/condition.h>
#include <raddle/event.h>
#include <raddle/latch.h>
#include <raddle/mutex.h>
#include <raddle/once.h>
#include <raddle/rwlock.h>
#include <raddle/semaphore.h>

#endif
