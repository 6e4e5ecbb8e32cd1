import BusbarHub
import NIOCore
import Testing

/// Sends to others, but for some.
private struct OthersHub: Hub {
    let call: HubCall
    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] {
        [HubMethod("inGroup", inGroup), HubMethod("inGroups", inGroups), HubMethod("allExcept", allExcept)]
    }

    func inGroup(group: String, text: String) async throws {
        try await self.clients.othersInGroup(group).received(text)
    }
    func inGroups(groups: [String], text: String) async throws {
        try await self.clients.othersInGroups(groups).received(text)
    }
    func allExcept(id: String, text: String) async throws { try await self.clients.allExcept(id).received(text) }
}

@Suite("A classic session", .timeLimit(.minutes(1)))
struct ClassicSessionTests {
    @Test("case 27: S:1 comes at once and without the connected event, which runs at /start and only once")
    func delayedStart() async throws {
        try await Room.open { room in
            let peer = try await room.classic("a")
            let first = try await peer.envelope()
            #expect(first.initialized == 1)
            #expect(first.cursor?.isEmpty == false)
            #expect(first.messages?.isEmpty == true)
            #expect(room.journal.entries.isEmpty)
            #expect(await room.runtime.classic.start(id: "a") == .started)
            #expect(await room.runtime.classic.start(id: "a") == .started)
            #expect(room.journal.entries == ["connected a"])
        }
    }

    @Test("T12: a client before 1.4 is initialized after its connected event, and not at all if that fails")
    func legacyStart() async throws {
        try await Room.open { room in
            let peer = try await room.classic("a", delayedStart: false)
            #expect(try await peer.envelope().initialized == 1)
            #expect(room.journal.entries == ["connected a"])
            let refused = try await room.classic("b", delayedStart: false, query: [("refuse", "1")])
            #expect(await refused.next() == nil)
            #expect(refused.sink.ending == .failed)
        }
    }

