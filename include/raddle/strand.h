/*
 * raddle/strand.h - tasks that run on the team, but never two of them at a time.
 *
 * Between two suspensions a task of a strand is alone: no other task of the strand runs, on any loop. That is
 * how one reasons in asyncio ("no await, no race"), without a thread that all of it is bound to: data that only tasks
 * of one strand touch needs no lock. At every suspension the strand is free for the next; those that can run do so in
 * the order in which they became runnable.
 *
 *     raddle_strand *room;
 *
 *     rc = raddle_strand_create(&room);
 *     ...
 *     rc = raddle_spawn(&g, NULL, serve_guest, &guest,
 *                       &(struct raddle_spawn_options){.strand = room});
 *     raddle_strand_unref(room);                        // its tasks keep it
 *
 * A task that is spawned by one of a strand is in the strand, too, unless its options name another or
 * RADDLE_NO_STRAND. So a program ported from asyncio starts its main task in one strand, and takes out what is
 * worth it.
 *
 * What suspends a task lets others of the strand in, whatever it is: a lock that is contended, a channel, a job of an
 * executor, raddle_yield(). What doesn't suspend doesn't: an uncontended lock, a channel with room.
 *
 * Which loop a task of a strand may run on is the matter of its mobility, as ever. When the next in turn belongs to
 * another loop than the last, that loop has to be told, which costs a microsecond or more: with RADDLE_MIGRATABLE
 * tasks a strand stays where it is.
 *
 * A task that may run has the strand's turn, also while its loop is stopped. So the tasks of a strand belong on one
 * run or on one loop: on two loops that are run in turns, one that isn't running holds up the strand on the other,
 * and the close of that one waits for it.
 */
#ifndef RADDLE_STRAND_H
#define RADDLE_STRAND_H

#include <raddle/task.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Makes a strand, with no task in it.
 *
 * Returns   0 with *out written; -ENOMEM: no memory; -EINVAL: out is NULL
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_strand_unref(). Each task in it has one, too.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_strand_create(raddle_strand **out);

/**
 * Takes another reference. Returns strand, which must not be NULL.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_strand *raddle_strand_ref(raddle_strand *strand);

/**
 * Gives a reference back; NULL does nothing. The tasks in the strand go on.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void raddle_strand_unref(raddle_strand *strand);

/**
 * The strand that the current task is in, or NULL.
 *
 * Context   Any.
 * Lifetime  It lives as long as the task: take a reference to keep it.
 * Since     0.1
 */
RADDLE_API raddle_strand *raddle_running_strand(void);

#ifdef __cplusplus
}
#endif

#endif
