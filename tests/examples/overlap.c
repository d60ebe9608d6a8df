#include <raddle.h>
#include <stdio.h>

struct line {
    int64_t delay;
    const char *text;
};

static int say(void *arg)
{
    struct line *line = arg;
    int rc = raddle_sleep(line->delay);
    return rc < 0 ? rc : puts(line->text);
}

static int both(__attribute__((unused)) void *arg)
{
    struct line world = {RADDLE_MS(200), "world"}, hello = {RADDLE_MS(100), "hello"};
    struct raddle_call calls[] = {{.fn = say, .arg = &world}, {.fn = say, .arg = &hello}};
    puts("started");
    int rc = raddle_gather(calls, 2, NULL);
    puts("finished");
    return rc;
}

int main(void)
{
    return raddle_run(both, NULL, NULL) ? 1 : 0;
}
