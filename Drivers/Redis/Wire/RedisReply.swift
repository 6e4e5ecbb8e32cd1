package import NIOCore

/// What Redis answers.
package enum RedisReply: Hashable, Sendable {
    case status(String)
    case error(RedisServerError)
    case integer(Int64)
    case bulk(ByteBuffer)
    case array([RedisReply])
    case null

    package var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    package var bulk: ByteBuffer? {
        if case .bulk(let value) = self { value } else { nil }
    }

    package var array: [RedisReply]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// A status or a bulk as text.
    package var text: String? {
        switch self {
        case .status(let text): text
        case .bulk(let bytes): String(buffer: bytes)
        case .error, .integer, .array, .null: nil
        }
    }
}

/// Bytes that aren't the protocol, or an answer of a shape that was not asked for.
package struct RedisProtocolError: Error, Hashable, Sendable {
    package let detail: String
}
