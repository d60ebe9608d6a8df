/*
 * tests/install/consumer.c - a user's program: one task that says hello.
 */
#include <raddle.h>

#include <stdio.h>
#include <string.h>

static int hello(void *arg)
{
    int *calls = arg;

    ++*calls;
    return raddle_yield();
}

int main(void)
{
    int calls = 0;
    int rc;

    if (strcmp(raddle_version(), RADDLE_VERSION) != 0) {
        printf("headers are of %s, the library is %s\n", RADDLE_VERSION, raddle_version());
        return 1;
    }
    rc = raddle_run(hello, &calls, NULL);
    if (rc != 0 || calls != 1) {
        printf("raddle_run: %s, %d calls\n", raddle_strerror(rc), calls);
        return 1;
    }
    return 0;
}
