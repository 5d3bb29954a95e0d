#include "bounds.h"

int area(int width, int height);
