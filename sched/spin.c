/*
 * sched/spin.c - see spin.h.
 */
#include "sched/spin.h"

#include "sched/sys.h"

enum { WAKE_NS = 20 * 1000 }; /* what it takes to wake a halted CPU */

void rdl_spin_init(struct rdl_spin *spin, int64_t ns)
{
    spin->ns = ns && rdl_sys_cpus() > 1 ? ns : 0;
    spin->credit = RDL_SPIN_CREDIT;
}

void rdl_spin_slept(struct rdl_spin *spin, int64_t waited_ns)
{
    if (waited_ns < spin->ns + WAKE_NS && spin->credit < RDL_SPIN_CREDIT)
        spin->credit++;
}
