import BusbarProtocol
import NIOCore
import TestSupport
import Testing

/// Laws that hold for any input. A failure names the seed and the input; BUSBAR_FUZZ_SEED repeats a run.
@Suite("Fuzz")
struct FuzzTests {
    private static let rounds = 1_500

    @Test(
        "valid JSON is accepted, none of its beginnings is, and a node written and read again is the same",
        arguments: [FuzzSeed.current]
    )
    func validJSON(seed: UInt64) throws {
        var mutator = Mutator(seed: seed)
        for _ in 0..<Self.rounds {
            let text = "[\(mutator.json())]"
            let value = try JSONValueText(validating: ByteBuffer(string: text))
            let node = try value.decode(JSONNode.self)
            #expect(try JSONValueText(encoding: node).decode(JSONNode.self) == node, "\(text)")
            var compact = ByteBuffer()
            value.writeCompact(into: &compact)
            #expect(try JSONValueText(validating: compact).decode(JSONNode.self) == node, "\(text)")
            let beginning = Array(text.utf8).prefix(mutator.number(below: text.utf8.count))
            #expect(throws: JSONCodingError.self, "\(text) \(beginning.count)") {
                try JSONValueText(validating: ByteBuffer(bytes: beginning))
            }
        }
    }

    @Test(
        "broken JSON is refused or read as something that survives being written; no type to decode traps on it",
        arguments: [FuzzSeed.current]
    )
    func mutatedJSON(seed: UInt64) throws {
        var mutator = Mutator(seed: seed)
        var accepted = 0
        for _ in 0..<Self.rounds {
            let bytes = mutator.mutated(Array("[\(mutator.json()),\(mutator.json())]".utf8))
            for leniency in [JSONLeniency.strict, .classic] {
                guard let list = try? ArgumentList(validating: ByteBuffer(bytes: bytes)) else { continue }
                accepted += 1
                #expect(String(validating: list.bytes.readableBytesView, as: UTF8.self) != nil, "\(bytes)")
                var reader = list.makeReader(leniency: leniency, depthLimit: 20)
                while reader.remainingCount > 0 {
                    _ = try? reader.next(Int.self)
                    guard reader.remainingCount > 0 else { break }
                    reader.tryEverything()
                    guard reader.remainingCount > 0 else { break }
                    let text = try reader.nextText()
                    if let node = try? text.decode(JSONNode.self) {
                        #expect(try JSONValueText(encoding: node).decode(JSONNode.self) == node, "\(bytes)")
                    }
                }
            }
        }
        #expect(accepted > 0)
    }

    private static let coreSamples = [
        #"{"type":1,"headers":{"a":"b"},"invocationId":"2","target":"Up","arguments":[1,"x"],"streamIds":["s1","s2"]}"#,
        #"{"type":4,"invocationId":"3","target":"Counter","arguments":[{"a":[]}]}"#,
        #"{"type":2,"invocationId":"3","item":{"x":null}}"#, #"{"type":3,"invocationId":"1","result":[42]}"#,
        #"{"type":3,"invocationId":"1","error":"text"}"#, #"{"type":7,"error":"text","allowReconnect":true}"#,
        #"{"type":8,"sequenceId":36}"#, #"{"type":6}"#, #"{"protocol":"json","version":1}"#,
    ]

    @Test(
        "a core message is refused or is the same message when written and parsed again", arguments: [FuzzSeed.current])
    func coreMessages(seed: UInt64) throws {
        var mutator = Mutator(seed: seed)
        var accepted = 0
        for _ in 0..<Self.rounds * 4 {
            let sample = Array(mutator.pick(Self.coreSamples).utf8)
            let bytes = mutator.number(below: 8) == 0 ? sample : mutator.mutated(sample)
            let record = ByteBuffer(bytes: bytes)
            _ = try? CoreJSON.parseHandshake(record)
            _ = try? CoreJSON.parseHandshakeResponse(record)
            guard let message = try? CoreJSON.parse(record) else { continue }
            if case .unknown = message { continue }
            accepted += 1
            var written = ByteBuffer()
            CoreJSON.write(message, into: &written)
            var splitter = RecordSplitter()
            let again = try #require(try splitter.nextRecord(from: &written, limitBytes: nil))
            #expect(try CoreJSON.parse(again) == message, "\(bytes)")
            #expect(written.readableBytes == 0, "\(bytes)")
        }
        #expect(accepted > 0)
    }

    @Test("records are the same whole, in pieces and byte by byte", arguments: [FuzzSeed.current])
    func records(seed: UInt64) {
        func records(_ pieces: [[UInt8]]) -> ReadRecords {
            ReadRecords(pieces) { buffer, splitter throws(ProtocolError) in
                try splitter.nextRecord(from: &buffer, limitBytes: 40)
            }
        }
        var mutator = Mutator(seed: seed)
        for _ in 0..<Self.rounds {
            let bytes = (0..<8).flatMap { _ in mutator.bytes(atMost: 42) + [0x1E] } + mutator.bytes(atMost: 42)
            let whole = records([bytes])
            #expect(whole == records(mutator.cut(bytes)), "\(bytes)")
            #expect(whole == records(bytes.map { [$0] }), "\(bytes)")
        }
    }

    @Test(
        "a classic call and connectionData are refused or say hub and method, and never trap",
        arguments: [FuzzSeed.current])
    func classicMessages(seed: UInt64) {
        let calls = [
            #"{"H":"chathub","M":"Send","A":["Bob",{"x":1}],"I":0,"S":{"userName":"Bob"}}"#,
            #"{"I":"0","H":"ChatHub","M":"Send","A":[],"S":{}}"#, #"[{"name":"chathub"},{"Name":"stockticker"}]"#,
        ]
        var mutator = Mutator(seed: seed)
        var accepted = 0
        for _ in 0..<Self.rounds * 2 {
            let bytes = mutator.mutated(Array(mutator.pick(calls).utf8))
            let message = ByteBuffer(bytes: bytes)
            let id = ClassicJSON.invocationID(in: message)
            if let call = try? ClassicJSON.parseInvocation(message) {
                accepted += 1
                #expect(!call.hub.isEmpty && !call.method.isEmpty, "\(bytes)")
                #expect(call.invocationID == id, "\(bytes)")
                #expect((try? ArgumentList(validating: call.arguments.bytes)) == call.arguments, "\(bytes)")
                var written = ByteBuffer()
                ClassicJSON.writeInvocation(
                    hub: call.hub, method: call.method, arguments: call.arguments, state: call.state, into: &written
                )
                let again = try? ClassicJSON.parseInvocation(written)
                #expect(
                    again?.hub == call.hub && again?.arguments == call.arguments && again?.state == call.state,
                    "\(bytes)")
            }
            if let names = try? ClassicJSON.parseConnectionData(String(decoding: bytes, as: UTF8.self)) {
                accepted += 1
                #expect(Set(names.map { $0.lowercased() }).count == names.count, "\(bytes)")
            }
        }
        #expect(accepted > 0)
    }

    @Test(
        "query text is read the same as a string and as bytes, and encoded values come back",
        arguments: [FuzzSeed.current])
    func queries(seed: UInt64) throws {
        var mutator = Mutator(seed: seed)
        for _ in 0..<Self.rounds {
            let bytes = mutator.mutated(Array("clientProtocol=1.5&a=%5B%7B+%22&b;c=%C3%A9&data=x%2By".utf8))
            if let text = String(validating: bytes, as: UTF8.self) {
                #expect(
                    try QueryParameters(parsing: text) == QueryParameters(parsing: ByteBuffer(bytes: bytes)), "\(bytes)"
                )
            } else {
                _ = try QueryParameters(parsing: ByteBuffer(bytes: bytes))
            }
            let value = String(decoding: mutator.bytes(atMost: 20), as: UTF8.self)
            let hex = Array("0123456789ABCDEF")
            let encoded = value.utf8.map { "%\(hex[Int($0 >> 4)])\(hex[Int($0 & 15)])" }.joined()
            #expect(try QueryParameters(parsing: "x=1&v=\(encoded)&y")["V"] == value)
        }
    }

    @Test(
        "WebSocket bytes give the same events and the same error whole, in pieces and byte by byte",
        arguments: [FuzzSeed.current]
    )
    func webSocket(seed: UInt64) {
        let mode = WebSocketParser.Mode.messages(maximumBytes: 300)
        var mutator = Mutator(seed: seed)
        var messages = 0
        for round in 0..<Self.rounds {
            let frames = Self.frames(&mutator)
            let bytes = round % 2 == 0 ? frames : mutator.mutated(frames)
            let whole = ClientFrames.events([bytes], mode: mode)
            let pieces = ClientFrames.events(mutator.cut(bytes), mode: mode)
            let single = ClientFrames.events(bytes.map { [$0] }, mode: mode)
            messages += whole.events.count
            #expect(whole.events == pieces.events && whole.error == pieces.error, "\(bytes)")
            #expect(whole.events == single.events && whole.error == single.error, "\(bytes)")

            let stream = Stream([bytes])
            #expect(stream == Stream(mutator.cut(bytes)), "\(bytes)")
            #expect(stream == Stream(bytes.map { [$0] }), "\(bytes)")
        }
        #expect(messages > Self.rounds)
    }

    private static func frames(_ mutator: inout Mutator) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0...mutator.number(below: 6) {
            let mask = UInt32(truncatingIfNeeded: mutator.number(below: Int(UInt32.max)))
            switch mutator.number(below: 5) {
            case 0: bytes += ClientFrames.frame(2, mutator.bytes(atMost: 280), mask: mask)
            case 1: bytes += ClientFrames.frame(1, Array(mutator.json().utf8.prefix(250)), mask: mask)
            case 2:
                bytes += ClientFrames.frame(UInt8(9 + mutator.number(below: 2)), mutator.bytes(atMost: 125), mask: mask)
            case 3:
                bytes += ClientFrames.frame(2, mutator.bytes(atMost: 90), isLast: false, mask: mask)
                bytes += ClientFrames.frame(9, mutator.bytes(atMost: 4), mask: mask)
                bytes += ClientFrames.frame(0, mutator.bytes(atMost: 90), mask: mask)
            default: bytes += mutator.number(below: 8) == 0 ? ClientFrames.frame(8, [0x03, 0xE8], mask: mask) : []
            }
        }
        return bytes
    }

    /// Streamed pieces put together, since where they are cut depends on how they arrive.
    private struct Stream: Equatable {
        enum Part: Equatable {
            case message([UInt8])
            case control(WebSocketEvent)
        }

        private(set) var parts: [Part] = []
        private(set) var rest: [UInt8] = []
        let error: WebSocketError?

        init(_ pieces: [[UInt8]]) {
            let (events, error) = ClientFrames.events(pieces, mode: .stream)
            self.error = error
            for event in events {
                guard case .data(_, let isLast, let piece) = event else {
                    self.parts.append(.control(event))
                    continue
                }
                self.rest += piece.readableBytesView
                guard isLast else { continue }
                self.parts.append(.message(self.rest))
                self.rest = []
            }
        }
    }
}
