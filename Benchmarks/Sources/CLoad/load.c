#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    read_bytes = 256 * 1024, // one read takes what a socket buffer can hold
    events_at_once = 512,
    latencies_kept = 1 << 20,
    deadline_ms = 10000,
};

crowd *crowd_create(uint32_t capacity, uint32_t window) {
    crowd *crowd = calloc(1, sizeof(struct crowd) + capacity * sizeof(connection));
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    crowd->desk = -1;
    crowd->capacity = capacity;
    crowd->window_mask = window - 1;
    crowd->holders = calloc(window, sizeof(uint32_t));
    crowd->published_at = calloc(window, sizeof(uint64_t));
    crowd->latencies = calloc(latencies_kept, sizeof(uint64_t));
    crowd->buffer = malloc(read_bytes + marker_bytes);
    return crowd;
}

void crowd_destroy(crowd *crowd) {
    for (uint32_t i = 0; i < crowd->count; i++) {
        close(crowd->connections[i].descriptor);
        poller_destroy(crowd->connections[i].poller);
    }
    if (crowd->desk >= 0) close(crowd->desk);
    close(crowd->epoll);
    free(crowd->holders);
    free(crowd->published_at);
    free(crowd->latencies);
    free(crowd->buffer);
    free(crowd);
}

// MARK: Connecting

int dial(uint16_t port, uint8_t source) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (source != 0) {
        // Why: the port is then chosen per peer, so that each source address brings its own range of ports.
        setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + source);
        if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0) goto failed;
    }
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0) goto failed;
    return descriptor;
failed:
    close(descriptor);
    return -errno;
}

int read_until(int descriptor, const char *end, char *bytes, size_t capacity) {
    size_t count = 0;
    uint64_t deadline = monotonic_now() + deadline_ms * 1000000ull;
    while (count + 1 < capacity) {
        if (monotonic_now() > deadline) return -ETIMEDOUT;
        struct pollfd readable = {.fd = descriptor, .events = POLLIN};
        if (poll(&readable, 1, deadline_ms) <= 0) return -ETIMEDOUT;
        ssize_t n = read(descriptor, bytes + count, capacity - 1 - count);
        if (n <= 0) return -ECONNRESET;
        count += (size_t)n;
        bytes[count] = 0;
        if (strstr(bytes, end) != NULL) return (int)count;
    }
    return -EPROTO;
}

static int greet(crowd *crowd, int32_t index, greeting greeting, const char *path, uint16_t port) {
    if (greeting == GREETING_NONE) return 0;
    char request[1024], answer[greeting_bytes];
    int count = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u" UPGRADE, path, port);
    int descriptor = crowd->connections[index].descriptor;
    int result = crowd_send(crowd, index, request, (uint32_t)count);
    if (result == 0) result = read_until(descriptor, "\r\n\r\n", answer, sizeof answer);
    if (result < 0 || greeting == GREETING_WEBSOCKET) return result;
    static const char handshake[] = "{\"protocol\":\"json\",\"version\":1}\x1e";
    char frame[sizeof handshake + 8];
    result = crowd_send(crowd, index, frame, websocket_text(handshake, sizeof handshake - 1, frame));
    return result != 0 ? result : read_until(descriptor, "{}\x1e", answer, sizeof answer);
}

int32_t crowd_add(crowd *crowd, uint16_t port, uint8_t source) {
    if (crowd->count == crowd->capacity) return -ENOSPC;
    int descriptor = dial(port, source);
    if (descriptor < 0) return descriptor;
    crowd->connections[crowd->count] = (connection){.descriptor = descriptor};
    return (int32_t)crowd->count++;
}

int32_t crowd_connect(crowd *crowd, uint16_t port, uint8_t source, greeting greeting, const char *path) {
    int32_t index = crowd_add(crowd, port, source);
    if (index < 0) return index;
    int result = greet(crowd, index, greeting, path, port);
    return result < 0 ? result : crowd_listen(crowd, index);
}

int32_t crowd_listen(crowd *crowd, int32_t index) {
    int descriptor = crowd->connections[index].descriptor;
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
    return epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 ? index : -errno;
}

// MARK: Receiving

