#include "shapes.h"
#include "version.h"

const char version[] = VERSION;

int area(int width, int height)
{
    return width > LARGEST ? 0 : width * height;
}
