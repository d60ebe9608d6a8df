/*
 * raddle/bench_floor.h - echo servers without a runtime: what the system calls alone cost.
 */
#ifndef RDL_TOOLS_BENCH_FLOOR_H
#define RDL_TOOLS_BENCH_FLOOR_H

/* Serve the listening socket until the process is ended. Return only on failure, -errno. */
int rdl_bench_floor_epoll(int listener);
int rdl_bench_floor_uring(int listener);

/* Whether the latter can be had: 0, or -errno; -ENOSYS where it was built without liburing. */
int rdl_bench_floor_uring_probe(void);

#endif
