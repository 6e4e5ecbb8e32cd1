import Busbar
import BusbarDriver
import BusbarFaults
import NIOCore
import TestSupport
import Testing

@Suite("Codecs")
struct CodecTests {
    private static let names = [
        "", ",", "|", "\\", "a\\,b|c", "👩‍👩‍👧‍👦", String(repeating: "x", count: 10_000), "\u{0}", "$busbar/h/Chat",
    ]

    private let key = RecordKey(node: 1, incarnation: 2, sequence: 3)

    @Test("B-14 odd topic names survive a pack and keep their stream", arguments: CodecTests.names)
    func oddNames(name: String) throws {
        let message = Message(topic: Topic(name), payload: ByteBuffer(string: "payload"))
        let bytes = Pack.encode(message, key: self.key)
        #expect(try Pack.key(of: bytes) == self.key)
        #expect(try Pack.messages(in: bytes) == [message])
        #expect(try Pack.messages(in: bytes)[0].topic.streamIndex(of: 64) == Topic(name).streamIndex(of: 64))
    }

    @Test("B-14 8 192 topics survive in one pack")
    func manyTopics() throws {
        let messages = (0..<8_192).map { Message(topic: Topic("topic \($0)"), payload: ByteBuffer(integer: $0)) }
        #expect(try Pack.messages(in: Pack.encode(messages, key: self.key)) == messages)
    }

