import BusbarHub
import BusbarProtocol
import Foundation
import NIOCore
import Synchronization
import Testing

/// Every kind of method a hub can have.
private struct Everything: Hub {
    struct Point: Codable, Sendable { var x: Int, y: Int? }
    struct Broken: Error, CustomStringConvertible { var description: String { "secret of the server" } }

    let call: HubCall
    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("nothing", nothing),
            HubMethod("send", send),
            HubMethod("add", add),
            HubMethod("later", later),
            HubMethod("risky", risky),
            HubMethod("Echo", echo),
            HubMethod("six", six),
            HubMethod("points", points),
            HubMethod("bytes", bytes),
            HubMethod("many", many),
            HubMethod("id", id),
            HubMethod("maybe", maybe),
            HubMethod("fail", fail),
            HubMethod("failWithData", failWithData),
            HubMethod("crash", crash),
            HubMethod("cancelled", cancelled),
            HubMethod("notANumber", notANumber),
            HubMethod("closure") { (hub: Self, value: Int) in value + 1 },
            HubMethod("overload") { (_: Self) in "none" },
            HubMethod("overload") { (_: Self, value: Int) in "one: \(value)" },
            HubMethod("twice") { (_: Self, value: Int) in "int" },
            HubMethod("Twice") { (_: Self, value: String) in "string" },
            HubMethod("generic", generic),
        ]
    }

    func nothing() {}
    func send(_ text: String) async throws { try await self.clients.all.messageReceived(text) }
    func add(_ left: Int, to right: Int) -> Int { left + right }
    func later() async -> String { "later" }
    func risky(_ succeed: Bool) throws -> Bool { if succeed { true } else { throw Broken() } }
    func echo(_ value: JSONNode) -> JSONNode { value }
    func six(_ a: Int, _ b: Double, _ c: String, _ d: Bool, _ e: Int?, _ f: [String]) -> String {
        "\(a) \(b) \(c) \(d) \(e.map(String.init) ?? "nil") \(f)"
    }
    func points(_ points: [Point]) -> Int { points.reduce(0) { $0 + $1.x + ($1.y ?? 0) } }
    func bytes(_ bytes: Data) -> Int { bytes.count }
    func many(_ blocks: [Data]) -> Int { blocks.reduce(0) { $0 + $1.count } }
    func id(_ id: UUID) -> UUID { id }
    func maybe(_ value: Int?) -> Int? { value }
    func fail(_ text: String) throws { throw HubError(text) }
    func failWithData() throws { throw HubError("message", data: "errorData") }
    func crash() throws { throw Broken() }
    func cancelled() async throws { throw CancellationError() }
    func notANumber() -> Double { .nan }
    func generic() async throws -> [String: Point] { ["p": Point(x: 1, y: nil)] }
    func notRegistered() {}
}

@Suite("Calling hub methods")
struct InvocationTests {
    private let bench: Bench

    init() throws { self.bench = try Bench(.hub(Everything.self)) }

    @Test("methods are async or not, throw or not, return or not, with no parameter or many")
    func shapes() async throws {
        #expect(try await self.bench.call("nothing") == .void)
        #expect(try await self.bench.call("send", #"["hi"]"#) == .void)
        #expect(try await self.bench.call("add", "[2,3]").text == "5")
        #expect(try await self.bench.call("later").text == #""later""#)
        #expect(try await self.bench.call("risky", "[true]").text == "true")
        #expect(try await self.bench.call("closure", "[1]").text == "2")
        #expect(
            try await self.bench.call("six", #"[1,2.5,"c",true,null,["x"]]"#).text == #""1 2.5 c true nil [\"x\"]""#)
        #expect(self.bench.recorder.messages.map(\.argumentsText) == [#"["hi"]"#])
    }

    @Test("classic 64: a method is found whatever the case of its name", arguments: ["Echo", "echo", "ECHO", "eCHO"])
    func methodCase(name: String) async throws {
        #expect(try await self.bench.call(name, "[1]").text == "1")
    }

    @Test("classic 66: overloads are chosen by the number of arguments alone")
    func overloads() async throws {
        #expect(try await self.bench.call("overload").text == #""none""#)
        #expect(try await self.bench.call("OVERLOAD", "[1]").text == #""one: 1""#)
        let failure = try #require(try await self.bench.call("overload", "[1,2]").failure)
        #expect(
            failure.classicText(hub: "h", method: "overload", detailed: true)
                == "'overload' method could not be resolved. Potential candidates are: "
                + "\noverload():String\noverload(p1:Int):String")
        #expect(failure.kind == .argumentCount(provided: 2, accepted: [0, 1]))
    }

