import Busbar
import BusbarHub
import NIOCore
import TestSupport
import Testing

@Suite("Classic clients of several nodes without sticky sessions", .timeLimit(.minutes(3)))
struct ClassicFarmTests {
    private func call(_ method: String, _ arguments: String, id: Int = 0) -> ByteBuffer {
        ByteBuffer(string: #"{"H":"testhub","M":"\#(method)","A":\#(arguments),"I":\#(id)}"#)
    }

    @Test("/start on another node runs the connected event on the node of the connection, once, and answers there")
    func start() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            let peer = try await farm.rooms[0].classic("k")
            #expect(try await peer.envelope().initialized == 1)
            for room in farm.rooms.reversed() { #expect(await room.runtime.classic.start(id: "k") == .started) }
            #expect(farm.rooms[0].journal.count("connected k") == 1)
            #expect(farm.rooms[1].journal.entries.isEmpty && farm.rooms[2].journal.entries.isEmpty)
            let refused = try await farm.rooms[0].classic("r", query: [("refuse", "1")])
            _ = try await refused.envelope()
            #expect(await farm.rooms[1].runtime.classic.start(id: "r") == .failed)
            #expect(await farm.rooms[1].runtime.classic.start(id: "nobody") == .unknown)
        }
    }

    @Test("/abort on another node ends the channel and runs the disconnected event once, as the client's wish")
    func abort() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            let (peer, _) = try await farm.rooms[0].started("k")
            await farm.rooms[2].runtime.classic.abort(id: "k")
            while await peer.next() != nil {}
            #expect(peer.sink.ending == .normal)
            await farm.rooms[0].journal.wait(for: "disconnected k stoppedByClient")
            await farm.rooms[1].runtime.classic.abort(id: "k")
            await farm.rooms[1].runtime.classic.abort(id: "nobody")
            #expect(farm.rooms[0].journal.count("disconnected k stoppedByClient") == 1)
        }
    }

    @Test("38: the connected event runs once, also when the next receive request came elsewhere before /start")
    func startAfterMove() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            let peer = try await farm.rooms[0].classic("k")
            let cursor = try await peer.envelope().cursor
            let moved = try await farm.rooms[1].classic("k", kind: .poll(cursor: cursor))
            try await farm.wait(on: [0]) { $0.runtime.hasClassic("k") == false }
            for room in [farm.rooms[2], farm.rooms[0]] {
                #expect(await room.runtime.classic.start(id: "k") == .started)
            }
            #expect(farm.rooms.map { $0.journal.count("connected k") } == [0, 1, 0])
            try await moved.call("toCaller", #"["end"]"#)
            #expect(try await moved.messages(until: #"["end"]"#) == [#"["end"]"#])
        }
    }

    @Test("38: that a connection began somewhere is late news where it has gone on to")
    func lateBeginning() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            let peer = try await farm.rooms[0].classic("k")
            let cursor = try await peer.envelope().cursor
            let moved = try await farm.rooms[1].classic("k", kind: .poll(cursor: cursor))
            try await farm.wait(on: [0]) { $0.runtime.hasClassic("k") == false }
            let first = try #require(farm.rooms[0].runtime.nodes.first { $0.name == "node 0" })
            try await farm.buses[0].publishUnthrottled(
                NodeRecord.began(connectionID: "k", on: first.id).encoded(), to: HubTopics.owner(of: "k"))
            #expect(await farm.rooms[2].runtime.classic.start(id: "k") == .started)
            try await moved.call("toCaller", #"["end"]"#)
            #expect(try await moved.messages(until: #"["end"]"#) == [#"["end"]"#])
        }
    }

    @Test("38: a client whose /start came before its next receive request is not connected again where that came")
    func startBeforeMove() async throws {
        try await RoomFarm.open(nodes: 2) { farm in
            let (_, cursor) = try await farm.rooms[0].started("k")
            let moved = try await farm.rooms[1].classic("k", kind: .poll(cursor: cursor))
            try await moved.call("toCaller", #"["end"]"#)
            #expect(try await moved.messages(until: #"["end"]"#) == [#"["end"]"#])
            #expect(farm.rooms.map { $0.journal.count("connected k") } == [1, 0])
        }
    }

    @Test(
        "/send on another node runs the call on the node of the connection and returns its result, its error or nothing"
    )
    func send() async throws {
        try await RoomFarm.open(nodes: 2) { farm in
            let (peer, _) = try await farm.rooms[0].started("k")
            for room in farm.rooms {
                let classic = room.runtime.classic
                let echo = await classic.send(
                    id: "k", payload: self.call("echo", #"["é",]"#.replacing(",]", with: "]"), id: 7))
                #expect(echo == .result(ByteBuffer(string: #"{"R":"é","I":"7"}"#)))
                let failure = await classic.send(id: "k", payload: self.call("fail", #"["no"]"#))
                #expect(failure == .result(ByteBuffer(string: #"{"I":"0","H":true,"E":"no","D":{"code":7}}"#)))
                let silent = ByteBuffer(string: #"{"H":"testhub","M":"nothing","A":[]}"#)
                #expect(await classic.send(id: "k", payload: silent) == .nothing)
                guard case .malformed = await classic.send(id: "k", payload: ByteBuffer(string: "{")) else {
                    Issue.record("not JSON")
                    return
                }
                #expect(await classic.send(id: "nobody", payload: silent) == .unknown)
            }
            #expect(farm.rooms[0].journal.count("nothing") == 2 && farm.rooms[1].journal.count("nothing") == 0)
            #expect(peer.sink.isEmpty, "results go back to where the calls came from")
        }
    }

    @Test(
        "N-41: a call that joins a group, sent to another node than the client's, is in force for the next group send")
    func join() async throws {
        try await RoomFarm.open(nodes: 2) { farm in
            let (peer, _) = try await farm.rooms[0].started("k")
            let other = farm.rooms[1].runtime
            let clients = try #require(other.context(for: TestHub.self)).clients
            for round in 1...200 {
                _ = await other.classic.send(id: "k", payload: self.call("join", #"["g\#(round)"]"#))
                try await clients.group("g\(round)").send("received", round)
            }
            #expect(try await peer.messages(until: "[200]") == (1...200).map { "[\($0)]" })
        }
    }

    @Test("calls of a connection that is sent to from several nodes at once all run, each once")
    func manySends() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            _ = try await farm.rooms[0].started("k")
            let results = await withTaskGroup(of: ClassicSend.self) { group in
                for number in 0..<60 {
                    let classic = farm.rooms[number % 3].runtime.classic
                    let call = self.call("wait", #"["\#(number)"]"#, id: number)
                    group.addTask { await classic.send(id: "k", payload: call) }
                }
                farm.rooms[0].gate.open()
                return await group.reduce(into: [ClassicSend]()) { $0.append($1) }
            }
            #expect(Set(results) == Set((0..<60).map { .result(ByteBuffer(string: #"{"I":"\#($0)"}"#)) }))
            for number in 0..<60 { #expect(farm.rooms[0].journal.count("ended \(number)") == 1) }
        }
    }

    @Test("N-48, N-49: a request whose node is killed while it runs fails as soon as the node is known to be dead")
    func killed() async throws {
        try await RoomFarm.open(nodes: 3) { farm in
            _ = try await farm.rooms[2].started("k")
            async let outcome = farm.rooms[0].runtime.classic.send(id: "k", payload: self.call("hang", "[]"))
            await farm.rooms[2].journal.wait(for: "hanging")
            farm.kill(2)
            #expect(await outcome == .unreachable)
        }
    }

    @Test("N-45: a client that comes back on another node is that node's alone, and its end is told once, there")
    func takeOver() async throws {
        try await RoomFarm.open(nodes: 2) { farm in
            let first = farm.rooms[0], second = farm.rooms[1]
            let (peer, cursor) = try await first.started("k")
            try await peer.call("join", #"["g"]"#, id: 1)
            let token = try #require(try await peer.envelope().groupsToken)
            try await peer.close()
            let clients = try #require(first.runtime.context(for: TestHub.self)).clients
            try await clients.group("g").send("received", 1)
            let back = try await second.classic("k", kind: .reconnect(cursor: cursor), token: token)
            #expect(try await back.messages(until: "[1]") == ["[1]"])
            // The first node serves it as if it had never had it, when it has read of the move.
            try await farm.wait(on: [0]) { $0.runtime.hasClassic("k") == false }
            for room in farm.rooms { try await room.pass(.seconds(100)) }
            #expect(await first.runtime.sessionCount() == 0)
            #expect(!first.journal.entries.contains { $0.hasPrefix("disconnected") })
            try await clients.group("g").send("received", 2)
            #expect(try await back.messages(until: "[2]") == ["[2]"])
            let echo = await first.runtime.classic.send(id: "k", payload: self.call("join", #"["h"]"#))
            #expect(echo == .result(ByteBuffer(string: #"{"I":"0"}"#)))
            await first.runtime.classic.abort(id: "k")
            await second.journal.wait(for: "disconnected k stoppedByClient")
            #expect(first.journal.entries.filter { $0.hasPrefix("disconnected") }.isEmpty)
        }
    }

    @Test("a call that runs when its client moves to another node is finished where it began")
    func takeOverDuringCall() async throws {
        try await RoomFarm.open(nodes: 2) { farm in
            let first = farm.rooms[0], second = farm.rooms[1]
            let (_, cursor) = try await first.started("k")
            async let outcome = second.runtime.classic.send(id: "k", payload: self.call("wait", #"["long"]"#))
            await first.journal.wait(for: "began long")
            _ = try await second.classic("k", kind: .reconnect(cursor: cursor))
            try await farm.wait(on: [0]) { $0.runtime.hasClassic("k") == false }
            first.gate.open()
            #expect(await outcome == .result(ByteBuffer(string: #"{"I":"0"}"#)))
            #expect(first.journal.count("ended long") == 1)
        }
    }

    @Test("N-46: a groups token that was lost with its answer comes again with what moves the client's cursor on")
    func lostToken() async throws {
        try await RoomFarm.open(nodes: 2) { farm in
            let first = farm.rooms[0]
            let (peer, cursor) = try await first.started("k")
            try await peer.call("join", #"["g"]"#, id: 1)
            _ = try #require(try await peer.envelope().groupsToken)
            try await peer.close()
            let clients = try #require(first.runtime.context(for: TestHub.self)).clients
            try await clients.all.send("received", 1)
            let again = try await first.classic("k", kind: .reconnect(cursor: cursor))
            let answer = try await again.envelope()
            #expect(answer.messages?.count == 1)
            let token = try #require(answer.groupsToken)
            try await again.close()
            let back = try await farm.rooms[1].classic("k", kind: .reconnect(cursor: answer.cursor), token: token)
            try await clients.group("g").send("received", 2)
            #expect(try await back.messages(until: "[2]") == ["[2]"])
            // Who has it isn't told again.
            try await back.close()
            let last = try await farm.rooms[1].classic("k", kind: .reconnect(cursor: answer.cursor), token: token)
            #expect(try await last.envelope().groupsToken == nil)
        }
    }

    @Test("N-46: a node that a client leaves in the middle of a replay learns its groups when it comes again")
    func leftInReplay() async throws {
        try await RoomFarm.open(nodes: 2) { farm in
            let clients = try #require(farm.rooms[0].runtime.context(for: TestHub.self)).clients
            // Why often: the page may have been read before the client leaves.
            for round in 0..<20 {
                let (peer, cursor) = try await farm.rooms[0].started("k\(round)")
                try await peer.call("join", #"["g\#(round)"]"#, id: 1)
                _ = try #require(try await peer.envelope().groupsToken)
                try await peer.close()
                let second = farm.rooms[1]
                try await second.classic("k\(round)", kind: .reconnect(cursor: cursor)).close()
                let back = try await second.classic("k\(round)", kind: .reconnect(cursor: cursor))
                try await clients.group("g\(round)").send("received", round)
                #expect(try await back.messages(until: "[\(round)]") == ["[\(round)]"])
                try await back.close()
            }
        }
    }

    @Test("N-46: a client whose node is killed keeps its groups and misses nothing on another one")
    func killedNode() async throws {
        try await RoomFarm.open(nodes: 2) { farm in
            let (peer, cursor) = try await farm.rooms[0].started("k")
            try await peer.call("join", #"["g"]"#, id: 1)
            let token = try #require(try await peer.envelope().groupsToken)
            farm.kill(0)
            let clients = try #require(farm.rooms[1].runtime.context(for: TestHub.self)).clients
            for number in 1...3 { try await clients.group("g").send("received", number) }
            let back = try await farm.rooms[1].classic("k", kind: .reconnect(cursor: cursor), token: token)
            #expect(try await back.messages(until: "[3]") == ["[1]", "[2]", "[3]"])
        }
    }
}
