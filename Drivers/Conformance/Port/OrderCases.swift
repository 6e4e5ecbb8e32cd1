import BusbarDriver
import NIOCore

extension ConformanceKit {
    /// Everything arrives, once, in order, on every node.
    static let orderCases: [ConformanceCase] = [
        ConformanceCase(
            "order.single-publisher", "What one node appends arrives in that order on every node.", covers: ["N-51"]
        ) {
            bench in
            try await bench.withNodes(2) { nodes in
                let sent = try await bench.flood(nodes[0].writer, count: 3_000)
                for node in nodes {
                    try bench.expect(try await node.heard(upTo: sent[2_999]), toBe: sent, at: node.name)
                }
            }
        },
        ConformanceCase("delivery.complete", "While a link is live no record is left out.", covers: ["N-51", "P-26"]) {
            bench in
            try await bench.withNodes(2) { nodes in
                let sent = try await bench.flood(nodes[1].writer, count: 10_000)
                let last = Payload.text("the end")
                try await nodes[1].writer.append(last)
                for node in nodes {
                    let heard = try await node.heard(upTo: last)
                    let numbers = Set(heard.map(\.record.bytes))
                    let missing = sent.filter { !numbers.contains($0) }
                    try bench.expect(
                        missing.isEmpty,
                        "\(node.name): \(missing.count) of \(sent.count) were left out, the first being "
                            + Payload.described(missing.first)
                    )
                }
            }
        },
        ConformanceCase("delivery.once", "While a link is live no record arrives twice.", covers: ["N-51"]) { bench in
            try await bench.withNodes(2) { nodes in
                let sent = try await bench.flood(nodes[0].writer, count: 5_000)
                for node in nodes {
                    let heard = try await node.heard(upTo: sent[4_999])
                    var seen: Set<Offset> = []
                    let repeats = heard.filter { !seen.insert($0.record.offset).inserted }
                    try bench.expect(
                        repeats.isEmpty,
                        "\(node.name): \(repeats.count) records came again, the first being "
                            + Payload.described(repeats.first?.record.bytes)
                    )
                }
            }
        },
        ConformanceCase(
            "order.many-publishers",
            "With several appending at once, each one's order is kept, and all nodes and the log agree on the whole.",
            covers: ["P-21"]
        ) { bench in
            try await bench.withNodes(4) { nodes in
                try await bench.concurrently(nodes) { node in
                    for number in 0..<200 { try await node.writer.append(Payload.text("\(node.name) \(number)")) }
                }
                let last = Payload.text("the end")
                try await nodes[0].writer.append(last)
                let whole = try await nodes[0].heard(upTo: last).map(\.record)
                try bench.expect(whole, toBe: whole.map(\.bytes), at: "node 1")
                try bench.expect(whole.count == 801, "node 1: \(whole.count) records instead of 801")
                for writer in nodes {
                    let own = whole.map(\.bytes).filter { String(buffer: $0).hasPrefix(writer.name) }
                    let isKept = own == (0..<200).map { Payload.text("\(writer.name) \($0)") }
                    try bench.expect(isKept, "the order of \(writer.name) wasn't kept, or records are missing")
                }
                for node in nodes.dropFirst() {
                    let heard = try await node.heard(upTo: last).map(\.record)
                    try bench.expect(heard == whole, "\(node.name) and node 1 disagree on order or offsets")
                }
                guard bench.guarantees.replays else { return }
                let log = try await bench.readAll(nodes[3].driver)
                try bench.expect(log == whole, "the log's order or offsets are not those of the delivery")
            }
        },
        ConformanceCase(
            "offsets.rise", "Offsets begin at 1 or more, strictly rise, and have no holes where none are declared.",
            covers: ["P-17", "P-24"]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                var places: [Position] = []
                for number in 0..<100 {
                    places.append(try await nodes[number % 2].writer.append(Payload.text("record \(number)")))
                }
                let receipts = places.map { StoredRecord(offset: $0.offset, bytes: ByteBuffer()) }
                try bench.expectOffsets(of: receipts, at: "the receipts")
                try await nodes[0].recorder.wait(for: "100 records") { $0.count(.first) >= 100 }
                let heard = nodes[0].recorder.now.heard(.first)
                try bench.expectOffsets(of: heard.map(\.record), at: "the deliveries")
                try bench.expect(
                    heard.map(\.record.offset) == places.map(\.offset), "receipts and deliveries name other offsets"
                )
            }
        },
        ConformanceCase(
            "streams.apart", "Each of many streams counts for itself; a record never shows up in another one.",
            covers: ["F-62", "B-15"], streams: 17
        ) { bench in
            try await bench.withNodes(2, streams: 16) { nodes in
                let streams = (0..<16).map { StreamID(UInt16($0)) }
                try await nodes[0].writer.append(Payload.text("to an unfollowed stream"), to: StreamID(16))
                for number in 0..<20 {
                    for stream in streams {
                        try await nodes[0].writer.append(Payload.text("\(stream): \(number)"), to: stream)
                    }
                }
                for stream in streams {
                    let sent = (0..<20).map { Payload.text("\(stream): \($0)") }
                    let heard = try await nodes[1].heard(stream, upTo: sent[19])
                    try bench.expect(heard, toBe: sent, at: "\(stream) at node 2")
                }
                let stray = nodes[1].recorder.now.count(StreamID(16))
                try bench.expect(stray == 0, "\(stray) records of a stream that isn't followed were delivered")
            }
        },
        ConformanceCase(
            "live.means-hearing", "What is appended after a node's first live reaches it, however soon.",
            covers: ["N-39"]
        ) { bench in
            try await bench.withNodes(1) { writers in
                for round in 1...20 {
                    try await bench.withNodes(1) { nodes in
                        let bytes = Payload.text("round \(round)")
                        try await writers[0].writer.append(bytes)
                        try bench.expect(try await nodes[0].heard(upTo: bytes), toBe: [bytes], at: "a node just live")
                    }
                }
            }
        },
        ConformanceCase(
            "live.handover",
            "A node that joins under load misses nothing: what its live extent names is logged, the rest is delivered.",
            covers: ["B-16", "N-51"], needs: [.replays]
        ) { bench in
            try await bench.withNodes(1) { writers in
                let traffic = Traffic()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        var number = 0
                        while traffic.isFlowing {
                            try await writers[0].writer.append(Payload.text("record \(number)"))
                            number += 1
                            try await Task.sleep(for: .milliseconds(1))
                        }
                    }
                    do {
                        for round in 1...5 {
                            try await bench.withNodes(1) { nodes in
                                try await nodes[0].recorder.wait(for: "records under load") { $0.count(.first) >= 20 }
                                try await bench.expectHandover(nodes[0], log: writers[0].driver, round: round)
                            }
                        }
                    } catch {
                        group.cancelAll()
                        throw error
                    }
                    traffic.stop()
                    try await group.waitForAll()
                }
            }
        },
    ]
}

