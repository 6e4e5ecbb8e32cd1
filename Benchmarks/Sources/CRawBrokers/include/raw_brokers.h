// What somebody would write who needs nothing but a broker's own client library: the comparison for what a node costs.
//
// Each pair publishes messages of 100 bytes that begin with the time they leave, and hears them. Functions return NULL, or what
// went wrong.
#ifndef RAW_BROKERS_H
#define RAW_BROKERS_H

#include <stdint.h>

typedef void (*raw_ready)(void *context);
/// `leftAt` is the time in the message, by raw_now().
typedef void (*raw_heard)(void *context, uint64_t leftAt);

/// Nanoseconds of the clock that all processes of a machine share.
uint64_t raw_now(void);
/// Sleeps until message `index` of a series with `rate` a second is due; returns at once when `rate` is 0.
void raw_pace(uint64_t start, int index, int rate);

/// PUBLISH and SUBSCRIBE by hiredis; one message under way.
const char *raw_redis_consume(const char *url, const char *channel, int count, void *context, raw_ready ready, raw_heard heard);
const char *raw_redis_publish(const char *url, const char *channel, int count, int rate);
/// Calls a script that is loaded already with these `words`, `count` times, `window` calls under way. The last argument is a
/// record of 124 bytes whose bytes 16 to 23 count up, and whose last 100 begin with the time.
const char *raw_redis_script(const char *url, int count, int window, int wordCount, const char *const *words);

/// NOTIFY and LISTEN by libpq; one message under way.
const char *raw_postgres_consume(const char *url, const char *channel, int count, void *context, raw_ready ready, raw_heard heard);
const char *raw_postgres_publish(const char *url, const char *channel, int count, int rate);

/// A stream queue by librabbitmq, published to with confirms, at most `window` messages unconfirmed.
const char *raw_rabbit_consume(const char *url, const char *queue, int count, void *context, raw_ready ready, raw_heard heard);
const char *raw_rabbit_publish(const char *url, const char *queue, int count, int rate, int window);

#endif
