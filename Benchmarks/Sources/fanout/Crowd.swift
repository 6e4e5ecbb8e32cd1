import CLoad
import Glibc

/// Clients of one server in this process, drained by a thread of their own.
final class Crowd {
    let connections: Int
    private let clients: OpaquePointer
    private var sequence: UInt32 = 0

    init(port: Int, connections: Int, greeting: greeting, path: String) throws {
        guard let clients = crowd_create(UInt32(connections), 4096) else { throw BenchmarkError("no memory") }
        self.clients = clients
        self.connections = connections
        for _ in 0..<connections {
            let connection = crowd_connect(clients, UInt16(port), 0, greeting, path)
            guard connection >= 0 else {
                crowd_destroy(clients)
                throw BenchmarkError("connecting: \(String(cString: strerror(-connection)))")
            }
        }
        crowd_expect(clients, UInt32(connections))
        crowd_start(clients)
    }

    /// The texts of the next messages; every message must reach every connection, in order.
    func nextTexts(_ count: Int) -> [String] {
        (0..<count).map { _ in
            defer { self.sequence += 1 }
            return String(unsafeUninitializedCapacity: Int(MESSAGE_BYTES)) { bytes in
                bytes.withMemoryRebound(to: CChar.self) { crowd_message(self.sequence, $0.baseAddress) }
                return Int(MESSAGE_BYTES)
            }
        }
    }

    /// What all connections have received since the beginning.
    var received: received { crowd_received(self.clients) }

    /// Waits until the connections together have `messages` messages.
    func waitForMessages(_ messages: UInt64) async throws {
        let deadline = monotonic_now() + 20_000_000_000
        while self.received.messages < messages {
            guard monotonic_now() < deadline else {
                throw BenchmarkError("\(self.received.messages) of \(messages) messages arrived in 20 seconds")
            }
            try await Task.sleep(for: .microseconds(100))
        }
    }

    /// Disconnects.
    /// - Throws: when a message was lost, repeated or out of order, or a connection ended early.
    func stop() throws {
        let result = crowd_halt(self.clients)
        let misplaced = crowd_tally(self.clients).misplaced
        crowd_destroy(self.clients)
        guard result == 0, misplaced == 0 else {
            throw BenchmarkError("errno \(-result), \(misplaced) messages lost, repeated or out of order")
        }
    }
}
