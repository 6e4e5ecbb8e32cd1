import CLoad

/// A server that the crowd can talk to: how a subscriber greets it and how a message is published there.
enum Peer: String {
    /// Busbar's chat hub, spoken to by core SignalR's JSON protocol.
    case busbar
    /// Nchan: subscribers over WebSocket, publications by POST.
    case nchan
    /// A TCP server that says nothing.
    case bare

    init(_ arguments: Arguments) throws {
        let name = try arguments.text("peer")
        guard let peer = Peer(rawValue: name) else { throw LoadError("--peer is busbar, nchan or bare, not \(name)") }
        self = peer
    }

    var greeting: greeting {
        switch self {
        case .busbar: GREETING_SIGNALR
        case .nchan: GREETING_WEBSOCKET
        case .bare: GREETING_NONE
        }
    }

    var path: String {
        switch self {
        case .busbar: "/chat"
        case .nchan: "/sub"
        case .bare: "/"
        }
    }

    /// Connects the one that publishes. Busbar's publisher is itself a subscriber, Nchan's is not.
    func connectPublisher(to crowd: OpaquePointer, port: UInt16) throws -> Int32 {
        try LoadError.check(
            crowd_connect(crowd, port, 0, self == .nchan ? GREETING_NONE : self.greeting, self.path), "publisher")
    }

    /// Appends the bytes that publish message `sequence`.
    func appendPublication(_ sequence: UInt32, to bytes: inout [CChar]) {
        let text = [CChar](unsafeUninitializedCapacity: Int(MESSAGE_BYTES)) { buffer, count in
            crowd_message(sequence, buffer.baseAddress)
            count = Int(MESSAGE_BYTES)
        }
        switch self {
        case .busbar:
            var record = Self.ascii(#"{"type":1,"target":"send","arguments":[""#)
            record += text
            record += Self.ascii("\"]}\u{1E}")
            bytes += Self.frame(record)
        case .nchan:
            bytes += Self.ascii("POST /pub HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(MESSAGE_BYTES)\r\n\r\n")
            bytes += text
        case .bare: break
        }
    }

    /// What an idle client says now and then so that the server does not take it for dead.
    var keepAlive: [CChar] {
        self == .busbar ? Self.frame(Self.ascii("{\"type\":6}\u{1E}")) : []
    }

    private static func frame(_ payload: [CChar]) -> [CChar] {
        [CChar](unsafeUninitializedCapacity: payload.count + 8) { buffer, count in
            count = Int(websocket_text(payload, UInt32(payload.count), buffer.baseAddress))
        }
    }

    private static func ascii(_ text: String) -> [CChar] {
        text.utf8.map { CChar(bitPattern: $0) }
    }
}
