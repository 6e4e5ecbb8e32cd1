public import NIOCore

/// A driver whose store also takes messages within transactions of the application's own, and moves them into the log: what was
/// left there by a transaction that committed becomes a record once, what was left by another one never.
///
/// An ability beyond the contract: a driver that has none is a ``BackplaneDriver`` and complete. The store knows such messages by
/// topic and payload, while streams and record bytes are the bus's business; so the bus lends the driver a packer.
public protocol OutboxDriver: BackplaneDriver {
    /// Says how messages become records. Called before ``BackplaneDriver/run(following:delivering:)``; without it, nothing is moved.
    func carryOutbox(packing packer: any OutboxPacker)
}

/// What turns messages of an outbox into records of a stream.
public protocol OutboxPacker: Sendable {
    /// The stream that carries a topic.
    func stream(of topic: String) -> StreamID
    /// The bytes of one record that holds these messages of one stream, in this order.
    func bytes(of messages: [OutboxMessage], key: RecordKey) -> ByteBuffer
    /// How many bytes of a record a message takes; a record has ``overheadBytes`` more.
    func byteCount(of message: OutboxMessage) -> Int
    var overheadBytes: Int { get }
}

/// What an application left in an outbox.
public struct OutboxMessage: Hashable, Sendable {
    /// At most 16 KiB of UTF-8.
    public let topic: String
    public let payload: ByteBuffer

    public init(topic: String, payload: ByteBuffer) {
        self.topic = topic
        self.payload = payload
    }
}
