import Busbar
import BusbarDriver
import Synchronization

/// The books of a run with faults: published = delivered + reported, nothing twice, nothing out of order.
final class Ledger: Sendable {
    /// Where the traffic flows.
    let buses: [Bus]
    /// What one publisher knows of each of its messages, by number.
    private let accepted: Mutex<[Int: Set<Int>]> = Mutex([:])

    init(of buses: [Bus]) { self.buses = buses }

    func accept(_ number: Int, by publisher: Int) {
        self.accepted.withLock { _ = $0[publisher, default: []].insert(number) }
    }

    var acceptedCount: Int { self.accepted.withLock { $0.values.reduce(0) { $0 + $1.count } } }

    /// What is published last.
    static let end = "end"

    static func text(_ number: Int, by publisher: Int) -> String { "\(publisher): \(number)" }

    /// Compares with what a listener that was there all the time was told.
    /// - Parameter isLossAllowed: whether the fault took records out of the store, so that gaps are in order.
    func check(_ listener: Listener, at place: String, isLossAllowed: Bool) throws {
        if !isLossAllowed, let gap = listener.gaps.first {
            throw LawBroken(seen: "\(place) was told of a \(gap), though the store lost nothing")
        }
        for (publisher, accepted) in self.accepted.withLock({ $0 }) {
            var last = -1
            var hasGap = false
            for event in listener.events {
                guard case .message(let text) = event else {
                    hasGap = true
                    continue
                }
                let parts = text.split(separator: ":")
                guard parts.count == 2, parts[0] == "\(publisher)", let number = Int(parts[1].dropFirst()) else {
                    continue
                }
                guard number > last else {
                    let what = number == last ? "twice" : "after \(last)"
                    throw LawBroken(seen: "\(place) got message \(number) of publisher \(publisher) \(what)")
                }
                try Self.expectReported(accepted, between: last, and: number, hasGap, publisher, place)
                (last, hasGap) = (number, false)
            }
            try Self.expectReported(accepted, between: last, and: .max, hasGap, publisher, place)
        }
    }

    private static func expectReported(
        _ accepted: Set<Int>, between last: Int, and next: Int, _ hasGap: Bool, _ publisher: Int, _ place: String
    ) throws {
        guard !hasGap, let lost = accepted.filter({ $0 > last && $0 < next }).min() else { return }
        throw LawBroken(
            seen:
                "\(place) never got message \(lost) of publisher \(publisher), though accepted, and was told of no gap"
        )
    }
}

extension Bench {
    /// Publishes on two buses while `disturb` does its work, waits until everything flows again, and checks the books.
    func keepBooks(isLossAllowed: Bool, _ disturb: (_ ledger: Ledger) async throws -> Void) async throws {
        try await self.withBuses(2) { buses in
            let ledger = Ledger(of: buses)
            let listeners = [
                try await self.subscribe(["ledger"], on: buses[0]), try await self.subscribe(["ledger"], on: buses[1]),
            ]
            let traffic = Traffic()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, listener) in listeners.enumerated() {
                    group.addTask {
                        try await listener.listen(for: "traffic to settle") { $0.lastText == Ledger.end }
                        traffic.settle(index)
                    }
                }
                do {
                    // Why within: what is accepted late, on a node that comes back last, must not come after the end.
                    try await withThrowingTaskGroup(of: Void.self) { publishers in
                        for publisher in 0..<4 {
                            publishers.addTask {
                                try await self.publish(as: publisher, on: buses[publisher % 2], traffic, ledger)
                            }
                        }
                        try await self.waitForProgress(ledger, by: 50)
                        try await disturb(ledger)
                        try await self.waitForProgress(ledger, by: 50)
                        traffic.stop()
                        try await publishers.waitForAll()
                    }
                    // Why again and again: the first end may fall to a gap.
                    while traffic.settledCount < listeners.count {
                        try await self.publish(Ledger.end, to: "ledger", on: buses[0])
                        try await Task.sleep(for: .milliseconds(100))
                    }
                } catch {
                    group.cancelAll()
                    throw error
                }
                try await group.waitForAll()
            }
            for (index, listener) in listeners.enumerated() {
                try ledger.check(listener, at: "node \(index + 1)", isLossAllowed: isLossAllowed)
            }
            if !isLossAllowed {
                let heard = listeners.map { $0.texts.filter { $0 != Ledger.end } }
                try self.expect(heard[1], toBe: heard[0], at: "node 2 beside node 1")
            }
            let gaps = listeners.map(\.gaps.count)
            self.progress.note("\(ledger.acceptedCount) published, gaps reported: \(gaps[0]) and \(gaps[1])")
        }
    }

    private func publish(as publisher: Int, on bus: Bus, _ traffic: Traffic, _ ledger: Ledger) async throws {
        var number = 0
        while traffic.isFlowing {
            do {
                try await self.publish(Ledger.text(number, by: publisher), to: "ledger", on: bus)
                ledger.accept(number, by: publisher)
            } catch let error as BusError where error.code != .closed && error.code != .cancelled {}
            number += 1
            // Why: a load, not a flood. The books stay small enough to be checked.
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Waits until `count` more messages were accepted: faults are to hit traffic.
    func waitForProgress(_ ledger: Ledger, by count: Int) async throws {
        let start = ledger.acceptedCount
        self.doing("waiting for traffic to flow")
        while ledger.acceptedCount < start + count {
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
