package import NIOCore

/// The hub protocols that core clients may speak. The handshake is JSON in both.
package enum CoreProtocol: String, CaseIterable, Hashable, Sendable {
    case json
    case messagePack = "messagepack"

    /// The highest version that a client may name in its handshake; lower ones are the same to us.
    package static let highestVersion = 2

    /// The protocol of that name, whatever its case.
    package init?(named name: String) {
        self.init(rawValue: name.lowercased())
    }

    /// How WebSocket frames that carry the protocol are marked.
    package var opcode: WebSocketOpcode { self == .json ? .text : .binary }

    /// Takes the next complete record out of `buffer`; nil when more bytes are needed. The record shares its storage.
    /// - Parameters:
    ///   - splitter: what has been looked through of the buffer.
    ///   - limitBytes: longest record allowed, separator or length prefix included; nil for no limit.
    /// - Throws: ``ProtocolError`` `limitExceeded` for a longer record, `malformed` for a length that is none.
    package func nextRecord(
        from buffer: inout ByteBuffer, _ splitter: inout RecordSplitter, limitBytes: Int?
    ) throws(ProtocolError) -> ByteBuffer? {
        switch self {
        case .json: try splitter.nextRecord(from: &buffer, limitBytes: limitBytes)
        case .messagePack: try LengthPrefix.nextRecord(from: &buffer, limitBytes: limitBytes)
        }
    }

    /// Reads one message; see ``CoreJSON/parse(_:)`` and ``CoreMessagePack/parse(_:)``.
    package func parse(_ record: ByteBuffer) throws(ProtocolError) -> CoreMessage {
        switch self {
        case .json: try CoreJSON.parse(record)
        case .messagePack: try CoreMessagePack.parse(record)
        }
    }

    /// Writes any message we know; one of unknown type writes nothing.
    package func write(_ message: CoreMessage, into buffer: inout ByteBuffer) {
        switch self {
        case .json: CoreJSON.write(message, into: &buffer)
        case .messagePack: CoreMessagePack.write(message, into: &buffer)
        }
    }

    /// Writes a call of a client's method; with an id it wants an answer.
    package func writeInvocation(
        target: String, arguments: ArgumentList, invocationID: String? = nil, into buffer: inout ByteBuffer
    ) {
        switch self {
        case .json:
            CoreJSON.writeInvocation(
                target: target, arguments: .json(arguments), invocationID: invocationID, into: &buffer)
        case .messagePack:
            CoreMessagePack.writeInvocation(
                CoreInvocation(target: target, arguments: .json(arguments), invocationID: invocationID), into: &buffer)
        }
    }

    /// Writes the answer to a call, or the end of a stream.
    package func writeCompletion(id: String, result: CoreResult, into buffer: inout ByteBuffer) {
        switch self {
        case .json: CoreJSON.writeCompletion(id: id, result: result, into: &buffer)
        case .messagePack: CoreMessagePack.writeCompletion(id: id, result: result, into: &buffer)
        }
    }

    /// Writes the last message of a connection.
    package func writeClose(error: String?, allowReconnect: Bool, into buffer: inout ByteBuffer) {
        switch self {
        case .json: CoreJSON.writeClose(error: error, allowReconnect: allowReconnect, into: &buffer)
        case .messagePack: CoreMessagePack.writeClose(error: error, allowReconnect: allowReconnect, into: &buffer)
        }
    }

    /// The whole ping record.
    package var ping: ByteBuffer {
        switch self {
        case .json: CoreJSON.ping
        case .messagePack: CoreMessagePack.ping
        }
    }
}
