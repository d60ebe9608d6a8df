/*
 * tests/tools/test_buffers.c - buffers stay while a crowd works with them, and go back to the system when it is gone.
 */
#include "tools/raddle/buffers.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "sched/sys.h"

TestSuite(buffers, .timeout = 10);

enum { CROWD = 1000, MANY = 256 };

static unsigned mapped, unmapped;
static int verdict;

static int count_calls(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    mapped += call == RDL_SYS_MMAP;
    unmapped += call == RDL_SYS_MUNMAP;
    return call == RDL_SYS_MUNMAP ? verdict : 0;
}

static void borrow_all(char *buffers[CROWD])
{
    for (int i = 0; i < CROWD; i++) {
        buffers[i] = rdl_buffer_get();
        cr_assert_not_null(buffers[i]);
        buffers[i][0] = buffers[i][RDL_BUFFER_BYTES - 1] = 1;
    }
}

Test(buffers, a_crowd_maps_its_buffers_once)
{
    static char *buffers[CROWD];

    rdl_sys_set_hook(count_calls);
    for (int round = 0; round < 10; round++) {
        borrow_all(buffers);
        for (int i = 0; i < CROWD; i++)
            rdl_buffer_put(buffers[i]);
    }
    cr_assert_eq(mapped, CROWD);
    cr_assert_eq(unmapped, 0);
    rdl_buffer_put(NULL);

    /* Each of the crowd is idle, or has gone. */
    for (int i = 0; i < CROWD; i++)
        rdl_buffers_shed();
    cr_assert_eq(unmapped, CROWD - MANY);
    rdl_buffers_trim();
    cr_assert_eq(unmapped, CROWD);
    rdl_sys_set_hook(NULL);
}

Test(buffers, what_cannot_be_unmapped_is_kept)
{
    static char *buffers[CROWD];

    rdl_sys_set_hook(count_calls);
    borrow_all(buffers);
    for (int i = 0; i < CROWD; i++)
        rdl_buffer_put(buffers[i]);
    verdict = -ENOMEM;
    rdl_buffers_shed();
    cr_assert_eq(unmapped, 1);
    borrow_all(buffers);
    cr_assert_eq(mapped, CROWD);
    verdict = 0;
    for (int i = 0; i < CROWD; i++)
        rdl_buffer_put(buffers[i]);
    rdl_buffers_trim();
    rdl_sys_set_hook(NULL);
}
