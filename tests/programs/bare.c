/* No libc: bare system calls. Reads `l`, writes `out`, looks for `no`. */
static long call(long number, long a, long b, long c, long d) {
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

void _start(void) {
    static char buf[256];
    int in = (int)call(2, (long)"l", 0, 0, 0);
    int out = (int)call(257, -100, (long)"out", 0101, 0644);
    long n = call(0, in, (long)buf, sizeof buf, 0);
    call(1, out, (long)buf, n, 0);
    call(4, (long)"no", (long)buf, 0, 0);
    call(231, n == 4 ? 0 : 1, 0, 0, 0);
    for (;;) {}
}
