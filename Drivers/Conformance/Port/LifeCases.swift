import BusbarDriver
import NIOCore
import Synchronization

extension ConformanceKit {
    /// How a driver begins, ends and cleans up.
    static let lifeCases: [ConformanceCase] = [
        ConformanceCase(
            "close.run-returns",
            "run returns soon after its task was cancelled, also while other requests are under way.",
            covers: ["B-09", "O-31"]
        ) { bench in
            for round in 1...5 {
                try await bench.withNodes(2) { nodes in
                    try await nodes[0].writer.append(Payload.text("round \(round)"))
                    try await nodes[1].recorder.wait(for: "a record") { $0.count(.first) >= 1 }
                }
            }
        },
        ConformanceCase(
            "close.silence", "After run has returned nothing is delivered any more; other nodes miss nothing.",
            covers: ["B-09"]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                let closed = try await bench.withNodes(1) { $0[0] }
                let before = closed.recorder.now.count(.first)
                let sent = (0..<50).map { Payload.text("record \($0)") }
                for bytes in sent { try await nodes[0].writer.append(bytes) }
                try bench.expect(try await nodes[1].heard(upTo: sent[49]), toBe: sent, at: "node 2")
                let late = closed.recorder.now.count(.first) - before
                try bench.expect(late == 0, "\(late) records were delivered to a node whose run had returned")
            }
        },
        ConformanceCase(
            "close.requests-end",
            "After run has returned, requests end: with an answer or a typed error, never not at all.",
            covers: ["O-31"]
        ) { bench in
            let closed = try await bench.withNodes(1) { $0[0] }
            do { try await closed.writer.append(Payload.text("late")) } catch is DriverError {}
            bench.doing("reading on a closed node")
            do { _ = try await closed.driver.read(.first, after: .beginning, limitBytes: 100) } catch is DriverError {}
            bench.doing("asking a closed node for an extent")
            do { _ = try await closed.driver.extent(of: .first) } catch is DriverError {}
        },
        ConformanceCase(
            "run.twice", "A second run, which nobody should start, is refused or harmless to the first one.",
            covers: ["B-09"]
        ) { bench in
            try await bench.withNodes(1) { nodes in
                let second = Recorder(name: "a second run", progress: bench.progress)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        do throws(DriverError) {
                            try await nodes[0].driver.run(following: [.first], delivering: second)
                            second.runEnded("returned")
                        } catch {
                            second.runEnded("threw \(error)")
                        }
                    }
                    bench.doing("waiting for a second run to be live or to be refused")
                    do { try await second.wait(for: "live") { !$0.stretches.isEmpty } } catch is LawBroken {}
                    let sent = (0..<20).map { Payload.text("record \($0)") }
                    for bytes in sent { try await nodes[0].writer.append(bytes) }
                    try bench.expect(try await nodes[0].heard(upTo: sent[19]), toBe: sent, at: "the first run")
                    group.cancelAll()
                    bench.doing("waiting for a second run to return after its task was cancelled")
                    try await group.waitForAll()
                }
            }
        },
        ConformanceCase(
            "leak.close", "A driver that is done with lets go of its inbox and of itself.", covers: ["F-65", "B-03"]
        ) { bench in
            for _ in 1...5 {
                let traces = try await bench.traceOfNode()
                bench.doing("waiting for a closed driver and its inbox to be released")
                // Why: what holds them last may be a thread of the driver that is just ending; the case's deadline
                // bounds this.
                while !traces.areGone { try await Task.sleep(for: .milliseconds(5)) }
            }
        },
        ConformanceCase(
            "leak.churn",
            "A hundred nodes that come and go leave no descriptors behind, and the hundredth works as the first did.",
            covers: ["F-65"], deadline: .seconds(60)
        ) { bench in
            func node(_ round: Int) async throws {
                try await bench.withNodes(1) { nodes in
                    let bytes = Payload.text("round \(round)")
                    try await nodes[0].writer.append(bytes)
                    try bench.expect(try await nodes[0].heard(upTo: bytes), toBe: [bytes], at: "node \(round)")
                }
            }
            for round in 1...5 { try await node(round) }
            let before = Descriptors.openCount
            for round in 6...100 { try await node(round) }
            let after = Descriptors.openCount
            try bench.expect(after <= before + 10, "\(before) descriptors were open after 5 nodes, \(after) after 100")
        },
    ]
}

extension Bench {
    /// What can still be seen of a node that was run and closed and that the kit holds no longer.
    fileprivate func traceOfNode() async throws -> Traces {
        let traces = Traces()
        try await self.withNodes(1) { nodes in
            traces.watch(nodes[0])
            try await nodes[0].writer.append(Payload.text("something"))
        }
        return traces
    }
}

/// Weak references to what should go.
private final class Traces: Sendable {
    private struct State {
        weak var driver: AnyObject?
        weak var inbox: AnyObject?
    }

    private let state = Mutex(State())

    var areGone: Bool { self.state.withLock { $0.driver == nil && $0.inbox == nil } }

    func watch(_ node: Node) {
        self.state.withLock { state in
            state.inbox = node.recorder
            // Why: a driver that is a struct has nothing to be watched but its inbox.
            if type(of: node.driver) is AnyClass { state.driver = node.driver as AnyObject }
        }
    }
}
