#include "load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t nanoseconds(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) return 0;
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

uint64_t thread_cpu(void) {
    return nanoseconds(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t monotonic_now(void) {
    return nanoseconds(CLOCK_MONOTONIC);
}

uint64_t process_cpu(int pid) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    size_t count = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[count] = 0;
    // Why from the last bracket: the second field is the program's name and may hold anything.
    char *fields = strrchr(line, ')');
    unsigned long user = 0, system = 0;
    if (fields == NULL) return 0;
    sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (uint64_t)(user + system) * (1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK));
}