void crowd_expect(crowd *crowd, uint32_t subscribers) {
    crowd->subscribers = subscribers;
    crowd->tally = (tally){0};
    memset(crowd->holders, 0, (crowd->window_mask + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < crowd->count; i++) crowd->connections[i].next_sequence = 0;
}

static void message_arrived(crowd *crowd, connection *connection, uint32_t sequence) {
    crowd->tally.deliveries++;
    if (sequence != connection->next_sequence) {
        crowd->tally.misplaced++;
        return;
    }
    connection->next_sequence++;
    uint32_t slot = sequence & crowd->window_mask;
    if (++crowd->holders[slot] != crowd->subscribers) return;
    crowd->holders[slot] = 0;
    crowd->tally.ended = crowd->now;
    crowd->latencies[crowd->tally.complete++ % latencies_kept] = crowd->now - crowd->published_at[slot];
}

static bool parse_sequence(const char *digits, uint32_t *sequence) {
    uint32_t value = 0;
    for (int i = 0; i < marker_bytes - 2; i++) {
        if (digits[i] < '0' || digits[i] > '9') return false;
        value = value * 10 + (uint32_t)(digits[i] - '0');
    }
    *sequence = value;
    return true;
}

/// Finds every marker in `bytes`; keeps the beginning of one that is cut off by the end.
static uint64_t scan(crowd *crowd, connection *connection, const char *bytes, size_t count) {
    const char *at = bytes, *end = bytes + count;
    uint64_t found = 0;
    connection->carried = 0;
    while (at < end && (at = memchr(at, '@', (size_t)(end - at))) != NULL) {
        size_t rest = (size_t)(end - at);
        if (rest < marker_bytes) {
            memcpy(connection->carry, at, rest);
            connection->carried = (uint8_t)rest;
            break;
        }
        uint32_t sequence;
        if (at[1] == '#' && parse_sequence(at + 2, &sequence)) {
            message_arrived(crowd, connection, sequence);
            found++;
            at += marker_bytes;
        } else {
            at++;
        }
    }
    return found;
}

int64_t crowd_poll(crowd *crowd, int timeout_ms) {
    struct epoll_event events[events_at_once];
    int ready = epoll_wait(crowd->epoll, events, events_at_once, timeout_ms);
    if (ready < 0) return errno == EINTR ? 0 : -errno;
    crowd->now = monotonic_now();
    uint64_t found = 0, bytes = 0, reads = 0;
    for (int i = 0; i < ready; i++) {
        connection *connection = &crowd->connections[events[i].data.u32];
        memcpy(crowd->buffer, connection->carry, connection->carried);
        ssize_t n = read(connection->descriptor, crowd->buffer + connection->carried, read_bytes);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n <= 0) return -ECONNRESET;
        bytes += (uint64_t)n;
        reads++;
        const char *news = crowd->buffer + connection->carried;
        found += scan(crowd, connection, crowd->buffer, connection->carried + (size_t)n);
        if (connection->poller == NULL) continue;
        int result = poller_received(crowd, (int32_t)events[i].data.u32, news, (size_t)n);
        if (result < 0) return result;
    }
    atomic_fetch_add_explicit(&crowd->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&crowd->reads, reads, memory_order_relaxed);
    // Why last and released: whoever sees these messages sees their bytes and reads too.
    atomic_fetch_add_explicit(&crowd->messages, found, memory_order_release);
    return (int64_t)found;
}

received crowd_received(const crowd *crowd) {
    uint64_t messages = atomic_load_explicit(&crowd->messages, memory_order_acquire);
    return (received){
        .messages = messages,
        .bytes = atomic_load_explicit(&crowd->bytes, memory_order_relaxed),
        .reads = atomic_load_explicit(&crowd->reads, memory_order_relaxed),
    };
}

static void *poll_until_halted(void *argument) {
    crowd *crowd = argument;
    while (!atomic_load(&crowd->halting)) {
        int64_t found = crowd_poll(crowd, 50);
        if (found < 0) {
            crowd->thread_result = (int)found;
            break;
        }
    }
    return NULL;
}

void crowd_start(crowd *crowd) {
    crowd->thread_result = 0;
    atomic_store(&crowd->halting, false);
    pthread_create(&crowd->thread, NULL, poll_until_halted, crowd);
}

int crowd_halt(crowd *crowd) {
    atomic_store(&crowd->halting, true);
    pthread_join(crowd->thread, NULL);
    return crowd->thread_result;
}

tally crowd_tally(const crowd *crowd) {
    return crowd->tally;
}

static int ascending(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

uint64_t crowd_latency(crowd *crowd, double fraction) {
    uint64_t kept = crowd->tally.complete < latencies_kept ? crowd->tally.complete : latencies_kept;
    if (kept == 0) return 0;
    qsort(crowd->latencies, kept, sizeof(uint64_t), ascending);
    return crowd->latencies[(uint64_t)(fraction * (double)(kept - 1))];
}

// MARK: Sending

void crowd_message(uint32_t sequence, char *text) {
    char marker[marker_bytes + 1];
    snprintf(marker, sizeof marker, "@#%08u", sequence % 100000000u);
    memset(text, 'x', MESSAGE_BYTES);
    memcpy(text, marker, marker_bytes);
}

void crowd_published(crowd *crowd, uint32_t sequence) {
    uint64_t now = monotonic_now();
    if (crowd->tally.started == 0) crowd->tally.started = now;
    crowd->published_at[sequence & crowd->window_mask] = now;
}

int crowd_send(crowd *crowd, int32_t index, const char *bytes, uint32_t count) {
    int descriptor = crowd->connections[index].descriptor;
    while (count > 0) {
        ssize_t n = send(descriptor, bytes, count, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd writable = {.fd = descriptor, .events = POLLOUT};
            if (poll(&writable, 1, deadline_ms) <= 0) return -ETIMEDOUT;
            continue;
        }
        if (n < 0) return -errno;
        bytes += n;
        count -= (uint32_t)n;
    }
    return 0;
}

uint32_t websocket_text(const char *text, uint32_t count, char *frame) {
    uint32_t at = 0, done = 0;
    frame[at++] = (char)0x81;
    if (count < 126) {
        frame[at++] = (char)(0x80 | count);
    } else {
        frame[at++] = (char)(0x80 | 126);
        frame[at++] = (char)(count >> 8);
        frame[at++] = (char)(count & 0xff);
    }
    const uint32_t mask = 0x3d21fa37;
    memcpy(frame + at, &mask, sizeof mask);
    at += sizeof mask;
    while (done < count) {
        uint32_t word = 0, bytes = count - done < sizeof word ? count - done : sizeof word;
        memcpy(&word, text + done, bytes);
        word ^= mask;
        memcpy(frame + at + done, &word, bytes);
        done += bytes;
    }
    return at + count;
}
