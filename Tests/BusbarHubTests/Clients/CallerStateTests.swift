import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

/// A hub whose methods read and change the state of their caller.
private struct StateHub: Hub {
    struct Address: Codable, Equatable, Sendable { var city: String, street: String? }

    let call: HubCall
    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("name", name), HubMethod("city", city), HubMethod("company", company), HubMethod("tell", tell),
            HubMethod("keep", keep), HubMethod("several", several), HubMethod("fail", fail), HubMethod("nan", nan),
            HubMethod("clear", clear), HubMethod("other", other),
        ]
    }

    func name() -> String? { self.clients.callerState.name }
    func city() -> [String?] {
        let address: Address? = self.clients.callerState.address
        return [address?.city, self.clients.callerState["address"]?["city"].flatMap { "\($0)" }]
    }
    func company(_ name: String) -> String {
        self.clients.callerState.company = name
        return self.clients.callerState.company ?? "nothing"
    }
    func tell() async throws {
        try await self.clients.caller.heard(1)
        self.clients.callerState.count = 1
        try await self.clients.caller.heard(2)
        try await self.clients.others.heard(3)
    }
    func keep() { self.clients.callerState["name"] = "test" }
    func several() {
        self.clients.callerState.zebra = 1
        self.clients.callerState["a b"] = ["x": [true, nil]]
        self.clients.callerState.zebra = 2
    }
    func fail() throws {
        self.clients.callerState.company = "ACME"
        throw HubError("no")
    }
    func nan() { self.clients.callerState.number = Double.nan }
    func clear() {
        let nothing: String? = nil
        self.clients.callerState.name = nothing
        self.clients.callerState.absent = nothing
    }
    func other() -> [String?] { [self.clients.callerState.Name, self.clients.callerState.name] }
}

@Suite("The state of a classic caller")
struct CallerStateTests {
    private let bench: Bench

    init() throws { self.bench = try Bench(.hub(StateHub.self)) }

    private func call(
        _ method: String, _ arguments: String = "[]", state: String? = nil
    ) async throws -> (outcome: InvocationOutcome, changes: String?) {
        let exchange = ClassicExchange(invocationID: "1", state: try state.map { try JSONValueText($0) })
        let outcome = try await self.bench.call(method, arguments, exchange: exchange)
        return (outcome, exchange.stateChanges?.text)
    }

    @Test("classic 74: a method reads what the client's proxy holds, and what it sets goes back")
    func roundTrip() async throws {
        let read = try await self.call("name", state: #"{"name":"test"}"#)
        #expect(read.outcome.text == #""test""#)
        #expect(read.changes == nil)
        let set = try await self.call("company", #"["ACME"]"#, state: #"{"name":"test"}"#)
        #expect(set.outcome.text == #""ACME""#)
        #expect(set.changes == #"{"company":"ACME"}"#)
    }

    @Test("classic 74: nested state is read as a type and by member")
    func nested() async throws {
        let found = try await self.call("city", state: #"{"address":{"city":"Bonn","street":null}}"#)
        #expect(found.outcome.text == #"["Bonn","string(\"Bonn\")"]"#)
    }

    @Test("trap 20: names of state are compared exactly")
    func exactNames() async throws {
        #expect(try await self.call("other", state: #"{"Name":"A"}"#).outcome.text == #"["A",null]"#)
    }

    @Test("what is set to what it was is no change, and what is set twice is one")
    func differences() async throws {
        #expect(try await self.call("keep", state: #"{"name":"test"}"#).changes == nil)
        #expect(try await self.call("keep", state: #"{"name":"Test"}"#).changes == #"{"name":"test"}"#)
        #expect(try await self.call("several").changes == #"{"zebra":2,"a b":{"x":[true,null]}}"#)
    }

    @Test("nil becomes null, unless there was nothing or null before: an absent member is told as null")
    func null() async throws {
        #expect(try await self.call("clear", state: #"{"name":"x"}"#).changes == #"{"name":null,"absent":null}"#)
        #expect(try await self.call("clear", state: #"{"name":null}"#).changes == #"{"absent":null}"#)
    }

    @Test("messages to the caller carry what has changed before them, others never do")
    func messages() async throws {
        _ = try await self.call("tell", state: "{}")
        #expect(self.bench.recorder.messages.map { $0.callerState?.text } == [nil, #"{"count":1}"#, nil])
    }

    @Test("changes made before an error go back with it")
    func failure() async throws {
        let failed = try await self.call("fail")
        #expect(failed.outcome.failure?.message == "no")
        #expect(failed.changes == #"{"company":"ACME"}"#)
    }

    @Test("a value that JSON can't express fails the call and says which member it was")
    func unwritable() async throws {
        let failure = try #require(try await self.call("nan").outcome.failure)
        #expect(failure.message.hasPrefix("the state member 'number' can't be written as JSON"))
    }

    @Test("a core caller has no state: it reads as nothing, and setting does nothing")
    func core() async throws {
        #expect(try await self.bench.call("name", rules: .core).text == "null")
        #expect(try await self.bench.call("company", #"["ACME"]"#, rules: .core).text == #""nothing""#)
        _ = try await self.bench.call("tell", rules: .core)
        #expect(self.bench.recorder.messages.allSatisfy { $0.callerState == nil })
    }

    @Test("classic 74: over a connection, state comes with the call and goes back with results and messages")
    func overTheWire() async throws {
        try await Room.open(hubs: [.hub(StateHub.self)]) { room in
            let peer = try await room.classic("a", hubs: ["StateHub"])
            _ = try await peer.envelope()
            try await peer.send(#"{"H":"statehub","M":"COMPANY","A":["ACME"],"I":2,"S":{"name":"test"}}"#)
            #expect(await peer.next() == #"{"S":{"company":"ACME"},"R":"ACME","I":"2"}"#)
            try await peer.send(#"{"H":"statehub","M":"tell","I":3,"S":{"count":0}}"#)
            let wanted = [
                #"{"S":{"count":1},"I":"3"}"#, #"{"H":"StateHub","M":"heard","A":[1]}"#,
                #"{"H":"StateHub","M":"heard","A":[2],"S":{"count":1}}"#,
            ]
            var heard = ""
            while !wanted.allSatisfy({ heard.contains($0) }), let text = await peer.next() { heard += text }
            #expect(wanted.allSatisfy { heard.contains($0) })
            try await peer.send(#"{"H":"statehub","M":"fail","I":4}"#)
            #expect(await peer.next() == #"{"S":{"company":"ACME"},"I":"4","H":true,"E":"no"}"#)
        }
    }
}
