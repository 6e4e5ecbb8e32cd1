#include "raw_brokers.h"

#include <time.h>

uint64_t raw_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void raw_pace(uint64_t start, int index, int rate) {
    if (rate <= 0) return;
    uint64_t due = start + (uint64_t)index * 1000000000u / (uint64_t)rate, time = raw_now();
    if (due <= time) return;
    struct timespec pause = {.tv_sec = (time_t)((due - time) / 1000000000u), .tv_nsec = (long)((due - time) % 1000000000u)};
    nanosleep(&pause, NULL);
}
