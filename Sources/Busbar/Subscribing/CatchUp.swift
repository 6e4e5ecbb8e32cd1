package import BusbarDriver

/// Reading one stream's log from a cursor towards now, page by page, as a value.
package struct CatchUp {
    /// What one page brought: gaps first, then messages, whole records only.
    package struct Step: Hashable {
        package var gaps: [Gap] = []
        package var messages: [Message] = []
        /// The log has begun another life, or was set back: the rest is out of reach.
        package var isLost = false
    }

    /// Records read before the cursor where the store may hold repeats, to recognise those behind it.
    package static let lookBack: UInt64 = 64

    package let index: Int
    package private(set) var position: Position
    /// Where the next page starts.
    package private(set) var nextRead: Offset

    private let counting: Guarantees.Counting
    private let refusesRepeats: Bool
    private let stride: UInt64
    /// Wanted topics, each from behind an offset.
    private var since: [Topic: Offset]
    private var writers = WriterTable()

    package init(index: Int, position: Position, topics: some Sequence<Topic>, guarantees: Guarantees) {
        self.index = index
        self.position = position
        self.counting = guarantees.counting
        self.refusesRepeats = guarantees.refusesRepeats
        self.stride = guarantees.offsetStride
        self.since = Dictionary(topics.map { ($0, Offset.beginning) }, uniquingKeysWith: { first, _ in first })
        self.nextRead = position.offset
        self.move(to: position)
    }

    package var topics: [Topic] { Array(self.since.keys) }

    package func isWanted(_ message: Message, at offset: Offset) -> Bool {
        self.since[message.topic].map { offset > $0 } ?? false
    }

    package mutating func add(_ topics: some Sequence<Topic>, from offset: Offset) {
        for topic in topics where self.since[topic] == nil { self.since[topic] = offset }
    }

    package mutating func remove(_ topics: some Sequence<Topic>) {
        for topic in topics { self.since[topic] = nil }
    }

    /// Delivery came this far by other means.
    package mutating func move(to position: Position) {
        self.position = position
        let back = self.refusesRepeats ? 0 : min(Self.lookBack * self.stride, position.offset.rawValue)
        self.nextRead = Offset(position.offset.rawValue - back)
    }

    /// Takes a page read after ``nextRead``. Stops before a gap that would come between messages; the rest is read again.
    /// - Parameter recollection: of the node that reads, taken after the page was read.
    package mutating func pageRead(
        _ page: Page, _ recollection: Recollection, isWanted: (Message, Offset) -> Bool
    ) -> Step {
        var step = Step()
        guard page.epoch == self.position.epoch, page.newest >= self.position.offset else {
            step.isLost = true
            return step
        }
        if page.oldest.rawValue > self.position.offset.rawValue + 1 {
            self.skip(to: Offset(page.oldest.rawValue - 1), .truncated, &step)
        }
        for record in page.records {
            guard self.take(record, recollection, &step, isWanted) else {
                self.nextRead = self.position.offset
                return step
            }
            self.nextRead = max(self.nextRead, record.offset)
        }
        if page.records.isEmpty {
            self.skip(to: page.newest, .missing, &step)
            self.nextRead = self.position.offset
        }
        return step
    }

    /// False when this record belongs to the next step.
    private mutating func take(
        _ record: StoredRecord, _ recollection: Recollection, _ step: inout Step, _ isWanted: (Message, Offset) -> Bool
    ) -> Bool {
        guard record.offset > self.position.offset else {
            if let key = try? Pack.key(of: record.bytes) { _ = self.writers.admit(key) }
            return true
        }
        if self.counting == .withoutHoles, record.offset.rawValue > self.position.offset.rawValue + 1 {
            guard step.messages.isEmpty else { return false }
            self.skip(to: Offset(record.offset.rawValue - 1), .missing, &step)
        }
        guard let key = try? Pack.key(of: record.bytes), let messages = try? Pack.messages(in: record.bytes) else {
            guard step.messages.isEmpty else { return false }
            self.skip(to: record.offset, .poison, &step)
            return true
        }
        self.advance(to: record.offset)
        if self.writers.admit(key), !recollection.isRepeat(key, at: self.position) {
            step.messages.append(contentsOf: messages.filter { isWanted($0, record.offset) })
        }
        return true
    }

    private mutating func advance(to offset: Offset) {
        self.position = Position(stream: self.position.stream, epoch: self.position.epoch, offset: offset)
    }

    private mutating func skip(to offset: Offset, _ reason: Gap.Reason, _ step: inout Step) {
        guard offset > self.position.offset else { return }
        let after = self.position
        self.advance(to: offset)
        step.gaps.append(Gap(stream: after.stream, reason: reason, after: after, upTo: self.position))
    }
}
