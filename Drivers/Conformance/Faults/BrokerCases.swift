import Busbar
import BusbarDriver
import NIOCore

extension ConformanceKit {
    /// Brokers that end, forget and go back.
    static let brokerCases: [ConformanceCase] = [
        ConformanceCase(
            "broker.away",
            "While the broker is away run goes on, says so, and appends end with an error that can be retried.",
            covers: ["F-55", "F-66"], level: .b, needs: [.faults([.kill, .start])], deadline: .seconds(90)
        ) { bench in
            try await bench.withNodes(1) { nodes in
                try await nodes[0].writer.append(Payload.text("before"))
                try await bench.during(.kill, until: .start) {
                    try await nodes[0].recorder.wait(for: "the news that the link broke") { !$0.interruptions.isEmpty }
                    do {
                        try await nodes[0].writer.append(Payload.text("during"))
                        throw LawBroken(seen: "an append was accepted while the broker was away")
                    } catch let error as DriverError {
                        try bench.expect(error.recovery != .giveUp, "an append was given up: \(error)")
                    }
                }
                try await nodes[0].recorder.wait(for: "live again") { $0.stretches.count >= 2 }
                let last = Payload.text("after")
                _ = try await nodes[0].writer.appendStubbornly(last)
                _ = try await nodes[0].heard(upTo: last)
            }
        },
        ConformanceCase(
            "broker.down-at-start", "A node that starts while the broker is away becomes live once it is there.",
            covers: ["O-27", "F-55"],
            level: .b, needs: [.faults([.kill, .start])], deadline: .seconds(90)
        ) { bench in
            try await bench.inject(.kill)
            try await withThrowingTaskGroup(of: Void.self) { group in
                do {
                    let node = Node(name: "node 1", driver: try await bench.app.makeNode(), progress: bench.progress)
                    group.addTask { await node.run(following: [.first]) }
                    try await Task.sleep(for: .milliseconds(300))
                    try bench.expect(node.recorder.now.stretches.isEmpty, "the node was live while the broker was away")
                    try await bench.inject(.start)
                    try await node.waitUntilLive(following: [.first])
                    let bytes = Payload.text("at last")
                    _ = try await node.writer.appendStubbornly(bytes)
                    _ = try await node.heard(upTo: bytes)
                } catch {
                    group.cancelAll()
                    try await bench.inject(.start)
                    throw error
                }
                group.cancelAll()
                try await group.waitForAll()
            }
        },
        ConformanceCase(
            "broker.kill-after-ack", "What was acknowledged survives the end of the broker's process.",
            covers: ["F-55"], level: .b,
            needs: [.replays, .survivesRestart, .faults([.kill, .start])], deadline: .seconds(90)
        ) { bench in
            try await bench.withNodes(1) { nodes in
                let sent = (0..<200).map { Payload.text("record \($0)") }
                var places: [Position] = []
                for bytes in sent { places.append(try await nodes[0].writer.append(bytes)) }
                try await bench.during(.kill, until: .start) {}
                try await nodes[0].recorder.wait(for: "live again") { $0.stretches.count >= 2 }
                let extent = try await bench.stubbornly { try await nodes[0].driver.extent(of: .first) }
                try bench.expect(extent.epoch == places[0].epoch, "the epoch changed: the broker kept nothing")
                let log = try await bench.stubbornly { try await bench.readAll(nodes[0].driver) }
                try bench.expect(log, toBe: sent, at: "the log after the restart")
            }
        },
        ConformanceCase(
            "broker.restart-ledger",
            "A broker that is killed under load and started again: what was accepted is delivered or reported.",
            covers: ["F-55", "O-30"], level: .b, needs: [.faults([.kill, .start])], deadline: .seconds(120)
        ) { bench in
            try await bench.keepBooks(isLossAllowed: !bench.isKeptOverRestart) { _ in
                try await bench.during(.kill, until: .start) { try await Task.sleep(for: .milliseconds(300)) }
            }
        },
        ConformanceCase(
            "epoch.wipe", "A stream whose log was wiped comes back under an epoch that was never used before.",
            covers: ["P-20", "F-55", "B-06"], level: .b, needs: [.faults([.wipe])], deadline: .seconds(60)
        ) { bench in
            try await bench.withNodes(2) { nodes in
                var epochs = [try await nodes[0].writer.append((0..<10).map { Payload.text("old \($0)") }).epoch]
                for round in 1...3 {
                    try await bench.inject(.wipe)
                    let bytes = Payload.text("new \(round)")
                    let place = try await nodes[1].writer.appendStubbornly(bytes)
                    try bench.expect(!epochs.contains(place.epoch), "wipe \(round) left an epoch that was used before")
                    epochs.append(place.epoch)
                    for node in nodes {
                        let extent = try await bench.stubbornly { try await node.driver.extent(of: .first) }
                        let seen =
                            "\(place) was appended after the wipe, \(node.name) names \(extent.epoch)@\(extent.newest)"
                        try bench.expect(extent.epoch == place.epoch && extent.newest == place.offset, seen)
                    }
                }
            }
        },
        ConformanceCase(
            "epoch.wipe-ledger",
            "A store wiped under load: what is lost is reported to whoever listens, and an old cursor gets a gap.",
            covers: ["P-20", "F-55"], level: .b, needs: [.faults([.wipe])], deadline: .seconds(90)
        ) { bench in
            try await bench.keepBooks(isLossAllowed: true) { _ in try await bench.inject(.wipe) }
            try await bench.expectOldCursorRefused { try await bench.inject(.wipe) }
        },
        ConformanceCase(
            "epoch.rollback",
            "A log that came back older is fenced: the first writer who knew more makes it begin a new epoch.",
            covers: ["F-57"], level: .b, needs: [.recognisesRewind, .faults([.restoreOlder])],
            deadline: .seconds(60)
        ) { bench in
            try await bench.withNodes(1) { nodes in
                try await nodes[0].writer.append((0..<10).map { Payload.text("kept \($0)") })
                try await bench.saveIfPossible()
                // Why stubbornly: a store may have to be stopped for that.
                let lost = try await bench.stubbornly {
                    try await nodes[0].writer.append((0..<10).map { Payload.text("lost \($0)") })
                }
                try await bench.restoreOlder(than: lost)
                let records = nodes[0].writer.records([Payload.text("after")])
                let batch = Batch(records: records, highWater: lost)
                let place = try await bench.stubbornly { try await nodes[0].writer.append(batch) }
                try bench.expect(
                    place.epoch != lost.epoch, "the writer had seen \(lost); \(place) uses the epoch again")
            }
        },
        ConformanceCase(
            "epoch.rollback-ledger",
            "A store that came back older under load: what is lost is reported to whoever listens.",
            covers: ["F-55", "F-57"], level: .b, needs: [.recognisesRewind, .faults([.restoreOlder])],
            deadline: .seconds(90)
        ) { bench in
            try await bench.keepBooks(isLossAllowed: true) { ledger in
                try await bench.saveIfPossible()
                try await bench.waitForProgress(ledger, by: 50)
                try await bench.inject(.restoreOlder)
            }
        },
        ConformanceCase(
            "epoch.rollback-cursor", "A cursor from a state that a restored store no longer has brings a gap.",
            covers: ["F-57", "B-06"], level: .b, needs: [.recognisesRewind, .faults([.restoreOlder])],
            deadline: .seconds(60)
        ) { bench in
            try await bench.saveIfPossible()
            try await bench.expectOldCursorRefused {
                let extent = try await bench.extentOfTheStore()
                let newest = Position(stream: .first, epoch: extent.epoch, offset: extent.newest)
                try await bench.restoreOlder(than: newest)
            }
        },
        ConformanceCase(
            "broker.refuses",
            "A broker that takes no more work: appends end with an error that can be retried, and heal by themselves.",
            covers: ["F-66"], level: .b, needs: [.faults([.refuse, .accept])], deadline: .seconds(90)
        ) { bench in
            try await bench.withNodes(2) { nodes in
                try await nodes[0].writer.append(Payload.text("before"))
                let refused = Batch(records: nodes[0].writer.records([Payload.text("during")]), highWater: nil)
                try await bench.during(.refuse, until: .accept) {
                    do {
                        try await nodes[0].writer.append(refused)
                        throw LawBroken(seen: "an append was accepted while the broker refused work")
                    } catch let error as DriverError {
                        try bench.expect(error.recovery != .giveUp, "an append was given up: \(error)")
                    }
                }
                _ = try await bench.stubbornly { try await nodes[0].writer.append(refused) }
                let last = Payload.text("after")
                let place = try await nodes[0].writer.appendStubbornly(last)
                let right: Set = [Payload.text("before"), Payload.text("during"), last]
                for node in nodes {
                    // Why not the record alone: a link that had to be made again may have begun behind it, or earlier.
                    try await node.recorder.wait(for: "the last record, or a link that begins behind it") { state in
                        state.newest(.first, contain: last) || state.hasBegun(behind: place)
                    }
                    let state = node.recorder.now
                    let heard = Set(state.heard(.first).map(\.record.bytes))
                    try bench.expect(
                        state.stretches.count > 1 ? heard.isSubset(of: right) : heard == right,
                        "\(node.name) heard \(heard.count) records instead of 3")
                }
                guard bench.guarantees.replays else { return }
                let log = try await bench.stubbornly { try await bench.readAll(nodes[1].driver) }
                let stored = Set(log.map(\.bytes))
                try bench.expect(stored == right, "the log has \(stored.count) records instead of 3")
            }
        },
        ConformanceCase(
            "broker.refuses-ledger",
            "A broker that takes no work for a while, under load: what was accepted arrives, and no loss is reported.",
            covers: ["F-66", "O-30"], level: .b, needs: [.replays, .faults([.refuse, .accept])], deadline: .seconds(120)
        ) { bench in
            try await bench.keepBooks(isLossAllowed: false) { _ in
                try await bench.during(.refuse, until: .accept) { try await Task.sleep(for: .seconds(1)) }
            }
        },
        ConformanceCase(
            "publish.during-outage",
            "While the broker is away publishes fail or wait, as the policy says, and always come to an end.",
            covers: ["O-27", "O-28", "O-30"], level: .b, needs: [.faults([.kill, .start])], deadline: .seconds(90)
        ) { bench in
            for policy in [OfflinePolicy.fail, .buffer(bytes: 1 << 20, count: 100)] {
                var configuration = BusConfiguration.watchful
                configuration.whileAway = policy
                // Why long: a broker takes its time to start, and what waits for it is to be stored then.
                configuration.publishDeadline = .seconds(60)
                try await bench.withBuses(1, configuration) { buses in
                    let listener = try await bench.subscribe(["t"], on: buses[0])
                    try await bench.publish("before", to: "t", on: buses[0])
                    try await bench.expectOutage(on: buses[0], policy, listener)
                }
            }
        },
    ]
}

