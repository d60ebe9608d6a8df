/*
 * raddle/json.c - writes JSON into a buffer. Integers are formatted without printf, whose frame is
 * larger than what else a task that serves /stats needs of its stack.
 */
#include "tools/raddle/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void rdl_json_init(struct rdl_json *json, char *buffer, size_t size)
{
    *json = (struct rdl_json){.buffer = buffer, .size = size};
}

static void put(struct rdl_json *json, const char *text, size_t length)
{
    /* One byte stays for the end of the string. */
    if (json->full || length >= json->size - json->used) {
        json->full = true;
        return;
    }
    memcpy(json->buffer + json->used, text, length);
    json->used += length;
}

/*
 * The length of the UTF-8 sequence at text, or 0 if it is none: a command line or a path may hold
 * any bytes, JSON may not.
 */
static size_t utf8_length(const unsigned char *text)
{
    static const struct {
        unsigned char mask, lead; /* of the first byte */
    } forms[] = {{0xe0, 0xc0}, {0xf0, 0xe0}, {0xf8, 0xf0}};

    if (text[0] < 0x80)
        return 1;
    if (text[0] == 0xc0 || text[0] == 0xc1 || text[0] > 0xf4)
        return 0;
    for (size_t form = 0; form < sizeof forms / sizeof forms[0]; form++) {
        if ((text[0] & forms[form].mask) != forms[form].lead)
            continue;
        for (size_t i = 1; i < form + 2; i++)
            if ((text[i] & 0xc0) != 0x80)
                return 0;
        /* Overlong forms, surrogates, and what is above U+10FFFF. */
        if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
            (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
            return 0;
        return form + 2;
    }
    return 0;
}

static void put_quoted(struct rdl_json *json, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *at = (const unsigned char *)text;

    put(json, "\"", 1);
    while (*at) {
        size_t length = utf8_length(at);

        if (*at == '"' || *at == '\\') {
            char escape[2] = {'\\', (char)*at};
            put(json, escape, 2);
        } else if (*at < 0x20 || *at == 0x7f) {
            char escape[6] = {'\\', 'u', '0', '0', hex[*at >> 4], hex[*at & 15]};
            put(json, escape, 6);
        } else if (length == 0) {
            put(json, "\\ufffd", 6);
        } else {
            put(json, (const char *)at, length);
        }
        at += length ? length : 1;
    }
    put(json, "\"", 1);
}

static void put_key(struct rdl_json *json, const char *key)
{
    if (json->comma)
        put(json, ",", 1);
    json->comma = true;
    if (key) {
        put_quoted(json, key);
        put(json, ":", 1);
    }
}

void rdl_json_open(struct rdl_json *json, const char *key, char bracket)
{
    put_key(json, key);
    put(json, &bracket, 1);
    json->comma = false;
}

void rdl_json_close(struct rdl_json *json, char bracket)
{
    put(json, &bracket, 1);
    json->comma = true;
}

void rdl_json_string(struct rdl_json *json, const char *key, const char *value)
{
    put_key(json, key);
    if (value)
        put_quoted(json, value);
    else
        put(json, "null", 4);
}

void rdl_json_unsigned(struct rdl_json *json, const char *key, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    put_key(json, key);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put(json, digits + at, sizeof digits - at);
}

void rdl_json_signed(struct rdl_json *json, const char *key, int64_t value)
{
    char digits[21];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    put_key(json, key);
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        digits[--at] = '-';
    put(json, digits + at, sizeof digits - at);
}

void rdl_json_number(struct rdl_json *json, const char *key, double value)
{
    char text[40];
    int length;

    put_key(json, key);
    if (!isfinite(value)) {
        put(json, "null", 4);
        return;
    }
    length = snprintf(text, sizeof text, "%.*f", fabs(value) < 1e15 ? 3 : 0, value);
    if (length < 0 || length >= (int)sizeof text)
        length = snprintf(text, sizeof text, "%.6e", value);
    put(json, text, (size_t)length);
}

void rdl_json_boolean(struct rdl_json *json, const char *key, bool value)
{
    put_key(json, key);
    put(json, value ? "true" : "false", value ? 4 : 5);
}

int64_t rdl_json_finish(struct rdl_json *json)
{
    json->buffer[json->used] = '\0';
    return json->full ? -1 : (int64_t)json->used;
}
