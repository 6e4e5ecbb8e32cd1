import BusbarProtocol
import NIOCore
import TestSupport
import Testing

/// Laws that hold for any bytes where MessagePack is expected. A failure names the seed and the input.
@Suite("Fuzz of MessagePack")
struct PackedFuzzTests {
    private static let rounds = 3_000

    private static let messages = [
        "97 01 81 a1 61 a1 62 a1 32 a2 55 70 92 01 a1 78 92 a2 73 31 a2 73 32 c0",
        "96 04 80 a1 33 a1 43 91 81 a1 61 90 90",
        "94 02 80 a1 33 81 a1 78 c0", "95 03 80 a1 31 03 91 2a", "95 03 80 a1 31 01 a1 65", "94 03 80 a1 31 02",
        "93 05 80 a1 33", "91 06", "93 07 a1 65 c3", "92 08 cd 01 2c",
        "95 01 80 c0 a1 41 92 d6 ff 00 00 00 01 c4 02 01 02",
    ]

    @Test(
        "a core message in MessagePack is refused or is the same when written and parsed again, and no type traps on it",
        arguments: [FuzzSeed.current])
    func messages(seed: UInt64) throws {
        var mutator = Mutator(seed: seed)
        let samples = try Self.messages.map { Array(try ByteBuffer(hex: $0).readableBytesView) }
        var accepted = 0
        for _ in 0..<Self.rounds * 2 {
            let sample = mutator.pick(samples)
            let bytes = mutator.number(below: 8) == 0 ? sample : mutator.mutated(sample)
            guard let message = try? CoreMessagePack.parse(ByteBuffer(bytes: bytes)) else { continue }
            if case .unknown = message { continue }
            accepted += 1
            var written = ByteBuffer()
            CoreMessagePack.write(message, into: &written)
            #expect(try CoreProtocol.messagePack.nextMessage(from: &written) == message, "\(bytes)")
            #expect(written.readableBytes == 0, "\(bytes)")
            if case .invocation(let call) = message, case .messagePack(let list) = call.arguments {
                var reader = list.makeReader(depthLimit: 20)
                repeat { reader.tryEverything() } while (try? reader.next(JSONNode.self)) != nil
                if let nodes = try? call.arguments.nodes() { #expect(nodes.count == list.count) }
                var json = ByteBuffer()
                CoreJSON.write(message, into: &json)
                var splitter = RecordSplitter()
                let record = try #require(try splitter.nextRecord(from: &json, limitBytes: nil))
                _ = try CoreJSON.parse(record)
            }
        }
        #expect(accepted > 0)
    }

    @Test(
        "any JSON written as MessagePack is one value that reads back as the same JSON, and none of its beginnings is one",
        arguments: [FuzzSeed.current])
    func transcoding(seed: UInt64) throws {
        var mutator = Mutator(seed: seed)
        for _ in 0..<Self.rounds {
            let json = "[\(mutator.json())]"
            let text = try JSONValueText(validating: ByteBuffer(string: json))
            var record = ByteBuffer()
            CoreMessagePack.writeCompletion(id: "1", result: .value(.json(text)), into: &record)
            let message = try CoreProtocol.messagePack.nextMessage(from: &record)
            guard case .completion(_, .value(.messagePack(let value)))? = message else {
                Issue.record("\(json) became \(String(describing: message))")
                return
            }
            #expect(try value.decode(JSONNode.self) == text.decode(JSONNode.self), "\(json)")
            let bytes = Array(value.bytes.readableBytesView)
            let beginning = bytes.prefix(mutator.number(below: bytes.count))
            #expect(throws: JSONCodingError.self, "\(json) \(beginning.count)") {
                try PackedValue(validating: ByteBuffer(bytes: beginning))
            }
            if let broken = try? PackedValue(validating: ByteBuffer(bytes: mutator.mutated(bytes))) {
                _ = try? broken.decode(JSONNode.self)
                _ = try? broken.decode([[String: [Double]]].self)
            }
        }
    }

    @Test("records with a length are the same whole, in pieces and byte by byte", arguments: [FuzzSeed.current])
    func records(seed: UInt64) {
        func records(_ pieces: [[UInt8]]) -> ReadRecords {
            ReadRecords(pieces) { buffer, splitter throws(ProtocolError) in
                try CoreProtocol.messagePack.nextRecord(from: &buffer, &splitter, limitBytes: 200)
            }
        }
        var mutator = Mutator(seed: seed)
        for _ in 0..<Self.rounds {
            var bytes: [UInt8] = []
            for _ in 0..<6 {
                let body = mutator.bytes(atMost: 150)
                bytes += (body.count < 128 ? [UInt8(body.count)] : [UInt8(body.count & 0x7F) | 0x80, 1]) + body
            }
            if mutator.number(below: 2) == 0 { bytes = mutator.mutated(bytes) }
            let whole = records([bytes])
            #expect(whole == records(mutator.cut(bytes)), "\(bytes)")
            #expect(whole == records(bytes.map { [$0] }), "\(bytes)")
        }
    }
}