    @Test("classic 66: two overloads with equally many parameters cannot be called; both are listed")
    func ambiguousOverloads() async throws {
        let failure = try #require(try await self.bench.call("twice", "[1]").failure)
        #expect(
            failure.classicText(hub: "h", method: "twice", detailed: true)
                == "'twice' method could not be resolved. Potential candidates are: "
                + "\ntwice(p1:Int):String\nTwice(p1:String):String")
        #expect(
            failure.classicText(hub: "h", method: "twice", detailed: false)
                == "There was an error invoking Hub method 'h.twice'.")
        #expect(self.bench.hub.ambiguousMethods == ["Twice(p1:String):String"])
    }

    @Test(
        "classic 67: what a hub does not list is no method",
        arguments: ["connected", "disconnected", "notRegistered", "init", "OnConnected", "Dispose", "get_call", ""])
    func unlisted(name: String) async throws {
        let failure = try #require(try await self.bench.call(name).failure)
        #expect(failure.kind == .unknownMethod)
        #expect(
            failure.classicText(hub: "h", method: name, detailed: true)
                == "'\(name)' method could not be resolved. No method found with that name.")
        #expect(
            failure.coreText(method: name, detailed: false)
                == "Failed to invoke '\(name)' due to an error on the server. HubException: Method does not exist.")
    }

    @Test(
        "classic 68: objects, arrays of them, ids, bytes and nullables are bound",
        arguments: [
            ("points", #"[[{"x":1,"y":2,"z":3},{"X":4}]]"#, "7"),
            ("points", "[[]]", "0"),
            ("bytes", #"["AAEC"]"#, "3"),
            ("many", #"[["AAEC","AA=="]]"#, "4"),
            ("id", #"["6F9619FF-8B86-D011-B42D-00C04FC964FF"]"#, #""6f9619ff-8b86-d011-b42d-00c04fc964ff""#),
            ("maybe", "[null]", "null"),
            ("maybe", "[7]", "7"),
            ("maybe", #"["7"]"#, "7"),
            ("add", #"["2",3]"#, "5"),
            ("generic", "[]", #"{"p":{"x":1}}"#),
        ])
    func binding(method: String, arguments: String, result: String) async throws {
        #expect(try await self.bench.call(method, arguments).text == result)
    }

    @Test("null for a parameter that is not optional fails the call, as does another type for a core client")
    func mismatches() async throws {
        let null = try #require(try await self.bench.call("add", "[null,3]").failure)
        #expect(null.kind == .argumentMismatch)
        #expect(null.message.hasPrefix("argument 1: "))
        let text = try #require(try await self.bench.call("add", #"[2,"3"]"#, rules: .core).failure)
        #expect(text.kind == .argumentMismatch)
        #expect(
            text.coreText(method: "add", detailed: false)
                == "Failed to invoke 'add' due to an error on the server.")
        #expect(
            text.coreText(method: "add", detailed: true)
                .hasPrefix("Failed to invoke 'add' due to an error on the server. InvalidDataException: argument 2: "))
    }

    @Test("a core client reads how many arguments were expected")
    func argumentCountForCore() async throws {
        let failure = try #require(try await self.bench.call("closure", "[1,2]", rules: .core).failure)
        #expect(
            failure.coreText(method: "closure", detailed: true)
                == "Failed to invoke 'closure' due to an error on the server. InvalidDataException: Invocation provides"
                + " 2 argument(s) but target expects 1.")
        #expect(
            failure.coreText(method: "closure", detailed: false)
                == "Failed to invoke 'closure' due to an error on the server.")
    }

    @Test(
        "a raw JSON parameter takes any value and gives it back",
        arguments: ["null", "true", "-1.5", #""+&\"ü""#, "[1,[2]]", #"{"a":{"b":[]}}"#])
    func rawValue(text: String) async throws {
        #expect(try await self.bench.call("echo", "[\(text)]").text == text)
    }

    @Test("classic 69: a plus sign arrives and returns as a plus sign")
    func plus() async throws {
        #expect(try await self.bench.call("echo", #"["+"]"#).text == #""+""#)
    }

    @Test("classic 70: the text of an ordinary error is masked unless detailed errors are on")
    func masked() async throws {
        let failure = try #require(try await self.bench.call("crash").failure)
        #expect(
            failure.classicText(hub: "cHAT", method: "CRASH", detailed: false)
                == "There was an error invoking Hub method 'cHAT.CRASH'.")
        #expect(failure.classicText(hub: "h", method: "crash", detailed: true) == "secret of the server")
        #expect(
            failure.coreText(method: "crash", detailed: false)
                == "An unexpected error occurred invoking 'crash' on the server.")
        #expect(
            failure.coreText(method: "crash", detailed: true)
                == "An unexpected error occurred invoking 'crash' on the server. Broken: secret of the server")
        #expect(!failure.isHubError)
    }

    @Test("classic 71: a hub error's text and data reach the caller whatever the setting", arguments: [false, true])
    func hubError(detailed: Bool) async throws {
        let plain = try #require(try await self.bench.call("fail", #"["No."]"#).failure)
        #expect(plain.isHubError)
        #expect(plain.data == nil)
        #expect(plain.classicText(hub: "h", method: "fail", detailed: detailed) == "No.")
        #expect(
            plain.coreText(method: "fail", detailed: detailed)
                == "An unexpected error occurred invoking 'fail' on the server. HubException: No.")
        let loaded = try #require(try await self.bench.call("failWithData").failure)
        #expect(loaded.classicText(hub: "h", method: "f", detailed: detailed) == "message")
        #expect(loaded.data.map { String(buffer: $0.bytes) } == #""errorData""#)
    }

    @Test("classic 72: a method that gives up because it was cancelled fails the call")
    func cancelledMethod() async throws {
        let failure = try #require(try await self.bench.call("cancelled").failure)
        #expect(failure.kind == .cancelled)
        #expect(
            failure.classicText(hub: "h", method: "m", detailed: false)
                == "There was an error invoking Hub method 'h.m'.")
    }

    @Test("a result that JSON cannot express fails the call")
    func unencodableResult() async throws {
        let failure = try #require(try await self.bench.call("notANumber").failure)
        #expect(failure.kind == .thrown("EncodingError"))
    }

    @Test("arguments nested deeper than the rules allow fail the call")
    func depth() async throws {
        // The array of points and the point are two levels, what the point brings along is the rest.
        let deep = { (levels: Int) in
            let nested = String(repeating: "[", count: levels - 2) + String(repeating: "]", count: levels - 2)
            return "[[{\"x\":1,\"more\":\(nested)}]]"
        }
        #expect(try await self.bench.call("points", deep(20)).text == "1")
        #expect(try await self.bench.call("points", deep(21)).failure?.kind == .argumentMismatch)
        #expect(try await self.bench.call("points", deep(21), rules: .core).text == "1")
        let raw = "[" + String(repeating: "[", count: 21) + String(repeating: "]", count: 21) + "]"
        #expect(try await self.bench.call("echo", raw).failure?.kind == .argumentMismatch)
        #expect(try await self.bench.call("echo", raw, rules: .core).failure == nil)
    }

    @Test("what a log says of a failure is one short line, whatever the client called")
    func logText() {
        let failure = HubFailure(.unknownMethod, "'a\r\n\u{1B}[31mforged" + String(repeating: "x", count: 10_000))
        #expect(failure.logText.hasPrefix("'a  [31mforged"))
        #expect(failure.logText.count == 256)
        #expect(failure.isClientsDoing)
    }
}
