/* Errors: one line on stderr, and the end. */

#ifndef FAIL_H
#define FAIL_H

/* Print "predict: ..." like printf and exit with code 1. */
_Noreturn void fail(const char *format, ...);

#endif
