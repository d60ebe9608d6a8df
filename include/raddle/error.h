/*
 * raddle/error.h - results that are not an errno, and words for all of them.
 */
#ifndef RADDLE_ERROR_H
#define RADDLE_ERROR_H

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Results of the library's own, outside the kernel's range of 1 to 4095. */
enum raddle_error {
    RADDLE_ESHUTDOWN = -5001, /**< A loop, an executor, a group or a channel takes no more. */
    RADDLE_EBROKEN = -5002,   /**< A barrier was reset or aborted. */
    /** A task, or the code of a group, came to -ECANCELED although nothing had cancelled it: it is
     *  a failure, and called so in the task's outcome and in its group. */
    RADDLE_ESTRAY = -5005,
    RADDLE_ECLOSED = -5006, /**< This side closed the descriptor or the end of a channel. */
    RADDLE_ETEST = -5050,   /**< An assertion of a test failed (raddle/test.h). */
};

/**
 * Describes a result: "Connection reset by peer", "closed by this side".
 *
 * Returns   a static string, "success" for 0 and more, "unknown error" for what it doesn't know
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API const char *raddle_strerror(int result);

#ifdef __cplusplus
}
#endif

#endif
