import Busbar
import BusbarHub
import BusbarProtocol
import FoundationEssentials
import NIOCore
import TestSupport
import Testing

@Suite("Hub records on the bus")
struct HubRecordTests {
    private static let samples: [HubRecord] = {
        let arguments =
            [ArgumentList.empty]
            + [#"["hi"]"#, #"[1,{"a":[null,"ü\u2028"]},-1.5e3]"#].compactMap {
                try? ArgumentList(validating: ByteBuffer(string: $0))
            } + [try? ArgumentList(encoding: "x", Data([1, 2]), [Date(timeIntervalSince1970: 1.5)])].compactMap(\.self)
        let audiences: [Audience] = [
            .all(except: []), .all(except: ["a", "", "äöü"]), .connection("c1"), .user("ü\0"),
            .group("group$&+,/:;=?@[]1", except: []),
            .group(String(repeating: "g", count: 8_192), except: (0..<300).map { "connection-\($0)" }),
        ]
        let state = try? JSONValueText(validating: ByteBuffer(string: #"{"Company":"ACME"}"#))
        var samples: [HubRecord] = []
        for list in arguments {
            for audience in audiences {
                for state in [nil, state] {
                    samples.append(
                        .message(
                            HubMessage(
                                hub: "ChatHub", audience: audience, method: #"!!!|\CallMeBack,,,!!!"#, arguments: list,
                                callerState: state)))
                }
            }
        }
        let value = JSONValueText.null
        for audience in audiences {
            samples.append(.message(HubMessage(hub: ".raw", audience: audience, body: .value(value))))
        }
        for state in [nil, state] {
            let report = ProgressReport(invocationID: "7", value: value, callerState: state)
            samples.append(.message(HubMessage(hub: "H", audience: .connection("c1"), body: .progress(report))))
        }
        for list in arguments.suffix(2) {
            let call = ClientCall(method: "ask", arguments: list)
            let invocation = ClientInvocation(
                hub: "H", connectionID: "c", call: call, timeout: .milliseconds(7), isFromOwnCall: list.count == 3)
            samples.append(.invocation(invocation, requester: .nobody))
        }
        for action in [GroupChange.Action.add, .remove] {
            samples.append(
                .groupCommand(
                    GroupChange(action, hub: "H", group: "g", connectionID: "c"),
                    requester: Requester(
                        key: RequestKey(node: NodeID(process: .max, incarnation: 7), number: .max),
                        duty: action == .add ? .everyone : .named(NodeID(process: 1)))))
        }
        return samples
    }()

    @Test("every record reads back as it was written")
    func roundTrip() throws {
        #expect(Self.samples.count == 60)
        for record in Self.samples {
            #expect(try HubRecord(decoding: record.encoded()) == record)
        }
    }

    @Test("the form is what other nodes of the farm expect")
    func form() throws {
        let message = HubMessage(
            hub: "H", audience: .group("g", except: ["x"]), method: "m",
            arguments: try ArgumentList(encoding: 7))
        let bytes = try HubRecord.message(message).encoded()
        let expected: [UInt8] =
            [1, 1, 0, 1] + Array("H".utf8) + [3, 0, 1] + Array("g".utf8) + [0, 1, 0, 1] + Array("x".utf8) + [0, 1]
            + Array("m".utf8) + [0, 0, 0, 0, 3] + Array("[7]".utf8)
        #expect(Array(bytes.readableBytesView) == expected)
    }

    @Test("a record cut anywhere is refused, and so is one with something after its end")
    func truncation() throws {
        for record in Self.samples where record.topic.name.utf8.count < 100 {
            var bytes = try record.encoded()
            for length in 0..<bytes.readableBytes {
                let cut = try #require(bytes.getSlice(at: bytes.readerIndex, length: length))
                #expect(throws: HubRecordError.self) { try HubRecord(decoding: cut) }
            }
            bytes.writeInteger(UInt8(0))
            #expect(throws: HubRecordError.self) { try HubRecord(decoding: bytes) }
        }
    }

    @Test(
        "a version, a kind, an audience and flags of the future are told from broken bytes", arguments: [0, 1, 5, 15])
    func future(position: Int) throws {
        let message = HubMessage(hub: "H", audience: .all(except: []), method: "methods", arguments: .empty)
        var bytes = try HubRecord.message(message).encoded()
        // hub: 2...4, audience 5, count 6...7, method 8...16, flags 17
        let target = position == 15 ? 17 : position
        bytes.setInteger(UInt8(0x7E), at: bytes.readerIndex + target)
        let error = #expect(throws: HubRecordError.self) { try HubRecord(decoding: bytes) }
        #expect(error?.code == .unknown)
    }

    @Test(
        "arguments that are no JSON array are refused",
        arguments: ["", "{}", "[", "[1,]", "[1] ,", "[\u{1}]", "[\"\n\"]", "null"])
    func badArguments(text: String) throws {
        var bytes = ByteBuffer(bytes: [1, 1, 0, 1, 0x48, 1, 0, 0, 0, 1, 0x6D, 0])
        bytes.writeInteger(UInt32(text.utf8.count))
        bytes.writeString(text)
        let error = #expect(throws: HubRecordError.self) { try HubRecord(decoding: bytes) }
        #expect(error?.code == .malformed)
    }

    @Test("a name that is not UTF-8 is refused, not repaired")
    func badNames() throws {
        let bytes = ByteBuffer(bytes: [1, 1, 0, 1, 0xFF, 1, 0, 0, 0, 1, 0x6D, 0, 0, 0, 0, 2, 0x5B, 0x5D])
        let error = #expect(throws: HubRecordError.self) { try HubRecord(decoding: bytes) }
        #expect(error?.code == .malformed)
    }

    @Test("what does not fit the form is a typed error")
    func tooLarge() throws {
        let long = String(repeating: "x", count: 65_536)
        let messages = [
            HubMessage(hub: "H", audience: .all(except: []), method: long, arguments: .empty),
            HubMessage(hub: "H", audience: .user(long), method: "m", arguments: .empty),
            HubMessage(
                hub: "H", audience: .all(except: Array(repeating: "", count: 65_536)), method: "m", arguments: .empty),
        ]
        let huge = try ArgumentList(encoding: String(repeating: "x", count: 16 << 20))
        let large = HubMessage(hub: "H", audience: .all(except: []), method: "m", arguments: huge)
        for message in messages + [large] {
            let error = #expect(throws: HubSendError.self) { try HubRecord.message(message).encoded() }
            #expect(error?.code == .tooLarge)
        }
    }

    @Test("random bytes and random damage are refused or read, never worse", arguments: 0..<8)
    func fuzz(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let samples = try Self.samples.prefix(12).map { try $0.encoded() }
        for round in 0..<5_000 {
            var bytes: ByteBuffer
            if round.isMultiple(of: 2) {
                bytes = ByteBuffer(bytes: (0..<Int.random(in: 0..<64, using: &random)).map { _ in random.byte() })
                if round.isMultiple(of: 4), bytes.readableBytes > 2 { bytes.setBytes([1, 1], at: bytes.readerIndex) }
            } else {
                bytes = samples[Int.random(in: 0..<samples.count, using: &random)]
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    bytes.setInteger(random.byte(), at: Int.random(in: 0..<bytes.readableBytes, using: &random))
                }
            }
            do {
                let record = try HubRecord(decoding: bytes)
                #expect(try HubRecord(decoding: record.encoded()) == record, "seed \(seed) round \(round)")
            } catch is HubRecordError {
                continue
            }
        }
    }

    @Test("a record has the topic of its audience; a group change has the group's")
    func topics() {
        func topic(_ audience: Audience) -> String {
            HubMessage(hub: "H", audience: audience, method: "m", arguments: .empty).topic.name
        }
        #expect(topic(.all(except: ["c"])) == "$busbar/h/H")
        #expect(topic(.group("a/b", except: [])) == "$busbar/g/H/a/b")
        #expect(topic(.user("u")) == "$busbar/u/H/u")
        #expect(topic(.connection("c")) == "$busbar/c/c")
        let change = GroupChange(.add, hub: "H", group: "a/b", connectionID: "c")
        let command = HubRecord.groupCommand(change, requester: .nobody)
        #expect(command.topic.name == topic(.group("a/b", except: [])))
    }
}

extension Requester {
    /// For changes whose answer is of no interest.
    static let nobody = Requester(key: RequestKey(node: NodeID(process: 1), number: 1), duty: .everyone)
}

extension SeededGenerator {
    fileprivate mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: self.next() >> 32) }
}
