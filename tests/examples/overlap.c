#include <raddle.h>
#include <stdio.h>

struct message {
    int64_t after;
    const char *text;
};

static int say(void *arg)
{
    struct message *m = arg;
    int rc;

    printf("%s begins\n", m->text);
    rc = raddle_sleep(m->after);
    if (rc == 0)
        printf("%s\n", m->text);
    return rc;
}

static int both(void *arg)
{
    struct message world = {RADDLE_MS(200), "world"}, hello = {RADDLE_MS(100), "hello"};
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, say, &world, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, say, &hello, NULL);
    return raddle_group_close(&g, rc);
}

int main(void)
{
    return raddle_run(both, NULL, &(struct raddle_run_options){.loops = 1}) ? 1 : 0;
}
