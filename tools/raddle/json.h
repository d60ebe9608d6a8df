/*
 * raddle/json.h - writes JSON into a buffer.
 *
 * A value that doesn't fit is left out and remembered: rdl_json_finish() says so. key is NULL
 * inside an array and for the outermost value.
 */
#ifndef RDL_TOOLS_JSON_H
#define RDL_TOOLS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rdl_json {
    char *buffer;
    size_t size, used;
    bool full;  /* something did not fit */
    bool comma; /* the next value has one before it */
};

void rdl_json_init(struct rdl_json *json, char *buffer, size_t size);
void rdl_json_open(struct rdl_json *json, const char *key, char bracket);
void rdl_json_close(struct rdl_json *json, char bracket);
void rdl_json_string(struct rdl_json *json, const char *key, const char *value);
void rdl_json_unsigned(struct rdl_json *json, const char *key, uint64_t value);
void rdl_json_signed(struct rdl_json *json, const char *key, int64_t value);
void rdl_json_number(struct rdl_json *json, const char *key, double value); /* null if not finite */
void rdl_json_boolean(struct rdl_json *json, const char *key, bool value);

/* Ends the text with a zero byte. Returns its length, or -1 if something did not fit. */
int64_t rdl_json_finish(struct rdl_json *json);

#endif
