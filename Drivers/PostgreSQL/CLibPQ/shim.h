// libpq: PostgreSQL's own client library.
// Why two places: Debian and its kin keep the header in a folder of its own, which no search path names.
#ifndef BUSBAR_CLIBPQ_SHIM_H
#define BUSBAR_CLIBPQ_SHIM_H

#if __has_include(<postgresql/libpq-fe.h>)
#include <postgresql/libpq-fe.h>
#else
#include <libpq-fe.h>
#endif

/// Lets the server's notices pass unheard. Left alone, libpq writes them to standard error.
static inline void busbar_pq_ignore_notice(void *argument, const char *message) {
    (void)argument;
    (void)message;
}

#endif
