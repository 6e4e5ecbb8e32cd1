import Busbar
import BusbarDriver
import NIOCore

extension ConformanceKit {
    /// What a bus makes of the driver: topics and subscriptions.
    static let topicCases: [ConformanceCase] = [
        ConformanceCase(
            "bus.payload-boundaries",
            "Messages of every size arrive on another node; beyond the largest they are refused as too large.",
            covers: ["F-61", "O-29"]
        ) { bench in
            try await bench.withBuses(2) { buses in
                let listener = try await bench.subscribe(["sizes"], on: buses[1])
                let largest = min(bench.guarantees.largestRecordBytes, 4 << 20) - 200
                let sizes = [0, 1, 125, 126, 7_950, 7_998, 8_000, 8_001, 65_000, 65_536, largest].filter {
                    $0 <= largest
                }
                let sent = sizes.map { String(repeating: "x", count: $0) }
                for text in sent { try await bench.publish(text, to: "sizes", on: buses[0]) }
                if bench.guarantees.largestRecordBytes <= 64 << 20 {
                    let tooLarge = Payload.pattern(bench.guarantees.largestRecordBytes + 1)
                    do {
                        try await buses[0].publish(tooLarge, to: Topic("sizes"))
                        throw LawBroken(seen: "a message larger than the largest record was accepted")
                    } catch let error as BusError {
                        try bench.expect(error.code == .messageTooLarge, "it was refused as \(error.code)")
                    }
                }
                try await bench.publish("end", to: "sizes", on: buses[0])
                try bench.expect(try await listener.hear(upTo: "end"), toBe: sent + ["end"], at: "node 2")
            }
        },
        ConformanceCase(
            "topic.isolation", "A subscriber gets its topics and no other, however alike the names.", covers: ["F-62"],
            streams: 3
        ) { bench in
            let names = [
                "room", "Room", "room ", "roo", "room1", "room.1", "room*", "*", ">", "#", "room/#", "%", "_",
                "'; drop", "",
                String(repeating: "p", count: 100), String(repeating: "p", count: 99) + "q", "é", "e\u{301}", "🚌",
                "a\0b",
            ]
            try await bench.inStreams(3) { buses in
                var listeners: [Listener] = []
                for name in names { listeners.append(try await bench.subscribe([name], on: buses[1])) }
                for name in names {
                    try await bench.publish("to \(name.utf8.map(String.init))", to: name, on: buses[0])
                }
                for name in names { try await bench.publish("end", to: name, on: buses[0]) }
                for (name, listener) in zip(names, listeners) {
                    let right = ["to \(name.utf8.map(String.init))", "end"]
                    try bench.expect(
                        try await listener.hear(upTo: "end"), toBe: right, at: "topic \"\(name.prefix(20))\"")
                }
            }
        },
        ConformanceCase(
            "topic.many", "Thousands of topics at once, each with its own message.", covers: ["B-14"], streams: 4
        ) {
            bench in
            try await bench.inStreams(4) { buses in
                let names = (0..<3_000).map { "topic \($0)" }
                let even = try await bench.subscribe(names, on: buses[1])
                let every = stride(from: 0, to: 3_000, by: 100).map { names[$0] }
                try await bench.concurrently(Array(0..<10)) { part in
                    for number in every.indices where number % 10 == part {
                        try await bench.publish("for \(every[number])", to: every[number], on: buses[0])
                    }
                }
                try await even.listen(for: "30 messages") { $0.textCount >= 30 || !$0.gaps.isEmpty }
                try bench.expect(even.texts.sorted(), toBe: every.map { "for \($0)" }.sorted(), at: "3 000 topics")
            }
        },
        ConformanceCase(
            "subscribe.visible-on-return",
            "A publish that begins after subscribe returned is delivered, whichever node publishes.",
            covers: ["N-39", "B-01"]
        ) { bench in
            try await bench.withBuses(2) { buses in
                for round in 0..<100 {
                    let listener = try await bench.subscribe(["round"], on: buses[1])
                    try await bench.publish("round \(round)", to: "round", on: buses[round % 2])
                    try bench.expect(
                        try await listener.hear(upTo: "round \(round)"), toBe: ["round \(round)"], at: "round \(round)")
                    listener.subscription.cancel()
                }
            }
        },
        ConformanceCase(
            "subscribe.twice", "A topic added twice is delivered once; an unknown one may be removed.",
            covers: ["B-08", "N-42"]
        ) {
            bench in
            try await bench.withBuses(2) { buses in
                let listener = try await bench.subscribe(["a", "a"], on: buses[1])
                try await listener.subscription.add([Topic("a")])
                listener.subscription.remove([Topic("never added")])
                try await bench.publish("one", to: "a", on: buses[0])
                try await bench.publish("end", to: "a", on: buses[1])
                try bench.expect(try await listener.hear(upTo: "end"), toBe: ["one", "end"], at: "topic a")
            }
        },
        ConformanceCase(
            "unsubscribe.stops", "A topic that was removed is silent; others are unaffected.", covers: ["B-08"]
        ) { bench in
            try await bench.withBuses(2) { buses in
                let listener = try await bench.subscribe(["a", "b"], on: buses[1])
                try await bench.publish("a1", to: "a", on: buses[0])
                try await listener.hear(upTo: "a1")
                listener.subscription.remove([Topic("a")])
                try await bench.publish("a2", to: "a", on: buses[0])
                try await bench.publish("end", to: "b", on: buses[0])
                try bench.expect(try await listener.hear(upTo: "end"), toBe: ["a1", "end"], at: "topics a and b")
            }
        },
        ConformanceCase(
            "resubscribe.race", "After a thousand quick additions and removals the last one counts.",
            covers: ["B-11", "N-40"]
        ) {
            bench in
            try await bench.withBuses(2) { buses in
                let listener = try await bench.subscribe(["always"], on: buses[1])
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        for number in 0..<100 { try await bench.publish("load \(number)", to: "toggled", on: buses[0]) }
                    }
                    for _ in 0..<1_000 {
                        try await listener.subscription.add([Topic("toggled")])
                        listener.subscription.remove([Topic("toggled")])
                    }
                    try await group.waitForAll()
                }
                // Why the marker behind it: then the other node has passed it when the topic is added.
                try await bench.publish("unheard", to: "toggled", on: buses[0])
                try await bench.publish("marker", to: "always", on: buses[0])
                try await listener.hear(upTo: "marker")
                try await listener.subscription.add([Topic("toggled")])
                try await bench.publish("heard", to: "toggled", on: buses[0])
                try await bench.publish("end", to: "always", on: buses[0])
                let texts = try await listener.hear(upTo: "end")
                try bench.expect(
                    Array(texts.drop { $0 != "marker" }), toBe: ["marker", "heard", "end"], at: "after the toggling")
            }
        },
        ConformanceCase("apps.apart", "Two apps on one broker never see each other.", covers: ["N-50"]) { bench in
            let other = try await bench.driver.makeApp(AppOptions())
            let result: Result<Void, any Error>
            do {
                try await bench.withNodes(1) { here in
                    try await bench.withNodes(1, on: other) { there in
                        let (mine, theirs) = (Payload.text("here"), Payload.text("there"))
                        try await here[0].writer.append(mine)
                        try await there[0].writer.append(theirs)
                        try bench.expect(try await here[0].heard(upTo: mine), toBe: [mine], at: "this app")
                        try bench.expect(try await there[0].heard(upTo: theirs), toBe: [theirs], at: "the other app")
                    }
                }
                result = .success(())
            } catch {
                result = .failure(error)
            }
            await other.remove()
            try result.get()
        },
        ConformanceCase(
            "topic.churn",
            "Topics that come and go by the thousands deliver what they should while they last, and leave nothing.",
            covers: ["F-65", "B-03"]
        ) { bench in try await bench.churnTopics(10_000) },
    ]
}

