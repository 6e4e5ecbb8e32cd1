import NIOCore

/// What Redis answers.
enum RedisReply: Hashable, Sendable {
    case status(String)
    case error(RedisServerError)
    case integer(Int64)
    case bulk(ByteBuffer)
    case array([RedisReply])
    case null

    var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    var bulk: ByteBuffer? {
        if case .bulk(let value) = self { value } else { nil }
    }

    var array: [RedisReply]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// A status or a bulk as text.
    var text: String? {
        switch self {
        case .status(let text): text
        case .bulk(let bytes): String(buffer: bytes)
        case .error, .integer, .array, .null: nil
        }
    }
}

/// Bytes that aren't the protocol, or an answer of a shape that was not asked for.
struct RedisProtocolError: Error, Hashable, Sendable {
    let detail: String
}
