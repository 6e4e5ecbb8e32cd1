import BusbarDriver
import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One stream: its file, and an index of what this process has read of it. Not to be shared between threads.
///
/// Writers of all processes take turns by a lock on a second file; readers need none, since a frame counts when it is
/// whole. A log that has to become shorter, or to begin anew, is written beside the old one and put in its place.
struct SpoolLog: ~Copyable {
    private let path: String
    private let retainedCount: Int
    private var file: CInt = -1
    private var inode: ino_t = 0
    private var header = SpoolFormat.Header(epoch: Epoch(0), base: 0)
    private var entries: [SpoolFormat.Entry] = []
    private var offsets: [RecordKey: UInt64] = [:]
    private var end: UInt64 = 0

    init(path: String, retainedCount: Int) {
        self.path = path
        self.retainedCount = retainedCount
    }

    deinit {
        if self.file >= 0 { close(self.file) }
    }

    var extent: StreamExtent {
        StreamExtent(
            epoch: self.header.epoch, oldest: Offset(self.header.base + 1),
            newest: Offset(self.header.base + UInt64(self.entries.count)))
    }

    // MARK: Reading

    /// Reads what others have written since; begins the log if nobody has.
    mutating func refresh() throws(DriverError) {
        if try self.follow() { return }
        try self.locked { (log) throws(DriverError) in
            if try !log.follow() { try log.replace(with: log.newEpoch(above: 0), keeping: 0) }
        }
    }

    mutating func page(after offset: Offset, limitBytes: Int) throws(DriverError) -> Page {
        try self.refresh()
        let extent = self.extent
        var (records, bytes) = ([StoredRecord](), 0)
        let first = offset.rawValue > self.header.base ? offset.rawValue - self.header.base : 0
        for index in Int(min(first, UInt64(self.entries.count)))..<self.entries.count {
            let entry = self.entries[index]
            bytes += entry.count
            guard records.isEmpty || bytes <= limitBytes else { break }
            let stored = try self.read(entry.count, at: entry.start)
            guard stored.readableBytes == entry.count else { throw Self.failure("the file was cut off") }
            records.append(StoredRecord(offset: Offset(self.header.base + UInt64(index) + 1), bytes: stored))
        }
        return Page(epoch: extent.epoch, records: records, oldest: extent.oldest, newest: extent.newest)
    }

    /// Whether there is a log, read up to its end.
    private mutating func follow() throws(DriverError) -> Bool {
        var there = stat()
        guard stat(self.path + ".log", &there) == 0 else {
            guard errno == ENOENT else { throw Self.failure("stat") }
            return false
        }
        if there.st_ino != self.inode || UInt64(there.st_size) < self.end { try self.open() }
        let tail = try self.read(Int(UInt64(there.st_size) - min(UInt64(there.st_size), self.end)), at: self.end)
        let (found, end) = SpoolFormat.entries(tail, from: self.end)
        for entry in found {
            self.entries.append(entry)
            self.offsets[entry.key] = self.header.base + UInt64(self.entries.count)
        }
        self.end = end
        return true
    }

    private mutating func open() throws(DriverError) {
        if self.file >= 0 { close(self.file) }
        self.inode = 0
        self.file = systemOpen(self.path + ".log", O_RDWR | O_CLOEXEC)
        var opened = stat()
        guard self.file >= 0, fstat(self.file, &opened) == 0 else { throw Self.failure("open") }
        guard let header = SpoolFormat.Header(try self.read(SpoolFormat.headerBytes, at: 0)) else {
            throw DriverError(
                .rejected, during: "read", recovery: .retry(after: .seconds(1)), detail: "\(self.path).log is no log")
        }
        self.header = header
        (self.inode, self.end) = (opened.st_ino, UInt64(SpoolFormat.headerBytes))
        (self.entries, self.offsets) = ([], [:])
    }

    // MARK: Writing

