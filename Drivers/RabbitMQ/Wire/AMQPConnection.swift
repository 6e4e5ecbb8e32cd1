import BusbarDriver
import CRabbitMQ
import NIOCore

/// What a connection tells its owner. Nothing follows ``closed(_:)``.
enum AMQPEvent: Hashable {
    case delivery(AMQPDelivery)
    /// Messages up to this tag, or just this one, are stored; or the broker couldn't store them.
    case confirmed(tag: UInt64, multiple: Bool, isStored: Bool)
    /// Nobody wanted a message: there is no queue bound for it.
    case returned(LogEntry.Mark?, String)
    /// The broker ended a consumer, as when its queue is deleted.
    case cancelled(consumer: String)
    case channelClosed(AMQPFault)
    case blocked(String)
    case unblocked
    case closed(AMQPFault)
}

/// One connection of librabbitmq's, logged in: requests out, answers and messages in. Confined to its driver's thread.
///
/// The library is used without its own waiting: after the login nothing waits for an answer, frames are taken as they come.
/// It still may wait for room to write; ``SocketWatch`` ends that.
final class AMQPConnection {
    typealias Completion = AMQPChannel.Completion

    let descriptor: CInt
    private let state: amqp_connection_state_t
    private let watch: SocketWatch
    private var channels: [UInt16: AMQPChannel] = [:]
    private(set) var fault: AMQPFault?
    private var owner: ((UInt16, AMQPEvent) -> Void)?
    /// The library holds frames that were not taken yet.
    private(set) var hasMore = false

    /// Takes over a logged-in connection, whose socket is being watched.
    init(_ state: amqp_connection_state_t, watch: SocketWatch) {
        self.state = state
        self.watch = watch
        self.descriptor = amqp_get_sockfd(state)
    }

    deinit {
        self.watch.remove(self.descriptor)
        amqp_destroy_connection(self.state)
    }

    /// The owner hears each event with its channel's number, 0 for the connection's own.
    func setOwner(_ owner: @escaping (UInt16, AMQPEvent) -> Void) {
        self.owner = owner
    }

    /// When the oldest request must have been answered.
    var deadline: ContinuousClock.Instant? { self.channels.values.compactMap(\.deadline).min() }

    func isOpen(_ channel: UInt16) -> Bool { self.fault == nil && self.channels[channel]?.isOpen == true }

    // MARK: Out

    /// Sends a request; `completion` is called once.
    func send(
        _ request: AMQPRequest, on channel: UInt16, by deadline: ContinuousClock.Instant,
        completion: @escaping Completion = { _ in }
    ) {
        if let fault = self.fault { return completion(.failure(fault)) }
        guard request == .openChannel || self.isOpen(channel) else {
            return completion(.failure(.channelClosed(code: 504, text: "the channel is closed")))
        }
        self.channels[channel, default: AMQPChannel()].asked(request.answer, by: deadline, completion: completion)
        self.check(request.send(on: channel, of: self.state))
    }

    /// Closes a channel: what it awaited fails, and nothing of it is heard any more.
    func closeChannel(_ number: UInt16) {
        guard self.isOpen(number), var channel = self.channels.removeValue(forKey: number) else { return }
        var goodbye = amqp_channel_close_t(
            reply_code: UInt16(AMQP_REPLY_SUCCESS), reply_text: amqp_empty_bytes, class_id: 0, method_id: 0)
        self.check(amqp_send_method(self.state, number, AMQP_CHANNEL_CLOSE_METHOD, &goodbye))
        let fault = AMQPFault.channelClosed(code: 504, text: "the channel was given up")
        for completion in channel.closed() { completion(.failure(fault)) }
    }

    func acknowledge(upTo tag: UInt64, on channel: UInt16) {
        guard self.isOpen(channel) else { return }
        self.check(amqp_basic_ack(self.state, channel, tag, 1))
    }

    /// Publishes a message that has to find a queue. What becomes of it comes as events.
    func publish(_ message: AMQPMessage, on channel: UInt16) {
        guard self.isOpen(channel) else { return }
        self.check(message.send(on: channel, of: self.state))
    }

    /// Says goodbye, and tells nobody any more. The socket is closed with the last reference.
    func close(_ fault: AMQPFault) {
        self.owner = nil
        if self.fault == nil, !self.watch.isStuck {
            var goodbye = amqp_connection_close_t(
                reply_code: UInt16(AMQP_REPLY_SUCCESS), reply_text: amqp_empty_bytes, class_id: 0, method_id: 0)
            _ = amqp_send_method(self.state, 0, AMQP_CONNECTION_CLOSE_METHOD, &goodbye)
        }
        self.end(fault)
    }

    private func check(_ status: CInt) {
        guard status < 0 else { return }
        self.end(.lost("\(Self.text(of: status))\(self.watch.isStuck ? ", after waiting for room to write" : "")"))
    }

    private func end(_ fault: AMQPFault) {
        guard self.fault == nil else { return }
        self.fault = fault
        self.hasMore = false
        let channels = self.channels
        self.channels = [:]
        for var channel in channels.values { for completion in channel.closed() { completion(.failure(fault)) } }
        let owner = self.owner
        self.owner = nil
        owner?(0, .closed(fault))
    }

    // MARK: In

