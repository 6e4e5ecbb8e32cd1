import Busbar
import BusbarDriver
import NIOCore

extension ConformanceKit {
    /// Links that break while the broker lives.
    static let linkCases: [ConformanceCase] = [
        ConformanceCase(
            "link.cut",
            "After its links were cut a driver is live again by itself, and delivers from there on once and in order.",
            covers: ["F-53", "N-51"], level: .b, needs: [.faults([.cutLinks])], deadline: .seconds(60)
        ) { bench in
            try await bench.withNodes(2) { nodes in
                try await nodes[0].writer.append(Payload.text("before"))
                try await bench.inject(.cutLinks)
                for node in nodes { try await node.recorder.wait(for: "live again") { $0.stretches.count >= 2 } }
                try bench.expect(
                    nodes.allSatisfy { !$0.recorder.now.interruptions.isEmpty },
                    "the links were cut, and no interruption was reported"
                )
                let sent = (0..<50).map { Payload.text("after \($0)") }
                for bytes in sent { _ = try await nodes[0].writer.appendStubbornly(bytes) }
                for node in nodes {
                    _ = try await node.heard(upTo: sent[49])
                    let stretch = node.recorder.now.stretches.last?.heard[.first] ?? []
                    try bench.expectOffsets(of: stretch.map(\.record), at: "\(node.name) after the cut")
                }
            }
        },
        ConformanceCase(
            "dup.ambiguous-publish",
            "An append that lost its reply and is tried again with the same key is stored once.",
            covers: ["P-23"], level: .b, needs: [.replays, .refusesRepeats, .faults([.cutLinks])],
            deadline: .seconds(60)
        ) { bench in
            try await bench.withNodes(2) { nodes in
                var sent: [ByteBuffer] = []
                for round in 0..<10 {
                    try await bench.inject(.cutLinks)
                    for number in 0..<10 {
                        sent.append(Payload.text("record \(round).\(number)"))
                        _ = try await nodes[0].writer.appendStubbornly(sent[sent.count - 1])
                    }
                }
                let log = try await bench.stubbornly { try await bench.readAll(nodes[1].driver) }
                try bench.expect(log, toBe: sent, at: "the log")
            }
        },
        ConformanceCase(
            "resubscribe.complete", "Live again means every stream: none is forgotten on the way back.",
            covers: ["F-53"], level: .b,
            needs: [.faults([.cutLinks])], streams: 8, deadline: .seconds(60)
        ) { bench in
            try await bench.withNodes(2, streams: 8) { nodes in
                try await bench.inject(.cutLinks)
                for node in nodes { try await node.recorder.wait(for: "live again") { $0.stretches.count >= 2 } }
                for stream in (0..<8).map({ StreamID(UInt16($0)) }) {
                    let named = nodes[1].recorder.now.stretches[1].extents[stream] != nil
                    try bench.expect(named, "the second live says nothing of \(stream)")
                    let bytes = Payload.text("after, on \(stream)")
                    _ = try await nodes[0].writer.appendStubbornly(bytes, to: stream)
                    _ = try await nodes[1].heard(stream, upTo: bytes)
                }
            }
        },
        ConformanceCase(
            "link.ledger",
            "Links cut under load: everything accepted is delivered once, in order, and no loss is reported.",
            covers: ["F-53", "N-51", "O-30"], level: .b, needs: [.replays, .faults([.cutLinks])], deadline: .seconds(90)
        ) { bench in
            try await bench.keepBooks(isLossAllowed: false) { _ in try await bench.inject(.cutLinks) }
        },
        ConformanceCase(
            "link.flap", "Links cut ten times in a row under load; a node that joins meanwhile works too.",
            covers: ["F-54"],
            level: .b, needs: [.replays, .faults([.cutLinks])], streams: 2, deadline: .seconds(120)
        ) { bench in
            try await bench.keepBooks(isLossAllowed: false) { ledger in
                for round in 0..<10 {
                    try await bench.inject(.cutLinks)
                    if round == 5 {
                        try await bench.withNodes(1, streams: 2) { nodes in
                            let bytes = Payload.text("a newcomer's")
                            _ = try await nodes[0].writer.appendStubbornly(bytes, to: StreamID(1))
                            _ = try await nodes[0].heard(StreamID(1), upTo: bytes)
                        }
                    }
                    try await bench.waitForProgress(ledger, by: 20)
                }
            }
        },
        ConformanceCase(
            "broker.pause", "A broker that stops answering for a while and goes on costs nothing but time.",
            covers: ["F-56", "F-58"], level: .b, needs: [.replays, .faults([.pause, .resume])], deadline: .seconds(120)
        ) { bench in
            try await bench.keepBooks(isLossAllowed: false) { _ in
                try await bench.during(.pause, until: .resume) { try await Task.sleep(for: .seconds(1)) }
            }
        },
        ConformanceCase(
            "link.half-open",
            "A broker that falls silent is noticed within 20 s, though its sockets stay open; then all is delivered.",
            covers: ["F-56"], level: .b, needs: [.replays, .faults([.pause, .resume])], deadline: .seconds(120)
        ) { bench in
            try await bench.withNodes(2) { nodes in
                try await nodes[0].writer.append(Payload.text("before"))
                try await bench.during(.pause, until: .resume) {
                    try await bench.expectNotice(of: "20 silent seconds", within: .seconds(20)) {
                        nodes.first { $0.recorder.now.interruptions.isEmpty }?.name
                    }
                }
                for node in nodes { try await node.recorder.wait(for: "live again") { $0.stretches.count >= 2 } }
                let last = Payload.text("after")
                _ = try await nodes[0].writer.appendStubbornly(last)
                for node in nodes { _ = try await node.heard(upTo: last) }
            }
            try await bench.keepBooks(isLossAllowed: false) { ledger in
                try await bench.during(.pause, until: .resume) {
                    try await bench.expectNotice(of: "20 silent seconds under load", within: .seconds(20)) {
                        let deaf = ledger.buses.firstIndex { $0.status.phase == .live }
                        return deaf.map { "node \($0 + 1)" }
                    }
                }
            }
        },
    ]
}

extension Bench {
    /// Waits until everybody has noticed what happened, and not longer.
    /// - Parameter deaf: who hasn't yet.
    fileprivate func expectNotice(
        of what: String, within limit: Duration, deaf: () -> String?
    ) async throws {
        let end = ContinuousClock.now + limit
        while let name = deaf() {
            try self.expect(ContinuousClock.now < end, "\(name) noticed nothing of \(what)")
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Does `body` again for as long as it fails with an error that says so.
    func stubbornly<R>(_ body: () async throws -> R) async throws -> R {
        while true {
            do {
                return try await body()
            } catch let error as DriverError {
                guard case .retry(let pause) = error.recovery else { throw error }
                try await Task.sleep(for: max(pause, .milliseconds(10)))
            }
        }
    }
}
