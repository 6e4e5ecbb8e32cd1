#ifndef ALLOCATIONS_H
#define ALLOCATIONS_H

#include <stdint.h>

/// Counts what the calling thread asks of the heap (malloc, calloc, realloc, posix_memalign, aligned_alloc).
/// Linking this target replaces those functions for the whole process; threads that count nothing pay one branch.
/// Linux with glibc only.

/// Starts counting at zero, on the calling thread.
void allocations_begin(void);

/// Stops counting on the calling thread and returns how often it allocated since `allocations_begin`.
uint64_t allocations_end(void);

#endif
