import BusbarProtocol
import NIOCore
import Testing

@Suite("Classic JSON")
struct ClassicJSONTests {
    private static func parse(_ text: String) throws(ProtocolError) -> ClassicInvocation {
        try ClassicJSON.parseInvocation(ByteBuffer(string: text))
    }

    private static func value(_ text: String) throws -> JSONValueText {
        try JSONValueText(validating: ByteBuffer(string: text))
    }

    private static func text(_ write: (inout ByteBuffer) -> Void) -> String {
        var buffer = ByteBuffer()
        write(&buffer)
        return String(buffer: buffer)
    }

    @Test(
        "classic 5.3: the calls of JavaScript, .NET and Python clients say the same",
        arguments: [
            #"{"H":"chathub","M":"Send","A":["Bob",{"x":1}],"I":0,"S":{"userName":"Bob"}}"#,
            #"{"I":"0","H":"chathub","M":"Send","A":["Bob",{"x":1}],"S":{"userName":"Bob"}}"#,
            #" { "h" : "chathub", "m": "Send", "a":["Bob",{"x":1}], "i": 0, "s":{"userName":"Bob"}, "x": [] }"#,
        ]
    )
    func samples(text: String) throws {
        let call = try Self.parse(text)
        #expect(call.hub == "chathub" && call.method == "Send" && call.invocationID == "0")
        #expect(call.arguments.description == #"["Bob",{"x":1}]"# && call.arguments.count == 2)
        #expect(call.state.map { String(buffer: $0.bytes) } == #"{"userName":"Bob"}"#)
    }

    @Test("classic 5.3: without A, or with null, there are no arguments; without I no answer is wanted; S may be null")
    func absent() throws {
        let bare = ClassicInvocation(hub: "h", method: "m", arguments: .empty)
        #expect(try Self.parse(#"{"H":"h","M":"m"}"#) == bare)
        #expect(try Self.parse(#"{"H":"h","M":"m","A":null,"I":null,"S":null}"#) == bare)
        #expect(try Self.parse(#"{"H":"h","M":"m","A":[],"I":1e400}"#).invocationID == "1e400")
    }

    @Test(
        "classic 1.9: what is no call is an error",
        arguments: [
            "", "x", "[]", "{}", #"{"H":"h"}"#, #"{"M":"m"}"#, #"{"H":"","M":"m"}"#, #"{"H":null,"M":"m"}"#,
            #"{"H":1,"M":"m"}"#, #"{"H":"h","M":"m","A":{}}"#, #"{"H":"h","M":"m","A":"x"}"#,
            #"{"H":"h","M":"m","I":{}}"#,
            #"{"H":"h","M":"m","S":[]}"#, #"{"H":"h","M":"m"} x"#, #"{"H":"h","M":"m""#,
        ]
    )
    func notACall(text: String) {
        #expect(throws: ProtocolError.self) { try Self.parse(text) }
    }

    @Test("classic 5.3: a state of 4096 characters passes and one more does not, counted as the client counts them")
    func stateLimit() throws {
        func call(_ filler: String) -> String { "{\"H\":\"h\",\"M\":\"m\",\"I\":7,\"S\":{\"a\":\"\(filler)\"}}" }
        let overhead = "{\"a\":\"\"}".count
        #expect(throws: Never.self) { try Self.parse(call(String(repeating: "é", count: 4_096 - overhead))) }
        #expect(throws: Never.self) { try Self.parse(call(String(repeating: "😀", count: (4_096 - overhead) / 2))) }
        let long = call(String(repeating: "x", count: 4_097 - overhead))
        let error = #expect(throws: ProtocolError.self) { try Self.parse(long) }
        #expect(error?.code == .limitExceeded)
        #expect(ClassicJSON.invocationID(in: ByteBuffer(string: long)) == "7")
    }

    @Test("classic 5.5: the id of a call that cannot be parsed is still found when it can be")
    func salvagedID() {
        func id(_ text: String) -> String? { ClassicJSON.invocationID(in: ByteBuffer(string: text)) }
        #expect(id(#"{"I":3,"H":"h","M":"#) == "3")
        #expect(id(#"{"H":5,"i":"x"}"#) == "x")
        #expect(id(#"{"H":"h"}"#) == nil)
        #expect(id(#"{"I":{}}"#) == nil)
        #expect(id("") == nil)
    }

