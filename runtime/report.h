/*
 * runtime/report.h - what the library has to say that is nobody's return value.
 */
#ifndef RDL_RUNTIME_REPORT_H
#define RDL_RUNTIME_REPORT_H

/* One line, without a newline, to where raddle_on_report() said. Any thread; not in a signal
 * handler. */
void rdl_report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for a line of any length. */
void rdl_report_line(const char *line);

/* The same with a backtrace of what: below the line on standard error, or at its end. */
void rdl_report_trace(const char *line, const char *what, void *const *frames, int count);

struct raddle_error_event;

/* An error that is nobody's result: to the handler of the running loop or of the process, else as a report. Of the
 * event all but what and loop is the caller's to set. Any thread. */
void rdl_report_error(const struct raddle_error_event *event, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Around a fork, so that no other thread holds in the child what tells who is told. */
void rdl_errors_lock(void);
void rdl_errors_unlock(void);

#endif
