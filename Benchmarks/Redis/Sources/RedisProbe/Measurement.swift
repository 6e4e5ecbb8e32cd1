import Foundation

func fail(_ text: String) -> Never {
    FileHandle.standardError.write(Data("probe: \(text)\n".utf8))
    exit(1)
}

func say(_ text: String) {
    FileHandle.standardOutput.write(Data((text + "\n").utf8))
}

/// Nanoseconds of the clock that all processes of a machine share.
func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func sleep(until deadline: UInt64) {
    let moment = now()
    guard moment < deadline else { return }
    var time = timespec(tv_sec: 0, tv_nsec: Int(deadline - moment))
    nanosleep(&time, nil)
}

/// CPU time of this process, in microseconds.
func cpuMicroseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
}

/// A payload of 100 bytes that says when it was published.
func payload() -> [UInt8] {
    withUnsafeBytes(of: now()) { Array($0) } + [UInt8](repeating: 0x61, count: 92)
}

func publishedAt(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    bytes.count >= 8 ? bytes.loadUnaligned(as: UInt64.self) : 0
}

/// What a subscriber has measured; the first tenth is warm-up.
struct Latencies {
    private var nanoseconds: [UInt64] = []
    private var firstAt: UInt64 = 0
    private var lastAt: UInt64 = 0

    var count: Int { self.nanoseconds.count }

    mutating func heard(_ sentAt: UInt64) {
        let at = now()
        if self.nanoseconds.isEmpty { self.firstAt = at }
        self.lastAt = at
        self.nanoseconds.append(at - min(at, sentAt))
    }

    func report(_ name: String) {
        let sorted = self.nanoseconds.dropFirst(self.nanoseconds.count / 10).sorted()
        func percentile(_ share: Double) -> Double {
            Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]) / 1_000_000
        }
        let rate = Double(self.count) * 1e9 / Double(max(1, self.lastAt - self.firstAt))
        let values = [percentile(0.5), percentile(0.99), percentile(1), rate, cpuMicroseconds() / Double(self.count)]
        let format = " p50 %.3f ms  p99 %.3f ms  max %.3f ms  %.0f msg/s  subscriber CPU %.1f us/msg"
        say("\(name)\t\(self.count) messages " + String(format: format, arguments: values))
    }
}
