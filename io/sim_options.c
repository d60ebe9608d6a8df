/*
 * io/sim_options.c - the names of simulated worlds: "sim:seed=42,latency=1ms".
 */
#include "io/sim_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct rdl_sim_options defaults = {
    .latency_ns = 1000000,
    .shorts = 25,
};

bool rdl_sim_is_name(const char *name)
{
    return strncmp(name, "sim", 3) == 0 && (!name[3] || name[3] == ':');
}

/* The digits at *text, of which there must be some; *text is moved behind them. */
static bool parse_digits(const char **text, uint64_t *out)
{
    const char *p = *text;
    uint64_t value = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    if (p == *text)
        return false;
    *text = p;
    *out = value;
    return true;
}

static bool parse_percent(const char **text, unsigned *out)
{
    uint64_t value;

    if (!parse_digits(text, &value) || value > 100)
        return false;
    *out = (unsigned)value;
    return true;
}

static bool parse_length(const char **text, int64_t *out)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
    uint64_t value;

    /* Up to a quarter of an hour, in any unit: what is written is within the bounds, too. */
    if (!parse_digits(text, &value) || value > 1000000)
        return false;
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t length = strlen(units[i].name);

        if (strncmp(*text, units[i].name, length) == 0) {
            *text += length;
            *out = (int64_t)value * units[i].ns;
            return *out <= INT64_C(1000) * 1000000000;
        }
    }
    return false;
}

static bool is_key(const char **text, const char *key)
{
    size_t length = strlen(key);

    if (strncmp(*text, key, length) != 0 || (*text)[length] != '=')
        return false;
    *text += length + 1;
    return true;
}

static bool parse_one(const char **text, struct rdl_sim_options *o)
{
    if (is_key(text, "seed"))
        return o->seeded = parse_digits(text, &o->seed);
    if (is_key(text, "latency"))
        return parse_length(text, &o->latency_ns);
    if (is_key(text, "short"))
        return parse_percent(text, &o->shorts);
    if (is_key(text, "loss"))
        return parse_percent(text, &o->losses);
    if (is_key(text, "reset"))
        return parse_percent(text, &o->resets);
    return false;
}

int rdl_sim_parse(const char *name, struct rdl_sim_options *out)
{
    struct rdl_sim_options options = defaults;
    const char *text = name + 3;

    if (!rdl_sim_is_name(name))
        return -EINVAL;
    while (*text) { /* at a colon, or a comma */
        text++;
        if (!parse_one(&text, &options) || (*text && *text != ','))
            return -EINVAL;
    }
    *out = options;
    return 0;
}

static void format_percent(char *out, size_t size, const char *key, unsigned value, unsigned usual)
{
    size_t used = strlen(out);

    if (value != usual)
        (void)snprintf(out + used, size - used, ",%s=%u", key, value);
}

void rdl_sim_format(const struct rdl_sim_options *o, char *out, size_t size)
{
    size_t used;

    (void)snprintf(out, size, "sim:seed=%" PRIu64, o->seed);
    used = strlen(out);
    if (o->latency_ns != defaults.latency_ns && o->latency_ns % 1000000 == 0)
        (void)snprintf(out + used, size - used, ",latency=%" PRId64 "ms", o->latency_ns / 1000000);
    else if (o->latency_ns != defaults.latency_ns)
        (void)snprintf(out + used, size - used, ",latency=%" PRId64 "%s",
                       o->latency_ns % 1000 ? o->latency_ns : o->latency_ns / 1000,
                       o->latency_ns % 1000 ? "ns" : "us");
    format_percent(out, size, "short", o->shorts, defaults.shorts);
    format_percent(out, size, "loss", o->losses, defaults.losses);
    format_percent(out, size, "reset", o->resets, defaults.resets);
}
