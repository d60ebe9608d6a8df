/*
 * raddle/site.h - the place in the source from which a function is called, for reports.
 */
#ifndef RADDLE_SITE_H
#define RADDLE_SITE_H

#include <raddle/version.h>

/** This place, as a string that lives for ever: "server.c:120". */
#define RADDLE_SITE             __FILE__ ":" RADDLE_SITE_TEXT(__LINE__)
#define RADDLE_SITE_TEXT(line)  RADDLE_SITE_TEXT_(line)
#define RADDLE_SITE_TEXT_(line) #line

#endif
