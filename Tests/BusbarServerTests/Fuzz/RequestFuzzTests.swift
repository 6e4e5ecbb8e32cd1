import Busbar
import BusbarHub
import BusbarServer
import Foundation
import NIOCore
import TestSupport
import Testing

/// Takes whatever it is sent.
private struct Listener: PersistentConnection {
    let call: PersistentCall
    init(_ call: PersistentCall) { self.call = call }

    func received(_ data: String) async throws { try await self.connection.send(data, to: self.context.id) }
}

/// Whatever a client sends concerns that client alone. A failure names the seed and the round; BUSBAR_FUZZ_SEED repeats a
/// run.
@Suite("Requests of hostile clients", .timeLimit(.minutes(5)))
struct RequestFuzzTests {
    private static let rounds = 2_000

    /// What a well-formed request may be answered with. A redirect or a failure of the server is none of it.
    private static let statuses: Set<Int> = [101, 200, 400, 403, 404, 405, 413, 414, 431]

    @Test(
        "17 48 55 T15 T17 each is answered, none ends the server or disturbs its neighbours, and all leave nothing",
        arguments: [FuzzSeed.current])
    func requests(seed: UInt64) async throws {
        var settings = HubConfiguration()
        settings.classic.jsonp = true
        let diary = Diary(), gate = Gate()
        gate.open()
        try await TestServer.run(
            hubs: [.hub(CaseHub.self, path: "/echo") { CaseHub($0, diary: diary, gate: gate) }],
            persistentConnections: [.connection(Listener.self, path: "/raw")], hubConfiguration: settings
        ) { server in
            let witness = try await ClassicTransport.serverSentEvents.started(server)
            let clients = try await Self.prepare(server)
            var fuzzer = RequestFuzzer(seed: seed, pool: try await Self.pool(server, clients))
            var open: [RawClient] = []
            for round in 0..<Self.rounds {
                let request = fuzzer.request()
                let client = try await server.connect()
                open.append(client)
                // Why tolerated: the server may have closed the connection at the first wrong byte.
                try? await client.send(request.bytes)
                if request.isHTTP {
                    let status = try await client.receiveHead().status
                    let text = String(buffer: request.bytes)
                    #expect(Self.statuses.contains(status), "seed \(seed), round \(round): \(status) for \(text)")
                    if status == 101 {
                        for _ in 0..<fuzzer.number(below: 4) {
                            client.push(MaskedFrame.make(opcode: 1, ByteBuffer(bytes: fuzzer.call())))
                        }
                    }
                }
                if open.count > 24 { open.remove(at: fuzzer.number(below: open.count)).close() }
                if round % 250 == 0 {
                    #expect(try await witness.result(of: "toCaller", "[\"round \(round).\"]") == #"{"I":"0"}"#)
                    _ = try await witness.envelope(containing: "round \(round).")
                }
            }
            for client in open { client.close() }
            for client in clients + [witness] {
                _ = try await client.abort()
                client.close()
            }
            try await server.waitUntilNothingIsLeft()
        }
    }

    /// Clients of each transport whose tokens the requests carry.
    private static func prepare(_ server: TestServer) async throws -> [any ClassicTestClient] {
        var clients: [any ClassicTestClient] = []
        for transport in ClassicTransport.allCases {
            let client = try await transport.started(server)
            _ = try await client.result(of: "join", #"["g"]"#)
            while client.groupsToken == nil { _ = try await client.envelope() }
            clients.append(client)
        }
        return clients
    }

    private static func pool(
        _ server: TestServer, _ clients: [any ClassicTestClient]
    ) async throws -> RequestFuzzer.Pool {
        let tokens = try clients.map { client in
            let parameter = client.query.split(separator: "&").first { $0.hasPrefix("connectionToken=") }
            return try #require(
                parameter.flatMap { String($0.dropFirst("connectionToken=".count)).removingPercentEncoding })
        }
        return RequestFuzzer.Pool(
            tokens: tokens, cursors: clients.compactMap(\.cursor), groupsTokens: clients.compactMap(\.groupsToken))
    }

    @Test("7 T22 a token that was changed is none, or still says the same", arguments: [FuzzSeed.current])
    func tokens(seed: UInt64) {
        let tokens = ConnectionTokens(key: .generate())
        let token = tokens.classicToken(id: "an id", user: "ann")
        var fuzzer = RequestFuzzer(seed: seed, pool: .init(tokens: [], cursors: [], groupsTokens: []))
        for _ in 0..<20_000 {
            let changed = String(decoding: fuzzer.mutated(Array(token.utf8)), as: UTF8.self)
            if let opened = tokens.openClassic(changed) {
                #expect(opened.id == "an id" && opened.user == "ann", "seed \(seed): \(changed)")
            }
        }
    }
}
