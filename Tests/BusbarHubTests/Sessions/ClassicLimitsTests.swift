import BusbarHub
import BusbarProtocol
import NIOCore
import TestSupport
import Testing

@Suite("What a classic client may cost", .timeLimit(.minutes(1)))
struct ClassicLimitsTests {
    @Test("who comes back slowly is sent what it missed at its own pace, and not cut off for it")
    func slowCatchUp() async throws {
        var configuration = HubConfiguration()
        configuration.outboundLimitBytes = 131_072
        configuration.replayLimitBytes = 65_536
        try await Room.open(configuration: configuration) { room in
            let (peer, cursor) = try await room.started("a")
            try await peer.close()
            let (other, _) = try await room.started("b")
            let texts = (0..<30).map { "\($0)" + String(repeating: "x", count: 9_000) }
            for text in texts {
                try await other.call("send", "[\"\(text)\"]")
                _ = try await other.messages(until: "[\"\(text)\"]")
            }
            let sink = Sink()
            sink.getStuck()
            let back = try await room.classic("a", kind: .reconnect(cursor: cursor), sink: sink)
            await room.journal.wait(for: "reconnected a")
            var heard: [String] = []
            while heard.count < texts.count {
                heard += try await back.envelope().arguments
                // Why: with each page taken the next is due, here as there only when a tick finds room for it.
                sink.drain()
                try await room.pass(.seconds(1))
            }
            #expect(heard == texts.map { "[\"\($0)\"]" })
            #expect(sink.ending == nil)
            try await other.call("send", #"["live"]"#)
            #expect(try await back.messages(until: #"["live"]"#) == [#"["live"]"#])
        }
    }

    @Test("who does not read is ended also when all it is sent are its groups tokens")
    func unreadTokens() async throws {
        var configuration = HubConfiguration()
        configuration.outboundLimitBytes = 4_096
        try await Room.open(configuration: configuration) { room in
            let sink = Sink()
            let peer = try await room.classic("a", sink: sink)
            sink.getStuck()
            for index in 0..<200 where sink.ending == nil {
                try await peer.call("join", "[\"group \(index)\"]", id: index)
                while sink.ending == nil, let text = await peer.next(), !text.contains("\"I\":") {}
            }
            #expect(sink.ending == .abandon)
        }
    }

    @Test("a connection may be in so many groups and no more; leaving one makes room")
    func groups() async throws {
        var configuration = HubConfiguration()
        configuration.groupLimit = 2
        try await Room.open(configuration: configuration) { room in
            let (peer, _) = try await room.started("a")
            let chat = try #require(room.runtime.context(named: "TestHub"))
            for name in ["1", "2", "2"] { try await chat.groups.add("a", to: name) }
            await #expect { try await chat.groups.add("a", to: "3") } throws: {
                ($0 as? HubSendError)?.code == .tooManyGroups
            }
            try await chat.groups.remove("a", from: "1")
            try await chat.groups.add("a", to: "3")
            try await chat.clients.group("3").send("received", "x")
            #expect(try await peer.messages(until: #"["x"]"#) == [#"["x"]"#])
        }
    }

    @Test("there may be so many connections and no more, those without a channel included")
    func connections() async throws {
        var configuration = HubConfiguration()
        configuration.classic.connectionLimit = 1
        try await Room.open(configuration: configuration) { room in
            let (peer, _) = try await room.started("a")
            try await peer.close()
            let second = try await room.classic("b")
            #expect(await second.next() == nil)
            #expect(second.sink.ending == .goingAway)
            let back = try await room.classic("a")
            #expect(try await back.envelope().initialized == 1)
            await room.runtime.classic.abort(id: "a")
            await room.journal.wait(for: "disconnected a stoppedByClient")
            while await room.runtime.sessionCount() > 0 {}
            #expect(try await room.classic("b").envelope().initialized == 1)
        }
    }

    @Test("a client that comes back again and again while a call runs has one reconnected event waiting")
    func reconnectedEvents() async throws {
        try await Room.open { room in
            let (peer, cursor) = try await room.started("a")
            try await peer.call("wait", #"["x"]"#)
            await room.journal.wait(for: "began x")
            for _ in 0..<5 { _ = try await room.classic("a", kind: .reconnect(cursor: cursor)) }
            let last = try await room.classic("a", kind: .reconnect(cursor: cursor))
            room.gate.open()
            try await last.call("echo", "[1]", id: 1)
            while let text = await last.next(), !text.contains("\"I\":\"1\"") {}
            #expect(room.journal.count("reconnected a") == 1)
        }
    }

    @Test("a new channel of a connection whose calls wait is not read before there is room")
    func pausedFromTheStart() async throws {
        var configuration = HubConfiguration()
        configuration.queuedInvocationLimit = 1
        try await Room.open(configuration: configuration) { room in
            let (peer, cursor) = try await room.started("a")
            try await peer.call("wait", #"["x"]"#)
            try await peer.call("nothing")
            #expect(peer.sink.pauses == 1)
            let back = try await room.classic("a", kind: .reconnect(cursor: cursor))
            #expect(back.sink.pauses == 1)
            #expect(back.sink.resumes == 0)
            room.gate.open()
            await room.journal.wait(for: "reconnected a")
            try await back.call("echo", "[1]", id: 1)
            while let text = await back.next(), !text.contains("\"I\":\"1\"") {}
            #expect(back.sink.resumes >= 1)
        }
    }
}
