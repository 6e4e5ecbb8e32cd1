import BusbarHub
import BusbarProtocol
import NIOCore
import NIOPosix
import Testing

/// A classic client at the other end of one receive channel.
struct ClassicPeer: Sendable {
    let id: String
    let sink: Sink
    let loop: any EventLoop
    private let channel: NIOLoopBound<ClassicChannel>

    init(room: Room, loop: any EventLoop, opening: ClassicOpening, sink: Sink) async throws {
        self.id = opening.identity.id
        self.loop = loop
        self.sink = sink
        self.channel = try await loop.submit {
            let channel = room.runtime.classic.open(
                opening, outlet: RecordingOutlet(sink, splitsRecords: false), framing: .webSocket, on: loop)
            return NIOLoopBound(try #require(channel), eventLoop: loop)
        }.get()
    }

    func send(_ text: String) async throws {
        try await self.loop.submit { self.channel.value.received(ByteBuffer(string: text)) }.get()
    }

    /// What was written has been taken.
    func drained() async throws {
        try await self.loop.submit { self.channel.value.drained() }.get()
    }

    func call(_ method: String, _ arguments: String = "[]", id: Int? = nil, hub: String = "testhub") async throws {
        let id = id.map { ",\"I\":\($0)" } ?? ""
        try await self.send("{\"H\":\"\(hub)\",\"M\":\"\(method)\",\"A\":\(arguments)\(id)}")
    }

    func close(_ closing: TransportClosing = .lost) async throws {
        try await self.loop.submit { self.channel.value.transportClosed(closing) }.get()
    }

    func next() async -> String? { await self.sink.next() }

    /// The next envelope.
    func envelope() async throws -> Envelope {
        while let text = await self.next() {
            let object = try JSONValueText(validating: ByteBuffer(string: text)).decode(Envelope.self)
            if object.messages != nil { return object }
        }
        throw Gone()
    }

    /// Every message up to and including the one whose arguments are `last`.
    func messages(until last: String) async throws -> [String] {
        var all: [String] = []
        while !all.contains(last) {
            all += try await self.envelope().arguments
        }
        return all
    }

    struct Gone: Error {}
}

/// An envelope as a client reads it.
struct Envelope: Decodable {
    struct Call: Decodable {
        var hub: String
        var method: String
        var list: JSONNode

        private enum CodingKeys: String, CodingKey { case hub = "H", method = "M", list = "A" }
    }

    var cursor: String?
    var initialized: Int?
    var groupsToken: String?
    var aborted: Int?
    var error: String?
    var messages: [Call]?

    private enum CodingKeys: String, CodingKey {
        case cursor = "C", initialized = "S", groupsToken = "G", aborted = "D", error = "E", messages = "M"
    }

    /// The arguments of each message as JSON.
    var arguments: [String] {
        (self.messages ?? []).map { call in
            (try? JSONValueText(encoding: call.list)).map { String(buffer: $0.bytes) } ?? ""
        }
    }
}

extension Room {
    static func opening(
        _ id: String, user: String? = nil, kind: ClassicOpening.Kind = .connect, hubs: [RegisteredHub],
        delayedStart: Bool = true, token: String? = nil, query: [(String, String)] = []
    ) -> ClassicOpening {
        ClassicOpening(
            kind: kind, identity: Self.identity(id, user: user, query: query), hubs: hubs, delayedStart: delayedStart,
            groupsToken: token)
    }

    func classic(
        _ id: String, user: String? = nil, kind: ClassicOpening.Kind = .connect, hubs: [String] = ["testhub"],
        delayedStart: Bool = true, token: String? = nil, query: [(String, String)] = [], on index: Int = 0,
        sink: Sink = Sink()
    ) async throws -> ClassicPeer {
        let hubs = hubs.compactMap { self.runtime.hubs.hub(named: $0) }
        return try await ClassicPeer(
            room: self, loop: Array(self.loops.makeIterator())[index],
            opening: Self.opening(
                id, user: user, kind: kind, hubs: hubs, delayedStart: delayedStart, token: token, query: query),
            sink: sink)
    }

    /// A client that has been initialized and started; with the cursor it got.
    func started(
        _ id: String, user: String? = nil, hubs: [String] = ["testhub"], on index: Int = 0
    ) async throws -> (peer: ClassicPeer, cursor: String) {
        let peer = try await self.classic(id, user: user, hubs: hubs, on: index)
        let first = try await peer.envelope()
        #expect(first.initialized == 1)
        #expect(await self.runtime.classic.start(id: id) == .started)
        return (peer, try #require(first.cursor))
    }

    /// Lets time pass for every connection of the room.
    func pass(_ time: TimeAmount) async throws {
        try await self.runtime.tick(at: .now() + time)
    }
}
