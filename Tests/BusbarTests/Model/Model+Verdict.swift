import Busbar
import BusbarDriver

/// What must hold at the end of a schedule.
///
/// A message may lie in the log twice: the store keeps repeats, or was wiped between two attempts. Its place is that of its first
/// copy. Only where that copy was skipped behind a gap, by a node or by the listener itself, the second one can't be known for a
/// repeat: there, and for whoever resumes there, it is the message, in its own place.
extension Model {
    /// Where the copies of each message lie in the history.
    private typealias Catalogue = [Int: [Int]]

    private func catalogue() -> Catalogue {
        var catalogue: Catalogue = [:]
        for (index, record) in self.history.enumerated() { catalogue[record.id, default: []].append(index) }
        return catalogue
    }

    /// The copies that may be delivered to somebody behind `gaps`.
    private func allowed(_ copies: [Int], behind gaps: [Gap]) -> ArraySlice<Int> {
        guard copies.count > 1 else { return copies[...] }
        let skipped = copies.prefix { index in gaps.contains { self.covers($0, self.history[index].place) } }
        return copies.prefix(skipped.count + 1)
    }

    /// What a node delivered, from its start.
    private func heard(_ node: Node) -> (gaps: [Gap], ids: [Int]) {
        var (gaps, ids): ([Gap], [Int]) = ([], [])
        guard let head = node.core.head else { return (gaps, ids) }
        while let delivery = node.tap.take(limitBytes: .max, heads: [head]) {
            gaps += delivery.gaps
            ids += delivery.messages.map(Self.id)
        }
        return (gaps, ids)
    }

    /// Something a listener got more often than there were copies to be given.
    private func repeated(in seen: [Int], _ catalogue: Catalogue, behind gaps: [Gap]) -> Int? {
        var times: [Int: Int] = [:]
        return seen.first { id in
            times[id, default: 0] += 1
            guard let count = times[id], count > 1 else { return false }
            return count > self.allowed(catalogue[id] ?? [], behind: gaps).count
        }
    }

    /// Whether the log tells the same story.
    private func isInOrder(_ seen: [Int], _ catalogue: Catalogue, behind gaps: [Gap]) -> Bool {
        var last = -1
        for id in seen {
            let copies = self.allowed(catalogue[id] ?? [], behind: gaps)
            guard let place = copies.first(where: { $0 >= last }) else { return false }
            last = place
        }
        return true
    }

    private func age(_ epoch: Epoch) -> Int { self.epochs.firstIndex(of: epoch) ?? -1 }

    private func isAfter(_ place: Position, _ start: Position) -> Bool {
        place.epoch == start.epoch ? place.offset > start.offset : self.age(place.epoch) > self.age(start.epoch)
    }

    private func covers(_ gap: Gap, _ place: Position) -> Bool {
        guard let after = gap.after else { return true }
        if place.epoch == after.epoch, place.offset > after.offset {
            return gap.upTo.epoch != place.epoch || place.offset <= gap.upTo.offset
        }
        if place.epoch == gap.upTo.epoch { return after.epoch != place.epoch && place.offset <= gap.upTo.offset }
        let (from, to) = (self.age(after.epoch), self.age(gap.upTo.epoch))
        return (min(from, to)...max(from, to)).contains(self.age(place.epoch)) && place.epoch != after.epoch
    }

    func verdict() -> String? {
        let catalogue = self.catalogue()
        if let id = self.accepted.first(where: { catalogue[$0] == nil }) {
            return "\(id) was accepted and never stored"
        }
        if let id = self.withdrawn.first(where: { catalogue[$0] != nil }) { return "\(id) was refused and yet stored" }
        let gaps = self.nodes.flatMap { self.heard($0).gaps }
        for index in self.listeners.indices {
            if let mistake = self.mistake(index, catalogue, gaps) { return "listener \(index) \(mistake)" }
        }
        return nil
    }

    private func mistake(_ index: Int, _ catalogue: Catalogue, _ nodeGaps: [Gap]) -> String? {
        let listener = self.listeners[index]
        let gaps = nodeGaps + listener.gaps
        if listener.isStuck { return "never caught up" }
        if let id = self.repeated(in: listener.seen, catalogue, behind: gaps) {
            return "got \(id) too often: \(listener.seen)"
        }
        if !self.isInOrder(listener.seen, catalogue, behind: gaps) {
            return "got things out of order: \(listener.seen)"
        }
        let seen = Set(listener.seen)
        for (id, copies) in catalogue where !seen.contains(id) {
            let places = copies.map { self.history[$0] }
            guard listener.topics.contains(places[0].topic) else { continue }
            // Why: what was stored for the first time before the listener joined is not news, nor is its repeat.
            guard self.isAfter(places[0].place, listener.start) else { continue }
            // Why: a message is one loss, however many copies of it were lost; its notice comes once.
            let isTold = places.contains { record in listener.gaps.contains { self.covers($0, record.place) } }
            if !isTold { return "neither got \(id) at \(places.map(\.place)) nor was told: \(listener.gaps)" }
        }
        return nil
    }
}
