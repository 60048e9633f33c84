#include "fail.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fail(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  line[strcspn(line, "\n")] = '\0';
  for (char *c = line; *c; c++)
    if (iscntrl((unsigned char)*c)) *c = '?';
  fprintf(stderr, "predict: %s\n", line);
  exit(1);
}
