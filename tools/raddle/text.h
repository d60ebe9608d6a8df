/*
 * raddle/text.h - appends to a buffer of fixed size. Small frames: no printf.
 */
#ifndef RDL_TOOLS_TEXT_H
#define RDL_TOOLS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rdl_text {
    char *buffer;
    size_t size, used;
};

static inline size_t rdl_text_room(const struct rdl_text *text)
{
    return text->size - text->used;
}

/* The caller has made sure that there is room; what doesn't fit is left out. */
static inline void rdl_text_add(struct rdl_text *text, const char *bytes, size_t count)
{
    if (count > rdl_text_room(text))
        count = rdl_text_room(text);
    memcpy(text->buffer + text->used, bytes, count);
    text->used += count;
}

static inline void rdl_text_string(struct rdl_text *text, const char *string)
{
    rdl_text_add(text, string, strlen(string));
}

static inline void rdl_text_unsigned(struct rdl_text *text, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    rdl_text_add(text, digits + at, sizeof digits - at);
}

#endif
