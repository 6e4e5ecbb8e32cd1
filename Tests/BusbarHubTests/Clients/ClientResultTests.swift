import Busbar
import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

/// A hub that asks the client that calls it.
private struct AskingHub: Hub {
    let call: HubCall

    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] {
        [HubMethod("askMe", askMe), HubMethod("echo", echo)]
    }

    func connected() async throws {
        guard self.context.request.query["ask"] != nil else { return }
        let name = try await self.clients.caller.name.invoke(returning: String.self)
        try await self.clients.caller.send("welcome", name)
    }

    private func askMe(question: String) async throws -> Int {
        do throws(HubSendError) {
            return try await self.clients.caller.ask.invoke(question, returning: Int.self)
        } catch {
            throw HubError("\(error.code)")
        }
    }

    private func echo(value: JSONNode) -> JSONNode { value }
}

@Suite("Answers of clients", .timeLimit(.minutes(1)))
struct ClientResultTests {
    private func context(_ room: Room) throws -> HubContext { try #require(room.runtime.context(for: TestHub.self)) }

    @Test(
        "core 3.5-6, 3.5-7: the call has an id, and the client's value, its error or nothing comes back",
        arguments: CoreProtocol.allCases)
    func answers(language: CoreProtocol) async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1", language: language)
            let client = try self.context(room).clients.client("c1")
            async let ten = client.ask.invoke("how many?", returning: Int.self)
            let first = try await peer.question()
            #expect(first.target == "ask" && first.arguments == ["how many?"])
            try await peer.answer(first, #""result":10"#)
            #expect(try await ten == 10)

            async let text = failure { _ = try await client.ask.invoke(returning: Int.self) }
            try await peer.answer(try await peer.question(), #""error":"Error from client""#)
            #expect(await text == "clientFailed: Error from client")

            async let mismatch = failure { _ = try await client.ask.invoke(returning: Int.self) }
            try await peer.answer(try await peer.question(), #""result":"ten""#)
            #expect(await mismatch.hasPrefix("resultMismatch: the client's result is no Int"))

            async let nothing = client.ask.invoke(returning: String?.self)
            try await peer.send(#"{"type":3,"invocationId":"\#(try await peer.question().id)"}"#)
            #expect(try await nothing == nil)

            async let acknowledged: Void = client.ask.invoke(1, 2)
            try await peer.answer(try await peer.question(), #""result":{"x":[1]}"#)
            try await acknowledged
        }
    }

    @Test("a call that wants an answer keeps its place among messages")
    func order() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            let client = try self.context(room).clients.client("c1")
            for round in 0..<50 {
                try await client.send("before", round)
                async let done: Void = client.invoke("ask", round)
                #expect(await peer.next() == #"{"type":1,"target":"before","arguments":[\#(round)]}"#)
                try await peer.answer(try await peer.question(), #""result":null"#)
                try await done
            }
        }
    }

    @Test(
        "core 3.5-8, 3.5-10: another client's completion with the same id changes nothing, nor does one that nobody waits for"
    )
    func strangers() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1"), other = try await room.connected("c2")
            let clients = try self.context(room).clients
            async let first = clients.client("c1").ask.invoke(returning: Int.self)
            async let second = failure { try await clients.client("c2").ask.invoke() }
            let question = try await peer.question(), theirs = try await other.question()
            #expect(question.id != theirs.id)
            try await other.answer(question, #""result":1"#)
            try await other.send(#"{"type":3,"invocationId":"s1","result":1}"#)
            try await other.answer(theirs, #""error":"no""#)
            #expect(await second == "clientFailed: no")
            try await peer.answer(question, #""result":3"#)
            try await peer.answer(question, #""result":4"#)
            #expect(try await first == 3)
        }
    }

    @Test("core 3.5-9, 3.5-11: a connection that isn't there, or ends, or is not of the hub, fails at once")
    func gone() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            let clients = try self.context(room).clients
            let unknown = await failure { try await clients.client("none").ask.invoke() }
            #expect(unknown == "noSuchConnection: Connection 'none' does not exist.")
            let other = try #require(room.runtime.context(named: "Other"))
            let foreign = await failure { try await other.clients.client("c1").ask.invoke() }
            #expect(foreign.hasPrefix("noSuchConnection"))
            async let lost = failure { try await clients.client("c1").ask.invoke() }
            _ = try await peer.question()
            try await peer.close(.lost)
            #expect(await lost == "disconnected: Connection 'c1' disconnected.")
        }
    }

    @Test("core 3.5-12: a caller that is cancelled, or whose time is over, goes on at once; the client isn't told")
    func cancelled() async throws {
        try await Room.open { room in
            let peer = try await room.connected("c1")
            let client = try self.context(room).clients.client("c1")
            let asking = Task { await failure { try await client.ask.invoke() } }
            let question = try await peer.question()
            asking.cancel()
            #expect(await asking.value.hasPrefix("cancelled"))
            try await peer.answer(question, #""result":1"#)
            let late = await failure { try await client.ask.invoke(timeout: .milliseconds(1)) }
            #expect(late.hasPrefix("timedOut"))
            _ = try await peer.question()
            #expect(try await peer.textsUntilEcho("end") == [])
        }
    }

    @Test("one client has a bounded number of calls to answer, and those it lets time out make room")
    func bounded() async throws {
        var configuration = HubConfiguration()
        configuration.core.clientResultLimit = 3
        try await Room.open(configuration: configuration) { room in
            let peer = try await room.connected("c1")
            let client = try self.context(room).clients.client("c1")
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<3 { group.addTask { _ = await failure { try await client.ask.invoke() } } }
                for _ in 0..<3 { _ = try? await peer.question() }
                let refused = await failure { try await client.ask.invoke() }
                #expect(refused.hasPrefix("overloaded"))
                try? await room.pass(.seconds(31))
                async let answered = failure { try await client.ask.invoke() }
                if let question = try? await peer.question() { try? await peer.answer(question, #""result":null"#) }
                #expect(await answered == "nothing failed")
                group.cancelAll()
            }
        }
    }

    @Test("several clients can't be asked for one answer, nor can a classic one")
    func unsuitable() async throws {
        try await Room.open { room in
            let (classic, _) = try await room.started("k")
            let clients = try self.context(room).clients
            for proxy in [
                clients.all, clients.group("g"), clients.user("u"), clients.clients(["k"]), clients.allExcept("k"),
            ] {
                #expect(await failure { try await proxy.ask.invoke() }.hasPrefix("notOneClient"))
            }
            #expect(await failure { try await clients.client("k").ask.invoke() }.hasPrefix("resultsUnsupported"))
            #expect(await failure { try await clients.client("").ask.invoke() }.hasPrefix("emptyName"))
            #expect(await failure { try await clients.client("k").invoke("") }.hasPrefix("emptyName"))
            let unwritable = await failure { try await clients.client("k").ask.invoke(Double.infinity) }
            #expect(unwritable.hasPrefix("argumentNotEncodable"))
            try await clients.client("k").send("received", "last")
            #expect(try await classic.messages(until: #"["last"]"#) == [#"["last"]"#])
        }
    }

    @Test("core 1.17: a call and an event may ask their own client, whose other calls wait meanwhile")
    func ownClient() async throws {
        try await Room.open(hubs: [.hub(AskingHub.self)]) { room in
            let peer = try await room.core("c1", query: [("ask", "1")], hub: "AskingHub")
            try await peer.shakeHands()
            try await peer.answer(try await peer.question(), #""result":"Ada""#)
            #expect(await peer.next() == #"{"type":1,"target":"welcome","arguments":["Ada"]}"#)
            try await peer.send(
                #"{"type":1,"invocationId":"1","target":"askMe","arguments":["?"]}"#,
                #"{"type":1,"invocationId":"2","target":"echo","arguments":[2]}"#)
            let question = try await peer.question()
            #expect(question.target == "ask")
            try await peer.answer(question, #""result":42"#)
            #expect(await peer.next() == #"{"type":3,"invocationId":"1","result":42}"#)
            #expect(await peer.next() == #"{"type":3,"invocationId":"2","result":2}"#)
        }
    }

    @Test(
        "a call whose own client's answer can't be read, because its queue is full, fails instead of waiting for ever")
    func ownClientBlocked() async throws {
        var configuration = HubConfiguration()
        configuration.queuedInvocationLimit = 2
        try await Room.open(hubs: [.hub(AskingHub.self)], configuration: configuration) { room in
            let peer = try await room.core("c1", hub: "AskingHub")
            try await peer.shakeHands()
            try await peer.send(#"{"type":1,"invocationId":"1","target":"askMe","arguments":["?"]}"#)
            let question = try await peer.question()
            try await peer.send(
                #"{"type":1,"invocationId":"2","target":"echo","arguments":[2]}"#,
                #"{"type":1,"invocationId":"3","target":"echo","arguments":[3]}"#)
            try await peer.answer(question, #""result":42"#)
            let text = "An unexpected error occurred invoking 'askMe' on the server. HubException: blocked"
            #expect(await peer.next() == #"{"type":3,"invocationId":"1","error":"\#(text)"}"#)
            for number in 2...3 {
                #expect(await peer.next() == #"{"type":3,"invocationId":"\#(number)","result":\#(number)}"#)
            }
            #expect(peer.sink.pauses == 1)
        }
    }

    @Test("what is expected of a client is told to whom it concerns, once")
    func table() {
        let keys = (1...4).map { RequestKey(node: NodeID(process: 1), number: $0) }
        let start = NIODeadline.uptimeNanoseconds(0)
        var results = ClientResults(limit: 4)
        for (number, key) in keys.enumerated() {
            #expect(!results.isFull)
            results.expect(
                "\(number)", for: key, isFromOwnCall: number == 1, until: start + .seconds(Int64(number) + 1))
        }
        #expect(results.isFull)
        #expect(results.answered("0") == keys[0])
        #expect(results.answered("0") == nil)
        #expect(results.removeOwn() == [keys[1]])
        #expect(results.expire(now: start + .seconds(3)) == [keys[2]])
        #expect(results.removeAll() == [keys[3]])
        #expect(results.removeAll().isEmpty)
    }
}
