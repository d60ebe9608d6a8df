#include <raddle.h>
#include <stdatomic.h>
#include <stdio.h>

static struct raddle_sem slots = RADDLE_SEM_INIT(5, 5);
static atomic_int running, most;

static int fetch(void *arg)
{
    int rc = raddle_sem_acquire(&slots, 1), now, seen;

    (void)arg;
    if (rc < 0)
        return rc;
    now = atomic_fetch_add(&running, 1) + 1;
    for (seen = most; now > seen && !atomic_compare_exchange_weak(&most, &seen, now);)
        ;
    rc = raddle_sleep(RADDLE_MS(20));
    atomic_fetch_sub(&running, 1);
    raddle_sem_release(&slots, 1);
    return rc;
}

static int fetch_all(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    for (int i = 0; i < 20 && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, fetch, NULL, NULL);
    rc = raddle_group_close(&g, rc);
    printf("at most %d of 20 at a time\n", atomic_load(&most));
    return rc;
}

int main(void)
{
    return raddle_run(fetch_all, NULL, NULL) ? 1 : 0;
}
