import BusbarHub
import BusbarServer
import NIOCore
import Synchronization
import Testing

/// Sees the contexts of all its connections without keeping them.
struct WatchedHub: Hub {
    let call: HubCall
    let census: Census

    init(_ call: HubCall) { self.init(call, census: Census()) }

    init(_ call: HubCall, census: Census) {
        self.call = call
        self.census = census
    }

    static var name: String { "echoHub" }
    static var methods: [HubMethod<Self>] { [HubMethod("keep", keep), HubMethod("linger", linger)] }

    /// Ties the connection to itself, as far as an app can.
    func keep(text: String) async throws {
        self.context.items[ItemKey<String>("text")] = text
        try await self.groups.add(self.context.id, to: text)
    }

    /// Ends only with its connection.
    func linger() async { await self.context.aborted() }

    func connected() async throws { self.census.came(self.context) }
    func disconnected(_ ending: Disconnection) async { self.census.left() }
}

/// Counts connections, and how many of them are still in memory.
final class Census: Sendable {
    private struct Entry: @unchecked Sendable {
        // Why unchecked: the reference is only ever compared with nil.
        weak var context: ConnectionContext?
    }

    private struct State {
        var entries: [Entry] = []
        var leaves = 0
    }

    private let state = Mutex(State())

    func came(_ context: ConnectionContext) {
        let entry = Entry(context: context)
        self.state.withLock { $0.entries.append(entry) }
    }

    func left() { self.state.withLock { $0.leaves += 1 } }

    var arrivals: Int { self.state.withLock { $0.entries.count } }
    var leaves: Int { self.state.withLock { $0.leaves } }
    var inMemory: Int { self.state.withLock { state in state.entries.count { $0.context != nil } } }
}

@Suite("Connections over real sockets", .timeLimit(.minutes(3)))
struct LeakTests {
    private static let cycles = 1_000
    private static let abreast = 8

    @Test(
        "a thousand of each generation, and as many broken upgrades, leave nothing in memory", arguments: [true, false])
    func nothingIsLeft(isCore: Bool) async throws {
        let census = Census()
        try await TestServer.run(
            hubs: [.hub(WatchedHub.self, path: "/echo") { WatchedHub($0, census: census) }]
        ) { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<Self.abreast {
                    group.addTask {
                        for index in 0..<Self.cycles / Self.abreast {
                            try await isCore ? Self.core(server, index) : Self.classic(server, index)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let deadline = ContinuousClock.now + .seconds(20)
            while census.inMemory > 0 || census.leaves < census.arrivals, ContinuousClock.now < deadline {
                _ = try await server.get("/health")
            }
            #expect(census.arrivals == Self.cycles)
            #expect(census.leaves == Self.cycles)
            #expect(census.inMemory == 0)
            try await server.waitUntilNothingIsLeft()
        }
    }

    @Test("hundreds over each classic transport, however they end, leave no session, registry entry, socket or context")
    func classicTransports() async throws {
        var settings = HubConfiguration()
        settings.classic.disconnectTimeout = .seconds(6)
        settings.classic.keepAlive = .seconds(2)
        let census = Census()
        try await TestServer.run(
            hubs: [.hub(WatchedHub.self, path: "/echo") { WatchedHub($0, census: census) }], hubConfiguration: settings
        ) { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for transport in ClassicTransport.allCases {
                    for worker in 0..<2 {
                        group.addTask {
                            for index in 0..<120 { try await Self.oneLife(server, transport, index * 2 + worker) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await server.waitUntilNothingIsLeft()
            // Why more: of who never started only the end is told.
            #expect(census.leaves >= census.arrivals)
            #expect(census.inMemory == 0)
        }
    }

    /// One connection, from its beginning to one of the ends that there are.
    private static func oneLife(_ server: TestServer, _ transport: ClassicTransport, _ index: Int) async throws {
        let client = try await transport.client(server)
        try await client.connect()
        switch index % 6 {
        case 0:
            // Aborted while its receive channel is open.
            _ = try await client.started().result(of: "keep", "[\"group \(index)\"]")
            if transport == .longPolling { try await client.open("poll") }
            _ = try await client.abort()
            try await client.rest()
        case 1:
            // Gone before it was started, without a word.
            break
        case 2:
            // Back and gone, then aborted.
            _ = try await client.started()
            client.close()
            try await client.open("reconnect")
            client.close()
            _ = try await client.abort()
        case 3:
            // Aborted in the middle of a call.
            async let result = client.started().result(of: "linger")
            _ = try await client.abort()
            // Why any end: a socket is closed with the call unanswered.
            _ = try? await result
        case 4:
            // Replaced by itself, then aborted; the second abort finds nobody.
            client.close()
            try await client.open("connect")
            for _ in 0..<2 { _ = try await client.abort() }
        default:
            // Gone in the middle of the next request, without a word.
            let raw = try await server.connect()
            try await raw.send("POST /signalr/send?\(client.query) HTTP/1.1\r\nContent-Length: 100\r\n\r\ndata=")
            raw.close()
        }
        client.close()
    }

    private static func core(_ server: TestServer, _ index: Int) async throws {
        let client = try await CoreClient.open(server)
        try await client.sendText(CoreClient.invocation("keep", "group \(index)", id: "1"))
        _ = try await client.receiveText { $0.contains(#""invocationId":"1""#) }
        if index % 2 == 0 { try await client.send(MaskedFrame.close(1000)) }
        client.close()
        try await Self.breakUpgrade(server, "/echo", index)
    }

    private static func classic(_ server: TestServer, _ index: Int) async throws {
        let query = try await ClassicClient.negotiate(server, version: "1.2")
        let client = try await RawClient.openSocket(port: server.port, "/signalr/connect?\(query)")
        _ = try await client.receiveText { $0.contains(#""S":1"#) }
        try await client.sendText(#"{"H":"echoHub","M":"keep","A":["group \#(index)"],"I":1}"#)
        _ = try await client.receiveText { $0.contains(#""I":"1""#) }
        if index % 2 == 0 { client.close() }
        _ = try await server.get("/signalr/abort?\(query)")
        client.close()
        try await Self.breakUpgrade(
            server, "/signalr/connect?\(query.replacing("webSockets", with: "carrierPigeon"))", index)
    }

    /// Leaves before, in the middle of, or right behind an opening handshake.
    private static func breakUpgrade(_ server: TestServer, _ target: String, _ index: Int) async throws {
        let client = try await server.connect()
        let request = RawRequest.upgrade(target)
        switch index % 3 {
        case 0: break
        case 1: try await client.send(String(request.prefix(request.count / 2)))
        default: try await client.send(request)
        }
        client.close()
    }
}
