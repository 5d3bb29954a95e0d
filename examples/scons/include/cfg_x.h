#define LEVEL 7
