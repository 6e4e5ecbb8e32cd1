import BusbarHub
import BusbarProtocol
import NIOCore
import TestSupport
import Testing

@Suite("A core session", .timeLimit(.minutes(1)))
struct CoreSessionTests {
    private static let failed = #"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#

    private func text(_ argument: String) -> String {
        #"{"type":1,"target":"received","arguments":["\#(argument)"]}"#
    }

    private func call(_ target: String, _ arguments: String = "[]", id: String? = nil) -> String {
        let id = id.map { #""invocationId":"\#($0)","# } ?? ""
        return #"{"type":1,\#(id)"target":"\#(target)","arguments":\#(arguments)}"#
    }

    @Test("core 1.11, tolerances 2, 9: nothing precedes the handshake; it may come in pieces and with a first call")
    func handshakeAndCall() async throws {
        try await Room.open { room in
            let peer = try await room.core("c1")
            try await room.pass(.seconds(14))
            #expect(peer.sink.waiting.isEmpty)
            try await peer.sendBytes(#"{ "protocol" : "js"#)
            try await peer.sendBytes(
                #"on", "version" : 0 }"# + "\u{1E}" + #"{"type":1,"invocationId":"1","target":"EC"#)
            try await peer.sendBytes(#"HO","arguments":[{"a":[1,"é"]}]}"# + "\u{1E}")
            #expect(await peer.next() == "{}")
            #expect(await peer.next() == #"{"type":3,"invocationId":"1","result":{"a":[1,"é"]}}"#)
        }
    }

    @Test("core 1.11: a refused handshake is answered, then the transport ends and no event has run")
    func refused() async throws {
        try await Room.open { room in
            let peer = try await room.core("c1")
            try await peer.send(#"{"protocol":"blazorpack","version":1}"#)
            #expect(await peer.next() == #"{"error":"The protocol 'blazorpack' is not supported."}"#)
            #expect(await peer.next() == nil)
            #expect(room.journal.entries.isEmpty)
            #expect(await room.runtime.sessionCount() == 0)
        }
    }

    @Test(
        "core 1.25: what breaks the protocol closes the connection with an error and allows to reconnect",
        arguments: [
            "x", "[]", "{}", #"{"type":"1"}"#, #"{"type":1,"target":"","arguments":[]}"#,
            #"{"type":4,"target":"echo","arguments":[1]}"#,
            #"{"type":1,"target":"echo"}"#, #"{"type":1,"target":"echo","arguments":[1],"streamIds":null}"#,
            #"{"type":3,"invocationId":"1","result":1,"error":"x"}"#, #"{"type":5,"invocationId":""}"#,
            #"{"protocol":"json","version":1}"#,
        ])
    func protocolViolation(record: String) async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            try await peer.send(record)
            #expect(await peer.next() == Self.failed)
            #expect(await peer.next() == nil)
            #expect(peer.sink.ending == .normal)
            await room.journal.wait(for: "disconnected c1 protocolViolated")
        }
    }

    @Test("core 1.25, tolerance 4: unknown types and ids, acks, sequences and headers are taken in silence")
    func tolerated() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            try await peer.send(
                #"{"type":99,"x":1}"#, #"{"type":6}"#, #"{"type":2,"invocationId":"9","item":1}"#,
                #"{"type":3,"invocationId":"9"}"#, #"{"type":5,"invocationId":"9"}"#, #"{"type":8,"sequenceId":3}"#,
                #"{"type":9,"sequenceId":3}"#,
                #"{"arguments":[1],"streamIds":[],"headers":{"a":"b"},"target":"echo","invocationId":"1","type":1}"#)
            #expect(await peer.next() == #"{"type":3,"invocationId":"1","result":1}"#)
        }
    }

    @Test("core 1.13, 1.15: results, void as null, no answer without an id, and the texts of errors")
    func results() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            let unexpected = "An unexpected error occurred invoking"
            let failed = "Failed to invoke 'None' due to an error on the server."
            let streaming = "The client attempted to invoke the non-streaming 'Echo' method"
            for (call, answer) in [
                (self.call("nothing", id: "1"), #"{"type":3,"invocationId":"1","result":null}"#),
                (
                    self.call("crash", id: "2"),
                    #"{"type":3,"invocationId":"2","error":"\#(unexpected) 'crash' on the server."}"#
                ),
                (
                    self.call("fail", #"["why"]"#, id: "3"),
                    #"{"type":3,"invocationId":"3","error":"\#(unexpected) 'fail' on the server. HubException: why"}"#
                ),
                (
                    self.call("None", id: "4"),
                    #"{"type":3,"invocationId":"4","error":"\#(failed) HubException: Method does not exist."}"#
                ),
                (
                    self.call("echo", "[1,2]", id: "5"),
                    #"{"type":3,"invocationId":"5","error":"Failed to invoke 'echo' due to an error on the server."}"#
                ),
                (
                    #"{"type":4,"invocationId":"6","target":"Echo","arguments":[1]}"#,
                    #"{"type":3,"invocationId":"6","error":"\#(streaming) with a streaming invocation."}"#
                ),
            ] {
                try await peer.send(call)
                #expect(await peer.next() == answer)
            }
            try await peer.send(self.call("crash"), self.call("none"))
            #expect(try await peer.textsUntilEcho("end").isEmpty)
        }
    }

    @Test("core 1.20: a message of exactly the limit passes; more than the limit without an end closes the connection")
    func receiveLimit() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            let frame = self.call("echo", #"[""]"#, id: "1")
            let filling = String(repeating: "x", count: 32_768 - 1 - frame.utf8.count)
            try await peer.send(self.call("echo", "[\"\(filling)\"]", id: "1"))
            #expect(await peer.next() == #"{"type":3,"invocationId":"1","result":"\#(filling)"}"#)
            try await peer.sendBytes(String(repeating: "x", count: 32_768))
            #expect(peer.sink.waiting.isEmpty)
            try await peer.sendBytes("x")
            #expect(await peer.next() == Self.failed)
        }
    }

    @Test("calls of one client run one after the other; beyond the queue its transport isn't read until there is room")
    func backPressure() async throws {
        var configuration = HubConfiguration()
        configuration.queuedInvocationLimit = 2
        try await Room.open(configuration: configuration) { room in
            let peer = try await room.connected("c1")
            for index in 0..<5 { try await peer.send(self.call("wait", "[\"\(index)\"]")) }
            #expect(peer.sink.pauses == 1)
            await room.journal.wait(for: "began 0")
            #expect(!room.journal.entries.contains("began 1"))
            room.gate.open()
            await room.journal.wait(for: "ended 4")
            #expect(
                room.journal.entries.filter { $0 != "connected c1" }
                    == (0..<5).flatMap { ["began \($0)", "ended \($0)"] })
            #expect(try await peer.textsUntilEcho("end").isEmpty)
            #expect(peer.sink.resumes >= 1)
        }
    }

