#include "plain.h"
int plain(void) { return PLAIN; }
