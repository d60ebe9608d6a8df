/*
 * tests/io/test_table.c - the array by descriptor number.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <limits.h>

#include "io/table.h"
#include "sched/sys.h"

TestSuite(table, .timeout = 10);

static struct rdl_table table = {.element_bytes = sizeof(uint64_t)};

Test(table, an_element_is_absent_until_reached_then_zero_and_at_home_for_good)
{
    static const uint32_t numbers[] = {0, 1, 63, 64, 65, 127, 128, 1000, 65535, 65536, 1000000};
    uint64_t *where[sizeof(numbers) / sizeof(numbers[0])];
    const size_t count = sizeof(numbers) / sizeof(numbers[0]);

    cr_assert_null(rdl_table_at(&table, 0));
    for (size_t i = 0; i < count; i++) {
        void *element;
        cr_assert_eq(rdl_table_reach(&table, numbers[i], &element), 0);
        where[i] = element;
        cr_assert_eq(*where[i], 0);
        *where[i] = numbers[i] + 1;
    }
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(rdl_table_at(&table, numbers[i]), where[i]);
        cr_assert_eq(*where[i], numbers[i] + 1);
    }
    cr_assert_null(rdl_table_at(&table, 2000000));
    cr_assert_null(rdl_table_at(&table, INT_MAX));
    rdl_table_fini(&table);
    cr_assert_null(rdl_table_at(&table, 0));
}

static unsigned seen;

static void see(uint32_t index, void *element, void *arg)
{
    cr_assert_eq(element, rdl_table_at(arg, index));
    seen++;
}

Test(table, each_visits_every_element_of_every_chunk)
{
    void *element;

    cr_assert_eq(rdl_table_reach(&table, 5, &element), 0);
    cr_assert_eq(rdl_table_reach(&table, 300, &element), 0);
    rdl_table_each(&table, see, &table);
    cr_assert_eq(seen, 64 + 256);
    rdl_table_fini(&table);
}

static int mmap_error = -ENOMEM;

static int no_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_MMAP ? mmap_error : 0;
}

Test(table, no_memory_is_an_error)
{
    void *element;

    rdl_sys_set_hook(no_memory);
    cr_assert_eq(rdl_table_reach(&table, 5, &element), -ENOMEM);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(rdl_table_reach(&table, 5, &element), 0);
    rdl_table_fini(&table);
}

Test(table, locked_memory_that_has_come_to_its_limit_is_no_memory)
{
    void *element;

    mmap_error = -EAGAIN;
    rdl_sys_set_hook(no_memory);
    cr_assert_eq(rdl_table_reach(&table, 5, &element), -ENOMEM);
    rdl_sys_set_hook(NULL);
}
