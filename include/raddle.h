/*
 * raddle.h - asyncio for C: all of the public interface.
 *
 * What is not in these headers is not part of the interface.
 *
 * Conventions. A result of 0 or more is success, a negative one is -errno or one of the codes in
 * raddle/error.h; the variable errno is neither read nor written. A function that is a cancellation
 * point fails with -ECANCELED when a scope around the caller is cancelled or past its deadline, and
 * then it did not happen: nothing was read, sent, accepted or taken. When completion and
 * cancellation race, completion wins. Functions that can suspend return -EPERM outside a task.
 * Times are nanoseconds on CLOCK_MONOTONIC; a deadline is a point in time, and 0 or RADDLE_NEVER is
 * none. In options structs zero is every member's default, and reserved members must be zero.
 */
#ifndef RADDLE_H
#define RADDLE_H

#include <raddle/broadcast.h>
#include <raddle/callback.h>
#include <raddle/channel.h>
#include <raddle/context.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/executor.h>
#include <raddle/exits.h>
#include <raddle/fork.h>
#include <raddle/future.h>
#include <raddle/gather.h>
#include <raddle/generator.h>
#include <raddle/group.h>
#include <raddle/io.h>
#include <raddle/local.h>
#include <raddle/loop.h>
#include <raddle/policy.h>
#include <raddle/reader.h>
#include <raddle/run.h>
#include <raddle/runner.h>
#include <raddle/scope.h>
#include <raddle/select.h>
#include <raddle/server.h>
#include <raddle/sim.h>
#include <raddle/site.h>
#include <raddle/strand.h>
#include <raddle/stream.h>
#include <raddle/sync.h>
#include <raddle/task.h>
#include <raddle/thread.h>
#include <raddle/time.h>
#include <raddle/version.h>
#include <raddle/watch.h>

#endif
