import BusbarDriver
import NIOCore

/// Checks that several laws share.
extension Bench {
    /// What arrived is exactly what was appended, in order, once each, under one epoch and rightly rising offsets.
    func expect(_ heard: [Recorder.Heard], toBe sent: [ByteBuffer], at place: String) throws {
        try self.expect(heard.map(\.record), toBe: sent, at: place)
        let epochs = Set(heard.map(\.epoch))
        try self.expect(epochs.count <= 1, "\(place): records came under \(epochs.count) epochs")
    }

    func expect(_ records: [StoredRecord], toBe sent: [ByteBuffer], at place: String) throws {
        for (index, bytes) in sent.enumerated() {
            guard index < records.count else {
                throw LawBroken(seen: "\(place): \(records.count) records instead of \(sent.count)")
            }
            let got = records[index].bytes
            guard got != bytes else { continue }
            let what = "\(place): record \(index + 1) of \(sent.count) should be \(Payload.described(bytes))"
            throw LawBroken(seen: "\(what) and is \(Payload.described(got))" + Self.guess(records, sent, index))
        }
        try self.expect(
            records.count == sent.count, "\(place): \(records.count) records instead of \(sent.count)"
        )
        try self.expectOffsets(of: records, at: place)
    }

    /// What the difference looks like.
    private static func guess(_ records: [StoredRecord], _ sent: [ByteBuffer], _ index: Int) -> String {
        let got = records[index].bytes
        if index > 0, got == sent[index - 1] { return " (a repeat)" }
        if index + 1 < sent.count, got == sent[index + 1] {
            let isSwapped = index + 1 < records.count && records[index + 1].bytes == sent[index]
            return isSwapped ? " (swapped with the next)" : " (a loss)"
        }
        if got.readableBytes < sent[index].readableBytes,
            sent[index].readableBytesView.starts(with: got.readableBytesView)
        {
            return " (truncated)"
        }
        return ""
    }

    /// Offsets are 1 or more and strictly rise; without holes, where that is claimed.
    func expectOffsets(of records: [StoredRecord], at place: String) throws {
        for (earlier, later) in zip(records, records.dropFirst()) {
            try self.expect(
                earlier.offset < later.offset, "\(place): offset \(earlier.offset) is followed by \(later.offset)"
            )
            guard self.guarantees.counting == .withoutHoles else { continue }
            try self.expect(
                later.offset.rawValue == earlier.offset.rawValue + 1,
                "\(place): offset \(earlier.offset) is followed by \(later.offset), though holes are ruled out"
            )
        }
        if let first = records.first {
            try self.expect(first.offset > .beginning, "\(place): a record lies at offset 0")
        }
    }

    /// Reads on and on from `start` until a page has nothing more, or up to `end`.
    func readAll(
        _ driver: any BackplaneDriver, _ stream: StreamID = .first, after start: Offset = .beginning,
        upTo end: Offset? = nil, limitBytes: Int = 64 << 10
    ) async throws -> [StoredRecord] {
        var records: [StoredRecord] = []
        var after = start
        while true {
            self.doing("reading \(stream) after \(after)")
            let page = try await driver.read(stream, after: after, limitBytes: limitBytes)
            guard let last = page.records.last else {
                try self.expect(
                    page.newest <= after || page.oldest > page.newest,
                    "the page after \(after) is empty, though the log's newest record is \(page.newest)"
                )
                return records
            }
            try self.expect(last.offset > after, "the page after \(after) ends at \(last.offset)")
            records += page.records
            after = last.offset
            // Why: under load a log may grow as fast as it is read.
            if let end, after >= end { return records.filter { $0.offset <= end } }
        }
    }

    /// Runs `body` for all of `items` at once.
    func concurrently<T: Sendable>(_ items: [T], _ body: @escaping @Sendable (T) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for item in items { group.addTask { try await body(item) } }
            try await group.waitForAll()
        }
    }
}
