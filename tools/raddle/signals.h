/*
 * raddle/signals.h - SIGINT and SIGTERM as something that a task waits for.
 */
#ifndef RDL_TOOLS_SIGNALS_H
#define RDL_TOOLS_SIGNALS_H

/* Before any thread is made: blocks both signals. Returns a descriptor or -errno. */
int rdl_signals_open(void);

/* Inside a task: waits until one of them arrives; from then on the next one ends the process.
 * Returns the signal's number, -ECANCELED, or another -errno. */
int rdl_signals_wait(int fd);

#endif
