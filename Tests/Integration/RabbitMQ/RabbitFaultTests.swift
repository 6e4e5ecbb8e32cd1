import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarRabbitMQ
import NIOCore
import Testing

@Suite(
    "faults of a real RabbitMQ", .serialized, .enabled(if: rabbitIsWanted), .timeLimit(.minutes(5)), .sharedRabbit)
struct RabbitFaultTests {
    @Test("who isn't let in, finds no virtual host or other arguments is told what is wrong, without the password")
    func refused() async throws {
        let broker = try #require(SharedRabbit.broker)
        let (host, app) = (broker.url.hostAndPort, "app=refused")
        let cases = [
            ("amqp://guest:wrong-secret@\(host)/?\(app)", DriverError.Code.unauthorized, "ACCESS_REFUSED"),
            ("amqp://nobody:wrong-secret@\(host)/?\(app)", .unauthorized, "ACCESS_REFUSED"),
            ("amqp://guest:guest@\(host)/nowhere?\(app)", .rejected, "vhost nowhere not found"),
        ]
        for (url, code, words) in cases {
            let error = await Self.ending(of: url)
            #expect(error?.code == code && error?.recovery == .giveUp)
            #expect(error?.detail.contains(words) == true, "\(error?.detail ?? "it runs")")
            #expect(error?.description.contains("wrong-secret") == false)
        }
        try await broker.add(user: "reader", password: "reader-secret")
        try await broker.allow("reader", configure: "^$", write: "^$", read: ".*")
        let error = await Self.ending(of: "amqp://reader:reader-secret@\(host)/?\(app)")
        #expect(error?.code == .unauthorized && error?.detail.contains("busbar.*") == true)

        try await withNode("\(broker.url.text)?\(app)") { node in
            let other = await Self.ending(of: "\(broker.url.text)?\(app)&retainedBytes=8000000")
            #expect(other?.code == .rejected)
            let words = ["received '8000000'", "current is '67108864'", "retainedBytes"]
            for word in words { #expect(other?.detail.contains(word) == true, "\(other?.detail ?? "it runs")") }
            _ = try await node.driver.append(batch(1, "x"), to: stream)
        }
    }

    @Test("of several hosts of a cluster one that is away is passed by, at the start and later")
    func severalHosts() async throws {
        let broker = try #require(SharedRabbit.broker)
        let alive = broker.url.hostAndPort
        // Why port 1: nobody listens there.
        for (app, hosts) in [("later", "127.0.0.1:1,\(alive)"), ("first", "\(alive),127.0.0.1:1")] {
            let url = "amqp://guest:guest@\(hosts)/?app=\(app)&backOffCeiling=200"
            try await withNode(url) { node in
                for round in 1...3 as ClosedRange<UInt64> {
                    let lives = node.inbox.liveCount
                    try await broker.faults.inject(.cutLinks)
                    try await node.inbox.wait { $0.lives > lives }
                    _ = try await stubbornly {
                        try await node.driver.append(batch(round, "\(round)"), to: stream)
                    }
                }
                try await node.inbox.wait { Set($0.texts) == ["1", "2", "3"] }
            }
        }
    }

    @Test("F-60 what others write into a queue is passed over; the newest record stays the newest")
    func foreignMessages() async throws {
        let broker = try #require(SharedRabbit.broker)
        try await withNode("\(broker.url.text)?app=foreign") { node in
            let first = try await node.driver.append(batch(1, "a", "b"), to: stream).last
            let publish =
                "rabbit_basic:publish(rabbit_misc:r(<<\"/\">>, exchange, <<>>), <<\"busbar.foreign.0\">>, [], <<\"junk\">>)"
            for _ in 0..<3 { try await broker.evaluate(publish) }
            try await node.until { extent in extent.newest == first.offset }
            let second = try await node.driver.append(batch(2, "c"), to: stream).last
            #expect(second.epoch == first.epoch && second.offset > first.offset)
            let page = try await node.driver.read(stream, after: .beginning, limitBytes: 1_000)
            #expect(page.records.map { String(buffer: $0.bytes) } == ["a", "b", "c"])
            try await node.inbox.hear(3)
            #expect(node.inbox.texts == ["a", "b", "c"])
        }
    }

    @Test("F-66 a memory alarm is a health state and back-pressure; when it is lifted, everything arrives")
    func alarm() async throws {
        let broker = try #require(SharedRabbit.broker)
        try await withNode("\(broker.url.text)?app=alarm&requestLimit=1000") { node in
            _ = try await node.driver.append(batch(1, "before"), to: stream)
            var (writes, lives): (UInt64, Int) = (1, 0)
            try await broker.refusing {
                var refusal: DriverError?
                // Why several: the broker says that it takes no more when the next message reaches it.
                while refusal?.code != .overloaded, writes < 50 {
                    writes += 1
                    do throws(DriverError) { _ = try await node.driver.append(batch(writes, "x"), to: stream) } catch {
                        refusal = error
                        #expect(error.recovery != .giveUp)
                    }
                }
                #expect(refusal?.code == .overloaded && refusal?.detail.contains("memory") == true)
                #expect(node.inbox.lastInterruption?.code == .overloaded)
                // Reading goes on meanwhile.
                let page = try await node.driver.read(stream, after: .beginning, limitBytes: 1_000)
                #expect(page.records.count >= 1)
                lives = node.inbox.liveCount
            }
            try await node.inbox.wait { $0.lives > lives }
            _ = try await node.driver.append(batch(writes + 1, "after"), to: stream)
            try await node.inbox.wait { $0.texts.last == "after" }
        }
    }

    @Test("rights that are withdrawn are reported; the link comes back when they do")
    func rightsWithdrawn() async throws {
        let broker = try #require(SharedRabbit.broker)
        let own = "^busbar"
        try await broker.add(user: "node", password: "node-secret")
        try await broker.allow("node", configure: own, write: own, read: own)
        let url = "amqp://node:node-secret@\(broker.url.hostAndPort)/?app=rights&backOffCeiling=300"
        try await withNode(url) { node in
            _ = try await node.driver.append(batch(1, "before"), to: stream)
            try await broker.allowNothing("node")
            // Channels remember rights; a new one doesn't.
            try await broker.faults.inject(.cutLinks)
            try await node.inbox.wait {
                $0.interruptions.contains { $0.code == .unauthorized || $0.code == .rejected }
            }
            let lives = node.inbox.liveCount
            try await broker.allow("node", configure: own, write: own, read: own)
            try await node.inbox.wait { $0.lives > lives }
            _ = try await node.driver.append(batch(2, "after"), to: stream)
            try await node.inbox.wait { $0.texts.last == "after" }
            #expect(node.inbox.texts == ["before", "after"])
        }
    }

    @Test(
        "P-20 a queue that is deleted again and again under everybody's hands has a new epoch each time, and one only")
    func deleted() async throws {
        let broker = try #require(SharedRabbit.broker)
        let url = "\(broker.url.text)?app=deleted&backOffCeiling=200"
        try await withNode(url) { one in
            try await withNode(url) { other in
                var epochs: Set<Epoch> = []
                for round in 1...3 as ClosedRange<UInt64> {
                    let place = try await stubbornly {
                        try await one.driver.append(batch(round, "\(round)"), to: stream).last
                    }
                    try await other.until { $0.epoch == place.epoch }
                    try await one.until { $0.epoch == place.epoch }
                    epochs.insert(place.epoch)
                    try await broker.delete(queue: "busbar.deleted.0")
                }
                #expect(epochs.count == 3)
            }
        }
    }
}