    @Test("a client that doesn't read its answers isn't read either, whoever makes them, until it has caught up")
    func unreadAnswersPauseReading() async throws {
        var configuration = HubConfiguration()
        configuration.outboundLimitBytes = 1_000
        try await Room.open(configuration: configuration) { room in
            for type in [1, 4] {
                let peer = try await room.connected("c\(type)")
                peer.sink.getStuck()
                let text = String(repeating: "x", count: 600)
                try await peer.send(#"{"type":\#(type),"invocationId":"\#(text)","target":"echo","arguments":[1]}"#)
                _ = await peer.next()
                try await peer.loop.submit {}.get()
                try await peer.sink.expectReadingToWait { try await peer.drained() }
            }
        }
    }

    @Test("core 1.15: a call that brings streams for a method without them is answered with an error")
    func uploadForNobody() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            let text = "Client sent 2 stream(s), Hub method expects 0."
            try await peer.send(#"{"type":1,"invocationId":"1","target":"Echo","arguments":[1],"streamIds":["a","b"]}"#)
            #expect(
                await peer.next()
                    == #"{"type":3,"invocationId":"1","error":"An unexpected error occurred invoking 'Echo' on the server. HubException: \#(text)"}"#
            )
        }
    }

    @Test("core 1.18: what a client sent before an orderly goodbye is carried out, then it is disconnected")
    func goodbye() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            try await peer.send(self.call("wait", #"["x"]"#), self.call("nothing"), #"{"type":7}"#)
            room.gate.open()
            await room.journal.wait(for: "disconnected c1 stoppedByClient")
            #expect(
                room.journal.entries == [
                    "connected c1", "began x", "ended x", "nothing", "disconnected c1 stoppedByClient",
                ])
        }
    }

    @Test("a lost connection cancels its running call")
    func lost() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            try await peer.send(self.call("hang"))
            await room.journal.wait(for: "hanging")
            try await peer.close(.lost)
            await room.journal.wait(for: "disconnected c1 lost")
            #expect(room.journal.entries == ["connected c1", "hanging", "cancelled", "disconnected c1 lost"])
        }
    }

    @Test("core 1.18: a hub that aborts closes without an error and without leave to reconnect")
    func abort() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            try await peer.send(self.call("quit"))
            #expect(await peer.next() == #"{"type":7}"#)
            #expect(await peer.next() == nil)
            await room.journal.wait(for: "disconnected c1 aborted")
        }
    }

    @Test("core 1.18: a connected event that throws closes with an error")
    func connectedThrows() async throws {
        try await Room.open { room in
            let peer = try await room.core("c1", query: [("refuse", "1")])
            try await peer.send(#"{"protocol":"json","version":1}"#)
            #expect(await peer.next() == "{}")
            #expect(await peer.next() == #"{"type":7,"error":"Connection closed with an error."}"#)
            await room.journal.wait(for: "disconnected c1 refused")
        }
    }

    // MARK: Targets

    @Test(
        "core 3.5 cases 1, 2, 24: all read a message to all, exactly that and no id; those that left nothing"
    )
    func sendToAll() async throws {
        try await Room.open(loops: 2) { room in
            let c1 = try await room.connected("c1"), c2 = try await room.connected("c2", on: 1)
            try await c1.send(self.call("send", #"["World"]"#))
            #expect(await c1.next() == self.text("World"))
            #expect(await c2.next() == self.text("World"))
            try await c2.close(.graceful)
            await room.journal.wait(for: "disconnected c2 stoppedByClient")
            let hub = try #require(room.runtime.context(for: TestHub.self))
            try await hub.clients.all.send("m", Int?.none)
            #expect(await c1.next() == #"{"type":1,"target":"m","arguments":[null]}"#)
            #expect(c2.sink.waiting.isEmpty)
        }
    }

    @Test("core 3.5 cases 3, 4, 5, 17, 20: groups, exceptions, one and several connections reach exactly those named")
    func targets() async throws {
        try await Room.open(loops: 2) { room in
            let c1 = try await room.connected("c1"), c2 = try await room.connected("c2", on: 1),
                c3 = try await room.connected("c3")
            let hub = try #require(room.runtime.context(named: "TESTHUB"))
            try await hub.groups.add("c1", to: "g")
            try await hub.groups.add("c2", to: "g")
            try await hub.clients.group("g").send("received", "group")
            try await hub.clients.groupExcept("g", ["c2"]).send("received", "exceptGroup")
            try await hub.clients.client("c1").send("received", "one")
            try await hub.clients.client("nobody").send("received", "nobody")
            try await hub.clients.allExcept(["c1", "nobody"]).send("received", "except")
            try await hub.clients.clients(["c1", "c3"]).send("received", "several")
            try await hub.clients.clients([]).send("received", "none")
            #expect(try await c1.textsUntilEcho("1") == ["group", "exceptGroup", "one", "several"].map(self.text))
            #expect(try await c2.textsUntilEcho("2") == ["group", "except"].map(self.text))
            #expect(try await c3.textsUntilEcho("3") == ["except", "several"].map(self.text))
        }
    }

    @Test(
        "core 3.5 cases 13, 14, 15, 16, 22: membership is idempotent and ends with the connection; two groups are two copies"
    )
    func groups() async throws {
        try await Room.open { room in
            let c1 = try await room.connected("c1")
            let hub = try #require(room.runtime.context(for: TestHub.self))
            try await hub.groups.remove("c1", from: "g")
            try await hub.groups.add("nobody", to: "g")
            for group in ["g", "g", "h"] { try await hub.groups.add("c1", to: group) }
            try await hub.clients.group("g").send("received", "1")
            try await hub.clients.groups(["g", "h"]).send("received", "2")
            #expect(try await c1.textsUntilEcho("1") == ["1", "2", "2"].map(self.text))
            try await c1.close(.graceful)
            await room.journal.wait(for: "disconnected c1 stoppedByClient")
            let again = try await room.connected("c1")
            try await hub.clients.group("g").send("received", "3")
            #expect(try await again.textsUntilEcho("2").isEmpty)
        }
    }

    @Test("core 3.5 cases 18, 19: users are compared exactly and reached on all their connections")
    func users() async throws {
        try await Room.open(loops: 2) { room in
            let c1 = try await room.connected("c1", user: "A"), c2 = try await room.connected("c2", user: "A", on: 1)
            let c3 = try await room.connected("c3", user: "B"), c4 = try await room.connected("c4", user: "a")
            let hub = try #require(room.runtime.context(for: TestHub.self))
            try await hub.clients.user("A").send("received", "1")
            try await hub.clients.users(["A", "B"]).send("received", "2")
            try await hub.clients.all.send("received", "end")
            for (peer, texts) in [
                (c1, ["1", "2", "end"]), (c2, ["1", "2", "end"]), (c3, ["2", "end"]), (c4, ["end"]),
            ] {
                for text in texts { #expect(await peer.next() == self.text(text)) }
            }
        }
    }

    @Test("core 3.5 case 21: a connection that ends while it enters a group is not kept by it; case 23: no empty name")
    func endsWhileEntering() async throws {
        try await Room.open { room in
            let c1 = try await room.connected("c1")
            let hub = try #require(room.runtime.context(for: TestHub.self))
            async let entering: Void = hub.groups.add("c1", to: "g")
            try await c1.close(.lost)
            try await entering
            try await hub.clients.group("g").send("received", "1")
            #expect(c1.sink.waiting.isEmpty)
            await #expect(throws: HubSendError.self) { try await hub.clients.group("").send("received", "1") }
        }
    }

    // MARK: The runtime

    @Test("a client that stops reading is ended at its budget; its neighbours miss nothing")
    func slowConsumer() async throws {
        var configuration = HubConfiguration()
        configuration.outboundLimitBytes = 1_000
        try await Room.open(configuration: configuration) { room in
            let stuck = try await room.connected("stuck"), healthy = try await room.connected("healthy")
            stuck.sink.getStuck()
            let hub = try #require(room.runtime.context(for: TestHub.self))
            for index in 0..<100 {
                // Why one by one: what is sent at once may become one batch, which passes as a whole.
                try await hub.clients.all.send("received", "\(index)")
                #expect(await healthy.next() == self.text("\(index)"))
            }
            await room.journal.wait(for: "disconnected stuck tooSlow")
            #expect(stuck.sink.ending == .abandon)
            #expect(stuck.sink.queuedBytes < 2_000)
            #expect(room.journal.count("disconnected healthy tooSlow") == 0)
        }
    }

    @Test("a client that calls and never reads its answers is ended at its budget as well")
    func unreadAnswers() async throws {
        var configuration = HubConfiguration()
        configuration.outboundLimitBytes = 1_000
        try await Room.open(configuration: configuration) { room in
            let stuck = try await room.connected("stuck")
            stuck.sink.getStuck()
            let text = String(repeating: "x", count: 400)
            // Why at once: after the first answers it isn't read any more.
            try await stuck.sendBytes(
                (0..<9).map { self.call("echo", "[\"\(text)\"]", id: "\($0)") + "\u{1E}" }.joined())
            await room.journal.wait(for: "disconnected stuck tooSlow")
            #expect(stuck.sink.queuedBytes < 2_000)
        }
    }

    @Test("core 1.18: draining tells clients to come back elsewhere, runs their events, and refuses new ones")
    func drain() async throws {
        try await Room.open(loops: 2) { room in
            let core = try await room.connected("c1"), (classic, _) = try await room.started("c2", on: 1)
            await room.runtime.drain()
            #expect(await core.next() == #"{"type":7,"allowReconnect":true}"#)
            #expect(await core.next() == nil)
            #expect(core.sink.ending == .goingAway)
            #expect(await classic.next() == nil)
            #expect(
                Set(room.journal.entries.suffix(2)) == [
                    "disconnected c1 serverStopping", "disconnected c2 serverStopping",
                ])
            #expect(await room.runtime.sessionCount() == 0)
            let late = try await room.core("c3")
            #expect(await late.next() == nil)
        }
    }

    @Test("a classic and a core client on one hub hear the same messages in the same order")
    func bothGenerations() async throws {
        try await Room.open(loops: 2) { room in
            let core = try await room.connected("c1"), (classic, _) = try await room.started("c2", on: 1)
            for index in 0..<20 {
                if index % 2 == 0 {
                    try await core.send(self.call("send", "[\"\(index)\"]"))
                } else {
                    try await classic.call("send", "[\"\(index)\"]")
                }
            }
            var first: [String] = []
            while first.count < 20, let text = await core.next() { first.append(text) }
            var second: [String] = []
            while second.count < 20 { second += try await classic.envelope().arguments }
            #expect(first == second.map { #"{"type":1,"target":"received","arguments":\#($0)}"# })
            #expect(Set(first).count == 20)
        }
    }
}
