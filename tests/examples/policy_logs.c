#include <raddle.h>
#include <stdio.h>

static int new_loop(const struct raddle_policy *policy, const struct raddle_loop_options *options,
                    raddle_loop **out)
{
    int rc = policy->base->new_loop(policy->base, options, out);

    if (rc == 0)
        printf("new loop %p on %s\n", (void *)*out, raddle_loop_driver(*out));
    return rc;
}

static int hello(void *arg)
{
    puts(arg);
    return raddle_sleep(RADDLE_MS(10));
}

int main(void)
{
    struct raddle_policy logging = {.base = raddle_default_policy(), .new_loop = new_loop};
    struct raddle_run_options options = {.loops = 3};
    char text[] = "hello from a loop";

    raddle_set_policy(&logging);
    return raddle_run(hello, text, &options) ? 1 : 0;
}
