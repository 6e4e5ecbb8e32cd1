// Tells ThreadSanitizer about the slow path of Swift's Mutex, which is in a library that it does not see into: without
// this, what two threads do under one lock they competed for looks like a race. Loaded before that library.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define MUTEX "$s15Synchronization12_MutexHandleV"
#define LOCK_SLOW MUTEX "9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW MUTEX "11_unlockSlowyyF"

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *

__attribute__((weak)) void __tsan_acquire(void *address);
__attribute__((weak)) void __tsan_release(void *address);

typedef SWIFT void (*Lock)(uint32_t thread, SELF);
typedef SWIFT void (*Unlock)(SELF);

static Lock lock;
static Unlock unlock;

__attribute__((constructor)) static void find(void) {
    lock = (Lock)dlsym(RTLD_NEXT, LOCK_SLOW);
    unlock = (Unlock)dlsym(RTLD_NEXT, UNLOCK_SLOW);
}

SWIFT void lockSlow(uint32_t thread, SELF self) __asm__(LOCK_SLOW);
SWIFT void lockSlow(uint32_t thread, SELF self) {
    if (!lock) find();
    lock(thread, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT void unlockSlow(SELF self) __asm__(UNLOCK_SLOW);
SWIFT void unlockSlow(SELF self) {
    if (!unlock) find();
    if (__tsan_release) __tsan_release(self);
    unlock(self);
}
