/*
 * raddle/reader.h - callbacks that run whenever a descriptor can be read or written: asyncio's add_reader().
 *
 * For code that is made of callbacks. A task waits with raddle_fd_poll(), or just reads (raddle/io.h).
 *
 * A loop has one reader and one writer per descriptor. The callback runs on the loop's own stack, where it must
 * not suspend: once a turn for as long as the descriptor is ready, so it reads, writes or removes itself. An
 * error or a hang-up is something to read, and to write. As with any poll, what was ready may have been
 * taken by somebody else: the callback uses calls that don't block.
 *
 * A descriptor that a stream or a task uses can be watched, too: a poll takes nothing away. (asyncio refuses
 * those of its transports.) raddle_fd_close() ends what watches a descriptor; after a plain close(), which is
 * a mistake unless the watching was ended before, the number's next owner is watched.
 */
#ifndef RADDLE_READER_H
#define RADDLE_READER_H

#include <raddle/loop.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Has fn(arg) called on loop whenever fd can be read. One that is there already is replaced, and not called
 * any more.
 *
 * Returns   0, or, with everything as it was,
 *           -EBADF            not an open descriptor
 *           -EPERM            a file, which is always ready
 *           -ENOMEM           no memory, no stack
 *           RADDLE_ESHUTDOWN  the loop has finished its tasks, or its run has
 *           -EINVAL           loop or fn is NULL
 * Context   Any thread, and any time while the loop exists; it is called while the loop runs.
 * Lifetime  arg must live until the reader is removed or replaced, fd closed by raddle_fd_close(), or the loop
 *           closed. Done by another thread than the loop's, its last call may be under way.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_add_reader(raddle_loop *loop, int fd, raddle_callback_fn *fn,
                                                  void *arg);

/**
 * Ends that: on the loop's thread, it is not called any more, not even in this turn.
 *
 * Returns   1; 0: there was none; -EINVAL: loop is NULL
 * Context   Any thread, and any time while the loop exists.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_remove_reader(raddle_loop *loop, int fd);

/** raddle_add_reader() for when fd can be written. */
RADDLE_API RADDLE_NODISCARD int raddle_add_writer(raddle_loop *loop, int fd, raddle_callback_fn *fn,
                                                  void *arg);

/** raddle_remove_reader() of a writer. */
RADDLE_API int raddle_remove_writer(raddle_loop *loop, int fd);

#ifdef __cplusplus
}
#endif

#endif
