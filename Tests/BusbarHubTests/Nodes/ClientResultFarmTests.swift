import Busbar
import BusbarFaults
import BusbarHub
import BusbarProtocol
import NIOCore
import TestSupport
import Testing

@Suite("N-48: answers of clients of other nodes", .timeLimit(.minutes(3)))
struct ClientResultFarmTests {
    private func client(_ id: String, _ room: Room) throws -> ClientProxy {
        try #require(room.runtime.context(for: TestHub.self)).clients.client(id)
    }

    /// An id as core clients have them.
    private func id(on room: Room) -> String {
        Base64URL.encode(room.runtime.nodeTag.bytes + [UInt8](repeating: 7, count: 12))
    }

    @Test(
        "N-48, core 3.5-42, 43, 47: the caller gets the value, the error, or what is wrong with the value",
        arguments: [2, 3], CoreProtocol.allCases)
    func answers(nodes: Int, language: CoreProtocol) async throws {
        try await RoomFarm.open(nodes: nodes) { farm in
            let last = farm.rooms[nodes - 1]
            let id = self.id(on: last)
            let peer = try await last.connected(id, language: language)
            for room in farm.rooms {
                let client = try self.client(id, room)
                async let ten = client.ask.invoke("how many?", returning: Int.self)
                let question = try await peer.question()
                #expect(question.arguments == ["how many?"])
                try await peer.answer(question, #""result":10"#)
                #expect(try await ten == 10)
                async let list = client.ask.invoke(returning: [String: [Double?]].self)
                try await peer.answer(try await peer.question(), #""result":{"a":[1.5,null]}"#)
                #expect(try await list == ["a": [1.5, nil]])
                async let error = failure { try await client.ask.invoke() }
                try await peer.answer(try await peer.question(), #""error":"smørrebrød""#)
                #expect(await error == "clientFailed: smørrebrød")
                async let mismatch = failure { _ = try await client.ask.invoke(returning: Int.self) }
                try await peer.answer(try await peer.question(), #""result":"ten""#)
                #expect(await mismatch.hasPrefix("resultMismatch"))
            }
        }
    }

    @Test("N-48: a caller that is cancelled gets the cancellation, and the client's late answer harms nobody")
    func cancelled() async throws {
        try await RoomFarm.open { farm in
            let id = self.id(on: farm.rooms[1])
            let peer = try await farm.rooms[1].connected(id)
            let client = try self.client(id, farm.rooms[0])
            let asking = Task { await failure { try await client.ask.invoke() } }
            let question = try await peer.question()
            asking.cancel()
            #expect(await asking.value.hasPrefix("cancelled"))
            try await peer.answer(question, #""result":1"#)
            async let next = client.ask.invoke(returning: Int.self)
            try await peer.answer(try await peer.question(), #""result":2"#)
            #expect(try await next == 2)
        }
    }

    @Test("core 3.5-46: calls of two nodes at once have different ids, and each gets its own answer")
    func atOnce() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            let id = self.id(on: farm.rooms[2])
            let peer = try await farm.rooms[2].connected(id)
            async let first = self.client(id, farm.rooms[0]).ask.invoke(0, returning: Int.self)
            async let second = self.client(id, farm.rooms[1]).ask.invoke(1, returning: Int.self)
            let questions = [try await peer.question(), try await peer.question()]
            #expect(questions[0].id != questions[1].id)
            for question in questions.reversed() {
                let number = question.arguments == [0] ? 100 : 101
                try await peer.answer(question, "\"result\":\(number)")
            }
            #expect(try await first == 100)
            #expect(try await second == 101)
        }
    }

    @Test("core 3.5-44, 45, 48: an id on no node, and a client that leaves in the middle, fail at once")
    func gone() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            let id = self.id(on: farm.rooms[2])
            for unknown in ["1234", id] {
                let client = try self.client(unknown, farm.rooms[0])
                let text = await failure { try await client.ask.invoke() }
                #expect(text == "noSuchConnection: Connection '\(unknown)' does not exist.")
            }
            let peer = try await farm.rooms[2].connected(id)
            let client = try self.client(id, farm.rooms[0])
            async let leaving = failure { try await client.ask.invoke() }
            _ = try await peer.question()
            try await peer.close(.graceful)
            #expect(await leaving == "disconnected: Connection '\(id)' disconnected.")
            let (_, _) = try await farm.rooms[1].started("k")
            let classic = try self.client("k", farm.rooms[0])
            #expect(await failure { try await classic.ask.invoke() }.hasPrefix("resultsUnsupported"))
        }
    }

    @Test(
        "N-48: when the node of the client is killed in the middle, the caller is told as soon as that is known, and so is who asks after",
        arguments: [2, 3])
    func killed(nodes: Int) async throws {
        try await RoomFarm.open(nodes: nodes) { farm in
            let last = nodes - 1
            let id = self.id(on: farm.rooms[last])
            let peer = try await farm.rooms[last].connected(id)
            let client = try self.client(id, farm.rooms[0])
            async let dying = failure { try await client.ask.invoke(timeout: .seconds(3_600)) }
            _ = try await peer.question()
            farm.kill(last)
            #expect(await dying.hasPrefix("nodeGone"))
            try await farm.wait(on: Array(0..<last)) { room in room.runtime.nodes.count == nodes - 1 }
            let dead = await failure { try await client.ask.invoke(timeout: .seconds(3_600)) }
            #expect(dead.hasPrefix("nodeGone"))
        }
    }

    @Test("N-37: while the broker is away a client of the same node still answers")
    func brokerAway() async throws {
        try await RoomFarm.open { farm in
            let id = self.id(on: farm.rooms[0])
            let peer = try await farm.rooms[0].connected(id)
            let client = try self.client(id, farm.rooms[0])
            try await farm.cut(0)
            async let ten = client.ask.invoke(returning: Int.self)
            try await peer.answer(try await peer.question(), #""result":10"#)
            #expect(try await ten == 10)
            try await farm.drivers[0].restore()
        }
    }
}
