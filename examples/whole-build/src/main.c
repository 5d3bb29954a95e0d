#include "shapes.h"

int main(void)
{
    return area(LARGEST, 2) != 2 * LARGEST;
}
