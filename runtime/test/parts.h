/*
 * runtime/test/parts.h - the main task of a test's run.
 */
#ifndef RDL_RUNTIME_TEST_PARTS_H
#define RDL_RUNTIME_TEST_PARTS_H

#include "runtime/test/part.h"

/* Runs all parts of the struct rdl_test, and looks for what they left. Negative: it could not begin. */
int rdl_test_main(void *arg);

#endif
