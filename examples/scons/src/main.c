#include "version.h"
#include <stdio.h>

int level(void);

int main(void)
{
    printf("%s: level %d\n", VERSION, level());
    return 0;
}
