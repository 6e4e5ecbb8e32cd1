import Busbar
import NIOCore
import Testing

@Suite("What nodes say to each other in the log")
struct NodeRecordTests {
    private static let key = RequestKey(node: NodeID(process: .max, incarnation: 3), number: 42)

    private static let samples: [NodeRecord] = {
        var samples: [NodeRecord] = [NodeSign.Kind.hello, .heartbeat, .farewell].map {
            .sign(NodeSign(node: NodeID(process: 7, incarnation: 2), kind: $0, name: "node 9090 ü"))
        }
        for duty in [AnswerDuty.everyone, .only(NodeID(process: 1)), .named(NodeID(process: 2))] {
            let body = ByteBuffer(string: #"{"H":"h"}"#)
            samples.append(.request(NodeRequest(key: Self.key, duty: duty, subject: "id", kind: 9, body: body)))
        }
        samples.append(.rollCall(Self.key, subject: "id"))
        samples.append(.moved(connectionID: "0000002a-1111-4111-8111-111111111111", to: NodeID(process: 5)))
        samples.append(.ended(connectionID: "0000002a-1111-4111-8111-111111111111", on: NodeID(process: 6)))
        samples.append(.began(connectionID: "0000002a-1111-4111-8111-111111111111", on: NodeID(process: 7)))
        let entries: [NodeReplies.Entry] = [
            .init(number: 1, verdict: .declined), .init(number: 2, verdict: .answer(.done(ByteBuffer(string: "ok")))),
            .init(number: 4, verdict: .coming),
            .init(number: 3, verdict: .answer(.refused(code: "tooManyGroups", detail: "it is in 3 groups"))),
        ]
        for entries in [entries, []] {
            samples.append(
                .replies(
                    NodeReplies(to: NodeID(process: 8), from: NodeID(process: 9, incarnation: 2), entries: entries)))
        }
        return samples
    }()

    @Test("every record reads back as it was written, and is told from a hub's")
    func roundTrip() {
        for record in Self.samples {
            let bytes = record.encoded()
            #expect(NodeRecord.isOne(bytes))
            #expect(NodeRecord(decoding: bytes) == record)
        }
        #expect(!NodeRecord.isOne(ByteBuffer(bytes: [1, 1, 0, 1])))
        #expect(!NodeRecord.isOne(ByteBuffer()))
    }

    @Test("F-60: a record that is cut, longer, of another version or kind, or damaged is refused")
    func poison() {
        for record in Self.samples {
            var bytes = record.encoded()
            for length in 0..<bytes.readableBytes {
                #expect(NodeRecord(decoding: bytes.getSlice(at: bytes.readerIndex, length: length) ?? bytes) == nil)
            }
            bytes.writeInteger(UInt8(0))
            #expect(NodeRecord(decoding: bytes) == nil)
        }
        #expect(NodeRecord(decoding: ByteBuffer(bytes: [2, 66])) == nil)
        #expect(NodeRecord(decoding: ByteBuffer(bytes: [1, 200])) == nil)
        var many = ByteBuffer(bytes: [1, 68] + [UInt8](repeating: 0, count: 24))
        many.writeInteger(UInt32.max)
        #expect(NodeRecord(decoding: many) == nil, "four billion replies in no bytes")
    }

    @Test("F-60: random damage is refused or read as something else, never worse", arguments: 0..<4)
    func fuzz(seed: UInt64) {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func random(_ limit: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(truncatingIfNeeded: state >> 33) % limit
        }
        for round in 0..<5_000 {
            var bytes = Self.samples[random(Self.samples.count)].encoded()
            for _ in 0...random(4) { bytes.setInteger(UInt8(random(256)), at: random(bytes.readableBytes)) }
            guard let record = NodeRecord(decoding: bytes) else { continue }
            #expect(NodeRecord(decoding: record.encoded()) == record, "seed \(seed) round \(round)")
        }
    }
}
