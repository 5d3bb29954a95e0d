/* Writes to standard output for ever; dies of SIGPIPE, if that is as it should be. */
#include <string.h>
#include <unistd.h>

int main(void) {
    char text[4096];
    memset(text, 'x', sizeof text);
    while (write(1, text, sizeof text) > 0) {}
    return 6;
}
