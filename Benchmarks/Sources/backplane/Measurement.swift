import CRawBrokers
import Foundation
import NIOCore

func fail(_ text: String) -> Never {
    FileHandle.standardError.write(Data("backplane: \(text)\n".utf8))
    exit(1)
}

/// One line for the script that started this process.
func say(_ text: String) {
    FileHandle.standardOutput.write(Data((text + "\n").utf8))
}

/// CPU time of this process, in nanoseconds.
func cpuNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// A payload of 100 bytes that begins with the time it was made.
func payload() -> ByteBuffer {
    var bytes = ByteBuffer()
    bytes.reserveCapacity(100)
    bytes.writeInteger(raw_now())
    bytes.writeRepeatingByte(0x61, count: 92)
    return bytes
}

/// When a payload was made, wherever in `bytes` it stands: it is what they end with.
func madeAt(_ bytes: ByteBuffer) -> UInt64 {
    bytes.getInteger(at: bytes.readerIndex + max(0, bytes.readableBytes - 100)) ?? 0
}

/// From when to when something took, by ``raw_now()``.
struct Span {
    let start: UInt64
    let end: UInt64
}

/// What one side has measured. Of the times, the first tenth is warm-up and left out.
struct Measurement {
    private(set) var count = 0
    private var times: [UInt64] = []
    private var firstAt: UInt64 = 0
    private var lastAt: UInt64 = 0
    private var cpuBefore: UInt64 = 0

    /// Something that began at `start` is over.
    mutating func took(since start: UInt64) {
        self.took(Span(start: start, end: raw_now()))
    }

    mutating func took(_ span: Span) {
        if self.times.isEmpty { self.begin(at: span.end) }
        self.lastAt = max(self.lastAt, span.end)
        self.count += 1
        self.times.append(span.end - min(span.end, span.start))
    }

    /// Measures from here on; otherwise from the first time on.
    mutating func begin(at now: UInt64 = raw_now()) {
        guard self.firstAt == 0 else { return }
        self.firstAt = now
        self.cpuBefore = cpuNanoseconds()
    }

    mutating func add(_ other: Self) {
        self.count += other.count
        self.times += other.times
        self.lastAt = max(self.lastAt, other.lastAt)
    }

    /// Milliseconds, messages per second, microseconds of this process's CPU per message.
    func report(_ side: String) {
        let sorted = self.times.dropFirst(self.times.count / 10).sorted()
        let cpu = Double(cpuNanoseconds() - self.cpuBefore) / 1_000 / Double(max(1, self.count))
        let rate = Double(self.count) * 1e9 / Double(max(1, self.lastAt - min(self.firstAt, self.lastAt)))
        func percentile(_ share: Double) -> Double {
            guard !sorted.isEmpty else { return 0 }
            return Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]) / 1_000_000
        }
        let values = [percentile(0.5), percentile(0.99), percentile(1), rate, cpu]
        let text = String(format: "p50=%.3f p99=%.3f max=%.3f rate=%.0f cpu=%.2f", arguments: values)
        say("side=\(side) count=\(self.count) \(text)")
    }
}