extension Bench {
    /// A harness that can't save by order restores what older state it has.
    fileprivate func saveIfPossible() async throws {
        do { try await self.inject(.save) } catch is NotApplicable {}
    }

    /// Brings an older state back. If it isn't older than `known` there is nothing to prove.
    fileprivate func restoreOlder(than known: Position) async throws {
        try await self.inject(.restoreOlder)
        let extent = try await self.extentOfTheStore()
        guard extent.epoch == known.epoch, extent.newest >= known.offset else { return }
        throw NotApplicable(reason: "restore-older brought back a state that still has all that was written")
    }

    /// What a node that has seen nothing yet finds.
    fileprivate func extentOfTheStore() async throws -> StreamExtent {
        try await self.withNodes(1) { nodes in
            try await self.stubbornly { try await nodes[0].driver.extent(of: .first) }
        }
    }

    fileprivate func expectOutage(on bus: Bus, _ policy: OfflinePolicy, _ listener: Listener) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            try await self.during(.kill, until: .start) {
                self.doing("waiting for the bus to notice that the broker is away")
                while bus.status.phase == .live { try await Task.sleep(for: .milliseconds(10)) }
                guard case .fail = policy else {
                    group.addTask { try await self.publish("during", to: "t", on: bus) }
                    return
                }
                do {
                    try await self.publish("during", to: "t", on: bus)
                    throw LawBroken(seen: "a publish succeeded while the broker was away")
                } catch let error as BusError {
                    try self.expect(error.code == .brokerAway, "a publish failed as \(error.code)")
                }
            }
            try await group.waitForAll()
        }
        self.doing("waiting for the bus to be live again")
        while bus.status.phase != .live { try await Task.sleep(for: .milliseconds(10)) }
        try await self.publish("after", to: "t", on: bus)
        try await listener.listen(for: "what follows the outage") { $0.lastText == "after" }
        let isBuffered = listener.texts.contains("during")
        if case .fail = policy {
            try self.expect(!isBuffered, "a publish that failed was delivered")
        } else {
            try self.expect(
                isBuffered || !listener.gaps.isEmpty, "a publish that had waited was neither delivered nor reported")
        }
    }

    /// A cursor from before `loss` brings a gap afterwards, however much is published since.
    fileprivate func expectOldCursorRefused(_ loss: () async throws -> Void) async throws {
        try await self.withBuses(1) { buses in
            let listener = try await self.subscribe(["t"], on: buses[0])
            for number in 0..<10 { try await self.publish("old \(number)", to: "t", on: buses[0]) }
            try await listener.hear(upTo: "old 9")
            let cursor = listener.cursor
            try await loss()
            for number in 0..<20 { try await self.publish("new \(number)", to: "t", on: buses[0]) }
            try await listener.listen(for: "what follows the loss") { $0.lastText == "new 19" }
            try self.expect(!listener.gaps.isEmpty, "the log was lost, and a live subscriber was told of no gap")
            let resumed = try await self.subscribe(["t"], on: buses[0], from: cursor)
            try await self.publish("end", to: "t", on: buses[0])
            try await resumed.listen(for: "the end") { $0.lastText == "end" }
            try self.expect(!resumed.gaps.isEmpty, "a cursor from before the loss brought no gap")
        }
    }
}
