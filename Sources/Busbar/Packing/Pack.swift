package import BusbarDriver
package import NIOCore

/// The bytes of one record: a pack of one or more messages of one stream by one node.
///
///     0xB5 | version 1 | node 8 | incarnation 8 | sequence 8 | count 2 | per message: topic length 2, topic, payload length 4, payload
///
/// Integers are big-endian. Anything after the last message makes the pack poison, as does anything else unexpected.
package enum Pack {
    package static let headerBytes = 28
    package static let perMessageBytes = 6

    private static let magic: UInt8 = 0xB5
    private static let version: UInt8 = 1

    /// Why a record's bytes can't be interpreted. Poison is counted and skipped; it never stops a stream.
    package enum Poison: Error, Hashable {
        case notAPack
        case unknownVersion(UInt8)
        case broken
    }

    /// How many bytes `message` takes within a pack.
    package static func bytes(of message: Message) -> Int {
        Self.perMessageBytes + message.topic.name.utf8.count + message.payload.readableBytes
    }

    /// Encodes messages whose sizes the publish lane has checked: topics up to 16 KiB, at most 65 535 messages.
    package static func encode(_ messages: some Collection<Message>, key: RecordKey) -> ByteBuffer {
        let total = messages.reduce(Self.headerBytes) { $0 + Self.bytes(of: $1) }
        var buffer = ByteBufferAllocator().buffer(capacity: total)
        Self.writeHeader(key: key, count: messages.count, into: &buffer)
        for message in messages { Self.write(message, into: &buffer) }
        return buffer
    }

    /// The same for a single message: the usual case on an idle lane.
    package static func encode(_ message: Message, key: RecordKey) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: Self.headerBytes + Self.bytes(of: message))
        Self.writeHeader(key: key, count: 1, into: &buffer)
        Self.write(message, into: &buffer)
        return buffer
    }

    private static func writeHeader(key: RecordKey, count: Int, into buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(
            Self.magic, Self.version, key.node, key.incarnation, key.sequence, UInt16(truncatingIfNeeded: count)
        )
    }

    private static func write(_ message: Message, into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt16(truncatingIfNeeded: message.topic.name.utf8.count))
        buffer.writeString(message.topic.name)
        buffer.writeInteger(UInt32(truncatingIfNeeded: message.payload.readableBytes))
        buffer.writeImmutableBuffer(message.payload)
    }

    /// Reads only who wrote the record.
    package static func key(of bytes: ByteBuffer) throws(Poison) -> RecordKey {
        let start = bytes.readerIndex
        guard let magic: UInt8 = bytes.getInteger(at: start), magic == Self.magic,
            let version: UInt8 = bytes.getInteger(at: start + 1)
        else { throw .notAPack }
        guard version == Self.version else { throw .unknownVersion(version) }
        guard let node: UInt64 = bytes.getInteger(at: start + 2),
            let incarnation: UInt64 = bytes.getInteger(at: start + 10),
            let sequence: UInt64 = bytes.getInteger(at: start + 18)
        else { throw .broken }
        return RecordKey(node: node, incarnation: incarnation, sequence: sequence)
    }

    /// Reads the messages. Payloads are slices of `bytes`.
    package static func messages(in bytes: ByteBuffer) throws(Poison) -> [Message] {
        _ = try Self.key(of: bytes)
        var rest = bytes
        rest.moveReaderIndex(forwardBy: Self.headerBytes - 2)
        guard let count: UInt16 = rest.readInteger(), count > 0,
            rest.readableBytes >= Int(count) * Self.perMessageBytes
        else { throw .broken }
        var messages: [Message] = []
        messages.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let topicBytes: UInt16 = rest.readInteger(), topicBytes <= Topic.largestNameBytes,
                let name = Self.readName(Int(topicBytes), from: &rest),
                let payloadBytes: UInt32 = rest.readInteger(), let payload = rest.readSlice(length: Int(payloadBytes))
            else { throw .broken }
            messages.append(Message(topic: Topic(name), payload: payload))
        }
        guard rest.readableBytes == 0 else { throw .broken }
        return messages
    }

    private static func readName(_ count: Int, from buffer: inout ByteBuffer) -> String? {
        guard buffer.readableBytes >= count else { return nil }
        let name = buffer.withUnsafeReadableBytes { bytes in
            String(validating: UnsafeRawBufferPointer(rebasing: bytes.prefix(count)), as: UTF8.self)
        }
        buffer.moveReaderIndex(forwardBy: count)
        return name
    }
}
