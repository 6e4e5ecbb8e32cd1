package import NIOCore

/// The JSON encoding of the core hub protocol. Records are without the separator when parsed and with it when written.
package enum CoreJSON {
    /// How many headers and how many streams one message may bring.
    package static let listLimit = 128

    /// The whole ping record.
    package static let ping = ByteBuffer(string: "{\"type\":6}\u{1E}")

    /// Reads one message.
    ///
    /// Properties may come in any order, of equal ones the last counts, unknown ones are skipped, and so is everything
    /// but `type` in a message of unknown type. Texts in the message are slices of `record`.
    /// - Throws: ``ProtocolError`` naming the property; the connection is to be closed with an error.
    package static func parse(_ record: ByteBuffer) throws(ProtocolError) -> CoreMessage {
        let fields = try CoreFields(record)
        switch fields.type {
        case 1: return .invocation(try fields.invocation())
        case 2:
            let item = try fields.required(fields.item, "item")
            return .streamItem(id: try fields.id(), item: .json(fields.text(item)))
        case 3: return .completion(id: try fields.id(), result: try fields.result())
        case 4:
            let id = try fields.id()
            var invocation = try fields.invocation()
            invocation.invocationID = id
            return .streamInvocation(invocation)
        case 5: return .cancelInvocation(id: try fields.id())
        case 6: return .ping
        case 7:
            let error = try fields.optionalString(fields.error, "error")
            return .close(error: error, allowReconnect: try fields.allowsReconnect())
        case 8: return .ack(try fields.sequence())
        case 9: return .sequence(try fields.sequence())
        default: return .unknown(type: fields.type)
        }
    }
}