    mutating func append(_ batch: Batch, to stream: StreamID) throws(DriverError) -> Receipt {
        try self.locked { (log) throws(DriverError) in
            if try !log.follow() { try log.replace(with: log.newEpoch(above: 0), keeping: 0) }
            if let mark = batch.highWater {
                let (known, newest) = (log.header.epoch.rawValue, log.extent.newest)
                if mark.epoch.rawValue > known || (mark.epoch.rawValue == known && mark.offset > newest) {
                    try log.replace(with: log.newEpoch(above: mark.epoch.rawValue), keeping: 0)
                }
            }
            if let last = batch.records.last, let offset = log.offsets[last.key] {
                return Receipt(last: Position(stream: stream, epoch: log.header.epoch, offset: Offset(offset)))
            }
            // Why cut: behind the last whole frame lies at most what a killed writer began.
            guard ftruncate(log.file, off_t(log.end)) == 0 else { throw Self.failure("truncate") }
            try log.write(SpoolFormat.frame(batch.records), to: log.file, at: log.end)
            _ = try log.follow()
            let newest = log.extent.newest
            if log.entries.count > 2 * log.retainedCount {
                try log.replace(with: log.header.epoch, keeping: log.retainedCount)
            }
            return Receipt(last: Position(stream: stream, epoch: log.header.epoch, offset: newest))
        }
    }

    /// Puts a log with the newest `count` records, or some more, in the place of this one.
    private mutating func replace(with epoch: Epoch, keeping count: Int) throws(DriverError) {
        let kept = self.entries.suffix(count)
        let cut = kept.first?.frame ?? self.end
        let dropped = self.entries.firstIndex { $0.frame >= cut } ?? self.entries.count
        let base = epoch == self.header.epoch ? self.header.base + UInt64(dropped) : 0
        let tail = kept.isEmpty ? ByteBuffer() : try self.read(Int(self.end - cut), at: cut)
        let new = systemOpen(self.path + ".new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC)
        guard new >= 0 else { throw Self.failure("create") }
        defer { close(new) }
        try self.write(SpoolFormat.Header(epoch: epoch, base: base).encoded, to: new, at: 0)
        try self.write(tail, to: new, at: UInt64(SpoolFormat.headerBytes))
        guard rename(self.path + ".new", self.path + ".log") == 0 else { throw Self.failure("rename") }
        _ = try self.follow()
    }

    /// Larger than any before: the time in microseconds, or one more than what somebody has seen.
    private func newEpoch(above seen: UInt64) -> Epoch {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let micros = UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1_000
        return Epoch(max(micros, max(seen, self.header.epoch.rawValue) + 1))
    }

    /// The longest wait for other writers.
    private static let lockMilliseconds = 3_000

    private mutating func locked<R>(
        _ body: (inout SpoolLog) throws(DriverError) -> R
    ) throws(DriverError) -> R {
        let lock = systemOpen(self.path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC)
        guard lock >= 0 else { throw Self.failure("lock") }
        defer { close(lock) }
        var waited = 0
        while flock(lock, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else { throw Self.failure("lock") }
            guard waited < Self.lockMilliseconds else {
                throw DriverError(
                    .timedOut, during: "append", recovery: .retry(after: .milliseconds(100)),
                    detail: "another process keeps the stream's lock")
            }
            usleep(1_000)
            waited += 1
        }
        return try body(&self)
    }

    // MARK: Bytes

    private func read(_ count: Int, at start: UInt64) throws(DriverError) -> ByteBuffer {
        var bytes = ByteBuffer()
        var failed = false
        while bytes.readableBytes < count, !failed {
            let (rest, at) = (count - bytes.readableBytes, start + UInt64(bytes.readableBytes))
            let got = bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: rest) {
                max(0, pread(self.file, $0.baseAddress, rest, off_t(at)))
            }
            failed = got == 0
        }
        return bytes
    }

    private func write(_ bytes: ByteBuffer, to file: CInt, at start: UInt64) throws(DriverError) {
        var (rest, at) = (bytes, start)
        while rest.readableBytes > 0 {
            let count = rest.withUnsafeReadableBytes { pwrite(file, $0.baseAddress, $0.count, off_t(at)) }
            guard count > 0 else { throw Self.failure("write") }
            rest.moveReaderIndex(forwardBy: count)
            at += UInt64(count)
        }
    }

    private static func failure(_ what: String) -> DriverError {
        let isFull = errno == ENOSPC || errno == EDQUOT
        return DriverError(
            isFull ? .overloaded : .unreachable, during: "append", recovery: .retry(after: .milliseconds(200)),
            detail: "\(what): \(String(cString: strerror(errno)))")
    }
}

private func systemOpen(_ path: String, _ flags: CInt) -> CInt {
    open(path, flags, 0o600)
}
