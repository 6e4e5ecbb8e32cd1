package import NIOCore

/// A message that a consumer was sent.
package struct AMQPDelivery: Hashable {
    package enum Kind: Hashable {
        case batch
        case proposal
        case other
    }

    /// As the consumer was named.
    package let consumer: ByteBuffer
    package let tag: UInt64
    package let routingKey: ByteBuffer
    package var kind: Kind
    package var streamOffset: UInt64?
    package var mark: LogEntry.Mark?
    package var body: ByteBuffer

    package init(
        consumer: ByteBuffer, tag: UInt64, routingKey: ByteBuffer, kind: Kind = .other, streamOffset: UInt64? = nil,
        mark: LogEntry.Mark? = nil, body: ByteBuffer = ByteBuffer()
    ) {
        self.consumer = consumer
        self.tag = tag
        self.routingKey = routingKey
        self.kind = kind
        self.streamOffset = streamOffset
        self.mark = mark
        self.body = body
    }
}
