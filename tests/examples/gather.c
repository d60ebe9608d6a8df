#include <errno.h>
#include <raddle.h>
#include <stdio.h>

static int halve(void *arg)
{
    int number = *(int *)arg, rc = raddle_sleep(RADDLE_MS(10));

    if (rc < 0)
        return rc;
    return number % 2 ? -EDOM : number / 2;
}

static int gather(void *arg)
{
    int numbers[] = {2, 3, 4, 5};
    struct raddle_call calls[4] = {{.fn = halve}, {.fn = halve}, {.fn = halve}, {.fn = halve}};
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};

    (void)arg;
    for (int i = 0; i < 4; i++)
        calls[i].arg = &numbers[i];
    /* All to their end, and every outcome: asyncio's return_exceptions=True. */
    printf("gather: %s\n", raddle_strerror(raddle_gather(calls, 4, &collect)));
    for (int i = 0; i < 4; i++)
        if (calls[i].outcome.rc < 0)
            printf("%d: %s\n", numbers[i], raddle_strerror(calls[i].outcome.rc));
        else
            printf("%d: %d\n", numbers[i], calls[i].outcome.rc);
    return 0;
}

int main(void)
{
    return raddle_run(gather, NULL, NULL) ? 1 : 0;
}
