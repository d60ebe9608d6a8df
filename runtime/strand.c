/*
 * runtime/strand.c - the public face of strands. How they work is in sched/strand.c.
 */
#include <errno.h>
#include <raddle/strand.h>

#include "sched/loop.h"
#include "sched/strand.h"
#include "sched/sys.h"

static raddle_strand *face(struct rdl_strand *strand)
{
    return (raddle_strand *)(void *)strand;
}

static struct rdl_strand *of(raddle_strand *strand)
{
    return (struct rdl_strand *)(void *)strand;
}

int raddle_strand_create(raddle_strand **out)
{
    struct rdl_strand *strand;

    if (!out)
        return -EINVAL;
    strand = rdl_sys_malloc(sizeof(*strand));
    if (!strand)
        return -ENOMEM;
    rdl_strand_init(strand);
    *out = face(strand);
    return 0;
}

raddle_strand *raddle_strand_ref(raddle_strand *strand)
{
    return face(rdl_strand_ref(of(strand)));
}

void raddle_strand_unref(raddle_strand *strand)
{
    rdl_strand_unref(of(strand));
}

raddle_strand *raddle_running_strand(void)
{
    struct rdl_fiber *self = rdl_fiber_self();

    return self ? face(self->strand) : NULL;
}
