/*
 * runtime/dump.h - makes stack overflows name their task.
 */
#ifndef RDL_RUNTIME_DUMP_H
#define RDL_RUNTIME_DUMP_H

/* Once per process, and harmless to repeat: the overflow handler, with what it says of a task. */
int rdl_dump_install(void);

#endif
