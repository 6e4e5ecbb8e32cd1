import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

@Suite("What stateful reconnect keeps for a client")
struct ResendBufferTests {
    /// Frames of messages that are their own numbers.
    private static func frames(_ numbers: ClosedRange<Int>, bytes: Int = 10) -> ByteBuffer {
        var frames = ByteBuffer()
        for number in numbers {
            let text = String(number)
            let padding = String(repeating: " ", count: max(0, bytes - 2 - text.utf8.count))
            WebSocketFrames.writeText(ByteBuffer(string: text + padding), into: &frames)
        }
        return frames
    }

    private static func numbers(_ frames: ByteBuffer?) -> [Int] {
        guard var rest = frames else { return [] }
        var numbers: [Int] = []
        while let header: UInt16 = rest.readInteger(), let text = rest.readString(length: Int(header & 0x7F)) {
            numbers.append(Int(text.split(separator: " ")[0]) ?? 0)
        }
        return numbers
    }

    private static func waiting(_ buffer: inout ResendBuffer) -> [Int] {
        var numbers: [Int] = []
        while let frames = buffer.next() { numbers += self.numbers(frames) }
        return numbers
    }

    @Test(
        "core 1.21: messages are numbered from 1 and kept until they are acknowledged, also in the middle of what was offered"
    )
    func numbering() {
        var buffer = ResendBuffer(limitBytes: 1_000)
        expect(buffer.firstNumber == 1)
        expect(Self.numbers(buffer.offer(Self.frames(1...3))) == [1, 2, 3])
        expect(Self.numbers(buffer.offer(Self.frames(4...4))) == [4])
        expect(buffer.bytes == 40)
        let isRight = buffer.acknowledge(upTo: 2)
        expect(isRight && buffer.firstNumber == 3 && buffer.bytes == 20)
        let isRepeatRight = buffer.acknowledge(upTo: 1)
        expect(isRepeatRight && buffer.firstNumber == 3)
        let isFutureRight = buffer.acknowledge(upTo: 5)
        expect(!isFutureRight && buffer.firstNumber == 3)
        let isLastRight = buffer.acknowledge(upTo: 4)
        expect(isLastRight && buffer.firstNumber == 5 && buffer.bytes == 0)
    }

    @Test(
        "core 1.21: a new link gets the oldest unacknowledged message first, then all others, then what was offered meanwhile"
    )
    func resending() {
        var buffer = ResendBuffer(limitBytes: 1_000)
        _ = buffer.offer(Self.frames(1...5))
        _ = buffer.acknowledge(upTo: 3)
        buffer.linkBroke()
        expect(buffer.offer(Self.frames(6...6)) == nil)
        expect(buffer.next() == nil)
        buffer.linkCameBack()
        expect(buffer.firstNumber == 4)
        expect(Self.waiting(&buffer) == [4, 5, 6])
        expect(Self.numbers(buffer.offer(Self.frames(7...7))) == [7])
        let isRight = buffer.acknowledge(upTo: 7)
        expect(isRight && buffer.bytes == 0)
        buffer.linkBroke()
        buffer.linkCameBack()
        expect(buffer.firstNumber == 8 && buffer.next() == nil)
    }

    @Test("core 1.21: beyond the limit messages wait until an acknowledgement brings it below, and keep their order")
    func limit() {
        var buffer = ResendBuffer(limitBytes: 25)
        expect(Self.numbers(buffer.offer(Self.frames(1...1))) == [1])
        expect(Self.numbers(buffer.offer(Self.frames(2...2))) == [2])
        expect(Self.numbers(buffer.offer(Self.frames(3...3))) == [3])
        expect(buffer.offer(Self.frames(4...4)) == nil)
        expect(buffer.offer(Self.frames(5...5)) == nil)
        expect(buffer.bytes == 50)
        let isAhead = buffer.acknowledge(upTo: 4)
        #expect(!isAhead, "the fourth was not sent")
        _ = buffer.acknowledge(upTo: 1)
        expect(Self.waiting(&buffer) == [4])
        _ = buffer.acknowledge(upTo: 4)
        expect(Self.waiting(&buffer) == [5])
    }

    @Test(
        "what was sent is sent again whatever the limit says, and one new message passes, so that there is something to acknowledge"
    )
    func returnBeyondLimit() {
        var buffer = ResendBuffer(limitBytes: 15)
        _ = buffer.offer(Self.frames(1...2))
        expect(buffer.offer(Self.frames(3...3)) == nil)
        expect(buffer.offer(Self.frames(4...4)) == nil)
        for _ in 0..<2 {
            buffer.linkBroke()
            buffer.linkCameBack()
        }
        expect(Self.waiting(&buffer) == [1, 2, 3])
        _ = buffer.acknowledge(upTo: 3)
        expect(Self.waiting(&buffer) == [4])
    }

