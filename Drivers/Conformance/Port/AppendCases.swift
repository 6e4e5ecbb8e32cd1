import BusbarDriver
import NIOCore

extension ConformanceKit {
    /// What an append promises when it returns, and before.
    static let appendCases: [ConformanceCase] = [
        ConformanceCase(
            "append.visible-on-return", "When an append has returned, every node can read its records.",
            covers: ["N-39"], needs: [.replays]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                for number in 1...50 {
                    let place = try await nodes[0].writer.append(Payload.text("record \(number)"))
                    let before = Offset(place.offset.rawValue - 1)
                    let page = try await nodes[1].driver.read(.first, after: before, limitBytes: 1_000)
                    try bench.expect(
                        page.records.first?.bytes == Payload.text("record \(number)"),
                        "an append returned \(place), and reading behind \(before) finds "
                            + Payload.described(page.records.first?.bytes)
                    )
                }
            }
        },
        ConformanceCase(
            "append.receipt",
            "A receipt names the place of the batch's last record: its epoch and its offset in the log.",
            covers: ["N-51"], needs: [.replays]
        ) { bench in
            try await bench.withNodes(1) { nodes in
                for size in [1, 2, 7, 30] {
                    let batch = (0..<size).map { Payload.text("\(size).\($0)") }
                    let place = try await nodes[0].writer.append(batch)
                    let before = Offset(place.offset.rawValue - 1)
                    let page = try await nodes[0].driver.read(.first, after: before, limitBytes: 10_000)
                    let found = page.records.first
                    try bench.expect(
                        found?.bytes == batch[size - 1] && found?.offset == place.offset && page.epoch == place.epoch,
                        "the receipt names \(place); there lies \(Payload.described(found?.bytes)), \(page.epoch)"
                    )
                }
            }
        },
        ConformanceCase(
            "append.whole-batch",
            "A batch is stored whole and in its order, and so it is delivered, however many append at once."
        ) { bench in
            try await bench.withNodes(3) { nodes in
                try await bench.concurrently(nodes) { node in
                    for batch in 0..<20 {
                        try await node.writer.append((0..<10).map { Payload.text("\(node.name) \(batch).\($0)") })
                    }
                }
                let last = Payload.text("the end")
                try await nodes[0].writer.append(last)
                for node in nodes {
                    let heard = try await node.heard(upTo: last)
                    for writer in nodes {
                        let sent = (0..<20).flatMap { batch in
                            (0..<10).map { Payload.text("\(writer.name) \(batch).\($0)") }
                        }
                        let from = heard.map(\.record.bytes).filter { String(buffer: $0).hasPrefix(writer.name) }
                        try bench.expect(
                            from == sent,
                            "at \(node.name), the batches of \(writer.name) came as \(from.count) records "
                                + "instead of \(sent.count), or in another order"
                        )
                    }
                }
            }
        },
        ConformanceCase(
            "atomic.append-publish", "No record is delivered to any node before a read could return it.",
            covers: ["B-16"], needs: [.replays]
        ) { bench in
            var seen: String?
            try await bench.withNodes(3) { nodes in
                let bytes = (1...20).map { Payload.text("record \($0)") }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { for record in bytes { try await nodes[0].writer.append(record) } }
                    for count in 1...bytes.count {
                        try await nodes[1].recorder.wait(for: "record \(count)") { $0.count(.first) >= count }
                        let offset = nodes[1].recorder.now.heard(.first)[count - 1].record.offset
                        let before = Offset(offset.rawValue - 1)
                        let page = try await nodes[2].driver.read(.first, after: before, limitBytes: 1_000)
                        guard page.records.first?.offset != offset else { continue }
                        seen = "offset \(offset) was delivered, and a read then didn't find it"
                    }
                    try await group.waitForAll()
                }
            }
            if let seen { throw LawBroken(seen: seen) }
        },
        ConformanceCase(
            "append.repeat", "A repeated append is stored once, delivered once, and answered with the first receipt.",
            covers: ["P-23"], needs: [.refusesRepeats]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                let writer = nodes[0].writer
                let batch = Batch(records: writer.records([Payload.text("a"), Payload.text("b")]), highWater: nil)
                let first = try await writer.append(batch)
                let again = try await writer.append(batch)
                try bench.expect(
                    again == first, "the first append was answered with \(first), the repeated one with \(again)")
                try await nodes[1].writer.append(Payload.text("another writer's"))
                let third = try await writer.append(batch)
                try bench.expect(third == first, "repeated once more it was answered with \(third) instead of \(first)")
                let last = Payload.text("the end")
                try await writer.append(last)
                let expected = ["a", "b", "another writer's", "the end"].map { Payload.text($0) }
                for node in nodes { try bench.expect(try await node.heard(upTo: last), toBe: expected, at: node.name) }
                try bench.expect(try await bench.readAll(nodes[1].driver), toBe: expected, at: "the log")
            }
        },
        ConformanceCase(
            "append.high-water",
            "A writer that has seen more than the log holds makes it begin a new epoch; others change nothing.",
            covers: ["F-57"], needs: [.recognisesRewind]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                let writer = nodes[0].writer
                let first = try await writer.append([Payload.text("1"), Payload.text("2")])
                let harmless = try await writer.append([Payload.text("3")], highWater: first)
                try bench.expect(harmless.epoch == first.epoch, "a writer that was up to date made the epoch change")
                let lost = Position(
                    stream: .first, epoch: harmless.epoch, offset: Offset(harmless.offset.rawValue + 5)
                )
                let fenced = try await writer.append([Payload.text("4")], highWater: lost)
                try bench.expect(
                    fenced.epoch != first.epoch,
                    "the writer had seen \(lost), the log ended at \(harmless), and the append was stored at \(fenced)"
                )
                let extent = try await nodes[1].driver.extent(of: .first)
                try bench.expect(extent.epoch == fenced.epoch, "another node still reports epoch \(extent.epoch)")
                let last = Payload.text("5")
                let later = try await nodes[1].writer.append(last)
                try bench.expect(later.epoch == fenced.epoch, "the next append was stored under epoch \(later.epoch)")
                try await nodes[1].recorder.wait(for: "record 5") { $0.last(.first)?.record.bytes == last }
                let epoch = nodes[1].recorder.now.last(.first)?.epoch
                try bench.expect(epoch == fenced.epoch, "it was delivered under another epoch than it was stored")
            }
        },
    ]
}
