#define CONFIG "cfg_x.h"
#include CONFIG

int level(void)
{
    return LEVEL;
}
