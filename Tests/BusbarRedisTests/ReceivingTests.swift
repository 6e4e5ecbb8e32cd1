import BusbarDriver
import BusbarRedis
import NIOCore
import Testing

@Suite("what a subscribed connection receives")
struct ReceivingTests {
    private static let stream = StreamID(3)

    private static func message(epoch: UInt64 = 5, first: UInt64, _ texts: String...) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(LiveBatch.version, epoch, first)
        for (index, text) in texts.enumerated() {
            bytes.writeInteger(UInt32(24 + text.utf8.count))
            bytes.writeMultipleIntegers(UInt64(1), UInt64(2), UInt64(index))
            bytes.writeString(text)
        }
        return bytes
    }

    private static func push(_ channel: String, _ payload: ByteBuffer) -> [RedisReply] {
        [.bulk(ByteBuffer(string: "message")), .bulk(ByteBuffer(string: channel)), .bulk(payload)]
    }

    private static func liveReceiving() -> Receiving {
        var receiving = Receiving(channels: [Self.stream: "live"], probeChannel: "probe")
        _ = receiving.wentLive()
        return receiving
    }

    private static func texts(_ delivery: Receiving.Delivery?) -> [String]? {
        delivery?.records.map { "\($0.offset) \(String(buffer: $0.bytes))" }
    }

    @Test("a batch is its epoch, its offsets and its records")
    func batch() {
        let batch = LiveBatch(Self.message(first: 8, "a", "bc"))
        #expect(batch?.epoch == Epoch(5))
        #expect(batch?.records.map(\.offset.rawValue) == [8, 9])
        #expect(batch?.records.map { String(buffer: $0.bytes) } == ["a", "bc"])
        #expect(batch?.last.offset == 9)
    }

    @Test("F-60 bytes that are no batch are counted and passed over, wherever they end")
    func malformed() {
        var receiving = Self.liveReceiving()
        let whole = Self.message(first: 1, "abc")
        var broken = (0..<whole.readableBytes).map { whole.getSlice(at: 0, length: $0) ?? whole }
        broken.append(ByteBuffer(bytes: [9] + Array(whole.readableBytesView).dropFirst()))
        broken.append(ByteBuffer(bytes: Array(whole.readableBytesView) + [1]))
        broken.append(Self.message(epoch: .max, first: 1, "x"))
        broken.append(Self.message(first: 0, "x"))
        broken.append(ByteBuffer(repeating: 0xFF, count: 100))
        for bytes in broken { #expect(receiving.pushed(Self.push("live", bytes)) == .nothing) }
        #expect(receiving.malformedCount == broken.count && receiving.readCompleted() == nil)
        #expect(receiving.pushed(Self.push("live", whole)) == .nothing)
        #expect(Self.texts(receiving.readCompleted()) == ["1 abc"])
    }

    @Test("the batches of one read become one delivery; another epoch begins another one")
    func gathering() {
        var receiving = Self.liveReceiving()
        #expect(receiving.pushed(Self.push("live", Self.message(first: 1, "a"))) == .nothing)
        #expect(receiving.pushed(Self.push("live", Self.message(first: 2, "b", "c"))) == .nothing)
        guard case .deliver(let first) = receiving.pushed(Self.push("live", Self.message(epoch: 6, first: 1, "d")))
        else {
            return #expect(Bool(false), "the first epoch was not delivered")
        }
        #expect(Self.texts(first) == ["1 a", "2 b", "3 c"] && first.last.offset == 3)
        #expect(Self.texts(receiving.readCompleted()) == ["1 d"])
        #expect(receiving.readCompleted() == nil)
    }

    @Test("what arrives before the link is live is held, up to a limit, and delivered after it")
    func heldBack() {
        var receiving = Receiving(channels: [Self.stream: "live"], probeChannel: "probe", heldLimitBytes: 2)
        for (offset, text) in [(UInt64(1), "a"), (2, "b"), (3, "c")] {
            #expect(receiving.pushed(Self.push("live", Self.message(first: offset, text))) == .nothing)
            #expect(receiving.readCompleted() == nil)
        }
        #expect(receiving.wentLive().compactMap(Self.texts) == [["1 a"], ["2 b"]])
        receiving.reset()
        #expect(receiving.wentLive().isEmpty)
    }

    @Test("confirmations and probes are told apart from records; foreign channels and shapes are ignored")
    func others() {
        var receiving = Self.liveReceiving()
        let confirmation: [RedisReply] = [
            .bulk(ByteBuffer(string: "subscribe")), .bulk(ByteBuffer(string: "live")), .integer(1),
        ]
        #expect(receiving.pushed(confirmation) == .subscribed)
        #expect(receiving.pushed(Self.push("probe", ByteBuffer(string: "17"))) == .probe(17))
        #expect(receiving.pushed(Self.push("probe", ByteBuffer(string: "x"))) == .nothing)
        #expect(receiving.pushed(Self.push("elsewhere", Self.message(first: 1, "a"))) == .nothing)
        #expect(receiving.pushed([.null, .integer(1), .null]) == .nothing && receiving.pushed([]) == .nothing)
    }

    @Test("the mark of what was seen only moves forward, over epochs too")
    func marks() {
        var mark = SeenMark(epoch: Epoch(5), offset: Offset(9))
        mark.advance(to: SeenMark(epoch: Epoch(5), offset: Offset(8)))
        #expect(mark.offset == 9)
        mark.advance(to: SeenMark(epoch: Epoch(6), offset: Offset(1)))
        #expect(mark.epoch == 6 && mark.offset == 1)
        mark.advance(to: SeenMark(epoch: Epoch(5), offset: Offset(100)))
        #expect(mark.epoch == 6)
    }
}
