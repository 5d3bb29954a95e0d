/* Prints the state that a program starts with. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    char line[512];
    FILE *status = fopen("/proc/self/status", "r");
    const char *fields[] = { "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "Groups",
                             "Cpus_allowed:", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
    while (status && fgets(line, sizeof line, status))
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            if (!strncmp(line, fields[i], strlen(fields[i]))) fputs(line, stdout);
    if (status) fclose(status);
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD), modes = fcntl(fd, F_GETFL);
        if (flags >= 0) printf("fd %d %x %x\n", fd, flags, modes);
    }
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        if (!getrlimit((__rlimit_resource_t)i, &limit))
            printf("limit %d %lx %lx\n", i, (long)limit.rlim_cur, (long)limit.rlim_max);
    }
    mode_t mask = umask(0);
    printf("umask %o nice %d personality %x scheduler %d\n", mask, getpriority(PRIO_PROCESS, 0),
           personality(0xffffffff), sched_getscheduler(0));
    printf("dumpable %d subreaper %d ", prctl(PR_GET_DUMPABLE), getppid() > 1);
    int reaper = -1;
    prctl(PR_GET_CHILD_SUBREAPER, &reaper);
    printf("%d pdeathsig ", reaper);
    int death = -1;
    prctl(PR_GET_PDEATHSIG, &death);
    printf("%d timerslack %d\n", death, prctl(PR_GET_TIMERSLACK));
    /* An ordinary user can't be traced with a filter and without this. */
    if (!geteuid()) printf("no new privileges %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    FILE *oom = fopen("/proc/self/oom_score_adj", "r");
    if (oom && fgets(line, sizeof line, oom)) printf("oom %s", line);
    printf("%s %s\n", getcwd(line, sizeof line), argc > 0 ? argv[0] : "");
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "AIRTIGHT_TEST_MARK=", 19)) printf("%s\n", *e);
    for (int i = 1; i < argc; i++) printf("[%s]\n", argv[i]);
    return 0;
}
