package import BusbarDriver
package import NIOCore

/// The body of a message that holds a batch: each record's length in four bytes, then the record.
package enum BatchBody {
    package static func encode(
        _ records: [Record], allocator: ByteBufferAllocator = ByteBufferAllocator()
    ) -> ByteBuffer {
        let byteCount = records.reduce(0) { $0 + 4 + $1.bytes.readableBytes }
        var body = allocator.buffer(capacity: byteCount)
        for record in records {
            body.writeInteger(UInt32(record.bytes.readableBytes))
            body.writeImmutableBuffer(record.bytes)
        }
        return body
    }

    /// The records of a body, nil when it isn't one. They share the body's memory.
    package static func decode(_ body: ByteBuffer) -> [ByteBuffer]? {
        var rest = body
        var records: [ByteBuffer] = []
        while rest.readableBytes > 0 {
            guard records.count < RecordPlace.stride, let length = rest.readInteger(as: UInt32.self), length > 0,
                let record = rest.readSlice(length: Int(length))
            else { return nil }
            records.append(record)
        }
        return records.isEmpty ? nil : records
    }
}
