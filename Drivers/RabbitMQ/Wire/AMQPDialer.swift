import BusbarDriver
import CRabbitMQ

/// Opens connections: socket, TLS, login. Blocks its thread, each time for ``RabbitMQConfiguration/requestLimit`` at most, the
/// resolution of names by the system apart.
struct AMQPDialer {
    let configuration: RabbitMQConfiguration
    let watch: SocketWatch

    /// - Parameter purpose: shown in the broker's list of connections.
    func dial(_ host: RabbitMQConfiguration.Host, for purpose: String) throws(DriverError) -> AMQPConnection {
        guard let state = amqp_new_connection() else { throw .lost("librabbitmq has no memory for a connection") }
        do throws(DriverError) {
            try self.open(state, host)
        } catch {
            amqp_destroy_connection(state)
            throw error
        }
        self.watch.add(amqp_get_sockfd(state))
        do throws(DriverError) {
            try self.logIn(state, purpose)
        } catch {
            self.watch.remove(amqp_get_sockfd(state))
            amqp_destroy_connection(state)
            throw error
        }
        return AMQPConnection(state, watch: self.watch)
    }

    private var limit: timeval {
        let (seconds, attoseconds) = self.configuration.requestLimit.components
        return timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
    }

    private func open(_ state: amqp_connection_state_t, _ host: RabbitMQConfiguration.Host) throws(DriverError) {
        let socket: OpaquePointer
        if let tls = self.configuration.tls {
            socket = try Self.protectedSocket(state, tls)
        } else {
            guard let plain = amqp_tcp_socket_new(state) else { throw .lost("librabbitmq has no memory for a socket") }
            socket = plain
        }
        var limit = self.limit
        let status = amqp_socket_open_noblock(socket, host.name, CInt(host.port), &limit)
        guard status != AMQP_STATUS_OK.rawValue else { return }
        let detail = "\(host.name):\(host.port): \(AMQPConnection.text(of: status))"
        switch status {
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED.rawValue, AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED.rawValue:
            let remedy =
                "wanted: a certificate for this host's name (an address won't do) by an authority in authoritiesFile"
            throw DriverError(.unauthorized, during: "run", recovery: .giveUp, detail: "\(detail); \(remedy)")
        default:
            throw .lost(detail)
        }
    }

    private static func protectedSocket(
        _ state: amqp_connection_state_t, _ tls: RabbitMQConfiguration.TLS
    ) throws(DriverError) -> OpaquePointer {
        guard let socket = amqp_ssl_socket_new(state) else { throw .lost("librabbitmq has no memory for a TLS socket") }
        amqp_ssl_socket_set_verify_peer(socket, tls.isVerified ? 1 : 0)
        amqp_ssl_socket_set_verify_hostname(socket, tls.isVerified ? 1 : 0)
        try Self.check(amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST), "TLS 1.2 or later")
        if tls.isVerified {
            try Self.check(amqp_ssl_socket_set_cacert(socket, tls.authoritiesFile), "authoritiesFile, a PEM file")
        }
        if let certificate = tls.certificateFile, let key = tls.keyFile {
            let remedy = "certificateFile and keyFile, PEM files that belong together"
            try Self.check(amqp_ssl_socket_set_key(socket, certificate, key), remedy)
        }
        return socket
    }

    private static func check(_ status: CInt, _ wanted: String) throws(DriverError) {
        guard status != AMQP_STATUS_OK.rawValue else { return }
        let detail = "TLS can't be set up: \(AMQPConnection.text(of: status)); wanted: \(wanted)"
        throw DriverError(.rejected, during: "run", recovery: .giveUp, detail: detail)
    }

    private func logIn(_ state: amqp_connection_state_t, _ purpose: String) throws(DriverError) {
        var limit = self.limit
        amqp_set_handshake_timeout(state, &limit)
        amqp_set_rpc_timeout(state, &limit)
        let memory = AMQPMemory()
        var properties = memory.table([
            AMQPArgument("product", "Busbar"),
            AMQPArgument("connection_name", "busbar:\(self.configuration.app) \(purpose)"),
            // Why: librabbitmq claims none of them by itself, and the broker tells only who says that it understands.
            AMQPArgument(
                "capabilities",
                .table([
                    AMQPArgument("connection.blocked", .flag(true)),
                    AMQPArgument("consumer_cancel_notify", .flag(true)),
                    AMQPArgument("publisher_confirms", .flag(true)), AMQPArgument("basic.nack", .flag(true)),
                ])),
        ])
        let heartbeat = CInt(clamping: self.configuration.heartbeat.components.seconds)
        let (host, frame) = (self.configuration.virtualHost, CInt(AMQP_DEFAULT_FRAME_SIZE))
        let reply: amqp_rpc_reply_t
        switch self.configuration.credentials {
        case .password(let user, let password):
            reply = busbar_amqp_login_plain(state, host, frame, heartbeat, &properties, user, password.text)
        case .certificate:
            // Why an identity, which the broker doesn't look at: without one, librabbitmq 0.11 runs out of memory, it says.
            reply = busbar_amqp_login_external(state, host, frame, heartbeat, &properties, "busbar")
        }
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL:
            return
        case AMQP_RESPONSE_SERVER_EXCEPTION where reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD:
            guard let close = reply.reply.decoded?.assumingMemoryBound(to: amqp_connection_close_t.self).pointee else {
                throw .lost("the broker refused the login")
            }
            let fault = AMQPFault.connectionClosed(code: close.reply_code, text: String(copying: close.reply_text))
            throw fault.driverError(during: "run")
        case AMQP_RESPONSE_LIBRARY_EXCEPTION
        where reply.library_error == AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD.rawValue:
            let detail =
                "the broker doesn't offer this way of authentication; wanted: for auth=external, its plugin "
                + "rabbitmq_auth_mechanism_ssl"
            throw DriverError(.unauthorized, during: "run", recovery: .giveUp, detail: detail)
        default:
            throw .lost("the login failed: \(AMQPConnection.text(of: reply.library_error))")
        }
    }
}
