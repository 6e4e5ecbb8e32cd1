// librabbitmq with its TLS socket, and what Swift can't call: variadic functions.
// Why no pkgConfig in the manifest: librabbitmq's needs OpenSSL's, which nothing here is compiled against.
#ifndef BUSBAR_CRABBITMQ_SHIM_H
#define BUSBAR_CRABBITMQ_SHIM_H

#include <stdint.h>
#include <sys/time.h>

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

/// Shows user and password. Channels as many as the broker likes.
static inline amqp_rpc_reply_t busbar_amqp_login_plain(
    amqp_connection_state_t state, const char *vhost, int frame_max, int heartbeat,
    const amqp_table_t *properties, const char *user, const char *password) {
    return amqp_login_with_properties(
        state, vhost, 0, frame_max, heartbeat, properties, AMQP_SASL_METHOD_PLAIN, user, password);
}

/// The broker takes the identity from the client's certificate.
static inline amqp_rpc_reply_t busbar_amqp_login_external(
    amqp_connection_state_t state, const char *vhost, int frame_max, int heartbeat,
    const amqp_table_t *properties, const char *identity) {
    return amqp_login_with_properties(
        state, vhost, 0, frame_max, heartbeat, properties, AMQP_SASL_METHOD_EXTERNAL, identity);
}

#endif
