#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>

/// A crowd of clients behind one epoll, made to cost much less than the server it measures: it reads with large reads
/// and looks for numbered messages in the raw bytes, without parsing frames. One thread at a time may use
/// a crowd, except for `crowd_received`. Every function that can fail returns a negative errno.
typedef struct crowd crowd;

/// Bytes of a message made by `crowd_message`: "@#", eight digits, filling.
#define MESSAGE_BYTES 100

/// What a new connection says before it listens.
typedef enum {
    GREETING_NONE = 0,      ///< nothing: bare TCP
    GREETING_WEBSOCKET = 1, ///< the WebSocket upgrade
    GREETING_SIGNALR = 2,   ///< the upgrade, then the handshake of core SignalR's JSON protocol
} greeting;

/// A crowd of at most `capacity` connections with at most `window` (a power of two) messages under way.
crowd *crowd_create(uint32_t capacity, uint32_t window);

/// Closes every connection and frees the crowd.
void crowd_destroy(crowd *);

/// Connects to 127.0.0.1:`port` from 127.0.0.`source` (0: any), greets, and returns the connection's index.
/// Blocks for at most 10 seconds.
int32_t crowd_connect(crowd *, uint16_t port, uint8_t source, greeting, const char *path);

/// How a client of the classic protocol receives.
typedef enum {
    CLASSIC_WEBSOCKETS = 0,
    CLASSIC_SERVER_SENT_EVENTS = 1,
    CLASSIC_LONG_POLLING = 2, ///< polls again, with its cursor, as soon as it has an answer
} classic_transport;

/// Connects to 127.0.0.1:`port` as a classic client of the hub `chathub`: negotiates, opens its receive channel, starts.
/// Returns the connection's index. Blocks for at most 10 seconds at each step.
int32_t crowd_connect_classic(crowd *, uint16_t port, classic_transport);

/// Receive requests that long-polling clients have sent so far.
uint64_t crowd_polls(const crowd *);

/// Counts each message as delivered once `subscribers` connections have it; forgets what was counted before.
void crowd_expect(crowd *, uint32_t subscribers);

/// Waits at most `timeout_ms` for bytes and takes all there are. Returns the messages seen by this call, or
/// -ECONNRESET when the server closed a connection.
int64_t crowd_poll(crowd *, int timeout_ms);

/// What all connections of a crowd received since it was made.
typedef struct {
    uint64_t messages;
    uint64_t bytes;
    uint64_t reads; ///< reads that brought something
} received;

/// May be called from another thread.
received crowd_received(const crowd *);

/// Polls on a thread of its own until `crowd_halt`. Meanwhile only `crowd_received` may be called.
void crowd_start(crowd *);

/// Ends the thread of `crowd_start`. Returns what ended it early, a negative errno, or 0.
int crowd_halt(crowd *);

/// Writes the text of message `sequence` (MESSAGE_BYTES bytes).
void crowd_message(uint32_t sequence, char *text);

/// Notes that message `sequence` is being published now. Sequences start at 0 and have no holes.
void crowd_published(crowd *, uint32_t sequence);

/// Sends raw bytes on one connection, waiting while the socket is full.
int crowd_send(crowd *, int32_t connection, const char *bytes, uint32_t count);

/// Writes a masked WebSocket text frame of `count` (at most 65 535) bytes to `frame`, which has room for 8 more, and
/// returns its size.
uint32_t websocket_text(const char *text, uint32_t count, char *frame);

/// What was counted since `crowd_expect`.
typedef struct {
    uint64_t deliveries;  ///< messages, each counted once per subscriber
    uint64_t complete;    ///< messages that every subscriber has
    uint64_t misplaced;   ///< messages that came twice, too early (so one was lost) or out of order
    uint64_t started;     ///< first `crowd_published`, nanoseconds of the monotonic clock
    uint64_t ended;       ///< last completion, nanoseconds of the monotonic clock
} tally;

tally crowd_tally(const crowd *);

/// The latency until the last subscriber had the message, in nanoseconds, below which a `fraction` of the complete
/// messages stay.
uint64_t crowd_latency(crowd *, double fraction);

/// User plus system CPU time of process `pid` in nanoseconds, summed over its threads, or 0 when there is none.
uint64_t process_cpu(int pid);

/// CPU time of the calling thread in nanoseconds.
uint64_t thread_cpu(void);

/// The monotonic clock in nanoseconds.
uint64_t monotonic_now(void);

#endif
