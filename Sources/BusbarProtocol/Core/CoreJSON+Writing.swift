package import NIOCore

extension CoreJSON {
    /// Writes a call; with an id it wants an answer.
    package static func writeInvocation(
        target: String,
        arguments: CallArguments,
        invocationID: String? = nil,
        streamIDs: [String] = [],
        headers: [(name: String, value: String)] = [],
        into buffer: inout ByteBuffer
    ) {
        Self.begin(type: 1, id: invocationID, headers: headers, into: &buffer)
        Self.writeCall(target, arguments, streamIDs, into: &buffer)
    }

    /// Writes a call whose answer is a stream.
    package static func writeStreamInvocation(
        target: String,
        arguments: CallArguments,
        invocationID: String,
        streamIDs: [String] = [],
        headers: [(name: String, value: String)] = [],
        into buffer: inout ByteBuffer
    ) {
        Self.begin(type: 4, id: invocationID, headers: headers, into: &buffer)
        Self.writeCall(target, arguments, streamIDs, into: &buffer)
    }

    /// Writes one item of a stream.
    package static func writeStreamItem(id: String, item: CallValue, into buffer: inout ByteBuffer) {
        Self.begin(type: 2, id: id, into: &buffer)
        buffer.writeStaticString(",\"item\":")
        buffer.writeJSON(item.jsonText)
        Self.endRecord(&buffer)
    }

    /// Writes the answer to a call, or the end of a stream.
    package static func writeCompletion(id: String, result: CoreResult, into buffer: inout ByteBuffer) {
        Self.begin(type: 3, id: id, into: &buffer)
        switch result {
        case .void: break
        case .value(let value):
            buffer.writeStaticString(",\"result\":")
            buffer.writeJSON(value.jsonText)
        case .error(let error):
            buffer.writeStaticString(",\"error\":")
            buffer.writeJSONString(error)
        }
        Self.endRecord(&buffer)
    }

    /// Writes the wish to end a stream or a call early.
    package static func writeCancelInvocation(id: String, into buffer: inout ByteBuffer) {
        Self.begin(type: 5, id: id, into: &buffer)
        Self.endRecord(&buffer)
    }

    /// Writes a ping.
    package static func writePing(into buffer: inout ByteBuffer) {
        buffer.writeImmutableBuffer(Self.ping)
    }

    /// Writes the last message of a connection.
    package static func writeClose(error: String? = nil, allowReconnect: Bool = false, into buffer: inout ByteBuffer) {
        Self.begin(type: 7, into: &buffer)
        if let error {
            buffer.writeStaticString(",\"error\":")
            buffer.writeJSONString(error)
        }
        if allowReconnect { buffer.writeStaticString(",\"allowReconnect\":true") }
        Self.endRecord(&buffer)
    }

    /// Writes up to which message everything has been received. Only for peers that asked for stateful reconnect.
    package static func writeAck(_ sequenceID: UInt64, into buffer: inout ByteBuffer) {
        Self.writeNumbered(type: 8, sequenceID, into: &buffer)
    }

    /// Writes which number the next message has. Only for peers that asked for stateful reconnect.
    package static func writeSequence(_ sequenceID: UInt64, into buffer: inout ByteBuffer) {
        Self.writeNumbered(type: 9, sequenceID, into: &buffer)
    }

    /// Writes any message we know; one of unknown type writes nothing.
    package static func write(_ message: CoreMessage, into buffer: inout ByteBuffer) {
        switch message {
        case .invocation(let call):
            Self.writeInvocation(
                target: call.target, arguments: call.arguments, invocationID: call.invocationID,
                streamIDs: call.streamIDs, headers: call.headers, into: &buffer
            )
        case .streamInvocation(let call):
            Self.writeStreamInvocation(
                target: call.target, arguments: call.arguments, invocationID: call.invocationID ?? "",
                streamIDs: call.streamIDs, headers: call.headers, into: &buffer
            )
        case .streamItem(let id, let item): Self.writeStreamItem(id: id, item: item, into: &buffer)
        case .completion(let id, let result): Self.writeCompletion(id: id, result: result, into: &buffer)
        case .cancelInvocation(let id): Self.writeCancelInvocation(id: id, into: &buffer)
        case .ping: Self.writePing(into: &buffer)
        case .close(let error, let allowReconnect):
            Self.writeClose(error: error, allowReconnect: allowReconnect, into: &buffer)
        case .ack(let number): Self.writeAck(number, into: &buffer)
        case .sequence(let number): Self.writeSequence(number, into: &buffer)
        case .unknown: break
        }
    }

    static func endRecord(_ buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(ascii: "}"))
        buffer.writeInteger(RecordSplitter.separator)
    }

    private static func begin(
        type: Int,
        id: String? = nil,
        headers: [(name: String, value: String)] = [],
        into buffer: inout ByteBuffer
    ) {
        buffer.writeStaticString("{\"type\":")
        buffer.writeJSONInteger(type)
        if !headers.isEmpty {
            var opening: StaticString = ",\"headers\":{"
            for header in headers {
                buffer.writeStaticString(opening)
                buffer.writeJSONString(header.name)
                buffer.writeInteger(UInt8(ascii: ":"))
                buffer.writeJSONString(header.value)
                opening = ","
            }
            buffer.writeInteger(UInt8(ascii: "}"))
        }
        if let id {
            buffer.writeStaticString(",\"invocationId\":")
            buffer.writeJSONString(id)
        }
    }

    private static func writeCall(
        _ target: String,
        _ arguments: CallArguments,
        _ streamIDs: [String],
        into buffer: inout ByteBuffer
    ) {
        buffer.writeStaticString(",\"target\":")
        buffer.writeJSONString(target)
        buffer.writeStaticString(",\"arguments\":")
        buffer.writeJSON(arguments.jsonText)
        if !streamIDs.isEmpty {
            var opening: StaticString = ",\"streamIds\":["
            for stream in streamIDs {
                buffer.writeStaticString(opening)
                buffer.writeJSONString(stream)
                opening = ","
            }
            buffer.writeInteger(UInt8(ascii: "]"))
        }
        Self.endRecord(&buffer)
    }

    private static func writeNumbered(type: Int, _ sequenceID: UInt64, into buffer: inout ByteBuffer) {
        Self.begin(type: type, into: &buffer)
        buffer.writeStaticString(",\"sequenceId\":")
        buffer.writeJSONInteger(sequenceID)
        Self.endRecord(&buffer)
    }
}
