public import BusbarDriver
import Dispatch
import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A backplane on files: nodes of one machine share a directory, and nothing else runs.
///
/// A node looks every few milliseconds whether a file has grown, which is what a doorbell is for on a real broker. What
/// was acknowledged is in the page cache: it survives processes, and not the machine.
public final class SpoolDriver: BackplaneDriver {
    public let guarantees = Guarantees(
        counting: .withoutHoles, durability: .broker, largestRecordBytes: 1 << 20, replays: true,
        refusesRepeats: true, recognisesRewind: true)

    private let options: SpoolOptions
    private let logs: Logs

    init(_ options: SpoolOptions) {
        self.options = options
        self.logs = Logs(options)
    }

    public func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        var seen: [StreamID: StreamExtent] = [:]
        var isLive = false
        while !Task.isCancelled {
            do throws(DriverError) {
                if !isLive {
                    seen = [:]
                    for stream in streams { seen[stream] = try await self.extent(of: stream) }
                    inbox.receive(.live(seen))
                    isLive = true
                }
                for stream in streams { seen[stream] = try await self.deliver(stream, after: seen[stream], to: inbox) }
            } catch {
                if isLive { inbox.receive(.interrupted(error)) }
                isLive = false
            }
            // Why an error is nothing: it says that the task was cancelled, which the loop sees.
            try? await Task.sleep(for: .milliseconds(isLive ? 2 : 50))
        }
    }

    /// Hands out what has come since, page by page, and returns up to where.
    private func deliver(
        _ stream: StreamID, after seen: StreamExtent?, to inbox: any Inbox
    ) async throws(DriverError) -> StreamExtent? {
        var seen = seen
        while true {
            let page = try await self.read(stream, after: seen?.newest ?? .beginning, limitBytes: 256 << 10)
            let extent = StreamExtent(epoch: page.epoch, oldest: page.oldest, newest: page.newest)
            guard page.epoch == seen?.epoch else {
                // Another life of the log: from its beginning.
                seen = StreamExtent(epoch: page.epoch, oldest: page.oldest, newest: .beginning)
                if page.newest == .beginning { return extent }
                continue
            }
            guard let last = page.records.last else { return extent }
            inbox.receive(.records(stream: stream, epoch: page.epoch, page.records))
            seen = StreamExtent(epoch: page.epoch, oldest: page.oldest, newest: last.offset)
        }
    }

    public func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        let limit = self.guarantees.largestRecordBytes
        if let bytes = batch.records.map(\.bytes.readableBytes).max(), bytes > limit {
            throw DriverError(
                .recordTooLarge, during: "append", recovery: .giveUp, detail: "\(bytes) bytes; the largest is \(limit)")
        }
        return try await self.logs.use(stream) { (log) throws(DriverError) in try log.append(batch, to: stream) }
    }

    public func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {
        try await self.logs.use(stream) { (log) throws(DriverError) in
            try log.page(after: offset, limitBytes: limitBytes)
        }
    }

    public func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {
        try await self.logs.use(stream) { (log) throws(DriverError) in
            try log.refresh()
            return log.extent
        }
    }
}

/// The logs of a driver, on a thread of their own: file calls block.
private final class Logs: Sendable {
    private final class Box {
        var log: SpoolLog

        init(_ log: consuming SpoolLog) { self.log = log }
    }

    private let options: SpoolOptions
    private let queue = DispatchQueue(label: "busbar.spool")
    // Why: only ever touched on the queue.
    private nonisolated(unsafe) var boxes: [StreamID: Box] = [:]

    init(_ options: SpoolOptions) {
        self.options = options
    }

    func use<R: Sendable>(
        _ stream: StreamID, _ body: @escaping @Sendable (inout SpoolLog) throws(DriverError) -> R
    ) async throws(DriverError) -> R {
        let result = await withCheckedContinuation { (done: CheckedContinuation<Result<R, DriverError>, Never>) in
            self.queue.async {
                let box = self.box(stream)
                done.resume(returning: Result { () throws(DriverError) in try body(&box.log) })
            }
        }
        return try result.get()
    }

    private func box(_ stream: StreamID) -> Box {
        if let box = self.boxes[stream] { return box }
        for directory in Self.parents(of: self.options.directory) { mkdir(directory, 0o700) }
        let log = SpoolLog(path: self.options.path(of: stream), retainedCount: self.options.retainedCount)
        let box = Box(log)
        self.boxes[stream] = box
        return box
    }

    /// The last two directories of a path, outer first.
    private static func parents(of path: String) -> [String] {
        let outer = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
        return [String(outer), path]
    }
}
