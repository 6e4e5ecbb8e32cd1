package import NIOCore

/// What a classic envelope says beside its messages.
package struct ClassicEnvelope: Hashable, Sendable {
    /// Where the client stands after the messages. Never empty: a long poll with an empty one starts over for ever.
    package var cursor: String
    /// The transport is ready; said once per `/connect`.
    package var isInitialized = false
    /// The server ended this connection for good, for clients up to 2.0.
    package var isAborted = false
    /// The host is shutting down; long polls are to reconnect.
    package var isTerminating = false
    /// The membership list to bring along, when it has changed.
    package var groupsToken: String?
    /// How long to wait before the next poll; left out when zero.
    package var longPollDelayMilliseconds = 0
    /// Ends clients from 2.4 on for good, with this text.
    package var error: String?

    package init(cursor: String) {
        self.cursor = cursor
    }
}

/// Writes an envelope around messages that are encoded already: `begin`, `append` for each, `end`.
package struct EnvelopeWriter: Sendable {
    private let envelope: ClassicEnvelope
    private var isEmpty = true

    /// Writes everything that stands before the messages.
    package init(beginning envelope: ClassicEnvelope, into buffer: inout ByteBuffer) {
        self.envelope = envelope
        buffer.writeStaticString("{\"C\":")
        buffer.writeJSONString(envelope.cursor)
        if envelope.isInitialized { buffer.writeStaticString(",\"S\":1") }
        if envelope.isAborted { buffer.writeStaticString(",\"D\":1") }
        if envelope.isTerminating { buffer.writeStaticString(",\"T\":1") }
        if let token = envelope.groupsToken {
            buffer.writeStaticString(",\"G\":")
            buffer.writeJSONString(token)
        }
        if envelope.longPollDelayMilliseconds != 0 {
            buffer.writeStaticString(",\"L\":")
            buffer.writeJSONInteger(envelope.longPollDelayMilliseconds)
        }
        buffer.writeStaticString(",\"M\":[")
    }

    /// Writes one message, which must be one JSON value on one line.
    package mutating func append(_ message: ByteBuffer, into buffer: inout ByteBuffer) {
        if !self.isEmpty { buffer.writeInteger(UInt8(ascii: ",")) }
        self.isEmpty = false
        buffer.writeImmutableBuffer(message)
    }

    /// Writes what stands after the messages.
    package consuming func end(into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(ascii: "]"))
        if let error = self.envelope.error {
            buffer.writeStaticString(",\"E\":")
            buffer.writeJSONString(error)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }

    /// Writes a whole envelope.
    package static func write(
        _ envelope: ClassicEnvelope,
        messages: some Sequence<ByteBuffer> = EmptyCollection(),
        into buffer: inout ByteBuffer
    ) {
        var writer = Self(beginning: envelope, into: &buffer)
        for message in messages { writer.append(message, into: &buffer) }
        writer.end(into: &buffer)
    }
}
