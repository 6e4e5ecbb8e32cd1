package import NIOCore

extension CoreMessagePack {
    /// Writes a call; with an id it wants an answer.
    package static func writeInvocation(_ call: CoreInvocation, into buffer: inout ByteBuffer) {
        Self.write(into: &buffer) { Self.writeCall(call, type: 1, into: &$0) }
    }

    /// Writes a call whose answer is a stream.
    package static func writeStreamInvocation(_ call: CoreInvocation, into buffer: inout ByteBuffer) {
        Self.write(into: &buffer) { Self.writeCall(call, type: 4, into: &$0) }
    }

    /// Writes one item of a stream.
    package static func writeStreamItem(id: String, item: CallValue, into buffer: inout ByteBuffer) {
        Self.write(into: &buffer) { buffer in
            Self.begin(4, type: 2, id: id, into: &buffer)
            buffer.writePacked(item)
        }
    }

    /// Writes the answer to a call, or the end of a stream.
    package static func writeCompletion(id: String, result: CoreResult, into buffer: inout ByteBuffer) {
        Self.write(into: &buffer) { buffer in
            switch result {
            case .error(let text):
                Self.begin(5, type: 3, id: id, into: &buffer)
                buffer.writePackedInteger(1 as UInt64)
                buffer.writePackedString(text)
            case .void:
                Self.begin(4, type: 3, id: id, into: &buffer)
                buffer.writePackedInteger(2 as UInt64)
            case .value(let value):
                Self.begin(5, type: 3, id: id, into: &buffer)
                buffer.writePackedInteger(3 as UInt64)
                buffer.writePacked(value)
            }
        }
    }

    /// Writes the wish to end a stream or a call early.
    package static func writeCancelInvocation(id: String, into buffer: inout ByteBuffer) {
        Self.write(into: &buffer) { Self.begin(3, type: 5, id: id, into: &$0) }
    }

    /// Writes the last message of a connection.
    package static func writeClose(error: String? = nil, allowReconnect: Bool = false, into buffer: inout ByteBuffer) {
        Self.write(into: &buffer) { buffer in
            buffer.writePackedArrayHead(3)
            buffer.writePackedInteger(7 as UInt64)
            if let error { buffer.writePackedString(error) } else { buffer.writePackedNil() }
            buffer.writePackedBool(allowReconnect)
        }
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
        case .invocation(let call): Self.writeInvocation(call, into: &buffer)
        case .streamInvocation(let call): Self.writeStreamInvocation(call, into: &buffer)
        case .streamItem(let id, let item): Self.writeStreamItem(id: id, item: item, into: &buffer)
        case .completion(let id, let result): Self.writeCompletion(id: id, result: result, into: &buffer)
        case .cancelInvocation(let id): Self.writeCancelInvocation(id: id, into: &buffer)
        case .ping: buffer.writeImmutableBuffer(Self.ping)
        case .close(let error, let allowReconnect):
            Self.writeClose(error: error, allowReconnect: allowReconnect, into: &buffer)
        case .ack(let number): Self.writeAck(number, into: &buffer)
        case .sequence(let number): Self.writeSequence(number, into: &buffer)
        case .unknown: break
        }
    }

    /// Writes a record with its length in front.
    private static func write(into buffer: inout ByteBuffer, _ body: (inout ByteBuffer) -> Void) {
        let start = buffer.writerIndex
        body(&buffer)
        LengthPrefix.insert(before: start, in: &buffer)
    }

    private static func begin(
        _ elements: Int, type: UInt64, id: String?, headers: [(name: String, value: String)] = [],
        into buffer: inout ByteBuffer
    ) {
        buffer.writePackedArrayHead(elements)
        buffer.writePackedInteger(type)
        buffer.writePackedMapHead(headers.count)
        for header in headers {
            buffer.writePackedString(header.name)
            buffer.writePackedString(header.value)
        }
        if let id { buffer.writePackedString(id) } else { buffer.writePackedNil() }
    }

    private static func writeCall(_ call: CoreInvocation, type: UInt64, into buffer: inout ByteBuffer) {
        Self.begin(6, type: type, id: call.invocationID, headers: call.headers, into: &buffer)
        buffer.writePackedString(call.target)
        switch call.arguments {
        case .json(let list): buffer.writePacked(list)
        case .messagePack(let list):
            buffer.writePackedArrayHead(list.count)
            buffer.writeImmutableBuffer(list.bytes)
        }
        buffer.writePackedArrayHead(call.streamIDs.count)
        for stream in call.streamIDs { buffer.writePackedString(stream) }
    }

    private static func writeNumbered(type: UInt64, _ sequenceID: UInt64, into buffer: inout ByteBuffer) {
        Self.write(into: &buffer) { buffer in
            buffer.writePackedArrayHead(2)
            buffer.writePackedInteger(type)
            buffer.writePackedInteger(sequenceID)
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func writePacked(_ value: CallValue) {
        switch value {
        case .json(let text): self.writePacked(text)
        case .messagePack(let value): self.writeImmutableBuffer(value.bytes)
        }
    }
}