extension Bench {
    /// Two buses over that many streams.
    func inStreams(_ count: Int, _ body: ([Bus]) async throws -> Void) async throws {
        var configuration = BusConfiguration.watchful
        configuration.streams = count
        try await self.withBuses(2, configuration, body)
    }
}

extension Bench {
    /// Subscribes to topics, publishes once to each and leaves, a few hundred at a time.
    func churnTopics(_ count: Int) async throws {
        try await self.withBuses(2) { buses in
            let steady = try await self.subscribe(["steady"], on: buses[1])
            let topicCounts = { buses.map { $0.counts.map(\.topics) } }
            let before = topicCounts()
            for first in stride(from: 0, to: count, by: 500) {
                let names = (first..<min(first + 500, count)).map { "room \($0)" }
                let listener = try await self.subscribe(names, on: buses[1])
                try await self.concurrently(names) { try await buses[0].publish(ByteBuffer(string: $0), to: Topic($0)) }
                try await listener.listen(for: "a message on each of \(names.count) topics") {
                    $0.textCount >= names.count || !$0.gaps.isEmpty
                }
                try self.expect(listener.texts.sorted(), toBe: names.sorted(), at: "topics \(first) and on")
                listener.subscription.cancel()
            }
            try await self.publish("still here", to: "steady", on: buses[0])
            try self.expect(try await steady.hear(upTo: "still here"), toBe: ["still here"], at: "a topic that stayed")
            self.doing("waiting for the buses to forget topics that nobody subscribes to")
            while topicCounts() != before { try await Task.sleep(for: .milliseconds(5)) }
        }
    }
}
