import BusbarHub
import BusbarProtocol
import NIOCore
import Synchronization
import Testing

/// A hub whose methods tell how far they are.
private struct ProgressHub: Hub {
    struct Step: Encodable, Sendable { var done: Int, of: Int }

    let call: HubCall
    let late: Late
    init(_ call: HubCall) { self.init(call, late: Late()) }
    init(_ call: HubCall, late: Late) { (self.call, self.late) = (call, late) }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("count", count), HubMethod("names", names), HubMethod("steps", steps), HubMethod("any", any),
            HubMethod("keep", keep), HubMethod("over") { (_: Self, progress: ProgressReporter<Int>) in "none" },
            HubMethod("over") { (_: Self, value: Int, progress: ProgressReporter<Int>) in "one" },
            HubMethod("nan", nan),
        ]
    }

    func count(to limit: Int, progress: ProgressReporter<Int>) async throws -> String {
        for number in 0...limit { try await progress.report(number) }
        return "done"
    }
    func names(progress: ProgressReporter<String>) async throws { try await progress.report("+ü") }
    func steps(of count: Int, progress: ProgressReporter<Step>) async throws {
        self.clients.callerState.total = count
        try await progress.report(Step(done: 1, of: count))
    }
    func any(progress: ProgressReporter<JSONNode>) async throws { try await progress.report(["a": [1, nil]]) }
    func keep(progress: ProgressReporter<Int>) { self.late.keep(progress) }
    func nan(progress: ProgressReporter<Double>) async throws { try await progress.report(.nan) }
}

/// Keeps a reporter beyond its call.
private final class Late: Sendable {
    private let kept = Mutex<ProgressReporter<Int>?>(nil)

    func keep(_ progress: ProgressReporter<Int>) { self.kept.withLock { $0 = progress } }
    func get() -> ProgressReporter<Int>? { self.kept.withLock { $0 } }
}

@Suite("Progress of a classic call")
struct ProgressTests {
    private func room(_ body: @escaping @Sendable (ClassicPeer, Late) async throws -> Void) async throws {
        let late = Late()
        try await Room.open(hubs: [.hub(ProgressHub.self) { ProgressHub($0, late: late) }]) { room in
            let peer = try await room.classic("a", hubs: ["ProgressHub"])
            _ = try await peer.envelope()
            try await body(peer, late)
        }
    }

    @Test("classic 75, trap 6: reports arrive in order inside M, the result comes last and bare")
    func order() async throws {
        try await self.room { peer, _ in
            try await peer.send(#"{"H":"progresshub","M":"count","A":[100],"I":7}"#)
            var texts: [String] = []
            while let text = await peer.next() {
                texts.append(text)
                if text == #"{"R":"done","I":"7"}"# { break }
            }
            let found = texts.joined().matches(of: /\{"I":"P\|7","P":\{"I":"7","D":(\d+)\}\}/).map { Int($0.1) }
            #expect(found == Array(0...100))
            #expect(texts.dropLast().allSatisfy { $0.hasPrefix(#"{"C":""#) })
        }
    }

    @Test(
        "classic 75: numbers, texts, objects and any JSON are reported, with the state as changed so far",
        arguments: [
            ("names", "[]", #"{"I":"P|1","P":{"I":"1","D":"+ü"}}"#),
            ("steps", "[4]", #"{"S":{"total":4},"I":"P|1","P":{"I":"1","D":{"done":1,"of":4}}}"#),
            ("any", "[]", #"{"I":"P|1","P":{"I":"1","D":{"a":[1,null]}}}"#),
        ])
    func values(method: String, arguments: String, element: String) async throws {
        try await self.room { peer, _ in
            try await peer.send("{\"H\":\"ProgressHub\",\"M\":\"\(method)\",\"A\":\(arguments),\"I\":\"1\"}")
            let text = try #require(await peer.next())
            #expect(text.hasSuffix(#","M":[\#(element)]}"#))
        }
    }

    @Test("trap 6: of a call that comes by a request, reports come over the channel and the result in the answer")
    func request() async throws {
        try await Room.open(hubs: [.hub(ProgressHub.self)]) { room in
            let peer = try await room.classic("a", hubs: ["ProgressHub"])
            _ = try await peer.envelope()
            let call = ByteBuffer(string: #"{"H":"progresshub","M":"steps","A":[4],"I":1}"#)
            let answer = await room.runtime.classic.send(id: "a", payload: call)
            #expect(answer == .result(ByteBuffer(string: #"{"S":{"total":4},"I":"1"}"#)))
            let text = try #require(await peer.next())
            #expect(text.contains(#"{"S":{"total":4},"I":"P|1","P":{"I":"1","D":{"done":1,"of":4}}}"#))
        }
    }

    @Test("classic 75: reporting after the method has returned throws")
    func afterwards() async throws {
        try await self.room { peer, late in
            try await peer.send(#"{"H":"progresshub","M":"keep","I":1}"#)
            #expect(await peer.next() == #"{"I":"1"}"#)
            let reporter = try #require(late.get())
            let error = await #expect(throws: HubSendError.self) { try await reporter.report(1) }
            #expect(error?.code == .invocationCompleted)
            #expect(
                error?.detail == "You cannot report progress on a hub method invocation that has already completed.")
        }
    }

    @Test("a reporter is no argument when overloads are chosen, and shows in no candidate")
    func overloads() async throws {
        let bench = try Bench(.hub(ProgressHub.self))
        #expect(try await bench.call("over").text == #""none""#)
        #expect(try await bench.call("over", "[1]").text == #""one""#)
        let failure = try await bench.call("over", "[1,2]").failure
        #expect(failure?.message.hasSuffix("\nover():String\nover(p1:Int):String") == true)
    }

    @Test("who has no place for progress is sent none: a core client, and a call that wants no answer")
    func nobody() async throws {
        let bench = try Bench(.hub(ProgressHub.self))
        #expect(try await bench.call("count", "[3]", rules: .core).text == #""done""#)
        #expect(try await bench.call("count", "[3]", exchange: ClassicExchange()).text == #""done""#)
        #expect(bench.recorder.messages.isEmpty)
    }

    @Test("a value that JSON can't express fails the call")
    func unwritable() async throws {
        let bench = try Bench(.hub(ProgressHub.self))
        let failure = try await bench.call("nan", exchange: ClassicExchange(invocationID: "1")).failure
        #expect(failure?.message.hasPrefix("argumentNotEncodable: progress: ") == true)
    }
}
