import BusbarDriver
import BusbarRabbitMQ
import NIOCore
import Testing

private let stream = StreamID(3)

private func batch(_ place: UInt64, _ epoch: UInt64 = 7, _ texts: String...) -> LogEntry {
    LogEntry(
        place: place, content: .batch(Epoch(epoch), (texts.isEmpty ? ["x"] : texts).map { ByteBuffer(string: $0) }))
}

private func proposal(_ place: UInt64, _ epoch: UInt64 = 7) -> LogEntry {
    LogEntry(place: place, content: .proposal(Epoch(epoch)))
}

private func foreign(_ place: UInt64) -> LogEntry { LogEntry(place: place, content: .foreign) }

private func extent(_ oldest: UInt64, _ newest: UInt64, _ epoch: UInt64 = 7) -> StreamExtent {
    StreamExtent(
        epoch: Epoch(epoch), oldest: RecordPlace.oldest(at: oldest),
        newest: newest == 0 ? .beginning : RecordPlace.last(at: newest))
}

@Suite("the log in a stream queue")
struct LogTests {
    @Test(
        "places become offsets that rise, leave room for a batch, and say where to read on", arguments: [1, 2, 1_024])
    func places(count: Int) {
        let offsets = (1...3 as ClosedRange<UInt64>).flatMap { place in
            (0..<count).map { RecordPlace.offset(of: $0, in: count, at: place) }
        }
        #expect(zip(offsets, offsets.dropFirst()).allSatisfy { $0 < $1 })
        #expect(offsets.first.map { $0 >= Offset(1) } == true)
        for (index, offset) in offsets.enumerated() {
            let isLast = index % count == count - 1
            #expect(RecordPlace.next(after: offset) == UInt64(index / count + 1 + (isLast ? 1 : 0)))
        }
        #expect(RecordPlace.next(after: .beginning) == 1)
        #expect(RecordPlace.oldest(at: 3) == Offset(RecordPlace.last(at: 2).rawValue + 1))
    }

    @Test("N-50 a key names stream and epoch, and no other stream takes it for its own")
    func keys() {
        let key = LogNames.key(of: stream, Epoch(.max))
        #expect(LogNames.epoch(inKey: key.utf8, of: stream) == Epoch(.max))
        #expect(LogNames.epoch(inKey: key.utf8, of: StreamID(4)) == nil)
        for text in ["", "3", "3.", "3.xyz", "3.7.7", "03", String(repeating: "9", count: 100)] {
            #expect(LogNames.epoch(inKey: text.utf8, of: stream) == nil)
        }
    }

    @Test("F-60 a body that is no batch is told apart, whatever its bytes")
    func bodies() {
        let records = ["a", String(repeating: "b", count: 70_000)].enumerated().map { index, text in
            Record(
                key: RecordKey(node: 1, incarnation: 1, sequence: UInt64(index + 1)), bytes: ByteBuffer(string: text))
        }
        let body = BatchBody.encode(records)
        #expect(BatchBody.decode(body) == records.map(\.bytes))
        for cut in [1, 3, 4, body.readableBytes - 1] {
            #expect(body.getSlice(at: 0, length: cut).map { BatchBody.decode($0) == nil } == true)
        }
        #expect(BatchBody.decode(ByteBuffer()) == nil)
        #expect(BatchBody.decode(ByteBuffer(bytes: [0, 0, 0, 0])) == nil)
        #expect(BatchBody.decode(ByteBuffer(bytes: [0xFF, 0xFF, 0xFF, 0xFF, 1])) == nil)
    }

    @Test("P-18 both ends of a queue say what it holds: nothing, an epoch without records, or records")
    func surveys() {
        #expect(LogSurvey(first: nil, tail: []) == .untouched)
        #expect(LogSurvey(first: proposal(0), tail: [proposal(0)]) == .extent(extent(0, 0)))
        #expect(LogSurvey(first: proposal(0), tail: [proposal(0), proposal(1, 8)]) == .extent(extent(0, 0)))
        #expect(LogSurvey(first: proposal(0), tail: [batch(4), batch(5)]) == .extent(extent(0, 5)))
        #expect(
            LogSurvey(first: batch(40), tail: [batch(50), foreign(51), proposal(52, 9)]) == .extent(extent(40, 50)))
    }

    @Test("an end that holds nothing of the log's makes the look begin earlier; two ends of different logs are no log")
    func oddSurveys() {
        #expect(LogSurvey(first: proposal(0), tail: [proposal(8, 9)]) == .lookFurtherBack(than: 8))
        #expect(LogSurvey(first: batch(2), tail: [foreign(9), foreign(10)]) == .lookFurtherBack(than: 9))
        #expect(LogSurvey(first: proposal(0, 8), tail: [batch(5)]) == .torn)
        #expect(LogSurvey(first: batch(9), tail: [batch(5)]) == .torn)
        #expect(LogSurvey(first: foreign(0), tail: [foreign(0)]) == .torn)
        #expect(LogSurvey(first: proposal(0), tail: []) == .torn)
    }
}

