import CLoad
import Glibc

/// Many connections that do nothing, and what they cost the server in private memory.
struct IdleRun {
    private let peer: Peer
    private let port: UInt16
    private let serverID: Int32
    private let connectionCount: Int
    private let seconds: Int

    init(_ arguments: Arguments) throws {
        self.peer = try Peer(arguments)
        self.port = UInt16(try arguments.number("port"))
        self.serverID = Int32(try arguments.number("pid"))
        self.connectionCount = try arguments.number("connections", default: 10_000)
        self.seconds = try arguments.number("seconds", default: 12)
    }

    /// Connects a first hundred (so that what is built on first use is not counted), then the rest, lets the server
    /// settle, writes one line.
    func measure() throws {
        let warming = 100
        guard let crowd = crowd_create(UInt32(self.connectionCount + warming), 1) else { throw LoadError("no memory") }
        defer { crowd_destroy(crowd) }
        try self.connect(warming, crowd)
        try self.stayIdle(seconds: 2, crowd)
        let before = try ProcessMemory(processID: self.serverID)
        let cpuBefore = process_cpu(self.serverID)
        let start = monotonic_now()
        try self.connect(self.connectionCount, crowd)
        let connecting = Double(monotonic_now() - start) / 1e9
        let cpu = Double(process_cpu(self.serverID) - cpuBefore) / 1e3 / Double(self.connectionCount)
        try self.stayIdle(seconds: self.seconds, crowd)
        let after = try ProcessMemory(processID: self.serverID)
        let each = (after[.private] - before[.private]) / self.connectionCount
        puts(
            "peer=\(self.peer.rawValue) connections=\(self.connectionCount) bytes_each=\(each) "
                + "accept_cpu_us=\(Int(cpu)) connect_s=\((connecting * 100).rounded() / 100)")
    }

    private func connect(_ count: Int, _ crowd: OpaquePointer) throws {
        for index in 0..<count {
            // Why: four source addresses, so that the ports of one need not suffice.
            let connection = crowd_connect(
                crowd, self.port, UInt8(2 + index % 4), self.peer.greeting, self.peer.path)
            _ = try LoadError.check(connection, "connection \(index)")
        }
    }

    private func stayIdle(seconds: Int, _ crowd: OpaquePointer) throws {
        let end = monotonic_now() + UInt64(seconds) * 1_000_000_000
        while monotonic_now() < end {
            _ = try LoadError.check(crowd_poll(crowd, 200), "idling")
        }
    }
}
