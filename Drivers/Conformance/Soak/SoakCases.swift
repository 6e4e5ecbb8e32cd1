import Busbar
import BusbarDriver
import NIOCore

extension ConformanceKit {
    /// What takes time, and what is measured rather than judged.
    static let soakCases: [ConformanceCase] = [
        ConformanceCase(
            "soak.faults",
            "Every fault on offer, again and again for a minute under load: published is delivered or reported.",
            covers: ["F-53", "F-54", "F-55"], level: .c, needs: [.replays, .faults([.cutLinks])],
            deadline: .seconds(300)
        ) { bench in
            try await bench.keepBooks(isLossAllowed: true) { ledger in
                let end = ContinuousClock.now + .seconds(60)
                while ContinuousClock.now < end {
                    try await bench.inject(.cutLinks)
                    try await bench.waitForProgress(ledger, by: 100)
                    for (fault, its) in [(BrokerFault.pause, BrokerFault.resume), (.kill, .start), (.refuse, .accept)] {
                        do {
                            try await bench.during(fault, until: its) { try await Task.sleep(for: .milliseconds(200)) }
                        } catch is NotApplicable { continue }
                        try await bench.waitForProgress(ledger, by: 100)
                    }
                    do { try await bench.inject(.wipe) } catch is NotApplicable { continue }
                    try await bench.waitForProgress(ledger, by: 100)
                }
            }
        },
        ConformanceCase(
            "soak.churn", "A thousand nodes that come and go while others work disturb nobody and leave nothing.",
            covers: ["F-65"],
            level: .c, deadline: .seconds(300)
        ) { bench in
            try await bench.withNodes(2) { nodes in
                let before = Descriptors.openCount
                for round in 0..<1_000 {
                    try await bench.withNodes(1) {
                        _ = try await $0[0].writer.append(Payload.text("from visitor \(round)"))
                    }
                }
                let last = Payload.text("the end")
                try await nodes[0].writer.append(last)
                let heard = try await nodes[1].heard(upTo: last)
                let sent = (0..<1_000).map { Payload.text("from visitor \($0)") } + [last]
                try bench.expect(heard, toBe: sent, at: "node 2")
                let after = Descriptors.openCount
                try bench.expect(after <= before + 10, "\(before) descriptors were open before, \(after) after")
            }
        },
        ConformanceCase(
            "soak.topics",
            "A million short-lived topics, each subscribed to, published to once and left, leave nothing behind.",
            covers: ["F-65"], level: .c, deadline: .seconds(1_800)
        ) { bench in try await bench.churnTopics(1_000_000) },
        ConformanceCase(
            "measure.latency", "Measured: the time from publish on one node to delivery on another, one at a time.",
            level: .c,
            deadline: .seconds(120)
        ) { bench in
            try await bench.withBuses(2) { buses in
                let listener = try await bench.subscribe(["t"], on: buses[1])
                var times: [Duration] = []
                for number in 0..<2_000 {
                    let start = ContinuousClock.now
                    try await bench.publish("\(number)", to: "t", on: buses[0])
                    try await listener.hear(upTo: "\(number)")
                    times.append(.now - start)
                }
                times.sort()
                bench.progress.note("p50 \(times[1_000].inMicroseconds) µs, p99 \(times[1_980].inMicroseconds) µs")
            }
        },
        ConformanceCase(
            "measure.throughput",
            "Measured: messages of 100 bytes per second, from 64 publishers on one node to another.",
            level: .c, deadline: .seconds(120)
        ) { bench in
            try await bench.withBuses(2) { buses in
                let listener = try await bench.subscribe(["t"], on: buses[1])
                let start = ContinuousClock.now
                try await bench.rush(publishers: 64, each: 500, on: buses[0], to: listener)
                let micros = (ContinuousClock.now - start).inMicroseconds
                bench.progress.note("\(32_000 * 1_000_000 / max(1, micros)) messages per second")
            }
        },
    ]
}

extension Bench {
    /// Publishes as fast as the bus takes it, and returns once all has been heard.
    // Why a function of its own: as a part of the case, it makes the optimiser of Swift 6.3.1 crash.
    fileprivate func rush(publishers: Int, each: Int, on bus: Bus, to listener: Listener) async throws {
        let text = String(repeating: "x", count: 100)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<publishers {
                group.addTask { for _ in 0..<each { try await self.publish(text, to: "t", on: bus) } }
            }
            try await listener.hear(publishers * each)
            try await group.waitForAll()
        }
    }
}

extension Listener {
    /// Takes deliveries until they were so many messages.
    fileprivate func hear(_ wanted: Int) async throws {
        var count = 0
        let iterator = self.subscription.makeAsyncIterator()
        while count < wanted, let delivery = try await iterator.next() { count += delivery.messages.count }
    }
}

extension Duration {
    fileprivate var inMicroseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }
}
