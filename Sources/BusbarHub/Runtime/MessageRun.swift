import Busbar
import BusbarProtocol
import NIOCore

/// Consecutive messages of a batch for the same audience: encoded once per wire format, whoever gets them.
struct MessageRun {
    let topic: Topic
    let hub: String
    /// Ids of connections of the audience that don't get the messages.
    let exceptions: [String]
    let isForOneConnection: Bool
    private(set) var messages: [HubMessage]
    private var jsonFrames: ByteBuffer?
    private var packedFrames: ByteBuffer?
    private var classicTexts: ByteBuffer?

    init(_ message: HubMessage, topic: Topic) {
        self.topic = topic
        self.hub = message.hub
        self.exceptions = message.audience.exceptions
        self.isForOneConnection = if case .connection = message.audience { true } else { false }
        self.messages = [message]
    }

    /// Takes a message if it is for the same connections.
    mutating func extend(with message: HubMessage, topic: Topic) -> Bool {
        guard topic == self.topic, message.hub == self.hub, message.audience.exceptions == self.exceptions else {
            return false
        }
        self.messages.append(message)
        return true
    }

    /// One WebSocket frame per message, back to back.
    mutating func coreWebSocketFrames(_ language: CoreProtocol) -> ByteBuffer {
        switch language {
        case .json:
            if let frames = self.jsonFrames { return frames }
            let frames = self.makeWebSocketFrames(language)
            self.jsonFrames = frames
            return frames
        case .messagePack:
            if let frames = self.packedFrames { return frames }
            let frames = self.makeWebSocketFrames(language)
            self.packedFrames = frames
            return frames
        }
    }

    private func makeWebSocketFrames(_ language: CoreProtocol) -> ByteBuffer {
        var frames = ByteBuffer()
        var record = ByteBuffer()
        for message in self.messages {
            // Why: values and progress are for classic clients only.
            guard case .call(let call) = message.body else { continue }
            record.clear()
            language.writeInvocation(
                target: call.method, arguments: call.arguments, invocationID: call.invocationID, into: &record)
            frames.reserveCapacity(minimumWritableBytes: record.readableBytes + WebSocketFrames.longestHeaderBytes)
            WebSocketFrames.writeHeader(language.opcode, payloadBytes: record.readableBytes, into: &frames)
            frames.writeImmutableBuffer(record)
        }
        return frames
    }

    /// The messages as elements of an envelope's list, separated by commas.
    mutating func classicElements() -> ByteBuffer {
        if let texts = self.classicTexts { return texts }
        var texts = ByteBuffer()
        for (index, message) in self.messages.enumerated() {
            if index > 0 { texts.writeInteger(UInt8(ascii: ",")) }
            message.writeClassicElement(into: &texts)
        }
        self.classicTexts = texts
        return texts
    }
}

extension HubMessage {
    /// Writes the message as classic clients get it, an element of an envelope.
    func writeClassicElement(into buffer: inout ByteBuffer) {
        switch self.body {
        case .call(let call):
            ClassicJSON.writeInvocation(
                hub: self.hub, method: call.method, arguments: call.arguments, state: call.callerState, into: &buffer)
        case .value(let value):
            buffer.writeImmutableBuffer(value.bytes)
        case .progress(let report):
            ClassicJSON.writeProgress(
                report.value, invocationID: report.invocationID, state: report.callerState, into: &buffer)
        }
    }
}

extension Audience {
    var exceptions: [String] {
        switch self {
        case .all(let except), .group(_, let except): except
        case .connection, .user: []
        }
    }
}
