import BusbarDriver
import NIOCore

extension ConformanceKit {
    /// What is appended arrives, unchanged, where it should.
    static let payloadCases: [ConformanceCase] = [
        ConformanceCase(
            "publish.one-subscriber",
            "A record arrives at a following node with its bytes, and with the place its receipt names.",
            covers: ["N-35"]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                let bytes = Payload.text("hello")
                let place = try await nodes[0].writer.append(bytes)
                let heard = try await nodes[1].heard(upTo: bytes)
                try bench.expect(heard, toBe: [bytes], at: "node 2")
                let arrived = Position(stream: .first, epoch: heard[0].epoch, offset: heard[0].record.offset)
                try bench.expect(arrived == place, "the receipt names \(place), the delivery \(arrived)")
            }
        },
        ConformanceCase(
            "publish.own-node", "The node that appends a record is delivered it too, once.", covers: ["N-35"]
        ) { bench in
            try await bench.withNodes(2) { nodes in
                let sent = (1...50).map { Payload.text("own \($0)") }
                for bytes in sent { try await nodes[0].writer.append(bytes) }
                let last = Payload.text("another node's")
                try await nodes[1].writer.append(last)
                try bench.expect(try await nodes[0].heard(upTo: last), toBe: sent + [last], at: "the appending node")
            }
        },
        ConformanceCase(
            "publish.no-subscriber", "An append that nobody follows succeeds, and the record lies in the log.",
            covers: ["B-02"], needs: [.replays], streams: 2
        ) { bench in
            let unfollowed = StreamID(1)
            try await bench.withNodes(1) { nodes in
                try await nodes[0].writer.append(Payload.text("unheard"), to: unfollowed)
                let log = try await bench.readAll(nodes[0].driver, unfollowed)
                try bench.expect(log, toBe: [Payload.text("unheard")], at: "the log")
            }
        },
        ConformanceCase("publish.three-nodes", "Each of three nodes is delivered each record once.", covers: ["N-35"]) {
            bench in
            try await bench.withNodes(3) { nodes in
                let sent = (0..<30).map { Payload.text("record \($0)") }
                for (index, bytes) in sent.enumerated() { try await nodes[index % 3].writer.append(bytes) }
                for node in nodes {
                    try bench.expect(try await node.heard(upTo: sent[29]), toBe: sent, at: node.name)
                }
            }
        },
        ConformanceCase(
            "payload.binary", "All byte values arrive as they are, in any place: NUL, CR and LF, invalid UTF-8.",
            covers: ["F-61"]
        ) { bench in
            var sent = (0...255).map { ByteBuffer(bytes: [UInt8($0)]) }
            sent.append(ByteBuffer(bytes: 0...255))
            sent += [[0, 0, 65, 0], [0xFF, 0xFE, 0xC0, 0x80], [13, 10, 13, 10], [0x1E, 0x1B, 0x5C, 0x27, 0x22]].map {
                ByteBuffer(bytes: $0 as [UInt8])
            }
            try await bench.exchange(sent)
        },
        ConformanceCase(
            "payload.boundaries", "Records of every size up to the largest arrive whole.", covers: ["F-61"],
            deadline: .seconds(60)
        ) { bench in
            let sizes = [
                1, 125, 126, 127, 4_095, 4_096, 7_998, 7_999, 8_000, 8_001, 65_535, 65_536, 131_071, 131_072, 131_073,
                1 << 20, bench.guarantees.largestRecordBytes,
            ]
            let usable = sizes.filter { $0 <= min(bench.guarantees.largestRecordBytes, 64 << 20) }
            try await bench.exchange(usable.enumerated().map { Payload.pattern($1, seed: $0) })
        },
        ConformanceCase(
            "payload.too-large",
            "A record beyond the largest is refused as recordTooLarge for good, and nothing of its batch is stored.",
            covers: ["F-61"]
        ) { bench in
            let limit = bench.guarantees.largestRecordBytes
            guard limit < 64 << 20 else {
                return bench.progress.note("not tried: the largest record is \(limit) bytes")
            }
            try await bench.withNodes(2) { nodes in
                let bad = [Payload.text("innocent"), Payload.pattern(limit + 1)]
                do {
                    try await nodes[0].writer.append(bad)
                    throw LawBroken(seen: "\(limit + 1) bytes were accepted; the largest is \(limit)")
                } catch let error as DriverError {
                    try bench.expect(error.code == .recordTooLarge, "the error's code is \(error.code)")
                    try bench.expect(error.recovery == .giveUp, "the error says that repeating it may help")
                }
                let good = Payload.text("after")
                try await nodes[0].writer.append(good)
                try bench.expect(try await nodes[1].heard(upTo: good), toBe: [good], at: "node 2")
            }
        },
        ConformanceCase(
            "payload.mixed-size-order", "A small record appended after a large one never overtakes it.",
            covers: ["N-51"]
        ) { bench in
            let large = min(600_000, bench.guarantees.largestRecordBytes)
            let sent = (0..<60).map { $0 % 5 == 0 ? Payload.pattern(large, seed: $0) : Payload.text("small \($0)") }
            try await bench.exchange(sent)
        },
        ConformanceCase(
            "payload.equal", "Records with equal bytes, or almost equal ones, are records of their own.",
            covers: ["P-23"]
        ) { bench in
            let same = (0..<20).map { _ in Payload.text("the same", padTo: 100) }
            let similar = (0..<20).map { Payload.text(String(repeating: "s", count: 9_000) + "\($0)") }
            try await bench.withNodes(2) { nodes in
                try await nodes[0].writer.append(same)
                for bytes in similar { try await nodes[0].writer.append(bytes) }
                try bench.expect(try await nodes[1].heard(upTo: similar[19]), toBe: same + similar, at: "node 2")
            }
        },
    ]
}

extension Bench {
    /// Appends `sent` one by one at one node; another is delivered exactly that, and so says the log.
    func exchange(_ sent: [ByteBuffer]) async throws {
        try await self.withNodes(2) { nodes in
            for bytes in sent { try await nodes[0].writer.append(bytes) }
            let last = Payload.text("the end")
            try await nodes[0].writer.append(last)
            try self.expect(try await nodes[1].heard(upTo: last), toBe: sent + [last], at: "node 2")
            guard self.guarantees.replays else { return }
            try self.expect(try await self.readAll(nodes[1].driver), toBe: sent + [last], at: "the log")
        }
    }
}
