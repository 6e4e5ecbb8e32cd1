// A counter in the kernel that poll can wait for: how one thread wakes another that sleeps in poll; and a thread's name.
// Why a shim: Swift's Glibc module leaves out sys/eventfd.h, and prctl is variadic.
#ifndef BUSBAR_CEVENTFD_SHIM_H
#define BUSBAR_CEVENTFD_SHIM_H

#include <sys/eventfd.h>
#include <sys/prctl.h>

/// A new descriptor that never blocks, or -1 with errno set.
static inline int busbar_eventfd_open(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

/// Makes the descriptor readable. It can't fail in a way that matters: a full counter is readable already.
static inline void busbar_eventfd_ring(int descriptor) { (void)eventfd_write(descriptor, 1); }

/// Makes the descriptor unreadable until it rings again.
static inline void busbar_eventfd_clear(int descriptor) {
    eventfd_t count;
    (void)eventfd_read(descriptor, &count);
}

/// Names the calling thread for debuggers and the like; 15 bytes of it are kept.
static inline void busbar_thread_name(const char *name) { (void)prctl(PR_SET_NAME, name, 0, 0, 0); }

#endif
