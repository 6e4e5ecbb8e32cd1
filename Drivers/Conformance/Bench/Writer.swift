import BusbarDriver
import NIOCore
import Synchronization

/// Appends as a bus does: with keys of its own, counted without holes per stream.
final class Writer: Sendable {
    private let driver: any BackplaneDriver
    private let progress: Progress
    private let name: String
    private let node: UInt64
    private let sequences = Mutex<[StreamID: UInt64]>([:])

    init(name: String, driver: any BackplaneDriver, progress: Progress) {
        self.name = name
        self.driver = driver
        self.progress = progress
        self.node = UInt64.random(in: 1...UInt64.max)
    }

    func records(_ bytes: [ByteBuffer], for stream: StreamID = .first) -> [Record] {
        let first = self.sequences.withLock { sequences in
            defer { sequences[stream, default: 0] += UInt64(bytes.count) }
            return sequences[stream, default: 0] + 1
        }
        return bytes.enumerated().map { index, bytes in
            Record(key: RecordKey(node: self.node, incarnation: 1, sequence: first + UInt64(index)), bytes: bytes)
        }
    }

    @discardableResult
    func append(
        _ bytes: [ByteBuffer], to stream: StreamID = .first, highWater: Position? = nil
    ) async throws -> Position {
        try await self.append(Batch(records: self.records(bytes, for: stream), highWater: highWater), to: stream)
    }

    @discardableResult
    func append(_ bytes: ByteBuffer, to stream: StreamID = .first) async throws -> Position {
        try await self.append([bytes], to: stream)
    }

    @discardableResult
    func append(_ batch: Batch, to stream: StreamID = .first) async throws -> Position {
        self.progress.isDoing("appending \(batch.records.count) records at \(self.name)")
        let last = try await self.driver.append(batch, to: stream).last
        guard last.stream == stream else {
            throw LawBroken(seen: "the receipt of an append to \(stream) speaks of \(last.stream)")
        }
        return last
    }

    /// Appends until it is accepted, as a bus does after faults: the very same batch, after the pause the error names.
    func appendStubbornly(_ bytes: ByteBuffer, to stream: StreamID = .first) async throws -> Position {
        let batch = Batch(records: self.records([bytes], for: stream), highWater: nil)
        while true {
            do {
                return try await self.append(batch, to: stream)
            } catch let error as DriverError {
                guard case .retry(let pause) = error.recovery else { throw error }
                try await Task.sleep(for: max(pause, .milliseconds(10)))
            }
        }
    }
}

/// Bytes to send.
enum Payload {
    static func text(_ text: String, padTo bytes: Int = 0) -> ByteBuffer {
        var buffer = ByteBuffer(string: text)
        buffer.writeRepeatingByte(UInt8(ascii: "."), count: max(0, bytes - buffer.readableBytes))
        return buffer
    }

    /// Bytes in which a truncation, a shift or a lost byte shows.
    static func pattern(_ count: Int, seed: Int = 0) -> ByteBuffer {
        // Why: a prime length, so that blocks of a broker never fall on blocks of the pattern.
        let block = ByteBuffer(bytes: (0..<4_093).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8 &+ seed) })
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count)
        while buffer.readableBytes + block.readableBytes <= count { buffer.writeImmutableBuffer(block) }
        buffer.writeBytes(block.readableBytesView.prefix(count - buffer.readableBytes))
        return buffer
    }

    /// A short description for reports; never the bytes of a large one.
    static func described(_ bytes: ByteBuffer?) -> String {
        guard let bytes else { return "nothing" }
        guard bytes.readableBytes <= 40 else { return "\(bytes.readableBytes) bytes" }
        let printable = bytes.readableBytesView.allSatisfy { (0x20..<0x7F).contains($0) }
        return printable ? "\"\(String(buffer: bytes))\"" : "\(Array(bytes.readableBytesView))"
    }
}