    @Test("names that look alike but have other bytes are other topics")
    func canonicalEquivalence() {
        let (composed, decomposed) = (Topic("\u{e9}"), Topic("e\u{301}"))
        #expect(composed.name == decomposed.name)
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed]).count == 2)
    }

    @Test("the hash that maps topics to streams is the published FNV-1a")
    func stableHash() {
        #expect(Topic("").stableHash == 0xcbf2_9ce4_8422_2325)
        #expect(Topic("a").stableHash == 0xaf63_dc4c_8601_ec8c)
        #expect(Topic("foobar").stableHash == 0x8594_4171_f739_67e8)
    }

    @Test("B-14 a cursor round-trips, is short and URL-safe")
    func cursorRoundTrip() {
        let codec = CursorCodec(key: .generate(), app: "app", streams: 256)
        let offsets: [UInt64] = [0, 1, 127, 128, 1 << 35, .max]
        let positions = offsets.enumerated().map { index, offset in
            Position(stream: StreamID(UInt16(index * 50)), epoch: Epoch(.max - offset), offset: Offset(offset))
        }
        for count in 0...positions.count {
            let cursor = codec.encode(Frontier(positions: Array(positions.prefix(count))))
            #expect(codec.read(cursor) == .positions(Array(positions.prefix(count))))
            #expect(cursor.text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") })
        }
        let one = CursorCodec(key: .generate(), app: "app", streams: 1)
        let place = Position(stream: StreamID(0), epoch: Epoch(.max), offset: Offset(1_000_000))
        #expect(one.encode(Frontier(positions: [place])).text.count <= 32)
    }

    @Test("B-14 a cursor that was changed in any character is foreign, and so is that of another app or key")
    func forged() {
        let key = FarmKey.generate()
        let codec = CursorCodec(key: key, app: "app", streams: 1)
        let place = Position(stream: StreamID(0), epoch: Epoch(7), offset: Offset(9))
        let cursor = codec.encode(Frontier(positions: [place]))
        for index in cursor.text.indices {
            for other in ["A", "z", "-", "!"] where String(cursor.text[index]) != other {
                var text = cursor.text
                text.replaceSubrange(index...index, with: other)
                #expect(codec.read(Cursor(text: text)) == .foreign)
            }
        }
        #expect(CursorCodec(key: key, app: "other", streams: 1).read(cursor) == .foreign)
        #expect(CursorCodec(key: .generate(), app: "app", streams: 1).read(cursor) == .foreign)
        #expect(CursorCodec(key: key, app: "app", streams: 2).read(cursor) == .otherStreamCount)
    }

    @Test("B-14 signed bytes with streams twice, out of order or too many are foreign")
    func duplicateStreams() {
        let codec = CursorCodec(key: .generate(), app: "app", streams: 4)
        let one: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 5, 9]
        #expect(codec.parse([1, 4, 1] + one) != .foreign)
        #expect(codec.parse([1, 4, 2] + one + one) == .foreign)
        #expect(codec.parse([1, 4, 9] + one) == .foreign)
        #expect(codec.parse([1, 4, 1] + one + [0]) == .foreign)
        #expect(codec.parse([1, 4, 0x80, 0x00]) == .foreign)
        #expect(codec.parse([2, 4, 0]) == .foreign)
    }

    @Test("B-14 no bytes make a decoder fail in another way than it says", arguments: [FuzzSeed.current])
    func fuzz(seed: UInt64) async throws {
        var random = SplitMix64(seed: seed)
        let codec = CursorCodec(key: .generate(), app: "app", streams: 3)
        let farmKey = FarmKey.generate()
        let messages = (1...3).map { Message(topic: Topic("t\($0)"), payload: ByteBuffer(repeating: 7, count: $0 * 5)) }
        let good = Array(buffer: Pack.encode(messages, key: self.key))
        for round in 0..<20_000 {
            var bytes =
                round.isMultiple(of: 2)
                ? good
                : (0..<Int.random(in: 0...60, using: &random)).map { _ in random.next() }
                    .map { UInt8(truncatingIfNeeded: $0) }
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
            let decoded = try? Pack.messages(in: ByteBuffer(bytes: bytes))
            if let decoded {
                let buffer = ByteBuffer(bytes: bytes)
                #expect(Pack.encode(decoded, key: try Pack.key(of: buffer)) == buffer)
            }
            if case .positions(let positions) = codec.parse(bytes) { #expect(positions.count <= 3) }
            let (text, encoded) = (String(decoding: bytes, as: UTF8.self), Base64URL.encode(bytes))
            let isSound =
                codec.read(Cursor(text: text)) == .foreign && codec.read(Cursor(text: encoded)) == .foreign
                && farmKey.open(encoded, purpose: "token") == nil && Base64URL.decode(encoded) == bytes
            if !isSound { Issue.record("\(bytes)") }
            // Why: the tests beside this one have deadlines, and share two threads with it.
            if round.isMultiple(of: 100) { await Task.yield() }
        }
    }

    @Test("what is sealed opens with the same key and purpose only")
    func seals() {
        let key = FarmKey(secret: "sixteen bytes or more")
        let other = FarmKey.generate()
        let sealed = key?.seal(Array("id:user".utf8), purpose: "token") ?? ""
        #expect(key?.open(sealed, purpose: "token") == Array("id:user".utf8))
        #expect(key?.open(sealed, purpose: "cursor") == nil)
        #expect(other.open(sealed, purpose: "token") == nil)
        #expect(FarmKey(secret: "too short") == nil)
        #expect("\(other)" == "FarmKey(…)")
        #expect(!other.isSignature([], of: [1], purpose: "x"))
    }

    @Test("of a window, what the bounds allow is kept, the newest", arguments: [0, 1, 5, 100])
    func window(limitCount: Int) {
        var window = Window(limitBytes: 100_000, limitCount: limitCount)
        let stream = StreamID(0)
        func place(_ offset: Int) -> Position {
            Position(stream: stream, epoch: Epoch(1), offset: Offset(UInt64(offset)))
        }
        window.restart(at: place(0))
        for offset in 1...50 {
            window.append([Message(topic: Topic("t"), payload: ByteBuffer(integer: offset))], at: place(offset))
        }
        let kept = min(50, limitCount)
        #expect(window.entryCount == kept)
        #expect(window.floor == place(50 - kept))
        #expect(window.reaches(back: place(50 - kept)))
        if kept < 50 { #expect(!window.reaches(back: place(50 - kept - 1))) }
        #expect(!window.reaches(back: place(51)))
    }
}
