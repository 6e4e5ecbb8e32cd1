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
    private var coreFrames: ByteBuffer?
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

    /// One WebSocket text frame per message, back to back.
    mutating func coreWebSocketFrames() -> ByteBuffer {
        if let frames = self.coreFrames { return frames }
        var frames = ByteBuffer()
        var record = ByteBuffer()
        for message in self.messages {
            record.clear()
            CoreJSON.writeInvocation(target: message.method, arguments: message.arguments, into: &record)
            frames.reserveCapacity(minimumWritableBytes: record.readableBytes + WebSocketFrames.longestHeaderBytes)
            WebSocketFrames.writeHeader(.text, payloadBytes: record.readableBytes, into: &frames)
            frames.writeImmutableBuffer(record)
        }
        self.coreFrames = frames
        return frames
    }

    /// The messages as elements of an envelope's list, separated by commas.
    mutating func classicElements() -> ByteBuffer {
        if let texts = self.classicTexts { return texts }
        var texts = ByteBuffer()
        for (index, message) in self.messages.enumerated() {
            if index > 0 { texts.writeInteger(UInt8(ascii: ",")) }
            ClassicJSON.writeInvocation(
                hub: message.hub, method: message.method, arguments: message.arguments, state: message.callerState,
                into: &texts)
        }
        self.classicTexts = texts
        return texts
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