@Suite("agreeing on an epoch")
struct EpochClaimTests {
    @Test("P-20 in an untouched queue an epoch is proposed, and counts if the log says so")
    func proposing() {
        var claim = EpochClaim()
        #expect(claim.surveyed(.untouched, draw: 5) == [.propose(Epoch(5)), .survey])
        #expect(claim.surveyed(.extent(extent(0, 0, 5)), draw: 6) == [.settled(extent(0, 0, 5))])
    }

    @Test("of two proposals the log's first counts; the loser takes its binding back before it takes the other's")
    func losing() {
        var claim = EpochClaim()
        _ = claim.surveyed(.untouched, draw: 5)
        #expect(
            claim.surveyed(.extent(extent(0, 0, 4)), draw: 6) == [.unbind(Epoch(5)), .bind(Epoch(4)), .survey])
        #expect(claim.surveyed(.extent(extent(0, 3, 4)), draw: 6) == [.settled(extent(0, 3, 4))])
    }

    @Test("a queue that is made anew between look and binding is noticed by the second look")
    func madeAnew() {
        var claim = EpochClaim()
        #expect(claim.surveyed(.extent(extent(0, 9)), draw: 1) == [.bind(Epoch(7)), .survey])
        #expect(claim.surveyed(.untouched, draw: 2) == [.unbind(Epoch(7)), .propose(Epoch(2)), .survey])
        #expect(claim.surveyed(.extent(extent(0, 0, 2)), draw: 3) == [.settled(extent(0, 0, 2))])
    }

    @Test("a queue that never settles is given up with an error that may be retried")
    func restless() {
        var claim = EpochClaim()
        for _ in 0..<8 { #expect(claim.surveyed(.torn, draw: 1) == [.survey]) }
        guard case .fail(let error) = claim.surveyed(.torn, draw: 1).first else {
            Issue.record("it goes on for ever")
            return
        }
        #expect(error.recovery != .giveUp)
    }
}

@Suite("following a stream queue")
struct FollowerTests {
    private func records(_ entry: LogEntry) -> Follower.Sighting { .records(entry.records) }

    @Test("messages come in the order of their places, each once; what isn't the log's is passed over")
    func inOrder() {
        var follower = Follower(stream, extent(0, 4))
        #expect(follower.start == 5)
        #expect(follower.saw(batch(4)) == .nothing)
        #expect(follower.saw(batch(5, 7, "a", "b")) == self.records(batch(5, 7, "a", "b")))
        #expect(follower.saw(batch(5)) == .nothing)
        #expect(follower.saw(foreign(6)) == .nothing)
        #expect(follower.saw(proposal(7, 9)) == .nothing)
        #expect(follower.saw(batch(8)) == self.records(batch(8)))
    }

