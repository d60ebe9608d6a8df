#include <raddle.h>
#include <stdio.h>

static struct raddle_sem slots = RADDLE_SEM_INIT(5, 5);
static int running, most; /* of tasks of one loop */

static int fetch(void *limit)
{
    int rc = raddle_sem_acquire(limit, 1);

    if (rc < 0)
        return rc;
    if (++running > most)
        most = running;
    rc = raddle_sleep(RADDLE_MS(20));
    running--;
    raddle_sem_release(limit, 1);
    return rc;
}

static int fetch_all(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    for (int i = 0; i < 20 && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, fetch, &slots, NULL);
    rc = raddle_group_close(&g, rc);
    printf("at most %d of 20 at a time\n", most);
    return rc;
}

int main(void)
{
    return raddle_run(fetch_all, NULL, &(struct raddle_run_options){.loops = 1}) ? 1 : 0;
}