    @Test("what holds no message is neither numbered nor kept")
    func nothing() {
        var buffer = ResendBuffer(limitBytes: 15)
        expect(buffer.offer(ByteBuffer()) == nil)
        expect(buffer.firstNumber == 1 && buffer.bytes == 0)
    }

    @Test("a client that comes back again and again has everything once and in order", arguments: 1...50)
    func model(seed: UInt64) {
        var random = Dice(state: seed)
        var buffer = ResendBuffer(limitBytes: 200)
        var offered = 0, processed = 0, next = 1
        func take(_ frames: ByteBuffer?) {
            for number in Self.numbers(frames) {
                #expect(number == next, "seed \(seed)")
                next += 1
                if number > processed {
                    #expect(number == processed + 1, "seed \(seed)")
                    processed = number
                }
            }
        }
        func drain() {
            while let frames = buffer.next() { take(frames) }
        }
        for _ in 0..<300 {
            switch random.next(below: 8) {
            case 0...4:
                let count = 1 + random.next(below: 4)
                take(buffer.offer(Self.frames(offered + 1...offered + count, bytes: 10 + random.next(below: 60))))
                offered += count
            case 5, 6:
                // Any acknowledgement of what was processed, late ones included.
                let isRight = buffer.acknowledge(upTo: UInt64(random.next(below: processed + 1)))
                #expect(isRight, "seed \(seed)")
                drain()
            default:
                buffer.linkBroke()
                let count = random.next(below: 3)
                if count > 0 { expect(buffer.offer(Self.frames(offered + 1...offered + count)) == nil) }
                offered += count
                buffer.linkCameBack()
                next = Int(buffer.firstNumber)
                #expect(next <= processed + 1, "seed \(seed)")
                drain()
            }
        }
        while buffer.bytes > 0 {
            let before = processed
            let isRight = buffer.acknowledge(upTo: UInt64(processed))
            #expect(isRight, "seed \(seed)")
            drain()
            guard buffer.bytes == 0 || processed > before else {
                Issue.record("seed \(seed): nothing goes on, with \(buffer.bytes) bytes left")
                return
            }
        }
        #expect(processed == offered, "seed \(seed)")
    }

    private struct Dice {
        var state: UInt64

        mutating func next(below limit: Int) -> Int {
            self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((self.state >> 33) % UInt64(limit))
        }
    }
}

@Suite("What stateful reconnect takes from a client")
struct ReceptionTests {
    @Test("core 1.21: what is repeated on a new link is passed over, what is new counts")
    func repeats() {
        var reception = Reception()
        var isNew = (1...3).map { _ in reception.isNew() }
        expect(isNew == [true, true, true])
        reception.linkCameBack()
        let beforeSequence = reception.isNew()
        #expect(!beforeSequence, "without its number nobody knows what it is")
        let isKnown = reception.sequenceReceived(2)
        expect(isKnown)
        isNew = (2...5).map { _ in reception.isNew() }
        expect(isNew == [false, false, true, true])
    }

    @Test("core 1.21, 1.25: a number beyond the next one says that something is missing")
    func future() {
        var reception = Reception()
        _ = reception.isNew()
        let next = reception.sequenceReceived(2), future = reception.sequenceReceived(3)
        expect(next && !future)
    }

    @Test("core 1.21: the highest number is acknowledged once on each link, and repeats are not")
    func acknowledging() {
        var reception = Reception()
        expect(reception.takeAcknowledgement() == nil)
        _ = reception.isNew()
        _ = reception.isNew()
        expect(reception.takeAcknowledgement() == 2)
        expect(reception.takeAcknowledgement() == nil)
        reception.linkCameBack()
        _ = reception.sequenceReceived(1)
        _ = reception.isNew()
        _ = reception.isNew()
        expect(reception.takeAcknowledgement() == 2)
        expect(reception.takeAcknowledgement() == nil)
        _ = reception.isNew()
        expect(reception.takeAcknowledgement() == 3)
    }

    @Test("core 1.21, N-52: what a client is about to repeat is not acknowledged away under its hands")
    func acknowledgingTooEarly() {
        var reception = Reception()
        for _ in 1...3 { _ = reception.isNew() }
        reception.linkCameBack()
        let onReturn = reception.takeAcknowledgement()
        #expect(onReturn == nil, "it may have counted its buffer just now")
        _ = reception.sequenceReceived(2)
        let afterSequence = reception.takeAcknowledgement()
        #expect(afterSequence == nil, "it has said where it begins and repeated nothing")
        _ = reception.isNew()
        expect(reception.takeAcknowledgement() == nil)
        _ = reception.isNew()
        expect(reception.takeAcknowledgement() == 3)
    }
}
