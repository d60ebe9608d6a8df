#include <raddle.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int jobs, total;

static int worker(void *queue)
{
    int job, rc;

    while ((rc = raddle_get(queue, &job)) == 0 && (rc = raddle_sleep(RADDLE_MS(job))) == 0) {
        jobs++;
        total += job;
        raddle_chan_task_done(queue);
    }
    return rc;
}

static int produce(void *arg)
{
    raddle_chan *queue;
    struct raddle_group workers;
    int rc = raddle_chan_create(sizeof(int), 4, NULL, &queue);

    (void)arg;
    if (rc < 0 || (rc = raddle_group_open(&workers, NULL)) < 0)
        return rc;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = raddle_spawn(&workers, NULL, worker, queue, NULL);
    for (int job = 1; job <= 20 && rc == 0; job++)
        rc = raddle_put(queue, &job);
    puts("all are handed out");
    if (rc == 0)
        rc = raddle_chan_join(queue);
    raddle_group_cancel(&workers, "the work is done");
    rc = raddle_group_close(&workers, rc);
    printf("3 workers did %d jobs, %d ms of work\n", jobs, total);
    raddle_chan_unref(queue);
    return rc;
}

int main(void)
{
    return raddle_run(produce, NULL, NULL) ? 1 : 0;
}
