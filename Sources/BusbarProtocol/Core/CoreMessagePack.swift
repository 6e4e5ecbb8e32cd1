package import NIOCore

/// The MessagePack encoding of the core hub protocol. Records are without the length when parsed and with it when
/// written.
package enum CoreMessagePack {
    /// The whole ping record.
    package static let ping = ByteBuffer(bytes: [0x02, 0x91, 0x06])

    /// Reads one message.
    ///
    /// Elements at the end that a message doesn't need may be missing, further ones are skipped, and so is everything
    /// but the type in a message of unknown type. Arguments and values in the message are slices of `record`.
    /// - Throws: ``ProtocolError`` naming the element; the connection is to be closed with an error.
    package static func parse(_ record: ByteBuffer) throws(ProtocolError) -> CoreMessage {
        try record.withUnsafeReadableBytes { raw throws(ProtocolError) -> CoreMessage in
            var fields = try PackedFields(raw, of: record)
            let message = try Self.message(&fields)
            try fields.finish()
            return message
        }
    }

    private static func message(_ fields: inout PackedFields) throws(ProtocolError) -> CoreMessage {
        switch fields.type {
        case 1: return .invocation(try fields.invocation())
        case 2:
            _ = try fields.headers()
            let id = try fields.id()
            return .streamItem(id: id, item: try fields.value("item"))
        case 3:
            _ = try fields.headers()
            let id = try fields.id()
            return .completion(id: id, result: try fields.result())
        case 4:
            let invocation = try fields.invocation()
            guard invocation.invocationID != nil else { throw fields.missing("invocation id") }
            return .streamInvocation(invocation)
        case 5:
            _ = try fields.headers()
            return .cancelInvocation(id: try fields.id())
        case 6: return .ping
        case 7:
            let error = try fields.optionalString("error")
            return .close(error: error, allowReconnect: fields.isAtEnd ? false : try fields.bool("allowReconnect"))
        case 8: return .ack(try fields.number("sequence id"))
        case 9: return .sequence(try fields.number("sequence id"))
        default: return .unknown(type: fields.type)
        }
    }
}
