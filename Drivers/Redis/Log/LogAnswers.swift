package import BusbarDriver
package import NIOCore

/// What the scripts answer, in the port's words.
package enum LogAnswers {
    package static func receipt(_ reply: RedisReply, stream: StreamID) throws(RedisProtocolError) -> Receipt {
        guard let parts = reply.array, parts.count == 2, let epoch = Self.epoch(parts[0]),
            let last = Self.offset(parts[1])
        else {
            throw RedisProtocolError(detail: "an append was answered with something else than a position")
        }
        return Receipt(last: Position(stream: stream, epoch: epoch, offset: last))
    }

    package static func extent(_ reply: RedisReply) throws(RedisProtocolError) -> StreamExtent {
        guard let parts = reply.array, parts.count >= 3, let epoch = Self.epoch(parts[0]),
            let oldest = Self.offset(parts[1]),
            let newest = Self.offset(parts[2])
        else { throw RedisProtocolError(detail: "an extent was answered with something else than three numbers") }
        return StreamExtent(epoch: epoch, oldest: oldest, newest: newest)
    }

    /// The page, and the mark of its last record. Nil when the log has no epoch.
    package static func page(_ reply: RedisReply) throws(RedisProtocolError) -> (page: Page, last: SeenMark?)? {
        if case .null = reply { return nil }
        let extent = try Self.extent(reply)
        guard let parts = reply.array, !parts.count.isMultiple(of: 2) else {
            throw RedisProtocolError(detail: "a page was answered with an offset without its record")
        }
        var records: [StoredRecord] = []
        records.reserveCapacity((parts.count - 3) / 2)
        var last: SeenMark?
        for index in stride(from: 3, to: parts.count, by: 2) {
            guard let offset = Self.offset(parts[index]), var bytes = parts[index + 1].bulk,
                let key = bytes.readSlice(length: ByteBuffer.recordKeyBytes)
            else { throw RedisProtocolError(detail: "a page was answered with something else than records") }
            records.append(StoredRecord(offset: offset, bytes: bytes))
            last = SeenMark(epoch: extent.epoch, offset: offset, key: key)
        }
        let page = Page(epoch: extent.epoch, records: records, oldest: extent.oldest, newest: extent.newest)
        return (page, last)
    }

    private static func epoch(_ reply: RedisReply) -> Epoch? {
        reply.integer.flatMap { $0 > 0 ? Epoch(UInt64($0)) : nil }
    }

    private static func offset(_ reply: RedisReply) -> Offset? {
        reply.integer.flatMap { $0 >= 0 ? Offset(UInt64($0)) : nil }
    }
}

/// What the append script publishes: one batch.
///
/// A version byte (1), epoch and first offset (8 bytes each), then per record its length (4 bytes) and value;
/// big-endian.
package struct LiveBatch: Hashable, Sendable {
    package static let version: UInt8 = 1
    /// Why: the scripts count in doubles, which are exact up to here; what is larger was not written by them.
    private static let largestNumber: UInt64 = 1 << 53

    package let epoch: Epoch
    package let records: [StoredRecord]
    package let last: SeenMark

    /// Nil for bytes that are no batch. The records share memory with `message`.
    package init?(_ message: ByteBuffer) {
        var bytes = message
        guard let (version, epoch, first) = bytes.readMultipleIntegers(as: (UInt8, UInt64, UInt64).self),
            version == Self.version, epoch <= Self.largestNumber, (1...Self.largestNumber).contains(first)
        else { return nil }
        var records: [StoredRecord] = []
        var offset = first
        var lastKey = ByteBuffer()
        while bytes.readableBytes > 0 {
            guard let length = bytes.readInteger(as: UInt32.self), var value = bytes.readSlice(length: Int(length)),
                let key = value.readSlice(length: ByteBuffer.recordKeyBytes)
            else { return nil }
            records.append(StoredRecord(offset: Offset(offset), bytes: value))
            lastKey = key
            offset += 1
        }
        guard !records.isEmpty else { return nil }
        self.epoch = Epoch(epoch)
        self.records = records
        // Why copied: a mark is kept, and must not keep the whole message with it.
        self.last = SeenMark(
            epoch: self.epoch, offset: Offset(offset - 1), key: ByteBuffer(bytes: lastKey.readableBytesView))
    }
}
