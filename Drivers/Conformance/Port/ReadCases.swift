import BusbarDriver
import NIOCore

extension ConformanceKit {
    /// The log as it is read.
    static let readCases: [ConformanceCase] = [
        ConformanceCase(
            "read.empty-stream",
            "A stream nobody has used is empty: nothing newest, offset 1 the oldest to expect, and one epoch.",
            covers: ["P-18"]
        ) { bench in
            try await bench.withNodes(1) { nodes in
                let extent = try await nodes[0].driver.extent(of: .first)
                let seen = "the extent of an empty stream is \(extent.oldest)…\(extent.newest)"
                try bench.expect(extent.newest == .beginning && extent.oldest == Offset(1), seen)
                let page = try await nodes[0].driver.read(.first, after: .beginning, limitBytes: 1_000)
                let isEmpty = page.records.isEmpty && page.newest == .beginning && page.oldest == Offset(1)
                try bench.expect(isEmpty, "the page has \(page.records.count) of \(page.oldest)…\(page.newest)")
                try bench.expect(page.epoch == extent.epoch, "page and extent name other epochs")
                let again = try await nodes[0].driver.extent(of: .first)
                try bench.expect(again == extent, "asked again, the extent was another one")
            }
        },
        ConformanceCase(
            "read.after", "A read returns what lies behind the place asked for, and nothing at or beyond the newest.",
            covers: ["P-18", "P-19"], needs: [.replays]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                let sent = (0..<20).map { Payload.text("record \($0)") }
                try await nodes[0].writer.append(sent)
                let all = try await bench.readAll(nodes[1].driver)
                try bench.expect(all, toBe: sent, at: "reading from the beginning")
                for index in 0..<20 {
                    let page = try await nodes[1].driver.read(.first, after: all[index].offset, limitBytes: 1 << 20)
                    let behind = Array(all[(index + 1)...])
                    let seen = "behind \(all[index].offset) there are \(behind.count) records, and the page has "
                    try bench.expect(
                        page.records == behind,
                        seen + "\(page.records.count), at \(page.records.map(\.offset.rawValue))"
                    )
                    try bench.expect(page.newest == all[19].offset, "the page names \(page.newest) as the newest")
                    try bench.expect(page.oldest <= all[0].offset, "the page names \(page.oldest) as the oldest")
                }
                let future = Offset(all[19].offset.rawValue + 100)
                let page = try await nodes[1].driver.read(.first, after: future, limitBytes: 1_000)
                let isRight = page.records.isEmpty && page.newest == all[19].offset
                try bench.expect(isRight, "behind \(future), in the future, there are \(page.records.count) records")
            }
        },
        ConformanceCase(
            "read.page-limit",
            "A page holds at most the bytes asked for, but one record at least if there is any; pages join seamlessly.",
            covers: ["F-61"], needs: [.replays]
        ) { bench in
            try await bench.withNodes(1) { nodes in
                let large = min(5_000, bench.guarantees.largestRecordBytes)
                let sent = (0..<40).map { Payload.pattern($0 % 7 == 0 ? large : 100, seed: $0) }
                try await nodes[0].writer.append(sent)
                for limit in [0, 1, 99, 100, 101, 250, large, large + 100, 12_000] {
                    var after = Offset.beginning
                    var records: [StoredRecord] = []
                    while records.count < sent.count {
                        let page = try await nodes[0].driver.read(.first, after: after, limitBytes: limit)
                        let bytes = page.records.reduce(0) { $0 + $1.bytes.readableBytes }
                        try bench.expect(
                            !page.records.isEmpty, "limit \(limit): an empty page before the end of the log")
                        try bench.expect(
                            bytes <= limit || page.records.count == 1,
                            "limit \(limit): a page of \(page.records.count) records and \(bytes) bytes"
                        )
                        records += page.records
                        after = page.records.last?.offset ?? after
                    }
                    try bench.expect(records, toBe: sent, at: "pages of \(limit) bytes")
                }
            }
        },
        ConformanceCase(
            "read.trimmed",
            "A log that has dropped its oldest records says so: in extents and in pages, to the record.",
            covers: ["P-18", "F-63", "B-13"], needs: [.replays, .limitedRetention], retainedCount: 50
        ) { bench in
            try await bench.withNodes(1) { nodes in
                let sent = (0..<1_000).map { Payload.text("record \($0)", padTo: 200) }
                for start in stride(from: 0, to: 1_000, by: 20) {
                    try await nodes[0].writer.append(Array(sent[start..<start + 20]))
                }
                let extent = try await nodes[0].driver.extent(of: .first)
                try bench.expect(
                    extent.oldest > Offset(1), "1 000 records, 50 to retain, and the oldest is still the first")
                let page = try await nodes[0].driver.read(.first, after: .beginning, limitBytes: 100)
                let seen = "the extent names \(extent.oldest) as the oldest, the page \(page.oldest), "
                // Where offsets jump, the oldest is the lowest offset of which nothing was dropped.
                let mayJump = bench.guarantees.counting == .withJumps
                let isOldest = { (offset: Offset?) in
                    offset == extent.oldest || mayJump && offset.map { $0 > extent.oldest } == true
                }
                try bench.expect(
                    page.oldest == extent.oldest && isOldest(page.records.first?.offset),
                    seen + "and begins at \(page.records.first.map { "\($0.offset)" } ?? "nothing")"
                )
                let edge = Offset(extent.oldest.rawValue - 1)
                let rest = try await bench.readAll(nodes[0].driver, after: edge)
                try bench.expect(isOldest(rest.first?.offset), "reading at the trimmed edge skips records")
                try bench.expect(rest, toBe: Array(sent.suffix(rest.count)), at: "what is retained")
            }
        },
        ConformanceCase(
            "extent.true",
            "An extent is the store's, at the time of asking: what other nodes appended before is in it.",
            covers: ["P-26"]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                for number in 1...30 {
                    let place = try await nodes[number % 2].writer.append(Payload.text("record \(number)"))
                    for node in nodes {
                        let extent = try await node.driver.extent(of: .first)
                        try bench.expect(
                            extent.newest == place.offset && extent.epoch == place.epoch,
                            "\(place) was just appended, and \(node.name) names \(extent.newest) as the newest"
                        )
                    }
                }
            }
        },
        ConformanceCase(
            "epoch.first-use", "Nodes that use a new stream at the same time agree on one epoch.", covers: ["B-06"],
            streams: 8,
            deadline: .seconds(40)
        ) { bench in
            try await bench.withNodes(4, streams: 8) { nodes in
                for stream in (0..<8).map({ StreamID(UInt16($0)) }) {
                    let uses = nodes.enumerated().map { (index: $0, node: $1) }
                    let epochs = try await withThrowingTaskGroup(of: [Epoch].self) { group in
                        for use in uses {
                            group.addTask {
                                let bytes = Payload.text("\(use.node.name) \(stream)")
                                let place = try await use.node.writer.append(bytes, to: stream)
                                return [place.epoch, try await use.node.driver.extent(of: stream).epoch]
                            }
                            group.addTask {
                                let page = try await use.node.driver.read(stream, after: .beginning, limitBytes: 1_000)
                                return [page.epoch]
                            }
                        }
                        return try await group.reduce(into: Set<Epoch>()) { $0.formUnion($1) }
                    }
                    try bench.expect(epochs.count == 1, "\(stream) began under \(epochs.count) epochs")
                }
            }
        },
        ConformanceCase(
            "epoch.stable",
            "Receipts, pages, extents, deliveries and lives of all nodes, early and late, name the same epoch.",
            covers: ["P-20"]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                let last = Payload.text("second")
                var epochs = [try await nodes[0].writer.append(Payload.text("first")).epoch]
                epochs.append(try await nodes[1].writer.append(last).epoch)
                try await bench.withNodes(1) { late in
                    for node in nodes + late {
                        epochs.append(try await node.driver.extent(of: .first).epoch)
                        epochs.append(try await node.driver.read(.first, after: .beginning, limitBytes: 10).epoch)
                        epochs += node.recorder.now.stretches.compactMap { $0.extents[.first]?.epoch }
                    }
                }
                for node in nodes { epochs += try await node.heard(upTo: last).map(\.epoch) }
                try bench.expect(Set(epochs).count == 1, "\(Set(epochs).count) epochs were named in calm")
            }
        },
    ]
}
