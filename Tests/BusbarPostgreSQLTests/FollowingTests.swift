import BusbarDriver
import BusbarPostgreSQL
import NIOCore
import Testing

private let stream = StreamID(0)
private let key = RecordKey(node: 1, incarnation: 2, sequence: 3)

private func extent(_ epoch: UInt64, _ newest: UInt64) -> StreamExtent {
    StreamExtent(epoch: Epoch(epoch), oldest: Offset(1), newest: Offset(newest))
}

private func mark(_ epoch: UInt64, _ offset: UInt64) -> SeenMark {
    SeenMark(epoch: Epoch(epoch), offset: Offset(offset), key: key)
}

private func bell(_ epoch: UInt64, _ first: UInt64, _ last: UInt64, _ texts: String...) -> Doorbell {
    let plain = "0 \(epoch) \(first) \(last) 1 2 3"
    guard !texts.isEmpty else { return read(plain)! }
    return read(plain + " 1/1 " + base64(texts.map { Array($0.utf8) }))!
}

private func read(_ text: String) -> Doorbell? {
    var reader = BellReader()
    return reader.read(text)
}

/// As PostgreSQL's `encode` writes it, a line break after each 76 characters.
func base64(_ records: [[UInt8]]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    let bytes = records.flatMap { record in
        withUnsafeBytes(of: UInt32(record.count).bigEndian, Array.init) + record
    }
    var text = ""
    var column = 0
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << (8 * UInt32(3 - group.count))
        for place in 0..<4 {
            text.append(place <= group.count ? alphabet[Int(bits >> (18 - 6 * UInt32(place)) & 63)] : "=")
            column += 1
            if column == 76 {
                text.append("\n")
                column = 0
            }
        }
    }
    return text
}

private func records(from first: UInt64, _ texts: String...) -> [StoredRecord] {
    texts.enumerated().map { StoredRecord(offset: Offset(first + UInt64($0)), bytes: ByteBuffer(string: $1)) }
}

private func page(_ epoch: UInt64, from first: UInt64, newest: UInt64, _ texts: String...) -> LogPage {
    let records = texts.enumerated().map {
        StoredRecord(offset: Offset(first + UInt64($0)), bytes: ByteBuffer(string: $1))
    }
    return LogPage(
        page: Page(epoch: Epoch(epoch), records: records, oldest: Offset(1), newest: Offset(newest)),
        last: records.last.map { mark(epoch, $0.offset.rawValue) })
}

private func live(_ epoch: UInt64, _ newest: UInt64) -> Following {
    var following = Following()
    following.attached(stream, extent(epoch, newest))
    #expect(following.wentLive() == [])
    return following
}

@Suite("what follows a bell")
struct FollowingTests {
    @Test("records that came with the bell and continue the last delivery are delivered at once")
    func continues() {
        var following = live(7, 4)
        #expect(
            following.rang(bell(7, 5, 6, "a", "b"))
                == .deliver(stream, Epoch(7), records(from: 5, "a", "b"), mark(7, 6)))
        #expect(following.rang(bell(7, 5, 6, "a", "b")) == nil)
    }

    @Test("a bell without records, or one that skips some, has the log read after the last delivery")
    func reads() {
        var following = live(7, 4)
        #expect(following.rang(bell(7, 5, 5)) == .read(stream, after: Offset(4)))
        #expect(
            following.pageArrived(stream, page(7, from: 5, newest: 5, "a"), after: Offset(4))
                == [.deliver(stream, Epoch(7), records(from: 5, "a"), mark(7, 5))])
        #expect(following.rang(bell(7, 7, 7, "c")) == .read(stream, after: Offset(5)))
    }

    @Test("of a bell that tells again of what a page has brought, only the rest is delivered")
    func trims() {
        var following = live(7, 4)
        #expect(
            following.rang(bell(7, 3, 6, "c", "d", "e", "f"))
                == .deliver(stream, Epoch(7), records(from: 5, "e", "f"), mark(7, 6)))
    }

    @Test("a small message after a large one never overtakes it")
    func keepsOrder() {
        var following = live(7, 0)
        #expect(following.rang(bell(7, 1, 1)) == .read(stream, after: Offset(0)))
        #expect(following.rang(bell(7, 2, 2, "small")) == nil)
        #expect(
            following.pageArrived(stream, page(7, from: 1, newest: 1, "large"), after: Offset(0))
                == [
                    .deliver(stream, Epoch(7), records(from: 1, "large"), mark(7, 1)),
                    .read(stream, after: Offset(1)),
                ])
        #expect(
            following.pageArrived(stream, page(7, from: 2, newest: 2, "small"), after: Offset(1))
                == [.deliver(stream, Epoch(7), records(from: 2, "small"), mark(7, 2))])
        #expect(following.rang(bell(7, 3, 3, "c")) == .deliver(stream, Epoch(7), records(from: 3, "c"), mark(7, 3)))
    }

    @Test("what rang between the subscription and being live is read once the link is live")
    func remembersBells() {
        var following = Following()
        following.attached(stream, extent(7, 4))
        #expect(following.rang(bell(7, 4, 4, "seen")) == nil)
        #expect(following.rang(bell(7, 5, 5, "a")) == nil)
        #expect(following.wentLive() == [.read(stream, after: Offset(4))])
    }

    @Test("P-26 a place without a bell is read: the last message was lost")
    func lostBell() {
        var following = live(7, 4)
        #expect(following.found(stream, epoch: Epoch(7), newest: Offset(4)).effect == nil)
        #expect(following.found(stream, epoch: Epoch(7), newest: Offset(5)).effect == .read(stream, after: Offset(4)))
        #expect(following.rang(bell(7, 5, 5, "late")) == nil)
    }

    @Test("P-20 a new epoch is delivered from its beginning, and one that went back is noticed")
    func newEpoch() {
        var following = live(7, 4)
        #expect(following.rang(bell(9, 1, 1, "a")) == .deliver(stream, Epoch(9), records(from: 1, "a"), mark(9, 1)))
        #expect(following.rang(bell(7, 5, 5, "stale")) == nil)
        #expect(following.found(stream, epoch: Epoch(8), newest: Offset(9)).hasGoneBack)
        #expect(!following.found(stream, epoch: Epoch(9), newest: Offset(1)).hasGoneBack)
        #expect(following.rang(bell(12, 2, 2, "b")) == .read(stream, after: Offset(0)))
        // The page is one of a life that began meanwhile: it has to be read from its own beginning.
        #expect(
            following.pageArrived(stream, page(13, from: 2, newest: 2, "c"), after: Offset(0))
                == [.read(stream, after: Offset(0))])
    }

    @Test("P-18 a page of nothing, since all was truncated, ends the reading instead of repeating it")
    func truncated() {
        var following = live(7, 4)
        #expect(following.rang(bell(7, 5, 9)) == .read(stream, after: Offset(4)))
        #expect(following.pageArrived(stream, page(7, from: 0, newest: 9), after: Offset(4)) == [])
        #expect(following.rang(bell(7, 10, 10, "a")) == .deliver(stream, Epoch(7), records(from: 10, "a"), mark(7, 10)))
    }
}

