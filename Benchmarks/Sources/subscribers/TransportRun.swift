import CLoad
import Glibc

/// Classic clients of one transport, and a broadcast each second that every one of them has to get once and in order.
struct TransportRun {
    private let name: String
    private let transport: classic_transport
    private let port: UInt16
    private let serverID: Int32
    private let clientCount: Int
    private let seconds: Int

    init(_ arguments: Arguments) throws {
        self.name = try arguments.text("transport")
        switch self.name {
        case "webSockets": self.transport = CLASSIC_WEBSOCKETS
        case "serverSentEvents": self.transport = CLASSIC_SERVER_SENT_EVENTS
        case "longPolling": self.transport = CLASSIC_LONG_POLLING
        default: throw LoadError("--transport is webSockets, serverSentEvents or longPolling, not \(self.name)")
        }
        self.port = UInt16(try arguments.number("port"))
        self.serverID = Int32(try arguments.number("pid"))
        self.clientCount = try arguments.number("clients", default: 2_000)
        self.seconds = try arguments.number("seconds", default: 60)
    }

    /// Connects everybody, broadcasts, writes one line.
    /// - Throws: when a client is refused or cut off, or misses a message or gets one twice or too early.
    func measure() throws {
        guard let crowd = crowd_create(UInt32(self.clientCount + 1), 4096) else { throw LoadError("no memory") }
        defer { crowd_destroy(crowd) }
        let before = try ProcessMemory(processID: self.serverID)
        for index in 0..<self.clientCount {
            _ = try LoadError.check(crowd_connect_classic(crowd, self.port, self.transport), "client \(index)")
            // Why: a client that has just connected is told its groups, and polls again.
            _ = try LoadError.check(crowd_poll(crowd, 0), "connecting")
        }
        // One more, of the core generation, which broadcasts and hears it like everybody.
        let publisher = try Peer.busbar.connectPublisher(to: crowd, port: self.port)
        try self.listen(until: monotonic_now() + 2_000_000_000, crowd)

        crowd_expect(crowd, UInt32(self.clientCount + 1))
        let polls = crowd_polls(crowd)
        let cpu = process_cpu(self.serverID)
        let start = monotonic_now()
        for number in 0..<self.seconds {
            var bytes: [CChar] = []
            Peer.busbar.appendPublication(UInt32(number), to: &bytes)
            crowd_published(crowd, UInt32(number))
            _ = try LoadError.check(crowd_send(crowd, publisher, bytes, UInt32(bytes.count)), "broadcasting")
            try self.listen(until: start + UInt64(number + 1) * 1_000_000_000, crowd)
        }
        let used = process_cpu(self.serverID) - cpu
        let after = try ProcessMemory(processID: self.serverID)
        let pollsMade = crowd_polls(crowd) - polls
        // Why longer: whoever is late has until then, and whatever came twice shows.
        try self.listen(until: monotonic_now() + 5_000_000_000, crowd)
        try self.check(crowd)
        self.report(crowd, cpu: used, before, after, polls: pollsMade)
    }

    private func listen(until end: UInt64, _ crowd: OpaquePointer) throws {
        while true {
            let now = monotonic_now()
            guard now < end else { return }
            _ = try LoadError.check(crowd_poll(crowd, Int32((end - now) / 1_000_000 + 1)), "receiving")
        }
    }

    private func check(_ crowd: OpaquePointer) throws {
        let tally = crowd_tally(crowd)
        let wanted = self.seconds * (self.clientCount + 1)
        guard tally.misplaced == 0, Int(tally.deliveries) == wanted, Int(tally.complete) == self.seconds else {
            throw LoadError(
                "\(self.name): \(tally.deliveries) deliveries instead of \(wanted), \(tally.misplaced) of them repeated or"
                    + " after a gap, \(tally.complete) of \(self.seconds) broadcasts complete")
        }
    }

    private func report(
        _ crowd: OpaquePointer, cpu: UInt64, _ before: ProcessMemory, _ after: ProcessMemory, polls: UInt64
    ) {
        let values = [
            "transport=\(self.name)", "clients=\(self.clientCount)", "broadcasts=\(self.seconds)",
            "deliveries=\(crowd_tally(crowd).deliveries)", "missed_or_repeated=0",
            "cpu_s=\(Self.rounded(Double(cpu) / 1e9))",
            "cpu_us_each=\(Self.rounded(Double(cpu) / 1e3 / Double(crowd_tally(crowd).deliveries)))",
            "rss_mib=\(Self.rounded(after.mebibytes(.resident)))",
            "pss_mib=\(Self.rounded(after.mebibytes(.proportional)))",
            "private_kib_each=\(Self.rounded(Double(after[.private] - before[.private]) / 1024 / Double(self.clientCount)))",
            "polls=\(polls)",
            "p50_ms=\(Self.rounded(Double(crowd_latency(crowd, 0.5)) / 1e6))",
            "p99_ms=\(Self.rounded(Double(crowd_latency(crowd, 0.99)) / 1e6))",
        ]
        puts(values.joined(separator: " "))
    }

    private static func rounded(_ value: Double) -> Double {
        (value * 100).rounded() / 100
    }
}
