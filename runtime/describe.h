/*
 * runtime/describe.h - who a task or a thread is, in words, for reports.
 */
#ifndef RDL_RUNTIME_DESCRIBE_H
#define RDL_RUNTIME_DESCRIBE_H

struct rdl_task;

/* A name, and the end of a path, which says more than its beginning. */
enum { RDL_WHO_BYTES = 144 };

/* Writes 'task "accept" (server.c:12)' to text, of RDL_WHO_BYTES, and returns it. The task is the caller, or can't end. */
const char *rdl_describe_task(const struct rdl_task *task, char *text);

/* 'thread "worker" (4711)': the calling one. */
const char *rdl_describe_thread(char *text);

/* The running task, else the thread. */
const char *rdl_describe_caller(char *text);

/* The function in which this address is, as far as the program tells: 'refresh', 'refresh+0x1c', or 'server+0x12a0', an
 * offset that addr2line understands. */
const char *rdl_describe_code(const void *address, char *text);

/* Of something that was made or called there; NULL is "an unknown place". */
const char *rdl_describe_site(const char *site);

#endif
