import CLoad
import Glibc

/// N subscribers, one publisher, at most W messages published and not yet delivered to everybody.
struct FanOutRun {
    private let peer: Peer
    private let port: UInt16
    private let serverID: Int32
    private let subscriberCount: Int
    private let window: Int
    private let seconds: Int

    init(_ arguments: Arguments) throws {
        self.peer = try Peer(arguments)
        self.port = UInt16(try arguments.number("port"))
        self.serverID = Int32(try arguments.number("pid"))
        self.subscriberCount = try arguments.number("subscribers", default: 1000)
        self.window = try arguments.number("window", default: 1)
        self.seconds = try arguments.number("seconds", default: 4)
    }

    /// Connects, warms up for one second, measures, writes one line.
    /// - Throws: when the server refuses, hangs for ten seconds, or loses, repeats or reorders a message.
    func measure() throws {
        guard let crowd = crowd_create(UInt32(self.subscriberCount + 1), 4096) else { throw LoadError("no memory") }
        defer { crowd_destroy(crowd) }
        let others = self.peer == .busbar ? self.subscriberCount - 1 : self.subscriberCount
        for _ in 0..<others {
            _ = try LoadError.check(
                crowd_connect(crowd, self.port, 0, self.peer.greeting, self.peer.path), "subscriber")
        }
        let publisher = try self.peer.connectPublisher(to: crowd, port: self.port)
        try self.publish(seconds: 1, crowd, publisher)
        let cpu = try self.publish(seconds: self.seconds, crowd, publisher)
        self.report(crowd, cpu: cpu)
    }

    /// Publishes for so many seconds and waits until everybody has everything. Returns the server's CPU nanoseconds.
    @discardableResult
    private func publish(seconds: Int, _ crowd: OpaquePointer, _ publisher: Int32) throws -> UInt64 {
        crowd_expect(crowd, UInt32(self.subscriberCount))
        let cpuBefore = process_cpu(self.serverID)
        let end = monotonic_now() + UInt64(seconds) * 1_000_000_000
        let deadline = end + 10_000_000_000
        var published = 0
        var bytes: [CChar] = []
        while true {
            let now = monotonic_now()
            let complete = Int(crowd_tally(crowd).complete)
            if now >= end, complete == published { break }
            guard now < deadline else {
                throw LoadError("\(published - complete) of \(published) messages are incomplete after ten seconds")
            }
            if now < end, published - complete < self.window {
                bytes.removeAll(keepingCapacity: true)
                while published - complete < self.window {
                    self.peer.appendPublication(UInt32(published), to: &bytes)
                    crowd_published(crowd, UInt32(published))
                    published += 1
                }
                _ = try LoadError.check(crowd_send(crowd, publisher, bytes, UInt32(bytes.count)), "publishing")
            }
            _ = try LoadError.check(crowd_poll(crowd, 100), "receiving")
        }
        let tally = crowd_tally(crowd)
        guard tally.misplaced == 0, Int(tally.deliveries) == published * self.subscriberCount else {
            throw LoadError("\(tally.deliveries) deliveries, \(tally.misplaced) lost, repeated or out of order")
        }
        return process_cpu(self.serverID) - cpuBefore
    }

    private func report(_ crowd: OpaquePointer, cpu: UInt64) {
        let tally = crowd_tally(crowd)
        let wall = Double(tally.ended - tally.started) / 1e9
        let cpuSeconds = Double(cpu) / 1e9
        let values = [
            "peer=\(self.peer.rawValue)", "subscribers=\(self.subscriberCount)", "window=\(self.window)",
            "deliveries=\(tally.deliveries)", "wall_s=\(Self.rounded(wall))", "cpu_s=\(Self.rounded(cpuSeconds))",
            "per_cpu_s=\(Int(Double(tally.deliveries) / cpuSeconds))", "per_s=\(Int(Double(tally.deliveries) / wall))",
            "p50_ms=\(Self.rounded(Double(crowd_latency(crowd, 0.5)) / 1e6))",
            "p99_ms=\(Self.rounded(Double(crowd_latency(crowd, 0.99)) / 1e6))",
        ]
        puts(values.joined(separator: " "))
    }

    private static func rounded(_ value: Double) -> Double {
        (value * 100).rounded() / 100
    }
}
