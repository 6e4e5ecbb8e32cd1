package import Busbar

/// Who listens to what on one event loop: for each topic a dense array of slots, for each slot the seats it holds.
///
/// A slot is the number of a connection on its loop. Joining, leaving and walking the members of a topic cost no
/// search: a member that leaves is replaced by the last one, and its seat knows where it stood.
package struct AudienceTable: Sendable {
    package typealias Slot = Int32
    package typealias Roster = Int32

    private struct Seat: Sendable {
        let roster: Roster
        var place: Int32
    }

    private var rosterByTopic: [Topic: Roster] = [:]
    private var topics: [Topic?] = []
    private var rosters: [[Slot]] = []
    private var freeRosters: [Roster] = []
    private var seats: [[Seat]] = []

    package init() {}

    /// How many topics have members.
    package var topicCount: Int { self.rosterByTopic.count }

    /// Adds a slot to a topic; false if it was in already.
    @discardableResult
    package mutating func join(_ slot: Slot, _ topic: Topic) -> Bool {
        while self.seats.count <= Int(slot) { self.seats.append([]) }
        let roster = self.rosterByTopic[topic] ?? self.openRoster(topic)
        if self.seats[Int(slot)].contains(where: { $0.roster == roster }) { return false }
        self.seats[Int(slot)].append(Seat(roster: roster, place: Int32(self.rosters[Int(roster)].count)))
        self.rosters[Int(roster)].append(slot)
        return true
    }

    /// Takes a slot out of a topic; false if it wasn't in.
    @discardableResult
    package mutating func leave(_ slot: Slot, _ topic: Topic) -> Bool {
        guard Int(slot) < self.seats.count, let roster = self.rosterByTopic[topic],
            let index = self.seats[Int(slot)].firstIndex(where: { $0.roster == roster })
        else { return false }
        let last = self.seats[Int(slot)].count - 1
        self.seats[Int(slot)].swapAt(index, last)
        self.vacate(self.seats[Int(slot)].removeLast())
        return true
    }

    /// Takes a slot out of everything.
    package mutating func leaveAll(_ slot: Slot) {
        guard Int(slot) < self.seats.count else { return }
        let held = self.seats[Int(slot)]
        self.seats[Int(slot)] = []
        for seat in held { self.vacate(seat) }
    }

    /// Whether a slot is in a topic.
    package func contains(_ slot: Slot, _ topic: Topic) -> Bool {
        guard Int(slot) < self.seats.count, let roster = self.rosterByTopic[topic] else { return false }
        return self.seats[Int(slot)].contains { $0.roster == roster }
    }

    /// The members of a topic, in no order.
    package func members(of topic: Topic) -> [Slot] {
        guard let roster = self.rosterByTopic[topic] else { return [] }
        return self.rosters[Int(roster)]
    }

    private mutating func openRoster(_ topic: Topic) -> Roster {
        let roster: Roster
        if let free = self.freeRosters.popLast() {
            roster = free
            self.topics[Int(roster)] = topic
        } else {
            roster = Roster(self.rosters.count)
            self.rosters.append([])
            self.topics.append(topic)
        }
        self.rosterByTopic[topic] = roster
        return roster
    }

    /// Fills the place of a seat with the last member, and closes the roster when nobody is left.
    private mutating func vacate(_ seat: Seat) {
        let roster = Int(seat.roster)
        let moved = self.rosters[roster].removeLast()
        if Int(seat.place) < self.rosters[roster].count {
            self.rosters[roster][Int(seat.place)] = moved
            if let index = self.seats[Int(moved)].firstIndex(where: { $0.roster == seat.roster }) {
                self.seats[Int(moved)][index].place = seat.place
            }
        }
        if self.rosters[roster].isEmpty, let topic = self.topics[roster] {
            self.rosterByTopic[topic] = nil
            self.topics[roster] = nil
            self.rosters[roster] = []
            self.freeRosters.append(seat.roster)
        }
    }
}
