/*
 * runtime/report.h - what the library has to say that is nobody's return value.
 */
#ifndef RDL_RUNTIME_REPORT_H
#define RDL_RUNTIME_REPORT_H

/* One line, without a newline, to where raddle_on_report() said. Any thread; not in a signal
 * handler. */
void rdl_report(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
