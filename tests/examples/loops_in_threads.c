#include <raddle.h>
#include <stdio.h>

static int hello(void *arg)
{
    (void)arg;
    printf("thread %d runs loop %p\n", raddle_thread_id(), (void *)raddle_running_loop());
    return raddle_sleep(RADDLE_MS(10));
}

int main(void)
{
    raddle_loop_thread *threads[10];
    int rc = 0;

    for (int i = 0; i < 10 && rc == 0; i++)
        rc = raddle_loop_thread_start(&threads[i], hello, NULL, NULL);
    for (int i = 0; i < 10 && rc == 0; i++)
        rc = raddle_loop_thread_join(threads[i], NULL);
    return rc ? 1 : 0;
}
