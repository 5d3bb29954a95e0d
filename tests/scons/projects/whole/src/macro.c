#define NAME "hidden.h"
#include NAME
int macro(void) { return HIDDEN; }