    @Test("F-59 what comes behind a hole waits until the oldest message has shown that nothing was dropped")
    func hole() {
        var follower = Follower(stream, extent(0, 4))
        #expect(follower.saw(batch(7)) == .hole)
        #expect(follower.saw(batch(8)) == .nothing)
        #expect(
            follower.holeExamined([batch(7), batch(8)], oldestPlace: 5) == .records(batch(7).records + batch(8).records)
        )
        #expect(follower.saw(batch(9)) == self.records(batch(9)))
    }

    @Test("F-59 what a consumer skipped though it was there is delivered before what came behind it")
    func skipped() {
        var follower = Follower(stream, extent(0, 4))
        #expect(follower.anchor == 4)
        #expect(follower.saw(batch(7)) == .hole)
        let all = [batch(5), foreign(6), batch(7)]
        #expect(follower.holeExamined(all, oldestPlace: 0) == .records(batch(5).records + batch(7).records))
        #expect(follower.start == 8)
    }

    @Test("a hole of which a look doesn't reach the end is given up, and nothing of it counts as seen")
    func tooLarge() {
        var follower = Follower(stream, extent(0, 4))
        #expect(follower.saw(batch(90)) == .hole)
        guard case .broken = follower.holeExamined([batch(5), batch(6)], oldestPlace: 0) else {
            Issue.record("a hole was passed over")
            return
        }
        #expect(follower.start == 5)
    }

    @Test("F-63 a hole that was dropped breaks the link, and the new one says what is retained")
    func dropped() {
        var follower = Follower(stream, extent(0, 4))
        #expect(follower.saw(batch(9)) == .hole)
        guard case .broken = follower.holeExamined([batch(9)], oldestPlace: 6) else {
            Issue.record("a loss was passed over")
            return
        }
        follower.resume(extent(6, 9))
        #expect(follower.start == 6)
        #expect(follower.saw(batch(6)) == self.records(batch(6)))
    }

    @Test("F-55 a new link goes on behind the last message, in another log behind what that holds")
    func resuming() {
        var follower = Follower(stream, extent(0, 4))
        _ = follower.saw(batch(5))
        follower.resume(extent(0, 9))
        #expect(follower.start == 6)
        follower.resume(extent(0, 2, 8))
        #expect(follower.start == 3 && follower.epoch == Epoch(8))
        guard case .broken = follower.saw(batch(3, 7)) else {
            Issue.record("a record of another log was delivered")
            return
        }
    }
}

@Suite("reading pages from a stream queue")
struct PageReadingTests {
    @Test("P-19 a page holds what lies behind the place asked for, also from within a batch")
    func within() {
        let three = batch(1, 7, "a", "b", "c")
        var reading = PageReading(after: RecordPlace.offset(of: 0, in: 3, at: 1), limitBytes: 100)
        #expect(reading.start.place == 1)
        guard case .done(let page) = reading.looked([three, batch(2)], extent(0, 2)) else {
            Issue.record("there is no page")
            return
        }
        #expect(page.records == Array(three.records.dropFirst()) + batch(2).records)
        #expect(page.newest == RecordPlace.last(at: 2) && page.oldest == Offset(1))
    }

    @Test("F-61 a page ends before its limit, but has one record at least")
    func limits() {
        let long = String(repeating: "l", count: 50)
        var reading = PageReading(after: .beginning, limitBytes: 60)
        guard case .done(let page) = reading.looked([batch(1, 7, long), batch(2, 7, long)], extent(0, 2)) else {
            Issue.record("there is no page")
            return
        }
        #expect(page.records == batch(1, 7, long).records)
        reading = PageReading(after: .beginning, limitBytes: 0)
        guard case .done(let least) = reading.looked([batch(1, 7, long), batch(2)], extent(0, 2)) else {
            Issue.record("there is no page")
            return
        }
        #expect(least.records.count == 1)
    }

    @Test("what is known to lie further on is looked for; what was appended a moment later too")
    func further() {
        var reading = PageReading(after: .beginning, limitBytes: 1_000)
        guard case .more(from: 1, _) = reading.looked([], extent(0, 2)) else {
            Issue.record("it gives up before the end of the log")
            return
        }
        guard case .more(from: 2, _) = reading.looked([batch(1)]) else {
            Issue.record("it gives up before the end of the log")
            return
        }
        guard case .done(let page) = reading.looked([batch(2)]) else {
            Issue.record("it doesn't end")
            return
        }
        #expect(page.records == batch(1).records + batch(2).records)
    }

    @Test("F-63 a page tells what was dropped before its first record, and only that")
    func trimmed() {
        var reading = PageReading(after: RecordPlace.last(at: 3), limitBytes: 1_000)
        guard case .done(let page) = reading.looked([batch(9)], extent(9, 9)) else {
            Issue.record("there is no page")
            return
        }
        #expect(page.oldest == RecordPlace.oldest(at: 9) && page.records == batch(9).records)
        // Dropped between the look and the question for the extent: what was read was there.
        reading = PageReading(after: RecordPlace.last(at: 3), limitBytes: 1_000)
        guard case .done(let lucky) = reading.looked([batch(4), batch(5)], extent(5, 5)) else {
            Issue.record("there is no page")
            return
        }
        #expect(lucky.oldest == RecordPlace.oldest(at: 4))
    }

    @Test("P-20 records of another epoch than the log's own make no page")
    func torn() {
        var reading = PageReading(after: .beginning, limitBytes: 1_000)
        #expect(reading.looked([batch(1, 8)], extent(0, 2, 7)) == .torn)
    }
}
