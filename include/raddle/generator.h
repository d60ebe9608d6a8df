/*
 * raddle/generator.h - generators: functions that hand out one item after another, and may suspend in between.
 *
 *     static int count_up(raddle_gen *gen, void *arg)
 *     {
 *         int rc = 0;
 *
 *         for (int i = 0; rc == 0 && i < *(int *)arg; i++)
 *             rc = raddle_gen_yield(gen, &i, NULL);
 *         return rc;
 *     }
 *
 *     raddle_auto(gen) raddle_gen *gen = NULL;
 *     void *item;
 *
 *     rc = raddle_gen_open(&gen, count_up, &limit, NULL);
 *     while (rc == 0 && (rc = raddle_gen_next(gen, NULL, &item)) == 1)
 *         rc = use(item);
 *
 * A generator has a stack of its own, and may yield in any depth of calls. But it is no task: it runs inside the task
 * that asks for the next item, as if that had called it. raddle_self(), the scopes with their deadlines, a
 * cancellation, the context variables and who owns a lock are that task's, at each step. When the generator waits,
 * its task waits. A step costs two switches of stacks, and the scheduler has no part in it.
 *
 * What asyncio raises is a result here. A generator whose function fails ends with that: raddle_gen_next() returns it
 * once, and then 0. An item is a pointer, which is good until the next step.
 *
 * Scopes. Between two items the task goes on outside of the generator, and a scope or a group that the generator
 * has open would hold the task instead: a deadline would end whatever it does then. asyncio lets that happen; here a
 * yield with one open is refused with -EDEADLK, and so is one inside of a raddle_ctx_run(). What has to keep them
 * open is better a task of its own, that puts into a channel (raddle/channel.h). A lock may be held over a yield,
 * unless it lies in the generator's own frames (-EDEADLK), but it belongs to the task that took it, and the next step
 * may be another one's.
 *
 * The end. A generator that is not used up must be closed, which nothing does by itself: there is no garbage
 * collector that would do it sooner or later, in whatever task. raddle_gen_close() lets the pending yield return
 * -ECANCELED, and waits for the function to clean up and return, in the closing task, whose own cancellation and
 * deadlines hold there as everywhere. raddle_auto(gen) closes at the end of a block, in reverse order of declaration:
 * of generators that use each other the innermost first.
 */
#ifndef RADDLE_GENERATOR_H
#define RADDLE_GENERATOR_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A generator: its opener's, who closes it. */
typedef struct raddle_gen raddle_gen;

/** What a generator runs. Its result: 0 or more is the end, negative is a failure, told to who asked last. */
typedef int raddle_gen_fn(raddle_gen *gen, void *arg);

/** How a generator is made. Zero is the default for every member. */
struct raddle_gen_options {
    size_t stack_bytes;   /**< As of a task (raddle/task.h); 0: 64 KiB. */
    uint64_t reserved[4]; /**< Zero. */
};

/**
 * Makes a generator of fn(gen, arg), which begins to run when its first item is asked for.
 *
 * options   NULL for the defaults
 * Returns   0 with *out written, or
 *           -ENOMEM  no stack for it
 *           -EINVAL  out or fn is NULL, a reserved member is not zero, a stack above 64 MiB
 * Context   Any thread.
 * Lifetime  *out is the caller's, to give to raddle_gen_close(). arg must live until then.
 * Cancel    No cancellation point.
 * Since     0.1
 */