extension Bench {
    /// Appends `count` numbered records in batches of changing size.
    func flood(_ writer: Writer, count: Int) async throws -> [ByteBuffer] {
        let sent = (0..<count).map { Payload.text("record \($0)", padTo: 40) }
        var next = 0
        var size = 1
        while next < count {
            let end = min(count, next + size)
            try await writer.append(Array(sent[next..<end]))
            next = end
            size = size % 13 + 3
        }
        return sent
    }

    /// The first record a node was delivered continues its live extent.
    func expectHandover(_ node: Node, log: any BackplaneDriver, round: Int) async throws {
        let stretch = node.recorder.now.stretches[0]
        guard let extent = stretch.extents[.first], let last = stretch.heard[.first]?.last?.record.offset else {
            return
        }
        let heard = (stretch.heard[.first] ?? []).map(\.record).filter { $0.offset > extent.newest }
        let logged = try await self.readAll(log, after: extent.newest, upTo: last)
        self.doing("comparing what was delivered with the log")
        try self.expect(
            heard == logged,
            "round \(round): behind the live extent's newest, \(extent.newest), the log holds \(logged.count) up to "
                + "\(last); \(heard.count) were delivered, the first at \(heard.first.map { "\($0.offset)" } ?? "-")"
        )
    }
}
