import CRabbitMQ
import DequeModule
import NIOCore

/// What arrives on one channel: answers to requests, and messages put together out of their frames.
///
/// A value without I/O. What the library hands over by pointer is copied, since it is valid until the next frame only.
struct AMQPChannel {
    typealias Completion = (Result<Void, AMQPFault>) -> Void

    private struct Awaited {
        let answer: UInt32
        let deadline: ContinuousClock.Instant
        let completion: Completion
    }

    private enum Content {
        case none
        /// A method that announces a message has come; its properties have not.
        case headless(Carrier)
        case partial(Carrier, missing: Int)
    }

    private enum Carrier {
        case delivery(AMQPDelivery)
        case returned(text: String, mark: LogEntry.Mark?)
    }

    /// Messages beyond this are refused, and the connection with them: nobody of ours sends any.
    static let largestBodyBytes: UInt64 = 64 << 20

    private var awaited: Deque<Awaited> = []
    private var content = Content.none
    private(set) var isOpen = false

    /// When the oldest request must have been answered.
    var deadline: ContinuousClock.Instant? { self.awaited.first?.deadline }

    mutating func asked(
        _ answer: UInt32, by deadline: ContinuousClock.Instant, completion: @escaping Completion
    ) {
        if answer == AMQP_CHANNEL_OPEN_OK_METHOD { self.isOpen = true }
        self.awaited.append(Awaited(answer: answer, deadline: deadline, completion: completion))
    }

    /// An answer has come: whose it is, nil when nobody asked.
    mutating func answered(_ method: UInt32) -> Completion? {
        // Why not simply the oldest: RabbitMQ answers a consumer later than what was asked after it. Of one kind, answers
        // come in order.
        guard let index = self.awaited.firstIndex(where: { $0.answer == method }) else { return nil }
        return self.awaited.remove(at: index).completion
    }

    /// The channel is over: everything that will get no answer, oldest first.
    mutating func closed() -> [Completion] {
        defer { self = Self() }
        return self.awaited.map(\.completion)
    }

    mutating func delivered(_ method: amqp_basic_deliver_t) {
        let delivery = AMQPDelivery(
            consumer: ByteBuffer(copying: method.consumer_tag), tag: method.delivery_tag,
            routingKey: ByteBuffer(copying: method.routing_key))
        self.content = .headless(.delivery(delivery))
    }

    mutating func returned(_ method: amqp_basic_return_t) {
        self.content = .headless(.returned(text: String(copying: method.reply_text), mark: nil))
    }

    /// The properties of a message.
    /// - Returns: the whole message, if it has no body; and whether it was one to expect, of a bearable size.
    mutating func header(_ properties: amqp_basic_properties_t, bodyBytes: UInt64) -> (event: AMQPEvent?, isFit: Bool) {
        guard case .headless(let carrier) = self.content, bodyBytes <= Self.largestBodyBytes else {
            return (nil, false)
        }
        switch carrier {
        case .returned(let text, _):
            self.content = .partial(.returned(text: text, mark: properties.mark), missing: Int(bodyBytes))
        case .delivery(var delivery):
            delivery.kind = properties.messageKind
            delivery.streamOffset = properties.streamOffset
            delivery.mark = properties.mark
            delivery.body = ByteBufferAllocator().buffer(capacity: Int(bodyBytes))
            self.content = .partial(.delivery(delivery), missing: Int(bodyBytes))
        }
        return (self.completed(), true)
    }

    /// A part of a message's body; as with ``header(_:bodyBytes:)``.
    mutating func body(_ part: UnsafeRawBufferPointer) -> (event: AMQPEvent?, isFit: Bool) {
        guard case .partial(let carrier, let missing) = self.content, part.count <= missing else { return (nil, false) }
        self.content = .none
        switch carrier {
        case .returned: self.content = .partial(carrier, missing: missing - part.count)
        case .delivery(var delivery):
            delivery.body.writeBytes(part)
            self.content = .partial(.delivery(delivery), missing: missing - part.count)
        }
        return (self.completed(), true)
    }

    private mutating func completed() -> AMQPEvent? {
        guard case .partial(let carrier, missing: 0) = self.content else { return nil }
        self.content = .none
        switch carrier {
        case .delivery(let delivery): return .delivery(delivery)
        case .returned(let text, let mark): return .returned(mark, text)
        }
    }
}

extension ByteBuffer {
    fileprivate init(copying bytes: amqp_bytes_t) {
        self.init(bytes: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len))
    }
}

extension String {
    /// At most 500 bytes of a text of the broker's.
    init(copying bytes: amqp_bytes_t) {
        self.init(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: Swift.min(500, bytes.len)), as: UTF8.self)
    }
}

extension amqp_basic_properties_t {
    private func has(_ flag: UInt32) -> Bool { self._flags & amqp_flags_t(flag) != 0 }

    fileprivate var messageKind: AMQPDelivery.Kind {
        guard self.has(UInt32(AMQP_BASIC_TYPE_FLAG)) else { return .other }
        let name = UnsafeRawBufferPointer(start: self.type.bytes, count: self.type.len)
        if name.elementsEqual(LogEntry.batchType.utf8) { return .batch }
        return name.elementsEqual(LogEntry.proposalType.utf8) ? .proposal : .other
    }

    fileprivate var mark: LogEntry.Mark? {
        guard self.has(UInt32(AMQP_BASIC_MESSAGE_ID_FLAG)), self.message_id.len == 16, let id = self.message_id.bytes
        else { return nil }
        return LogEntry.Mark(
            driver: UInt64(bigEndian: id.loadUnaligned(as: UInt64.self)),
            number: UInt64(bigEndian: id.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    /// The message's place in its stream queue.
    fileprivate var streamOffset: UInt64? {
        guard self.has(UInt32(AMQP_BASIC_HEADERS_FLAG)) else { return nil }
        for index in 0..<Int(self.headers.num_entries) {
            let entry = self.headers.entries[index]
            let key = UnsafeRawBufferPointer(start: entry.key.bytes, count: entry.key.len)
            guard key.elementsEqual("x-stream-offset".utf8) else { continue }
            switch UInt32(entry.value.kind) {
            case AMQP_FIELD_KIND_I64.rawValue: return UInt64(exactly: entry.value.value.i64)
            case AMQP_FIELD_KIND_U64.rawValue: return entry.value.value.u64
            case AMQP_FIELD_KIND_I32.rawValue: return UInt64(exactly: entry.value.value.i32)
            default: return nil
            }
        }
        return nil
    }
}
