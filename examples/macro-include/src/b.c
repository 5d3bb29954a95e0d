#include "b.h"
#define CONFIG_HEADER "cfg_x.h"
#include CONFIG_HEADER

int b(int n) { return n * CFG_FACTOR; }
