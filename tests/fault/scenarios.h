/*
 * tests/fault/scenarios.h - small programs that the fault sweep runs while calls fail under them.
 *
 * Each returns 0 when all went as it does in a healthy machine, and -errno when something failed and it
 * could not go on; FAULT_WRONG is for what no failure excuses: bytes that nobody sent, a result that says
 * success for what did not happen. Whatever fails, it comes to an end and gives back all that it has.
 */
#ifndef TESTS_FAULT_SCENARIOS_H
#define TESTS_FAULT_SCENARIOS_H

#include <stdbool.h>
#include <stddef.h>

enum { FAULT_WRONG = -10000 };

/* In the directory where they run, which is the sweep's own; it is gone before each run. */
#define FAULT_SOCKET "socket"

struct fault_scenario {
    const char *name;
    int (*run)(void);
    bool slow; /* it has to wait: fewer of its points in the quick sweep */
};

/* Each list ends with a NULL name. */
extern const struct fault_scenario fault_core_scenarios[];
extern const struct fault_scenario fault_process_scenarios[];
extern const struct fault_scenario fault_share_scenarios[];
extern const struct fault_scenario fault_context_scenarios[];
extern const struct fault_scenario fault_seen_scenarios[];
extern const struct fault_scenario fault_sim_scenarios[];
extern const struct fault_scenario fault_net_scenarios[];
extern const struct fault_scenario fault_fd_scenarios[];

/* The worse failure of two, else the first one. */
static inline int fault_first(long a, long b)
{
    if (a == FAULT_WRONG || b == FAULT_WRONG)
        return FAULT_WRONG;
    return a < 0 ? (int)a : b < 0 ? (int)b : 0;
}

/* What is sent, by its place: a byte lost or doubled is seen. */
static inline char fault_byte(size_t i)
{
    return (char)('a' + i * 7 % 26);
}

#endif
