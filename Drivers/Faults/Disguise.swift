import BusbarDriver

/// Makes one stream of any driver look as if its log had begun anew or gone back, as a value: some records are hidden, the rest
/// is renumbered, and the epoch is another.
struct Disguise: Hashable {
    /// Hidden stretches of the real log, each (after, upTo], in order and without overlap.
    private var hidden: [Range<UInt64>] = []
    private var mask: UInt64 = 0

    /// All that was stored up to `newest` is gone, and everybody can see it.
    mutating func beginEpoch(hidingUpTo newest: Offset, mask: UInt64) {
        self.hidden = newest == .beginning ? [] : [0..<newest.rawValue]
        self.mask = mask
    }

    /// The same records under another epoch.
    mutating func changeEpoch(mask: UInt64) {
        self.mask = mask
    }

    /// What was stored behind the shown `offset` up to the real `newest` is gone, and nobody is told.
    mutating func rewind(to offset: Offset, newest: Offset) {
        let start = self.real(offset).rawValue
        guard start < newest.rawValue else { return }
        self.hidden.removeAll { $0.lowerBound >= start }
        self.hidden.append(start..<newest.rawValue)
    }

    func shown(_ epoch: Epoch) -> Epoch { Epoch(epoch.rawValue ^ self.mask) }

    /// The number under which a real offset appears; for a hidden one that of the last one shown before it.
    func shown(_ offset: Offset) -> Offset {
        Offset(
            self.hidden.reduce(offset.rawValue) { shown, range in
                shown - (min(offset.rawValue, range.upperBound) - min(offset.rawValue, range.lowerBound))
            }
        )
    }

    func isHidden(_ offset: Offset) -> Bool {
        self.hidden.contains { $0.lowerBound < offset.rawValue && offset.rawValue <= $0.upperBound }
    }

    /// The real place behind which to read for what follows a shown one.
    func real(_ shown: Offset) -> Offset {
        Offset(
            self.hidden.reduce(shown.rawValue) { real, range in
                real > range.lowerBound ? real + UInt64(range.count) : real
            }
        )
    }

    func shown(_ record: StoredRecord) -> StoredRecord? {
        self.isHidden(record.offset) ? nil : StoredRecord(offset: self.shown(record.offset), bytes: record.bytes)
    }

    func shown(_ extent: StreamExtent) -> StreamExtent {
        StreamExtent(
            epoch: self.shown(extent.epoch), oldest: self.shownOldest(extent.oldest), newest: self.shown(extent.newest)
        )
    }

    func shown(_ page: Page) -> Page {
        Page(
            epoch: self.shown(page.epoch), records: page.records.compactMap { self.shown($0) },
            oldest: self.shownOldest(page.oldest), newest: self.shown(page.newest)
        )
    }

    func shown(_ position: Position) -> Position {
        Position(
            stream: position.stream, epoch: self.shown(position.epoch), offset: self.shown(position.offset)
        )
    }

    /// The place a shown position really means, as far as it is one.
    func real(_ position: Position) -> Position {
        Position(
            stream: position.stream, epoch: Epoch(position.epoch.rawValue ^ self.mask),
            offset: self.real(position.offset)
        )
    }

    private func shownOldest(_ oldest: Offset) -> Offset {
        Offset(self.shown(Offset(oldest.rawValue - min(1, oldest.rawValue))).rawValue + 1)
    }
}