#define raddle_gen_open(out, fn, arg, options)                                                     \
    raddle_gen_open_at((out), (fn), (arg), (options), #fn)

/**
 * What the raddle_gen_open() macro calls, and as it; name is a static string, for dumps.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_gen_open_at(raddle_gen **out, raddle_gen_fn *fn, void *arg,
                                                   const struct raddle_gen_options *options,
                                                   const char *name);

/**
 * Runs gen until it yields or ends.
 *
 * send      what the pending yield is to write to *sent; lost in the first step, where none is pending
 * item      NULL, or receives what was yielded
 * Returns   1 with *item written; 0 when gen has ended, now or before; or
 *           what gen's function failed with, now
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline: gen has not been run
 *           -EBUSY      gen runs: in another task, or it has called this itself
 *           -EINVAL     gen is NULL
 *           -EPERM      outside a task
 * Context   Inside a task, also in another generator. Not always in the same task, but in one at a time.
 * Cancel    Cancellation point, before gen runs; and those in gen.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_gen_next(raddle_gen *gen, void *send, void **item);

/**
 * As raddle_gen_next(), but the pending yield returns rc, with which the generator deals as it likes. One that has
 * not begun ends without having run, and one that has ended stays so: then rc is returned.
 *
 * Returns   as raddle_gen_next(); -EINVAL also for an rc that is not negative
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_gen_throw(raddle_gen *gen, int rc, void **item);

/**
 * Hands item to who asked for it, and waits in gen to be asked for the next one.
 *
 * sent      NULL, or receives what raddle_gen_next() sends
 * Returns   0, or
 *           -ECANCELED  gen is being closed: clean up and return. A yield after that is refused with it again and
 *                       reported, and a thousand of them stop the process
 *           -EDEADLK    nothing was yielded: a scope or a group is open that was entered since the last step, or a
 *                       raddle_ctx_run() is under way that was, or a lock is held that lies in gen's frames
 *           -EINVAL     nothing was yielded: the caller is not in gen, or in another generator that gen runs
 *           -EPERM      nothing was yielded: outside a task
 *           another     what raddle_gen_throw() was called with
 * Context   Inside gen's function, in any depth of calls. After it the task may be another one, and the thread.
 * Cancel    No cancellation point: the closing of gen only.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_gen_yield(raddle_gen *gen, void *item, void **sent);

/**
 * Ends gen, if it has not ended, and frees it. One that never ran is not run for it. NULL does nothing.
 *
 * Returns   0, or
 *           what gen's function failed with while it cleaned up, other than -ECANCELED; gen is gone
 *           -EBUSY  gen runs, and is still there
 *           -EPERM  outside a task; gen would have to run, and is still there
 * Context   Inside a task; any thread for one that never ran or has ended.
 * Lifetime  gen must not be used any more after this, but for -EBUSY and -EPERM.
 * Cancel    No cancellation point of its own: it is called in a task that is cancelled, too. What gen does to clean up
 *           may be: shield it (raddle/scope.h), or the call.
 * Since     0.1
 */
RADDLE_API int raddle_gen_close(raddle_gen *gen);

/**
 * Closes *gen, for raddle_auto, see raddle/version.h, and reports what raddle_gen_close() returns if that is a failure.
 *
 * Since     0.1
 */
RADDLE_API void raddle_gen_autoclose(raddle_gen **gen);

/*
 * Context managers: a function that sets up, yields once, and tears down.
 *
 *     rc = raddle_gen_open(&gen, transaction, db, NULL);
 *     if (rc == 0)
 *         rc = raddle_gen_enter(gen, &tx);
 *     if (rc == 0)
 *         rc = work(tx);
 *     rc = raddle_gen_exit(gen, rc);
 */

/**
 * Runs gen up to its yield.
 *
 * value     NULL, or receives what was yielded
 * Returns   0; -ENODATA: gen has ended without a yield; or as raddle_gen_next()
 * Context   Inside a task.
 * Cancel    As raddle_gen_next().
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_gen_enter(raddle_gen *gen, void **value);

/**
 * Runs gen from its yield to its end, whatever is cancelled, and frees it. A negative rc is what the yield returns.
 * One that was not entered is just closed. Made to be given to raddle_exits_push() as well.
 *
 * gen       a raddle_gen; NULL: rc is returned
 * rc        what the code in between came to
 * Returns   what gen's function failed with; 0 if it made a success of a negative rc; else rc; or
 *           -EPROTO         it yielded once more; it was closed
 *           -EBUSY, -EPERM  as raddle_gen_close()
 * Context   Inside a task.
 * Cancel    No cancellation point of its own.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_gen_exit(void *gen, int rc);

#ifdef __cplusplus
}
#endif

#endif
