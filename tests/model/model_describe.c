/*
 * tests/model/model_describe.c - takes the place of runtime/describe.c: reports are failures here, and need no names.
 */
#include "runtime/describe.h"

const char *rdl_describe_task(const struct rdl_task *task, char *text)
{
    (void)task;
    text[0] = 0;
    return text;
}

const char *rdl_describe_caller(char *text)
{
    text[0] = 0;
    return text;
}

const char *rdl_describe_thread(char *text)
{
    text[0] = 0;
    return text;
}

const char *rdl_describe_site(const char *site)
{
    return site ? site : "";
}