@Suite("a bell")
struct DoorbellTests {
    @Test("F-61 carries any bytes in any length", arguments: [1, 2, 3, 4, 56, 57, 58, 255, 5_796])
    func carriesBytes(length: Int) throws {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0) }
        let bell = try #require(read("3 7 10 11 -1 -2 3 1/1 " + base64([bytes, [0]])))
        #expect(bell.stream == StreamID(3) && bell.first == Offset(10))
        #expect(bell.last.key == RecordKey(node: .max, incarnation: .max - 1, sequence: 3))
        #expect(bell.records?.map(\.bytes) == [ByteBuffer(bytes: bytes), ByteBuffer(bytes: [0])])
        #expect(bell.records?.map(\.offset) == [Offset(10), Offset(11)])
    }

    @Test(
        "F-60 anything else is no bell, and nothing worse",
        arguments: [
            "", "probe 12", "0", "0 1 2 3", "0 1 0 0 1 1 1", "0 1 5 4 1 1 1", "70000 1 1 1 1 1 1", "-1 1 1 1 1 1 1",
            "0 1 1 1 1 1 1 ", "0 1 1 1 1 1 1 1/1", "0 1 1 1 1 1 1 1/1 ", "0 1 1 1 1 1 1 1/1 !!!!",
            "0 1 1 1 1 1 1 1/1 AAAA", "0 1 1 1 1 1 1 1/1 AAAAAQ", "0 1 1 2 1 1 1 1/1 AAAAAUE=",
            "0 1 18446744073709551615 18446744073709551615 1 1 1 1/1 AAAAAUEAAAABQg==",
            "0 1 1 18446744073709551615 1 1 1 1/1 AAAAAUE=", "0 1 1 1 1 1 1 1/1 ////////",
            "0 1 1 1 1 1 1 AAAAAUE=", "0 1 1 1 1 1 1 0/1 AAAAAUE=", "0 1 1 1 1 1 1 2/1 AAAAAUE=",
            "0 1 1 1 1 1 1 1/99999999 AAAAAUE=", "0 1 1 1 1 1 1 1 AAAAAUE=", "0 1 1 1 1 1 1 1/2 AAAAAUE=",
        ])
    func refusesOthers(text: String) {
        #expect(read(text) == nil)
    }

    @Test("F-61 comes in parts that make one; whoever missed some is sent to the log, and the next bell is whole again")
    func parts() throws {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
        let text = base64([bytes, [7]]).filter { $0 != "\n" }
        let (head, cut) = ("0 7 10 11 1 2 3", text.index(text.startIndex, offsetBy: 200))
        let (one, two) = ("\(head) 1/2 \(text[..<cut])", "\(head) 2/2 \(text[cut...])")
        var reader = BellReader()
        func hear(_ text: String) -> Doorbell? { reader.read(text) }
        #expect(hear(one) == nil)
        let whole = try #require(hear(two))
        #expect(whole.records?.map(\.bytes) == [ByteBuffer(bytes: bytes), ByteBuffer(bytes: [7])])

        let missed = try #require(hear(two))
        #expect(missed.records == nil && missed.last == whole.last)
        #expect(hear(one) == nil)
        #expect(hear(one.replacing("0 7 10", with: "0 7 12").replacing(" 11 ", with: " 13 ")) == nil)
        #expect(hear(two)?.records == nil)
        #expect(hear(one) == nil)
        #expect(hear("0 7 9 9 1 2 3")?.records == nil)
        #expect(hear(one) == nil)
        #expect(hear(two) == whole)
    }
}
