/*
 * tests/tools/test_buffers.c - buffers stay while a crowd works with them, and go back to the system when it is gone.
 */
#include "tools/raddle/buffers.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "sched/sys.h"

TestSuite(buffers, .timeout = 10);

enum { CROWD = 1000, MANY = 256, LONG = 16 * 1024 };

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

static void return_all(char *buffers[CROWD])
{
    for (int i = 0; i < CROWD; i++)
        rdl_buffer_put(buffers[i]);
}

Test(buffers, a_crowd_maps_its_buffers_once)
{
    static char *buffers[CROWD];

    rdl_sys_set_hook(count_calls);
    for (int round = 0; round < 10; round++) {
        borrow_all(buffers);
        return_all(buffers);
    }
    cr_assert_eq(mapped, CROWD);
    cr_assert_eq(unmapped, 0);
    rdl_buffer_put(NULL);

    /* Of the crowd one after the other is idle, or has gone: a connection may have had two. */
    rdl_buffers_shed();
    cr_assert_eq(unmapped, 2);
    for (int i = 1; i < CROWD / 2; i++)
        rdl_buffers_shed();
    cr_assert_eq(unmapped, CROWD - MANY);
    rdl_buffers_trim();
    cr_assert_eq(unmapped, CROWD);
    rdl_sys_set_hook(NULL);
}

Test(buffers, what_a_crowd_has_not_needed_for_long_goes_back_while_it_works)
{
    static char *buffers[CROWD];

    rdl_sys_set_hook(count_calls);
    borrow_all(buffers);
    return_all(buffers);
    for (int i = 0; i < 3 * LONG; i++) {
        rdl_buffer_put(rdl_buffer_get());
        if (i < LONG / 2)
            cr_assert_eq(unmapped, 0);
    }
    cr_assert_eq(mapped, CROWD);
    cr_assert_eq(unmapped, CROWD - MANY);

    /* It is back: it maps once more what has gone, and loses nothing of it while it works. */
    for (int round = 0; round < 4; round++) {
        borrow_all(buffers);
        return_all(buffers);
    }
    cr_assert_eq(mapped, CROWD + CROWD - MANY);
    cr_assert_eq(unmapped, CROWD - MANY);
    rdl_buffers_trim();
    rdl_sys_set_hook(NULL);
}

Test(buffers, what_cannot_be_unmapped_is_kept)
{
    static char *buffers[CROWD];

    rdl_sys_set_hook(count_calls);
    borrow_all(buffers);
    return_all(buffers);
    verdict = -ENOMEM;
    rdl_buffers_shed();
    cr_assert_eq(unmapped, 1);
    borrow_all(buffers);
    cr_assert_eq(mapped, CROWD);
    verdict = 0;
    return_all(buffers);
    rdl_buffers_trim();
    rdl_sys_set_hook(NULL);
}
