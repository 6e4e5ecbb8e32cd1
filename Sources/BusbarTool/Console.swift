import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Standard output and standard error, a line at a time and unbuffered, so that a program reading a pipe sees each line
/// at once.
enum Console {
    static func line(_ text: String) {
        self.write(text, to: STDOUT_FILENO)
    }

    static func errorLine(_ text: String) {
        self.write(text, to: STDERR_FILENO)
    }

    /// Keeps lines whole that several threads write.
    private static let writing = Mutex(())

    private static func write(_ text: String, to descriptor: CInt) {
        let bytes = Array((text + "\n").utf8)
        self.writing.withLock { _ in self.write(bytes, to: descriptor) }
    }

    private static func write(_ bytes: [UInt8], to descriptor: CInt) {
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            // Why: whoever read our output may be gone; that is no reason to stop serving.
            guard count > 0 else { return }
            written += count
        }
    }
}

private func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
