package import NIOCore

/// What a peer sent over a WebSocket. A payload may be a slice of the receive buffer: copy what is kept for long.
package enum WebSocketEvent: Hashable, Sendable {
    /// A whole message; text is valid UTF-8. Only when messages are reassembled.
    case message(WebSocketOpcode, ByteBuffer)
    /// A piece of a message; `isLast` when the message ends with it. Only in streaming mode.
    case data(WebSocketOpcode, isLast: Bool, ByteBuffer)
    /// To be answered by a pong with the same payload.
    case ping(ByteBuffer)
    case pong(ByteBuffer)
    /// The peer sends nothing more. Without a code its frame was empty.
    case close(WebSocketCloseCode?, reason: String)
}

/// The peer broke RFC 6455.
package struct WebSocketError: Error, Hashable, Sendable {
    /// What to close the connection with.
    package let closeCode: WebSocketCloseCode
    package let detail: String

    init(_ closeCode: WebSocketCloseCode, _ detail: String) {
        self.closeCode = closeCode
        self.detail = detail
    }
}

/// Turns received bytes into WebSocket events. A value without I/O: bytes are appended to a buffer of the caller's, and
/// ``next(in:)`` takes events out of it until it returns nil.
package struct WebSocketParser: Sendable {
    /// What is made of data frames.
    package enum Mode: Hashable, Sendable {
        /// Whole messages of at most so many bytes.
        case messages(maximumBytes: Int)
        /// Pieces as they arrive, for protocols that frame messages themselves. Text is not checked for UTF-8.
        case stream
    }

    /// Who the peer is. Clients mask every frame, servers none.
    package enum Peer: Hashable, Sendable { case client, server }

    private enum State: Hashable {
        case header
        /// Inside a data frame that is handed on piece by piece.
        case payload(WebSocketHeader, remainingBytes: Int, maskOffset: Int)
        case closed
        case failed(WebSocketError)
    }

    private let mode: Mode
    private let peer: Peer
    private var state = State.header
    /// The opcode of the message whose frames are still arriving.
    private var openMessage: WebSocketOpcode?
    /// What has arrived of it, when messages are reassembled.
    private var assembly = ByteBuffer()

    package init(mode: Mode, peer: Peer = .client) {
        self.mode = mode
        self.peer = peer
    }

    /// Takes the next event out of `buffer`; nil when more bytes are needed, and always after a close event.
    ///
    /// A payload that makes up most of the buffer is unmasked in place and shares its storage; smaller ones are copied
    /// out.
    /// - Throws: ``WebSocketError`` with the code to close with; every later call throws the same.
    package mutating func next(in buffer: inout ByteBuffer) throws(WebSocketError) -> WebSocketEvent? {
        do throws(WebSocketError) {
            while true {
                let readerIndex = buffer.readerIndex
                // Why: a fragment is taken in without an event, and more may wait behind it.
                let event = try self.step(in: &buffer)
                if event != nil || buffer.readerIndex == readerIndex { return event }
            }
        } catch {
            self.state = .failed(error)
            self.assembly = ByteBuffer()
            throw error
        }
    }

    private mutating func step(in buffer: inout ByteBuffer) throws(WebSocketError) -> WebSocketEvent? {
        switch self.state {
        case .header: return try self.nextFrame(in: &buffer)
        case .payload(let header, let remainingBytes, let maskOffset):
            return self.nextChunk(header, remainingBytes, maskOffset, in: &buffer)
        case .closed:
            buffer.moveReaderIndex(forwardBy: buffer.readableBytes)
            return nil
        case .failed(let error): throw error
        }
    }

    private mutating func nextFrame(in buffer: inout ByteBuffer) throws(WebSocketError) -> WebSocketEvent? {
        guard let header = try WebSocketHeader(peeking: buffer) else { return nil }
        try self.check(header)
        switch self.mode {
        case .stream where !header.opcode.isControl:
            buffer.moveReaderIndex(forwardBy: header.headerBytes)
            let opcode = self.openMessage ?? header.opcode
            self.openMessage = header.isLast ? nil : opcode
            let frame = header.with(opcode)
            return self.nextChunk(frame, frame.payloadBytes, 0, in: &buffer)
        case .messages, .stream:
            guard buffer.readableBytes - header.headerBytes >= header.payloadBytes else { return nil }
            buffer.moveReaderIndex(forwardBy: header.headerBytes)
            let payload = buffer.readUnmasked(header.payloadBytes, mask: header.mask, maskOffset: 0)
            return header.opcode.isControl ? try self.control(header, payload) : try self.message(header, payload)
        }
    }

    /// Why: everything that can be said from the header is said before its payload has arrived.
    private func check(_ header: WebSocketHeader) throws(WebSocketError) {
        guard (header.mask != nil) == (self.peer == .client) else {
            let rule = self.peer == .client ? "a client must mask its frames" : "a server must not mask its frames"
            throw WebSocketError(.protocolError, rule)
        }
        if header.opcode.isControl { return }
        guard (header.opcode == .continuation) == (self.openMessage != nil) else {
            let rule = self.openMessage == nil ? "a continuation without a message" : "a message inside another"
            throw WebSocketError(.protocolError, rule)
        }
        if case .messages(let maximumBytes) = self.mode,
            header.payloadBytes > maximumBytes - self.assembly.readableBytes
        {
            throw WebSocketError(.messageTooBig, "a message is longer than \(maximumBytes) bytes")
        }
    }

    private mutating func nextChunk(
        _ header: WebSocketHeader,
        _ remainingBytes: Int,
        _ maskOffset: Int,
        in buffer: inout ByteBuffer
    ) -> WebSocketEvent? {
        let length = min(remainingBytes, buffer.readableBytes)
        let isComplete = length == remainingBytes
        self.state =
            isComplete
            ? .header
            : .payload(header, remainingBytes: remainingBytes - length, maskOffset: (maskOffset + length) & 3)
        guard length > 0 || isComplete else { return nil }
        let piece = buffer.readUnmasked(length, mask: header.mask, maskOffset: maskOffset)
        return .data(header.opcode, isLast: isComplete && header.isLast, piece)
    }

    private mutating func message(
        _ header: WebSocketHeader,
        _ payload: ByteBuffer
    ) throws(WebSocketError) -> WebSocketEvent? {
        let opcode = self.openMessage ?? header.opcode
        guard header.isLast else {
            self.openMessage = opcode
            self.assembly.writeImmutableBuffer(payload)
            return nil
        }
        var whole = payload
        if self.openMessage != nil {
            self.assembly.writeImmutableBuffer(payload)
            whole = self.assembly
            self.assembly = ByteBuffer()
            self.openMessage = nil
        }
        guard opcode != .text || whole.withUnsafeReadableBytes(UTF8Validation.isValid) else {
            throw WebSocketError(.invalidPayload, "a text message is not valid UTF-8")
        }
        return .message(opcode, whole)
    }

    private mutating func control(
        _ header: WebSocketHeader,
        _ payload: ByteBuffer
    ) throws(WebSocketError) -> WebSocketEvent {
        switch header.opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        case .close, .text, .binary, .continuation:
            let event = try Self.close(payload)
            self.state = .closed
            return event
        }
    }

    private static func close(_ payload: ByteBuffer) throws(WebSocketError) -> WebSocketEvent {
        var rest = payload
        if rest.readableBytes == 0 { return .close(nil, reason: "") }
        guard let number = rest.readInteger(as: UInt16.self) else {
            throw WebSocketError(.protocolError, "a close frame has no room for its code")
        }
        let code = WebSocketCloseCode(rawValue: number)
        guard code.isValidOnWire else { throw WebSocketError(.protocolError, "close code \(number) must not be sent") }
        guard rest.withUnsafeReadableBytes(UTF8Validation.isValid) else {
            throw WebSocketError(.invalidPayload, "a close reason is not valid UTF-8")
        }
        return .close(code, reason: String(buffer: rest))
    }
}
