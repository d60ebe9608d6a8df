#include <raddle.h>
#include <stdio.h>
#include <string.h>

static int background(void *arg)
{
    int rc = 0;

    (void)arg;
    while (rc == 0)
        rc = raddle_sleep(RADDLE_MS(5));
    puts("the background task is stopped");
    return rc;
}

/* Not by the loop: a terminal or pipe would have to be non-blocking, for all who share it, and a file blocks. */
static int read_line(void *line)
{
    return fgets(line, 1000, stdin) != NULL;
}

static int talk(void *arg)
{
    struct raddle_group group;
    char line[1000];
    int more, rc = raddle_group_open(&group, NULL);

    (void)arg;
    if (rc == 0)
        rc = raddle_spawn(&group, NULL, background, NULL, NULL);
    while (rc == 0 && (rc = raddle_run_in_executor(NULL, read_line, line, &more)) == 0) {
        line[more ? strcspn(line, "\n") : 0] = 0;
        if (!*line || strcmp(line, "quit") == 0)
            break;
        printf("you said: %s\n", line);
    }
    raddle_group_cancel(&group, "the talk is over");
    rc = raddle_group_close(&group, rc);
    puts("bye");
    return rc;
}

int main(void)
{
    return raddle_run(talk, NULL, NULL) ? 1 : 0;
}
