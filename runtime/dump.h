/*
 * runtime/dump.h - says what tasks do: makes stack overflows name theirs.
 */
#ifndef RDL_RUNTIME_DUMP_H
#define RDL_RUNTIME_DUMP_H

#include <stdbool.h>

/* Once per process, and harmless to repeat: the overflow handler, with what it says of a task. */
int rdl_dump_install(void);

/* Whether a fiber that waits for what waits for an operation of io/op.c: then its object is the descriptor. */
bool rdl_dump_is_operation(const char *what);

#endif