    /// Takes what has arrived, a bounded number of frames; also keeps the heartbeat going. Call it at least once a second.
    func receive(limit: Int = 8_192) {
        self.hasMore = false
        var frame = amqp_frame_t()
        for _ in 0..<limit {
            guard self.fault == nil else { return }
            var noTime = timeval(tv_sec: 0, tv_usec: 0)
            let status = amqp_simple_wait_frame_noblock(self.state, &frame, &noTime)
            if status == AMQP_STATUS_TIMEOUT.rawValue { return }
            guard status == AMQP_STATUS_OK.rawValue else { return self.check(status) }
            if !self.take(frame) {
                return self.end(.lost("the broker sent what doesn't belong there"))
            }
            // Why after each: the library keeps the memory of every frame until told that nobody looks at it any more.
            amqp_maybe_release_buffers(self.state)
        }
        self.hasMore = true
    }

    private func take(_ frame: amqp_frame_t) -> Bool {
        let number = frame.channel
        switch CInt(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            return self.take(frame.payload.method, on: number)
        case AMQP_FRAME_HEADER:
            let header = frame.payload.properties
            guard let properties = header.decoded?.assumingMemoryBound(to: amqp_basic_properties_t.self) else {
                return false
            }
            return self.onContent(of: number) { $0.header(properties.pointee, bodyBytes: header.body_size) }
        case AMQP_FRAME_BODY:
            let part = frame.payload.body_fragment
            return self.onContent(of: number) { $0.body(UnsafeRawBufferPointer(start: part.bytes, count: part.len)) }
        default:
            return true
        }
    }

    private func onContent(
        of number: UInt16, _ body: (inout AMQPChannel) -> (event: AMQPEvent?, isFit: Bool)
    ) -> Bool {
        // Why true: the rest of a message may be under way when its channel is closed.
        guard self.channels[number] != nil else { return true }
        let (event, isFit) = body(&self.channels[number, default: AMQPChannel()])
        if let event { self.owner?(number, event) }
        return isFit
    }

    private func take(_ method: amqp_method_t, on number: UInt16) -> Bool {
        func arguments<T>(_: T.Type) -> T? { method.decoded?.assumingMemoryBound(to: T.self).pointee }
        switch method.id {
        case AMQP_BASIC_DELIVER_METHOD:
            guard let arguments = arguments(amqp_basic_deliver_t.self) else { return false }
            self.channels[number]?.delivered(arguments)
        case AMQP_BASIC_RETURN_METHOD:
            guard let arguments = arguments(amqp_basic_return_t.self) else { return false }
            self.channels[number]?.returned(arguments)
        case AMQP_BASIC_ACK_METHOD:
            guard let ack = arguments(amqp_basic_ack_t.self) else { return false }
            self.owner?(number, .confirmed(tag: ack.delivery_tag, multiple: ack.multiple != 0, isStored: true))
        case AMQP_BASIC_NACK_METHOD:
            guard let nack = arguments(amqp_basic_nack_t.self) else { return false }
            self.owner?(number, .confirmed(tag: nack.delivery_tag, multiple: nack.multiple != 0, isStored: false))
        case AMQP_BASIC_CANCEL_METHOD:
            guard let cancel = arguments(amqp_basic_cancel_t.self) else { return false }
            self.owner?(number, .cancelled(consumer: String(copying: cancel.consumer_tag)))
        case AMQP_CONNECTION_BLOCKED_METHOD:
            guard let blocked = arguments(amqp_connection_blocked_t.self) else { return false }
            self.owner?(0, .blocked(String(copying: blocked.reason)))
        case AMQP_CONNECTION_UNBLOCKED_METHOD:
            self.owner?(0, .unblocked)
        case AMQP_CHANNEL_CLOSE_METHOD:
            guard let close = arguments(amqp_channel_close_t.self) else { return false }
            self.channelClosed(number, .channelClosed(code: close.reply_code, text: String(copying: close.reply_text)))
        case AMQP_CONNECTION_CLOSE_METHOD:
            guard let close = arguments(amqp_connection_close_t.self) else { return false }
            let fault = AMQPFault.connectionClosed(code: close.reply_code, text: String(copying: close.reply_text))
            var answer = amqp_connection_close_ok_t()
            _ = amqp_send_method(self.state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &answer)
            self.end(fault)
        default:
            // Why true: answers to what was asked before the channel was closed and opened anew belong to nobody.
            let completion = self.channels[number]?.answered(method.id)
            completion?(.success(()))
        }
        return true
    }

    private func channelClosed(_ number: UInt16, _ fault: AMQPFault) {
        var answer = amqp_channel_close_ok_t()
        self.check(amqp_send_method(self.state, number, AMQP_CHANNEL_CLOSE_OK_METHOD, &answer))
        var channel = self.channels.removeValue(forKey: number)
        for completion in channel?.closed() ?? [] { completion(.failure(fault)) }
        self.owner?(number, .channelClosed(fault))
    }

    /// What the broker said of itself when we logged in.
    var brokerFacts: BrokerFacts {
        var texts: [String: String] = [:]
        if let table = amqp_get_server_properties(self.state)?.pointee {
            for index in 0..<Int(table.num_entries) {
                let entry = table.entries[index]
                guard UInt32(entry.value.kind) == AMQP_FIELD_KIND_UTF8.rawValue else { continue }
                texts[String(copying: entry.key)] = String(copying: entry.value.value.bytes)
            }
        }
        let version = texts["version"]?.split(separator: ".").compactMap { Int($0) } ?? []
        return BrokerFacts(product: texts["product"], version: version)
    }

    static func text(of status: CInt) -> String { String(cString: amqp_error_string2(status)) }
}
