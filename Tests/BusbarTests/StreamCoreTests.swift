import Busbar
import BusbarDriver
import NIOCore
import Testing

@Suite("Stream core")
struct StreamCoreTests {
    private let stream = StreamID(0)
    private let topic = Topic("t")
    private let now = Moment(nanoseconds: 0)

    private func position(_ offset: UInt64) -> Position {
        Position(stream: self.stream, epoch: Epoch(1), offset: Offset(offset))
    }

    private func record(_ offset: UInt64) -> StoredRecord {
        let key = RecordKey(node: 1, incarnation: 1, sequence: offset)
        let message = Message(topic: self.topic, payload: ByteBuffer(string: "\(offset)"))
        return StoredRecord(offset: Offset(offset), bytes: Pack.encode(message, key: key))
    }

    private func liveCore(newest: UInt64 = 0) -> StreamCore {
        let limits = StreamReceiver.Limits(holdBytes: 1_000, holdTime: .seconds(5))
        var core = StreamCore(
            receiver: StreamReceiver(stream: self.stream, counting: .withoutHoles, limits: limits),
            window: Window(limitBytes: 10_000, limitCount: 10)
        )
        let extent = StreamExtent(epoch: Epoch(1), oldest: Offset(1), newest: Offset(newest))
        _ = core.linkBecameLive(extent, now: self.now)
        return core
    }

    private func texts(_ delivery: Delivery?) -> [String]? {
        delivery?.messages.map { String(buffer: $0.payload) }
    }

    @Test("P-19 who begins now with a gap does not get what was published before either, however late it is delivered")
    func gapEndsBehindWhatWasStored() {
        var core = self.liveCore()
        let subscriber = Subscriber(limits: SubscriberLimits())
        core.recordWasStored(self.position(1))
        core.add(subscriber, to: [self.topic], missing: .futureCursor, since: self.position(9))
        var delivery = subscriber.take(limitBytes: .max, heads: [core.head].compactMap { $0 })
        #expect(delivery?.gaps.map(\.upTo) == [self.position(1)])
        #expect(delivery?.frontier == Frontier(positions: [self.position(1)]))
        _ = core.received(epoch: Epoch(1), [self.record(1), self.record(2)], now: self.now)
        delivery = subscriber.take(limitBytes: .max, heads: [core.head].compactMap { $0 })
        #expect(self.texts(delivery) == ["2"])
    }

    @Test("once the log went back, what was stored before hides nothing of what takes its place")
    func rewindForgetsWhatWasStored() {
        var core = self.liveCore(newest: 5)
        core.recordWasStored(self.position(6))
        let rewound = StreamExtent(epoch: Epoch(1), oldest: Offset(1), newest: Offset(2))
        _ = core.checked(rewound, askedAt: self.position(5), now: self.now)
        let subscriber = Subscriber(limits: SubscriberLimits())
        core.add(subscriber, to: [self.topic])
        _ = core.received(epoch: Epoch(1), [self.record(3)], now: self.now)
        #expect(self.texts(subscriber.take(limitBytes: .max, heads: [core.head].compactMap { $0 })) == ["3"])
    }

    @Test("who subscribes after a publish has returned does not get it, however late it is delivered here")
    func nowIsAfterWhatWasStored() {
        var core = self.liveCore()
        let (early, late) = (Subscriber(limits: SubscriberLimits()), Subscriber(limits: SubscriberLimits()))
        core.add(early, to: [self.topic])
        core.recordWasStored(self.position(1))
        core.add(late, to: [self.topic])
        _ = core.received(epoch: Epoch(1), [self.record(1), self.record(2)], now: self.now)
        let heads = [core.head].compactMap { $0 }
        for (subscriber, texts) in [(early, ["1", "2"]), (late, ["2"])] {
            let delivery = subscriber.take(limitBytes: .max, heads: heads)
            #expect(self.texts(delivery) == texts)
            #expect(delivery?.frontier == Frontier(positions: [self.position(2)]))
        }
    }
}
