/*
 * raddle/version.h - which version of the library this is, and what the headers are marked with.
 */
#ifndef RADDLE_VERSION_H
#define RADDLE_VERSION_H

#define RADDLE_VERSION_MAJOR 0
#define RADDLE_VERSION_MINOR 1
#define RADDLE_VERSION_PATCH 0
#define RADDLE_VERSION       "0.1.0"

/** Marks what the library exports. */
#define RADDLE_API        __attribute__((visibility("default")))
/** A variable that is closed when its block is left, with a report if that fails: raddle_auto(gen) raddle_gen *gen. */
#define raddle_auto(what) __attribute__((cleanup(raddle_##what##_autoclose)))
/** The result tells about a failure: look at it. The compiler finds calls that don't, for which others need a linter. */
#define RADDLE_NODISCARD  __attribute__((warn_unused_result))

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The version of the library that is linked, as RADDLE_VERSION was when it was built.
 *
 * Context   Any thread. Never fails.
 * Since     0.1
 */
RADDLE_API const char *raddle_version(void);

#ifdef __cplusplus
}
#endif

#endif
