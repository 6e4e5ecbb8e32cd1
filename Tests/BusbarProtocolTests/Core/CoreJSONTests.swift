import BusbarProtocol
import NIOCore
import Testing

@Suite("Core JSON")
struct CoreJSONTests {
    private static func parse(_ text: String) throws(ProtocolError) -> CoreMessage {
        try CoreJSON.parse(ByteBuffer(string: text))
    }

    private static func value(_ text: String) throws -> CallValue {
        .json(try JSONValueText(validating: ByteBuffer(string: text)))
    }

    private static func arguments(_ text: String) throws -> CallArguments {
        .json(try ArgumentList(validating: ByteBuffer(string: text)))
    }

    @Test("core 1.13: every message in the specification is parsed, and written back byte for byte")
    func samples() throws {
        let samples: [(String, CoreMessage)] = [
            (
                #"{"type":1,"invocationId":"1","target":"Add","arguments":[40,2]}"#,
                .invocation(
                    CoreInvocation(target: "Add", arguments: try Self.arguments("[40,2]"), invocationID: "1")
                )
            ),
            (
                #"{"type":1,"target":"Send","arguments":["hi"]}"#,
                .invocation(CoreInvocation(target: "Send", arguments: try Self.arguments("[\"hi\"]")))
            ),
            (
                #"{"type":1,"headers":{"traceparent":"00-..."},"invocationId":"1","target":"A","arguments":[]}"#,
                .invocation(
                    CoreInvocation(
                        target: "A", arguments: .empty, invocationID: "1", headers: [("traceparent", "00-...")]
                    )
                )
            ),
            (
                #"{"type":1,"invocationId":"2","target":"Up","arguments":[],"streamIds":["s1"]}"#,
                .invocation(
                    CoreInvocation(target: "Up", arguments: .empty, invocationID: "2", streamIDs: ["s1"])
                )
            ),
            (
                #"{"type":4,"invocationId":"3","target":"Counter","arguments":[5]}"#,
                .streamInvocation(
                    CoreInvocation(target: "Counter", arguments: try Self.arguments("[5]"), invocationID: "3")
                )
            ),
            (#"{"type":2,"invocationId":"3","item":0}"#, .streamItem(id: "3", item: try Self.value("0"))),
            (#"{"type":3,"invocationId":"3"}"#, .completion(id: "3", result: .void)),
            (#"{"type":3,"invocationId":"1","result":42}"#, .completion(id: "1", result: .value(try Self.value("42")))),
            (#"{"type":3,"invocationId":"1","result":null}"#, .completion(id: "1", result: .value(.json(.null)))),
            (#"{"type":3,"invocationId":"1","error":"text"}"#, .completion(id: "1", result: .error("text"))),
            (#"{"type":5,"invocationId":"3"}"#, .cancelInvocation(id: "3")),
            (#"{"type":6}"#, .ping),
            (#"{"type":7}"#, .close(error: nil, allowReconnect: false)),
            (#"{"type":7,"error":"text","allowReconnect":true}"#, .close(error: "text", allowReconnect: true)),
            (#"{"type":8,"sequenceId":36}"#, .ack(36)),
            (#"{"type":9,"sequenceId":19}"#, .sequence(19)),
        ]
        for (text, message) in samples {
            #expect(try Self.parse(text) == message)
            var buffer = ByteBuffer()
            CoreJSON.write(message, into: &buffer)
            #expect(String(buffer: buffer) == text + "\u{1E}")
        }
        #expect(String(buffer: CoreJSON.ping) == "{\"type\":6}\u{1E}")
    }

    @Test(
        "core 1.13: properties come in any order with any white space, the last of equals counts, unknown are skipped")
    func anyOrder() throws {
        let call = CoreMessage.invocation(
            CoreInvocation(target: "A", arguments: try Self.arguments("[1]"), invocationID: "i", streamIDs: [])
        )
        for text in [
            #"{"arguments":[1],"target":"A","invocationId":"i","type":1}"#,
            " { \"target\" : \"A\" , \"type\" : 1 ,\n\"x\" : {\"type\":9} , \"arguments\" : [1] ,\t"
                + "\"invocationId\":\"i\"}\r\n",
            #"{"type":6,"type":1,"target":"B","target":"A","arguments":[2],"arguments":[1],"invocationId":"i"}"#,
            #"{"t\u0079pe":1,"target":"\u0041","arguments":[1],"invocationId":"i","streamIds":[],"headers":{}}"#,
            #"{"type":1,"target":"A","arguments":[1],"invocationId":"i","Type":2,"ARGUMENTS":5}"#,
        ] {
            #expect(try Self.parse(text) == call)
        }
    }

    @Test(
        "core 4.1: an empty or null invocation id counts as absent; headers and empty streamIds are welcome everywhere")
    func tolerances() throws {
        let call = CoreMessage.invocation(CoreInvocation(target: "A", arguments: .empty))
        #expect(try Self.parse(#"{"type":1,"target":"A","arguments":[],"invocationId":""}"#) == call)
        #expect(try Self.parse(#"{"type":1,"target":"A","arguments":[],"invocationId":null}"#) == call)
        #expect(try Self.parse(#"{"type":6,"headers":{"a":"b"},"streamIds":[]}"#) == .ping)
        #expect(
            try Self.parse(#"{"type":3,"invocationId":"1","headers":{},"result":1,"error":null}"#)
                == .completion(id: "1", result: .value(try Self.value("1"))))
        #expect(try Self.parse(#"{"type":7,"error":null}"#) == .close(error: nil, allowReconnect: false))
    }

    @Test(
        "core 1.25: what is not a JSON object with a numeric type closes the connection",
        arguments: [
            "", "x", "[]", "\"a\"", "1", "null", "{", "{}", "{\"type\"}", #"{"type":1"#, #"{"type":"1"}"#,
            #"{"type":null}"#, #"{"type":1.5}"#, #"{"type":1e99}"#, #"{"type":99999999999999999999}"#, #"{"type":[1]}"#,
            #"{"type":6}{"type":6}"#, #"{"type":6,}"#, #"{"Type":6}"#, "{\"type\":6}\u{1E}",
        ]
    )
    func notAMessage(text: String) {
        #expect(throws: ProtocolError.self) { try Self.parse(text) }
    }

    @Test(
        "core 1.25: a missing or mistyped property of a known type closes the connection",
        arguments: [
            #"{"type":1,"arguments":[]}"#, #"{"type":1,"target":"A"}"#, #"{"type":1,"target":"","arguments":[]}"#,
            #"{"type":1,"target":null,"arguments":[]}"#, #"{"type":1,"target":5,"arguments":[]}"#,
            #"{"type":1,"target":"A","arguments":null}"#, #"{"type":1,"target":"A","arguments":{}}"#,
            #"{"type":1,"target":"A","arguments":[],"invocationId":1}"#,
            #"{"type":1,"target":"A","arguments":[],"streamIds":null}"#,
            #"{"type":1,"target":"A","arguments":[],"streamIds":"s"}"#,
            #"{"type":1,"target":"A","arguments":[],"streamIds":[null]}"#,
            #"{"type":1,"target":"A","arguments":[],"streamIds":[1]}"#,
            #"{"type":1,"target":"A","arguments":[],"headers":{"a":1}}"#,
            #"{"type":1,"target":"A","arguments":[],"headers":{"a":null}}"#,
            #"{"type":1,"target":"A","arguments":[],"headers":["a"]}"#,
            #"{"type":2,"item":1}"#, #"{"type":2,"invocationId":"1"}"#, #"{"type":2,"invocationId":"","item":1}"#,
            #"{"type":3}"#, #"{"type":3,"invocationId":""}"#, #"{"type":3,"invocationId":"1","error":5}"#,
            #"{"type":4,"target":"A","arguments":[]}"#, #"{"type":4,"target":"A","arguments":[],"invocationId":""}"#,
            #"{"type":4,"target":"","arguments":[],"invocationId":"1"}"#, #"{"type":5}"#,
            #"{"type":5,"invocationId":""}"#, #"{"type":5,"invocationId":null}"#,
            #"{"type":7,"error":1}"#, #"{"type":7,"allowReconnect":"yes"}"#, #"{"type":8}"#,
            #"{"type":8,"sequenceId":"1"}"#, #"{"type":9,"sequenceId":-1}"#, #"{"type":9,"sequenceId":1.5}"#,
            #"{"type":9,"sequenceId":99999999999999999999}"#,
        ]
    )
    func badProperty(text: String) {
        let error = #expect(throws: ProtocolError.self) { try Self.parse(text) }
        #expect(error?.code == .missingProperty || error?.code == .invalidProperty)
    }

    @Test("core 1.25: a completion with both result and error closes the connection")
    func resultAndError() {
        let error = #expect(throws: ProtocolError.self) {
            try Self.parse(#"{"type":3,"invocationId":"1","result":null,"error":"x"}"#)
        }
        #expect(error?.code == .conflictingProperties)
    }

    @Test(
        "core 1.25: a message of unknown numeric type is there to be skipped, whatever else it says",
        arguments: [0, 10, -1, 99])
    func unknownType(type: Int) throws {
        #expect(try Self.parse("{\"type\":\(type),\"headers\":5,\"target\":[]}") == .unknown(type: type))
    }

    @Test("core 1.25: a second handshake has no type and closes the connection")
    func secondHandshake() {
        #expect(throws: ProtocolError(.missingProperty, "hub message: property 'type' is missing")) {
            try Self.parse(#"{"protocol":"json","version":1}"#)
        }
    }

    @Test("core 1.25: invalid UTF-8 closes the connection, in a value as in a name")
    func invalidUTF8() {
        for text in ["{\"type\":6,\"x\":\"", "{\"type\":6,\""] {
            #expect(throws: ProtocolError.self) {
                try CoreJSON.parse(ByteBuffer(bytes: Array(text.utf8) + [0xC3, 0x28, 0x22, 0x7D]))
            }
        }
    }

    @Test("core 1.13: an argument may be 64 levels deep, and no deeper")
    func depth() throws {
        func call(_ depth: Int) -> String {
            let deep = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            return "{\"type\":1,\"target\":\"A\",\"arguments\":[\(deep)]}"
        }
        #expect(throws: Never.self) { try Self.parse(call(64)) }
        let error = #expect(throws: ProtocolError.self) { try Self.parse(call(65)) }
        #expect(error?.code == .limitExceeded)
    }

    @Test("a message with more headers or streams than the limit is refused")
    func listLimits() {
        let headers = (0...CoreJSON.listLimit).map { "\"h\($0)\":\"\"" }.joined(separator: ",")
        let streams = (0...CoreJSON.listLimit).map { "\"\($0)\"" }.joined(separator: ",")
        for list in ["\"headers\":{\(headers)}", "\"streamIds\":[\(streams)]"] {
            let error = #expect(throws: ProtocolError.self) {
                try Self.parse("{\"type\":1,\"target\":\"A\",\"arguments\":[],\(list)}")
            }
            #expect(error?.code == .limitExceeded)
        }
    }
}
