/*
 * runtime/cpus.h - how many CPUs this process may use.
 */
#ifndef RDL_RUNTIME_CPUS_H
#define RDL_RUNTIME_CPUS_H

/* By the quota of the process's control group, version 1 or 2, rounded up; 0: no quota. */
unsigned rdl_cpus_quota(void);

/* That, or what the affinity of the calling thread allows (sched/sys.h): the smaller one, at least 1. */
unsigned rdl_cpus_allowed(void);

#endif
