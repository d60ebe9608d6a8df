#include <raddle.h>
#include <stdio.h>

static int worker(void *arg)
{
    int rc = 0;

    (void)arg;
    puts("working");
    while (rc == 0)
        rc = raddle_sleep(RADDLE_MS(10));

    printf("stopped because of: %s\n", raddle_cancel_reason());
    {
        RADDLE_CLEANUP(RADDLE_S(1)); /* in here it isn't cancelled, for a second at most */
        if (raddle_sleep(RADDLE_MS(20)) == 0)
            puts("cleaned up");
    }
    return rc;
}

static int cancel_it(void *arg)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    struct raddle_group g;
    raddle_task *task;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc == 0 && (rc = raddle_spawn(&g, &task, worker, NULL, NULL)) == 0) {
        rc = raddle_sleep(RADDLE_MS(50));
        raddle_task_cancel(task, "the work is done");
        if (rc == 0)
            rc = raddle_join(task, &outcome);
        raddle_task_unref(task);
    }
    if (outcome.kind == RADDLE_CANCELLED)
        puts("it was cancelled");
    return raddle_group_close(&g, rc);
}

int main(void)
{
    return raddle_run(cancel_it, NULL, NULL) ? 1 : 0;
}
