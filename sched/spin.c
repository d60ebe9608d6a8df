/*
 * sched/spin.c - see spin.h.
 */
#include "sched/spin.h"

#include <unistd.h>

#include "sched/sys.h"

enum {
    WAKE_NS = 20 * 1000, /* what it takes to wake a halted CPU */
    WANTED_MAX = 64,
};

void rdl_spin_init(struct rdl_spin *spin, int64_t ns)
{
    *spin = (struct rdl_spin){.credit = RDL_SPIN_CREDIT, .wanted = 1};
    spin->ns = ns && (rdl_sys_cpus(0) > 1 || rdl_sys_cpus(getpid()) > 1) ? ns : 0;
}

/* One that was preempted, because the other thread needed its CPU, has taken longer than it may. */
void rdl_spin_ended(struct rdl_spin *spin, bool came, int64_t spun_ns)
{
    if (came && spun_ns < WAKE_NS) {
        spin->credit += spin->credit < RDL_SPIN_CREDIT;
        spin->wanted = spin->wanted > 1 ? spin->wanted / 2 : 1;
    } else if (spin->credit && --spin->credit == 0) {
        spin->short_sleeps = 0;
        spin->wanted = spin->wanted < WANTED_MAX ? 2 * spin->wanted : WANTED_MAX;
    }
}

/* Short: but for a spin it was two wakes, as the other one may have slept, too. */
void rdl_spin_slept(struct rdl_spin *spin, int64_t slept_ns)
{
    spin->short_sleeps = slept_ns < spin->ns + 2 * WAKE_NS ? spin->short_sleeps + 1 : 0;
    if (!spin->credit && spin->short_sleeps >= spin->wanted)
        spin->credit = 1;
}
