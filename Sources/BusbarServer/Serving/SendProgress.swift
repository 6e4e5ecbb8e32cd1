/// What a connection was given to send, and how far the kernel has taken it.
struct SendProgress {
    /// What is not even flushed yet.
    private(set) var unflushedBytes = 0
    private var writtenBytes = 0
    private var takenBytes = 0

    mutating func wrote(_ bytes: Int) {
        self.unflushedBytes += bytes
        self.writtenBytes += bytes
    }

    mutating func flushed() {
        self.unflushedBytes = 0
    }

    /// Whether the kernel has taken anything since this was last asked.
    mutating func hasAdvanced(queuedBytes: Int) -> Bool {
        let taken = self.writtenBytes - queuedBytes
        defer { self.takenBytes = taken }
        return taken != self.takenBytes
    }
}