    @Test("cases 28, 30, 37: what the connected event sends is delivered in order, once, on the channel that is open")
    func greetings() async throws {
        try await Room.open { room in
            let peer = try await room.classic("a", query: [("greet", "1")])
            #expect(await room.runtime.classic.start(id: "a") == .started)
            try await peer.call("toCaller", #"["end"]"#)
            let all = try await peer.messages(until: #"["end"]"#)
            #expect(all == ["[1]", "[2]", #"["end"]"#])
        }
    }

    @Test("case 34: of many channels with one id each newer one replaces the older, on whatever loop, and none fails")
    func replacement() async throws {
        try await Room.open(loops: 2) { room in
            let peers = try await withThrowingTaskGroup(of: ClassicPeer.self) { group in
                for index in 0..<100 { group.addTask { try await room.classic("a", on: index % 2) } }
                var peers: [ClassicPeer] = []
                for try await peer in group { peers.append(peer) }
                return peers
            }
            let (last, _) = try await room.started("a")
            try await last.call("echo", "[1]", id: 1)
            #expect(await last.next() == #"{"R":1,"I":"1"}"#)
            for peer in peers { while await peer.next() != nil {} }
            #expect(peers.allSatisfy { $0.sink.ending == .normal })
            #expect(room.journal.entries == ["connected a"])
        }
    }

    @Test(
        "cases 36, 64, 70, 71, T6, T18, T19: calls work without /start, results are bare, errors in the client's words"
    )
    func calls() async throws {
        try await Room.open { room in
            let peer = try await room.classic("a")
            _ = try await peer.envelope()
            for (call, answer) in [
                (#"{"H":"TESTHUB","M":"Echo","A":[{"x":[1,"+"]}],"I":0}"#, #"{"R":{"x":[1,"+"]},"I":"0"}"#),
                (#"{"I":"1","H":"TestHub","M":"nothing"}"#, #"{"I":"1"}"#),
                (#"{"H":"testHub","M":"echo","A":[null],"I":2}"#, #"{"I":"2"}"#),
                (
                    #"{"H":"testHub","M":"CRASH","A":[],"I":3}"#,
                    #"{"I":"3","E":"There was an error invoking Hub method 'testHub.CRASH'."}"#
                ),
                (#"{"H":"testHub","M":"fail","A":["why"],"I":4}"#, #"{"I":"4","H":true,"E":"why","D":{"code":7}}"#),
                (
                    #"{"H":"testHub","M":"none","A":[],"I":5}"#,
                    #"{"I":"5","E":"There was an error invoking Hub method 'testHub.none'."}"#
                ),
                (
                    #"{"H":"noHub","M":"m","A":[],"I":6}"#,
                    #"{"I":"6","E":"There was an error invoking Hub method 'noHub.m'."}"#
                ),
                (#"{"H":3,"I":7}"#, #"{"I":"7","E":"The call could not be read."}"#),
            ] {
                try await peer.send(call)
                #expect(await peer.next() == answer)
            }
            try await peer.send("not JSON")
            try await peer.call("nothing")
            try await peer.call("echo", "[8]", id: 8)
            #expect(await peer.next() == #"{"R":8,"I":"8"}"#)
        }
    }

    @Test("case 38: /abort runs the disconnected event at once, as the client's wish, and ends the channel")
    func abort() async throws {
        try await Room.open { room in
            let (peer, _) = try await room.started("a")
            await room.runtime.classic.abort(id: "a")
            #expect(await peer.next() == nil)
            #expect(peer.sink.ending == .normal)
            await room.journal.wait(for: "disconnected a stoppedByClient")
        }
    }

    @Test("case 40, T11: /abort after the channel is gone still counts as the client's wish, once")
    func abortLate() async throws {
        try await Room.open { room in
            let (peer, _) = try await room.started("a")
            try await peer.close()
            await room.runtime.classic.abort(id: "a")
            await room.runtime.classic.abort(id: "a")
            await room.runtime.classic.abort(id: "unknown")
            await room.journal.wait(for: "disconnected a stoppedByClient")
            try await room.pass(.seconds(60))
            #expect(room.journal.entries == ["connected a", "disconnected a stoppedByClient"])
        }
    }

    @Test("case 39: a client that vanishes is disconnected when its time is over, not before")
    func vanishes() async throws {
        try await Room.open { room in
            let (peer, _) = try await room.started("a")
            try await peer.close()
            try await room.pass(.seconds(34))
            #expect(room.journal.entries == ["connected a"])
            try await room.pass(.seconds(36))
            await room.journal.wait(for: "disconnected a lost")
        }
    }

    @Test(
        "cases 46, 49: who comes back with its cursor gets exactly what it missed, in order, then what is new",
        arguments: [0, 1])
    func resume(loop: Int) async throws {
        try await Room.open(loops: 2) { room in
            let (peer, _) = try await room.started("a")
            let (other, _) = try await room.started("b")
            try await other.call("send", #"["1"]"#)
            let seen = try await peer.envelope()
            try await peer.close()
            for text in ["2", "3", "4"] { try await other.call("send", "[\"\(text)\"]", id: 1) }
            _ = try await other.messages(until: #"["4"]"#)
            let back = try await room.classic("a", kind: .reconnect(cursor: seen.cursor), on: loop)
            await room.journal.wait(for: "reconnected a")
            try await other.call("send", #"["5"]"#)
            #expect(try await back.messages(until: #"["5"]"#) == [#"["2"]"#, #"["3"]"#, #"["4"]"#, #"["5"]"#])
            #expect(room.journal.count("connected a") == 1)
        }
    }

    @Test(
        "cases 47, 48, T15: an unknown cursor means from now on", arguments: ["s-0,1|1,2", "d-1F-A,0|B,0", "xyz", ""])
    func unknownCursor(cursor: String) async throws {
        try await Room.open { room in
            let (other, _) = try await room.started("b")
            try await other.call("send", #"["old"]"#)
            _ = try await other.messages(until: #"["old"]"#)
            try room.runtime.classic.checkCursor(cursor)
            let back = try await room.classic("a", kind: .reconnect(cursor: cursor))
            await room.journal.wait(for: "reconnected a")
            try await other.call("send", #"["new"]"#)
            #expect(try await back.messages(until: #"["new"]"#) == [#"["new"]"#])
        }
    }

    @Test(
        "case 48, T15: a malformed cursor is a typed error",
        arguments: ["d-|", "d-A|", "d-test", "d-test,A|", "d-,A|,B", "d-\\test,A", "d-1F-A,0|A,1", "d-1F-A,xyz", "a b"])
    func malformedCursor(cursor: String) async throws {
        try await Room.open { room in
            #expect(throws: MalformedClassicCursor()) { try room.runtime.classic.checkCursor(cursor) }
        }
    }

    @Test("cases 52, 53, T14: joining thrice is joining once, leaving ends it, and G tells the client of changes")
    func groups() async throws {
        try await Room.open { room in
            let (peer, _) = try await room.started("a")
            for id in 1...3 { try await peer.call("join", #"["g"]"#, id: id) }
            #expect(try await peer.envelope().groupsToken != nil)
            try await peer.call("toGroup", #"["g","1"]"#)
            try await peer.call("leave", #"["g"]"#)
            for index in 2...11 { try await peer.call("toGroup", "[\"g\",\"\(index)\"]") }
            try await peer.call("toCaller", #"["end"]"#)
            #expect(try await peer.messages(until: #"["end"]"#) == [#"["1"]"#, #"["end"]"#])
        }
    }

    @Test(
        "cases 42, 57, 58: a node that never knew the client restores its groups from the token, hub by hub"
    )
    func restore() async throws {
        let names = (0..<10).map { "group$&+,/:;=?@[]\($0)" }
        try await Room.open { room in
            let token = room.runtime.groupsToken(
                names.map { HubGroup(hub: "TestHub", name: $0) } + [HubGroup(hub: "Other", name: "o")],
                connectionID: "a")
            let peer = try await room.classic("a", kind: .reconnect(cursor: nil), token: token)
            await room.journal.wait(for: "reconnected a")
            for name in names { try await peer.call("toGroup", "[\"\(name)\",\"\(name)\"]") }
            try await peer.call("toGroup", #"["o","leak"]"#)
            try await peer.call("toGroup", #"["o","leak"]"#, hub: "Other")
            try await peer.call("toCaller", #"["end"]"#)
            #expect(try await peer.messages(until: #"["end"]"#) == names.map { "[\"\($0)\"]" } + [#"["end"]"#])
            #expect(room.journal.entries == ["reconnected a"])
        }
    }

    @Test("cases 54, 55: a groups token of another connection, a broken one or none is no groups and no error")
    func foreignToken() async throws {
        try await Room.open { room in
            let token = room.runtime.groupsToken([HubGroup(hub: "TestHub", name: "g")], connectionID: "a")
            for (id, wrong) in zip(["b", "c", "d", "e"], [token, "garbage", "", String(token.dropLast(2))]) {
                let peer = try await room.classic(id, kind: .reconnect(cursor: nil), token: wrong)
                try await peer.call("toGroup", #"["g","leak"]"#)
                try await peer.call("toCaller", #"["end"]"#)
                #expect(try await peer.messages(until: #"["end"]"#) == [#"["end"]"#])
                await room.runtime.classic.abort(id: id)
                while await peer.next() != nil {}
            }
        }
    }

    @Test("case 56: a connection id as group name reaches no connection of that id")
    func groupNamedLikeConnection() async throws {
        try await Room.open { room in
            let (a, _) = try await room.started("a")
            let (b, _) = try await room.started("b")
            try await b.call("toGroup", #"["a","leak"]"#)
            try await b.call("toOne", #"["a","yours"]"#)
            #expect(try await a.messages(until: #"["yours"]"#) == [#"["yours"]"#])
        }
    }

    @Test("cases 59, 60, 61, 79: others, users, one connection and odd method names reach exactly whom they name")
    func targets() async throws {
        try await Room.open(loops: 2) { room in
            let (a, _) = try await room.started("a", user: "u")
            let (b, _) = try await room.started("b", user: "u", on: 1)
            let (c, _) = try await room.started("c", user: "U")
            try await a.call("toOthers", #"["others"]"#)
            try await a.call("toUser", #"["u","user"]"#)
            try await a.call("odd", #"["end"]"#)
            #expect(try await a.messages(until: #"["end"]"#) == [#"["user"]"#, #"["end"]"#])
            #expect(try await b.messages(until: #"["end"]"#) == [#"["others"]"#, #"["user"]"#, #"["end"]"#])
            #expect(try await c.messages(until: #"["end"]"#) == [#"["others"]"#, #"["end"]"#])
        }
    }

    @Test("case 59: others in a group, in groups, and all but one: the caller or excepted gets nothing, others one")
    func exceptions() async throws {
        try await Room.open(hubs: [.hub(OthersHub.self)]) { room in
            let (a, _) = try await room.started("a", hubs: ["othershub"])
            let (b, _) = try await room.started("b", hubs: ["othershub"])
            let groups = try #require(room.runtime.context(for: OthersHub.self)).groups
            for (id, group) in [("a", "g"), ("b", "g"), ("a", "h"), ("b", "i")] { try await groups.add(id, to: group) }
            try await a.call("inGroup", #"["g","1"]"#, hub: "othershub")
            try await a.call("inGroups", #"[["h","i"],"2"]"#, hub: "othershub")
            try await a.call("allExcept", #"["b","3"]"#, hub: "othershub")
            try await a.call("allExcept", #"["nobody","end"]"#, hub: "othershub")
            #expect(try await a.messages(until: #"["end"]"#) == [#"["3"]"#, #"["end"]"#])
            #expect(try await b.messages(until: #"["end"]"#) == [#"["1"]"#, #"["2"]"#, #"["end"]"#])
        }
    }

    @Test("T7, T16: only listed hubs are heard, even by the caller; calls to others still work")
    func unlistedHub() async throws {
        try await Room.open { room in
            let (peer, _) = try await room.started("a", hubs: [])
            let (other, _) = try await room.started("b", hubs: ["Other"])
            try await peer.call("toCaller", #"["leak"]"#)
            try await peer.call("send", #"["leak"]"#, id: 1)
            #expect(await peer.next() == #"{"I":"1"}"#)
            try await other.call("toCaller", #"["leak"]"#)
            try await other.call("toCaller", #"["mine"]"#, hub: "OTHER")
            #expect(try await other.messages(until: #"["mine"]"#) == [#"["mine"]"#])
            #expect(peer.sink.waiting.isEmpty)
        }
    }

    @Test("case 62: sending and changing groups from outside a hub")
    func outside() async throws {
        try await Room.open { room in
            let (peer, _) = try await room.started("a")
            let hub = try #require(room.runtime.context(for: TestHub.self))
            try await hub.groups.add("a", to: "g")
            try await hub.clients.group("g").send("m", "g")
            try await hub.clients.all.send("m", "all")
            #expect(try await peer.messages(until: #"["all"]"#) == [#"["g"]"#, #"["all"]"#])
        }
    }

    @Test("T21: a connection that the application aborts is dismissed with E and D, then closed")
    func dismissal() async throws {
        try await Room.open { room in
            let (peer, _) = try await room.started("a")
            try await peer.call("quit")
            let last = try await peer.envelope()
            #expect(last.error != nil)
            #expect(last.aborted == 1)
            #expect(await peer.next() == nil)
            await room.journal.wait(for: "disconnected a aborted")
        }
    }

    @Test("a client that doesn't read its answers isn't read either, until it has caught up")
    func unreadAnswersPauseReading() async throws {
        var configuration = HubConfiguration()
        configuration.outboundLimitBytes = 1_000
        try await Room.open(configuration: configuration) { room in
            let (peer, _) = try await room.started("c1")
            peer.sink.getStuck()
            let text = String(repeating: "x", count: 600)
            for index in 0..<2 {
                try await peer.call("echo", "[\"\(text)\"]", id: index)
                _ = await peer.next()
            }
            try await peer.loop.submit {}.get()
            try await peer.sink.expectReadingToWait { try await peer.drained() }
        }
    }

    @Test("34: of many channels that open at once the newest stays, and calls are answered on whatever loop it is")
    func manyChannelsAtOnce() async throws {
        try await Room.open(loops: 4) { room in
            for round in 0..<40 {
                let (first, _) = try await room.started("c\(round)")
                let peers = try await withThrowingTaskGroup(of: ClassicPeer.self) { group in
                    for index in 0..<16 {
                        group.addTask { try await room.classic("c\(round)", on: index % 4) }
                    }
                    return try await group.reduce(into: [ClassicPeer]()) { $0.append($1) }
                }
                let last = try await room.classic("c\(round)", on: round % 4)
                #expect(try await last.envelope().initialized == 1)
                try await last.call("echo", "[\(round)]", id: 7)
                #expect(await last.next() == #"{"R":\#(round),"I":"7"}"#)
                for peer in peers + [first] {
                    while await peer.next() != nil {}
                    #expect(peer.sink.ending == .normal)
                }
            }
        }
    }
}
