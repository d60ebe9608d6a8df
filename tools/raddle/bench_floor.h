/*
 * raddle/bench_floor.h - an echo server without a runtime: what the system calls alone cost.
 */
#ifndef RDL_TOOLS_BENCH_FLOOR_H
#define RDL_TOOLS_BENCH_FLOOR_H

/* Serves the listening socket until the process is ended. Returns only on failure, -errno. */
int rdl_bench_floor(int listener);

#endif
