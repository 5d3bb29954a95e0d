#define CFG_FACTOR 42
