/*
 * tests/model/watched.h - included before everything in a watched source: gcc leaves memset and memcpy
 * to be intercepted, or expands them in place, so they are given names of ours.
 */
#ifndef MODEL_WATCHED_H
#define MODEL_WATCHED_H

/* As most of our sources say, which come after it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <string.h>

#include "tests/model/model.h"

#define memset model_memset
#define memcpy model_memcpy

#endif
