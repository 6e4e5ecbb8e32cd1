import Busbar
import BusbarDriver
import NIOCore

extension ConformanceKit {
    /// What a bus makes of the driver: order, completeness and cursors.
    static let flowCases: [ConformanceCase] = [
        ConformanceCase(
            "bus.flow", "Messages of several publishers arrive on every node once, in one order, and without a gap.",
            covers: ["B-15", "N-35", "N-51", "P-21"]
        ) { bench in
            try await bench.withBuses(3) { buses in
                var listeners: [Listener] = []
                for bus in buses { listeners.append(try await bench.subscribe(["a", "b"], on: bus)) }
                try await bench.concurrently(Array(0..<6)) { writer in
                    for number in 0..<500 {
                        let topic = number % 2 == 0 ? "a" : "b"
                        try await bench.publish("\(writer): \(number)", to: topic, on: buses[writer % 3])
                    }
                }
                try await bench.publish("end", to: "a", on: buses[0])
                let first = try await listeners[0].hear(upTo: "end")
                for writer in 0..<6 {
                    let own = first.filter { $0.hasPrefix("\(writer): ") }
                    try bench.expect(
                        own, toBe: (0..<500).map { "\(writer): \($0)" }, at: "publisher \(writer) at node 1")
                }
                for (index, listener) in listeners.enumerated().dropFirst() {
                    try bench.expect(
                        try await listener.hear(upTo: "end"), toBe: first, at: "node \(index + 1) beside node 1")
                }
            }
        },
        ConformanceCase(
            "bus.mixed-size-order", "A small message published after a large one never overtakes it.", covers: ["N-51"]
        ) { bench in
            try await bench.withBuses(2) { buses in
                let listener = try await bench.subscribe(["t"], on: buses[1])
                let large = min(300_000, bench.guarantees.largestRecordBytes - 200)
                let sent = (0..<40).map { "\($0) " + String(repeating: "x", count: $0 % 5 == 0 ? large : 5) }
                for text in sent { try await bench.publish(text, to: "t", on: buses[0]) }
                try bench.expect(try await listener.hear(upTo: sent[39]), toBe: sent, at: "node 2")
            }
        },
        ConformanceCase(
            "order.slow-handler", "A subscriber that doesn't take what waits for it delays nobody else.",
            covers: ["O-33", "N-44"]
        ) { bench in
            try await bench.withBuses(2) { buses in
                let slow = try await bench.subscribe(["t"], on: buses[1])
                let quick = try await bench.subscribe(["t"], on: buses[1])
                let sent = (0..<500).map { "message \($0)" }
                for text in sent { try await bench.publish(text, to: "t", on: buses[0]) }
                try bench.expect(try await quick.hear(upTo: "message 499"), toBe: sent, at: "the quick subscriber")
                try bench.expect(try await slow.hear(upTo: "message 499"), toBe: sent, at: "the slow subscriber")
            }
        },
        ConformanceCase(
            "position.from-cursor",
            "A cursor resumes on any node, one that started later too, with exactly what came after it.",
            covers: ["B-05"], needs: [.replays]
        ) { bench in
            var configuration = BusConfiguration.watchful
            configuration.farmKey = FarmKey(secret: "the conformance kit's secret")
            try await bench.withBuses(1, configuration) { early in
                let listener = try await bench.subscribe(["t"], on: early[0])
                for number in 0..<100 { try await bench.publish("\(number)", to: "t", on: early[0]) }
                try await listener.hear(upTo: "99")
                let cursor = listener.cursor
                for number in 100..<400 {
                    try await bench.publish("\(number)", to: number % 3 == 0 ? "other" : "t", on: early[0])
                }
                let right = (100..<400).filter { $0 % 3 != 0 }.map(String.init) + ["end"]
                try await bench.withBuses(1, configuration) { late in
                    let resumed = [
                        try await bench.subscribe(["t"], on: early[0], from: cursor),
                        try await bench.subscribe(["t"], on: late[0], from: cursor),
                    ]
                    try await bench.publish("end", to: "t", on: late[0])
                    for (listener, place) in zip(resumed, ["the same node", "a later node"]) {
                        try bench.expect(try await listener.hear(upTo: "end"), toBe: right, at: "resumed on \(place)")
                    }
                }
            }
        },
        ConformanceCase(
            "position.idle-no-skip", "What was published between two waits, by anybody, is not skipped.",
            covers: ["B-01", "B-16"]
        ) { bench in
            try await bench.withBuses(2) { buses in
                var cursor: Cursor?
                for round in 0..<20 {
                    let listener = try await bench.subscribe(["t"], on: buses[1], from: cursor)
                    try await bench.publish("\(round)", to: "t", on: buses[0])
                    try bench.expect(
                        try await listener.hear(upTo: "\(round)"), toBe: ["\(round)"], at: "wait \(round + 1)")
                    cursor = listener.cursor
                    listener.subscription.cancel()
                }
            }
        },
        ConformanceCase(
            "position.refused",
            "A cursor from the future of another farm, or no cursor at all, brings one gap and then what comes.",
            covers: ["B-06", "B-07", "P-19"]
        ) { bench in
            try await bench.withBuses(2) { buses in
                // Why a witness: then the other node has passed this message when the others subscribe.
                let witness = try await bench.subscribe(["t"], on: buses[1])
                try await bench.publish("before", to: "t", on: buses[0])
                try await witness.hear(upTo: "before")
                for text in ["", "no cursor", "AQEBAAAAAAAAAAAAAQ", String(repeating: "A", count: 9_000)] {
                    let listener = try await bench.subscribe(["t"], on: buses[1], from: Cursor(text: text))
                    try await bench.publish("after", to: "t", on: buses[0])
                    try await listener.listen(for: "a gap and a message") { $0.lastText == "after" }
                    try bench.expect(
                        listener.gaps.count == 1 && listener.texts == ["after"],
                        "\"\(text.prefix(20))\" brought \(listener.gaps.count) gaps, \(listener.texts.count) messages"
                    )
                    listener.subscription.cancel()
                }
            }
        },
        ConformanceCase(
            "position.trimmed", "A cursor older than what is retained brings a gap, then what is left.",
            covers: ["P-18", "F-63"],
            needs: [.replays, .limitedRetention], retainedCount: 20
        ) { bench in
            var configuration = BusConfiguration.watchful
            configuration.windowCount = 10
            try await bench.withBuses(1, configuration) { buses in
                let listener = try await bench.subscribe(["t"], on: buses[0])
                try await bench.publish("first", to: "t", on: buses[0])
                try await listener.hear(upTo: "first")
                for number in 0..<600 {
                    try await bench.publish("\(number)" + String(repeating: ".", count: 200), to: "t", on: buses[0])
                }
                let resumed = try await bench.subscribe(["t"], on: buses[0], from: listener.cursor)
                try await bench.publish("end", to: "t", on: buses[0])
                try await resumed.listen(for: "the end") { $0.lastText == "end" }
                try bench.expect(
                    !resumed.gaps.isEmpty, "\(resumed.texts.count) of 601 messages came, and no gap was reported")
                let numbers = resumed.texts.dropLast().compactMap { Int($0.prefix { $0 != "." }) }
                let isSuffix = numbers == Array(600 - numbers.count..<600)
                try bench.expect(isSuffix, "what came isn't the end of what was published")
            }
        },
        ConformanceCase(
            "bus.poison", "Bytes that no bus wrote cost one gap and nothing else.", covers: ["F-60"]
        ) { bench in
            try await bench.withNodes(1) { nodes in
                try await bench.withBuses(2) { buses in
                    let listener = try await bench.subscribe(["t"], on: buses[1])
                    try await bench.publish("before", to: "t", on: buses[0])
                    let poison = [
                        ByteBuffer(bytes: [0xB5]), ByteBuffer(bytes: [0xB5, 99, 1, 2]), Payload.pattern(5_000),
                    ]
                    for bytes in poison { try await nodes[0].writer.append(bytes) }
                    try await bench.publish("after", to: "t", on: buses[0])
                    try await listener.listen(for: "what follows the poison") { $0.lastText == "after" }
                    try bench.expect(listener.texts, toBe: ["before", "after"], at: "node 2")
                }
            }
        },
    ]
}
