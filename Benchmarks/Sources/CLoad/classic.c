// Clients of the classic protocol: how they connect over each transport, and how they poll.

#include "crowd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    token_bytes = 1024, // percent-encoded
    query_bytes = 2048,
    answer_bytes = 64 * 1024,
};

static const char hubs[] = "connectionData=%5B%7B%22name%22%3A%22chathub%22%7D%5D&clientProtocol=2.1";

struct poller {
    uint16_t port;
    uint64_t polls;
    size_t count; // of the answer so far
    char query[query_bytes];
    char groups[token_bytes];
    char answer[answer_bytes];
};

/// Copies the text member `name` of a JSON object, percent-encoded. False if there is none, or no room.
static bool copy_member(const char *json, const char *name, char *value, size_t capacity) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *at = strstr(json, key);
    if (at == NULL) return false;
    size_t count = 0;
    for (at += strlen(key); *at != 0 && *at != '"'; at++) {
        if (count + 4 > capacity) return false;
        bool isPlain = (*at >= '0' && *at <= '9') || (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z') ||
            *at == '-' || *at == '_' || *at == '.';
        if (isPlain) {
            value[count++] = *at;
        } else {
            count += (size_t)snprintf(value + count, capacity - count, "%%%02X", (unsigned char)*at);
        }
    }
    value[count] = 0;
    return true;
}

static int send_all(int descriptor, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t n = send(descriptor, bytes, count, MSG_NOSIGNAL);
        if (n < 0) return -errno;
        bytes += n;
        count -= (size_t)n;
    }
    return 0;
}

/// Asks on a connection that stays open for whoever asks next. The answer has to end with `end`.
static int ask(crowd *crowd, uint16_t port, const char *what, const char *query, const char *end, char *answer) {
    if (crowd->desk < 0 && (crowd->desk = dial(port, 0)) < 0) return crowd->desk;
    char request[query_bytes + 256];
    int count = snprintf(
        request, sizeof request, "GET /signalr/%s?%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", what, query, port);
    int result = send_all(crowd->desk, request, (size_t)count);
    return result < 0 ? result : read_until(crowd->desk, end, answer, greeting_bytes);
}

static int poll_again(crowd *crowd, int32_t index, const char *what, const char *cursor) {
    poller *poller = crowd->connections[index].poller;
    char body[2 * token_bytes + 64] = "", request[sizeof body + query_bytes + 256];
    int length = 0;
    if (cursor != NULL) {
        length = snprintf(body, sizeof body, "messageId=%s", cursor);
        if (poller->groups[0] != 0) {
            length += snprintf(body + length, sizeof body - (size_t)length, "&groupsToken=%s", poller->groups);
        }
    }
    int count = snprintf(
        request, sizeof request,
        "POST /signalr/%s?%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
        what, poller->query, poller->port, length, body);
    poller->count = 0;
    poller->polls++;
    return crowd_send(crowd, index, request, (uint32_t)count);
}

int poller_received(crowd *crowd, int32_t index, const char *bytes, size_t count) {
    static const char end[] = "\r\n0\r\n\r\n";
    static const size_t end_bytes = sizeof end - 1;
    poller *poller = crowd->connections[index].poller;
    if (poller->count + count >= sizeof poller->answer) return -EMSGSIZE;
    memcpy(poller->answer + poller->count, bytes, count);
    poller->count += count;
    poller->answer[poller->count] = 0;
    if (poller->count < end_bytes || memcmp(poller->answer + poller->count - end_bytes, end, end_bytes) != 0) return 0;
    char cursor[token_bytes];
    if (strncmp(poller->answer, "HTTP/1.1 200 ", 13) != 0) return -EPROTO;
    if (!copy_member(poller->answer, "C", cursor, sizeof cursor)) return -EPROTO;
    copy_member(poller->answer, "G", poller->groups, sizeof poller->groups);
    return poll_again(crowd, index, "poll", cursor);
}

void poller_destroy(poller *poller) {
    free(poller);
}

uint64_t crowd_polls(const crowd *crowd) {
    uint64_t polls = 0;
    for (uint32_t i = 0; i < crowd->count; i++) {
        if (crowd->connections[i].poller != NULL) polls += crowd->connections[i].poller->polls;
    }
    return polls;
}

/// Opens the receive channel and waits until the server says that it is ready.
static int open_channel(crowd *crowd, int32_t index, classic_transport transport, const char *query, uint16_t port) {
    int descriptor = crowd->connections[index].descriptor;
    char request[query_bytes + 512], answer[greeting_bytes];
    if (transport == CLASSIC_LONG_POLLING) {
        poller *poller = crowd->connections[index].poller = calloc(1, sizeof *poller);
        if (poller == NULL) return -ENOMEM;
        poller->port = port;
        memcpy(poller->query, query, strlen(query) + 1);
        int result = poll_again(crowd, index, "connect", NULL);
        if (result == 0) result = read_until(descriptor, "\r\n0\r\n\r\n", answer, sizeof answer);
        if (result < 0) return result;
        return strstr(answer, "\"S\":1") == NULL ? -EPROTO : poller_received(crowd, index, answer, (size_t)result);
    }
    int count = snprintf(
        request, sizeof request, "GET /signalr/connect?%s HTTP/1.1\r\nHost: 127.0.0.1:%u%s", query, port,
        transport == CLASSIC_WEBSOCKETS ? UPGRADE : "\r\nAccept: text/event-stream\r\n\r\n");
    int result = crowd_send(crowd, index, request, (uint32_t)count);
    return result < 0 ? result : read_until(descriptor, "\"S\":1,\"M\":[]}", answer, sizeof answer);
}

int32_t crowd_connect_classic(crowd *crowd, uint16_t port, classic_transport transport) {
    static const char *names[] = {"webSockets", "serverSentEvents", "longPolling"};
    char answer[greeting_bytes], token[token_bytes], query[query_bytes];
    int result = ask(crowd, port, "negotiate", hubs, "\"LongPollDelay\":0.0}", answer);
    if (result < 0) return result;
    if (!copy_member(answer, "ConnectionToken", token, sizeof token)) return -EPROTO;
    snprintf(query, sizeof query, "transport=%s&connectionToken=%s&%s", names[transport], token, hubs);
    int32_t index = crowd_add(crowd, port, 0);
    if (index < 0) return index;
    result = open_channel(crowd, index, transport, query, port);
    if (result < 0) return result;
    index = crowd_listen(crowd, index);
    result = ask(crowd, port, "start", query, "\"started\" }", answer);
    return result < 0 ? result : index;
}
