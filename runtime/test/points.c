/*
 * runtime/test/points.c - what a test asks about waiting: do all others wait, and is there a cancellation point?
 */
#include <criterion/criterion.h>
#include <raddle/error.h>
#include <raddle/scope.h>
#include <raddle/sim.h>

#include "runtime/test/part.h"

int raddle_test_quiesce(void)
{
    return raddle_sim_quiesce();
}

int raddle_test_cancel_point(raddle_task_fn *fn, void *arg)
{
    return raddle_scope_probe(fn, arg);
}

void raddle_test_cancel_point_at(raddle_task_fn *fn, void *arg, int wanted, const char *what,
                                 const char *file, int line)
{
    int met = raddle_scope_probe(fn, arg);

    if (met == wanted) {
        cri_asserts_passed_incr();
        return;
    }
    if (met < 0)
        rdl_test_fail_at(file, line, "%s can't be asked for a cancellation point: %s", what,
                         raddle_strerror(met));
    else
        rdl_test_fail_at(file, line, "%s met %s", what,
                         met ? "a cancellation point" : "no cancellation point");
    raddle_test_abort();
}
