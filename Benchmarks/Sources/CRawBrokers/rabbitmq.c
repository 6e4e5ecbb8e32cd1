#include "raw_brokers.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdlib.h>
#include <string.h>

static amqp_connection_state_t connected(const char *url) {
    char *text = strdup(url);
    struct amqp_connection_info info;
    amqp_connection_state_t state = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(state);
    int isOpen = socket && amqp_parse_url(text, &info) == AMQP_STATUS_OK &&
                 amqp_socket_open(socket, info.host, info.port) == AMQP_STATUS_OK &&
                 amqp_login(state, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password).reply_type ==
                     AMQP_RESPONSE_NORMAL;
    free(text);
    if (!isOpen) return NULL;
    amqp_channel_open(state, 1);
    return amqp_get_rpc_reply(state).reply_type == AMQP_RESPONSE_NORMAL ? state : NULL;
}

static amqp_table_t text_table(amqp_table_entry_t *entry, const char *key, const char *value) {
    entry->key = amqp_cstring_bytes(key);
    entry->value.kind = AMQP_FIELD_KIND_UTF8;
    entry->value.value.bytes = amqp_cstring_bytes(value);
    return (amqp_table_t){.num_entries = 1, .entries = entry};
}

static const char *declared(amqp_connection_state_t state, const char *queue) {
    amqp_table_entry_t entry;
    amqp_table_t arguments = text_table(&entry, "x-queue-type", "stream");
    amqp_queue_declare(state, 1, amqp_cstring_bytes(queue), 0, 1, 0, 0, arguments);
    return amqp_get_rpc_reply(state).reply_type == AMQP_RESPONSE_NORMAL ? NULL : "the queue can't be declared";
}

const char *raw_rabbit_consume(const char *url, const char *queue, int count, void *context, raw_ready ready, raw_heard heard) {
    amqp_connection_state_t state = connected(url);
    if (!state) return "no connection";
    const char *error = declared(state, queue);
    if (error) return error;
    amqp_table_entry_t entry;
    amqp_table_t arguments = text_table(&entry, "x-stream-offset", "next");
    amqp_basic_qos(state, 1, 0, 1024, 0);
    amqp_basic_consume(state, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, arguments);
    if (amqp_get_rpc_reply(state).reply_type != AMQP_RESPONSE_NORMAL) return "the queue can't be consumed";
    ready(context);
    for (int index = 1; index <= count; index++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(state);
        if (amqp_consume_message(state, &envelope, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL) return "nothing more comes";
        uint64_t leftAt = 0;
        if (envelope.message.body.len >= sizeof leftAt) memcpy(&leftAt, envelope.message.body.bytes, sizeof leftAt);
        heard(context, leftAt);
        if (index % 256 == 0) amqp_basic_ack(state, 1, envelope.delivery_tag, 1);
        amqp_destroy_envelope(&envelope);
    }
    amqp_destroy_connection(state);
    return NULL;
}

/// Takes confirmations until at most `left` messages are unconfirmed.
static const char *confirmed(amqp_connection_state_t state, uint64_t sent, uint64_t *done, uint64_t left) {
    while (sent - *done > left) {
        amqp_frame_t frame;
        amqp_maybe_release_buffers(state);
        if (amqp_simple_wait_frame(state, &frame) != AMQP_STATUS_OK) return "no confirmation";
        if (frame.frame_type != AMQP_FRAME_METHOD) continue;
        if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) return "not confirmed";
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        *done = ack->multiple ? ack->delivery_tag : *done + 1;
    }
    return NULL;
}

const char *raw_rabbit_publish(const char *url, const char *queue, int count, int rate, int window) {
    amqp_connection_state_t state = connected(url);
    if (!state) return "no connection";
    const char *error = declared(state, queue);
    if (error) return error;
    amqp_confirm_select(state, 1);
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    char body[100];
    memset(body, 'a', sizeof body);
    uint64_t done = 0, start = raw_now();
    for (int index = 0; index < count; index++) {
        raw_pace(start, index, rate);
        uint64_t leaving = raw_now();
        memcpy(body, &leaving, sizeof leaving);
        amqp_bytes_t bytes = {.len = sizeof body, .bytes = body};
        if (amqp_basic_publish(state, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 1, 0, &properties, bytes))
            return "can't publish";
        if ((error = confirmed(state, (uint64_t)index + 1, &done, (uint64_t)window - 1))) return error;
    }
    if ((error = confirmed(state, (uint64_t)count, &done, 0))) return error;
    amqp_destroy_connection(state);
    return NULL;
}
