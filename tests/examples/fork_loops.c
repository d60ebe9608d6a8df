#include <raddle.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static raddle_loop *loop; /* each process's own */

static void make_loop(void)
{
    if (raddle_new_loop(&loop) == 0)
        raddle_set_loop(loop);
}

static int hello(void *arg)
{
    (void)arg;
    printf("process %d runs a loop of its own\n", (int)getpid());
    return raddle_sleep(RADDLE_MS(10));
}

int main(void)
{
    int rc;

    make_loop();
    raddle_at_fork(NULL, NULL, make_loop);
    for (int i = 0; i < 3 && fork() != 0; i++)
        ;
    rc = raddle_loop_run_until_complete(loop, hello, NULL);
    raddle_loop_close(loop);
    while (wait(NULL) > 0)
        ;
    return rc ? 1 : 0;
}
