/* reads OUTPUT FIRST COUNT NAMES: reads COUNT of the files header_0.h to header_(NAMES-1).h of the
   current directory, from number FIRST on; writes OUTPUT and, as a compiler would, OUTPUT.d. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    long first = atol(argv[2]), count = atol(argv[3]), names = atol(argv[4]);
    char name[4096], byte;
    snprintf(name, sizeof name, "%s.d", argv[1]);
    FILE *output = fopen(argv[1], "w"), *depfile = fopen(name, "w");
    if (!output || !depfile)
        return 1;
    fprintf(depfile, "%s:", argv[1]);
    for (long n = first; n < first + count; n++) {
        snprintf(name, sizeof name, "header_%ld.h", n % names);
        int header = open(name, O_RDONLY);
        if (header < 0 || read(header, &byte, 1) < 0)
            return 1;
        close(header);
        fprintf(depfile, " %s", name);
    }
    return fclose(output) | fclose(depfile);
}
