// What somebody would write who needs nothing but librabbitmq: publish with confirms to a stream queue, and consume it.
#ifndef RABBIT_CLIENT_H
#define RABBIT_CLIENT_H

#include <stdint.h>

/// Declares the queue, consumes from now on, calls `ready`, then `heard` with each body, until `count` have come.
/// Returns NULL, or what went wrong.
const char *rabbit_consume(int port, const char *queue, int count, void *context, void (*ready)(void *),
                           void (*heard)(void *, const void *body, uint64_t byteCount));

/// Publishes `count` messages of 100 bytes, each with the time it leaves in front, at `rate` a second (0: at once), with at
/// most `window` unconfirmed. Returns when all are confirmed: NULL, or what went wrong.
const char *rabbit_publish(int port, const char *queue, int count, int rate, int window);

#endif
