#ifndef CROWD_H
#define CROWD_H

#include "load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

enum {
    marker_bytes = 10, // "@#" and eight digits
    greeting_bytes = 4096,
};

#define UPGRADE \
    "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"

/// What a long-polling connection needs for its next request.
typedef struct poller poller;

typedef struct {
    int descriptor;
    uint32_t next_sequence;
    uint8_t carried; // bytes of a marker cut off by the end of the last read
    char carry[marker_bytes];
    poller *poller; // NULL: what it receives has no end
} connection;

struct crowd {
    int epoll;
    int desk; // where classic clients negotiate and start; -1: nobody did
    uint32_t count, capacity, subscribers, window_mask;
    uint32_t *holders;      // per message under way: how many subscribers have it
    uint64_t *published_at; // per message under way
    uint64_t *latencies;
    _Atomic uint64_t messages, bytes, reads;
    _Atomic bool halting;
    pthread_t thread;
    int thread_result;
    uint64_t now; // of the current poll: one clock read for all that it brought
    tally tally;
    char *buffer;
    connection connections[];
};

/// A socket that is connected to 127.0.0.1:`port`, or a negative errno.
int dial(uint16_t port, uint8_t source);

/// Reads until the bytes, which are ended with a zero, contain `end`; nothing may follow it, because the server speaks
/// only when asked. Returns their count.
int read_until(int descriptor, const char *end, char *bytes, size_t capacity);

/// Adds a connection that says nothing yet and is not listened to.
int32_t crowd_add(crowd *, uint16_t port, uint8_t source);

/// Listens to a connection from now on. Returns its index.
int32_t crowd_listen(crowd *, int32_t index);

/// Takes more of the answer to a poll and polls again when it was the end. Returns a negative errno when it can't.
int poller_received(crowd *, int32_t index, const char *bytes, size_t count);

void poller_destroy(poller *);

#endif
