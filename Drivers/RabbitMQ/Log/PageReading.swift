package import BusbarDriver
import NIOCore

/// Puts a page together from one look or several.
///
/// A value without I/O.
package struct PageReading: Hashable {
    package enum Step: Hashable {
        case done(Page)
        /// There is room for more: look from this place on, with this prefetch count.
        case more(from: UInt64, prefetch: UInt16)
        /// What was read belongs to another log than what was asked about: begin again.
        case torn
    }

    private let after: Offset
    private let limitBytes: Int
    private let firstPlace: UInt64
    private var next: UInt64
    private var prefetch: UInt16
    private var records: [StoredRecord] = []
    private var bytes = 0
    private var extent: StreamExtent?
    private var beganWhereAsked = false
    private var emptyLooks = 0

    package init(after offset: Offset, limitBytes: Int) {
        self.after = offset
        self.limitBytes = limitBytes
        self.firstPlace = RecordPlace.next(after: offset)
        self.next = self.firstPlace
        self.prefetch = UInt16(min(max(limitBytes / 1_024, 2), 256))
    }

    /// Where the first look begins.
    package var start: (place: UInt64, prefetch: UInt16) { (self.firstPlace, self.prefetch) }

    /// How many bytes of records still fit.
    package var roomBytes: Int { max(0, self.limitBytes - self.bytes) }

    /// - Parameter extent: asked for *after* the entries were read, so that what was dropped meanwhile shows.
    package mutating func looked(_ entries: [LogEntry], _ extent: StreamExtent? = nil) -> Step {
        if let extent {
            self.extent = extent
            self.beganWhereAsked = entries.first?.place == self.firstPlace
        }
        guard let known = self.extent else { return .torn }
        for entry in entries where entry.place >= self.next {
            // Why: before a hole in the middle the page ends. The next one begins there, and tells what is retained.
            guard entry.place == self.next || entry == entries.first && self.records.isEmpty else {
                return self.page(known)
            }
            if case .batch(let epoch, _) = entry.content, epoch != known.epoch { return .torn }
            for record in entry.records where record.offset > self.after {
                let size = record.bytes.readableBytes
                guard self.records.isEmpty || self.bytes + size <= self.limitBytes else { return self.page(known) }
                self.records.append(record)
                self.bytes += size
            }
            self.next = entry.place + 1
        }
        let isFull = self.bytes >= self.limitBytes && !self.records.isEmpty
        guard !isFull, RecordPlace.last(at: self.next - 1) < known.newest else { return self.page(known) }
        // Why: what was appended between the look and the question for the extent shows in the next look, if this is its log.
        self.emptyLooks = entries.isEmpty ? self.emptyLooks + 1 : 0
        guard self.emptyLooks < 3 else { return .torn }
        self.prefetch = min(self.prefetch * 2, 1_024)
        return .more(from: self.next, prefetch: self.prefetch)
    }

    private func page(_ extent: StreamExtent) -> Step {
        // Why: what was read was there, whatever was dropped a moment later.
        let oldest = self.beganWhereAsked ? min(extent.oldest, RecordPlace.oldest(at: self.firstPlace)) : extent.oldest
        let newest = max(extent.newest, self.records.last?.offset ?? .beginning)
        return .done(Page(epoch: extent.epoch, records: self.records, oldest: oldest, newest: newest))
    }
}