    @Test("classic 5.1: connectionData lists hubs as the client spells them; none is fine")
    func connectionData() throws {
        #expect(
            try ClassicJSON.parseConnectionData(#"[{"name":"chathub"},{"name":"stockticker"}]"#)
                == ["chathub", "stockticker"])
        #expect(try ClassicJSON.parseConnectionData(#"[{"Name":"ChatHub","x":[1]}]"#) == ["ChatHub"])
        #expect(try ClassicJSON.parseConnectionData(#"[{"name": "ChatHub"}]"#) == ["ChatHub"])
        for text in ["", " ", "[]", "null"] { #expect(try ClassicJSON.parseConnectionData(text) == []) }
    }

    @Test(
        "classic 65: bad connectionData is an error: a hub twice whatever its case, an entry without name, bad JSON",
        arguments: [
            (#"[{"name":"foo"},{"name":"Foo"}]"#, ProtocolError.Code.duplicateName), ("[{}]", .missingProperty),
            (#"[{"name":""}]"#, .missingProperty), (#"[{"name":null}]"#, .missingProperty), ("[null]", .malformed),
            ("[\"a\"]", .malformed), ("{}", .malformed), ("[", .malformed), ("[] x", .malformed), ("x", .malformed),
            (#"[{"name":1}]"#, .malformed),
        ] as [(String, ProtocolError.Code)]
    )
    func badConnectionData(text: String, code: ProtocolError.Code) {
        let error = #expect(throws: ProtocolError.self) { try ClassicJSON.parseConnectionData(text) }
        #expect(error?.code == code)
    }

    @Test("connectionData with more hubs than the limit is refused")
    func hubLimit() {
        let list = (0...ClassicJSON.hubLimit).map { "{\"name\":\"h\($0)\"}" }.joined(separator: ",")
        let error = #expect(throws: ProtocolError.self) { try ClassicJSON.parseConnectionData("[\(list)]") }
        #expect(error?.code == .limitExceeded)
    }

    @Test("classic 5.4: a hub result has its keys in order, and neither R for null nor anything that is absent")
    func results() throws {
        func result(_ result: ClassicResult, _ id: String) -> String {
            Self.text { ClassicJSON.writeResult(result, invocationID: id, into: &$0) }
        }
        #expect(result(.success(), "0") == #"{"I":"0"}"#)
        #expect(result(.success(.null), "0") == #"{"I":"0"}"#)
        #expect(result(.success(try Self.value("6")), "1") == #"{"R":6,"I":"1"}"#)
        #expect(
            result(.success(try Self.value("\"ACME\""), state: try Self.value(#"{"Company":"ACME"}"#)), "2")
                == #"{"S":{"Company":"ACME"},"R":"ACME","I":"2"}"#)
        #expect(
            result(.failure("There was an error invoking Hub method 'chathub.Fail'."), "3")
                == #"{"I":"3","E":"There was an error invoking Hub method 'chathub.Fail'."}"#)
        var failure = ClassicResult.failure("message", isHubError: true, data: try Self.value("\"errorData\""))
        #expect(result(failure, "4") == #"{"I":"4","H":true,"E":"message","D":"errorData"}"#)
        failure.stackTrace = "at x"
        failure.errorData = .null
        #expect(result(failure, "4") == #"{"I":"4","H":true,"E":"message","T":"at x"}"#)
    }

    @Test("classic 5.6: a call to clients always has its arguments, and state last")
    func invocations() throws {
        let arguments = try ArgumentList(encoding: "Bob", "hi")
        #expect(
            Self.text {
                ClassicJSON.writeInvocation(hub: "ChatHub", method: "messageReceived", arguments: arguments, into: &$0)
            } == #"{"H":"ChatHub","M":"messageReceived","A":["Bob","hi"]}"#)
        let state = try Self.value(#"{"n":1}"#)
        #expect(
            Self.text {
                ClassicJSON.writeInvocation(hub: "C", method: #"!!!|\Call"#, arguments: .empty, state: state, into: &$0)
            } == #"{"H":"C","M":"!!!|\\Call","A":[],"S":{"n":1}}"#)
    }

    @Test("classic 5.8: progress carries an id that old clients ignore")
    func progress() throws {
        let value = try Self.value("40")
        #expect(
            Self.text { ClassicJSON.writeProgress(value, invocationID: "7", into: &$0) }
                == #"{"I":"P|7","P":{"I":"7","D":40}}"#)
    }

    @Test("classic 3.1: an envelope has its keys in order, M always and I never")
    func envelopes() {
        var envelope = ClassicEnvelope(cursor: "d-1,0|B,0")
        envelope.isInitialized = true
        #expect(Self.text { EnvelopeWriter.write(envelope, into: &$0) } == #"{"C":"d-1,0|B,0","S":1,"M":[]}"#)
        envelope.isAborted = true
        envelope.isTerminating = true
        envelope.groupsToken = "g=="
        envelope.longPollDelayMilliseconds = 500
        envelope.error = "gone"
        let messages = [ByteBuffer(string: "1"), ByteBuffer(string: "{\"H\":\"c\"}"), ByteBuffer(string: "null")]
        #expect(
            Self.text { EnvelopeWriter.write(envelope, messages: messages, into: &$0) }
                == #"{"C":"d-1,0|B,0","S":1,"D":1,"T":1,"G":"g==","L":500,"M":[1,{"H":"c"},null],"E":"gone"}"#)
    }

    @Test("classic 2.1, 20: negotiate answers all fields, and keep-alive null when it is off")
    func negotiation() {
        var answer = ClassicNegotiation(
            url: "/signalr", connectionToken: "AQ+/==", connectionID: "5f33fd34", protocolVersion: .resolve("1.5")
        )
        #expect(
            Self.text { answer.write(into: &$0) } == #"{"Url":"/signalr","ConnectionToken":"AQ+/==","#
                + #""ConnectionId":"5f33fd34","KeepAliveTimeout":20.0,"DisconnectTimeout":30.0,"#
                + #""ConnectionTimeout":110.0,"#
                + #""TryWebSockets":true,"ProtocolVersion":"1.5","TransportConnectTimeout":5.0,"LongPollDelay":0.0}"#)
        answer.keepAliveTimeout = nil
        answer.longPollDelay = .milliseconds(1_500)
        let text = Self.text { answer.write(into: &$0) }
        #expect(text.contains("\"KeepAliveTimeout\":null,") && text.contains("\"LongPollDelay\":1.5}"))
    }
}
