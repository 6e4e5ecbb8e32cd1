import BusbarProtocol
import DequeModule
package import NIOCore

/// What a client with stateful reconnect has been sent and has not acknowledged, and what waits to be sent to it.
///
/// Messages are numbered from 1 in the order in which they are offered. Each is one WebSocket frame, whatever its protocol; several
/// may be offered back to back. The frames are kept as they are, shared with everybody else who gets them.
///
/// Beyond the limit of unacknowledged bytes nothing more is given out until the client has acknowledged enough; what is offered
/// meanwhile waits here. Whoever holds the buffer bounds ``bytes``.
package struct ResendBuffer: Sendable {
    private struct Entry: Sendable {
        var frames: ByteBuffer
        var count: UInt64
    }

    private let limitBytes: Int
    private var entries: Deque<Entry> = []
    /// How many of the entries have been given out at all, and how many of them on the present link.
    private var sentEntries = 0
    private var linkEntries = 0
    private var sentBytes = 0
    private var isLinked = true
    /// Whether one message may pass whatever the limit says: the first new one on a link.
    ///
    /// Why: a client acknowledges what is new to it. If all that is repeated to it is not, since its acknowledgement went down with
    /// the old link, it would say nothing, and would wait for us while we wait for it.
    private var mayPass = false
    private var nextNumber: UInt64 = 1
    /// The number behind the last message that was given out.
    private var sentNumber: UInt64 = 1
    /// The number of the message that comes first on a new link: the oldest that is not acknowledged, or the next.
    package private(set) var firstNumber: UInt64 = 1
    /// All bytes that are kept.
    package private(set) var bytes = 0

    /// - Parameter limitBytes: beyond this many unacknowledged bytes messages wait. One message may exceed it.
    package init(limitBytes: Int) {
        self.limitBytes = limitBytes
    }

    /// Numbers and keeps the messages in `frames`, and returns what is to be written now; nil if they have to wait.
    package mutating func offer(_ frames: ByteBuffer) -> ByteBuffer? {
        var rest = frames
        var count: UInt64 = 0
        while WebSocketFrames.skipFrame(in: &rest) { count += 1 }
        guard count > 0 else { return nil }
        let waitedBefore = self.linkEntries < self.entries.count
        self.entries.append(Entry(frames: frames, count: count))
        self.bytes += frames.readableBytes
        self.nextNumber += count
        return waitedBefore ? nil : self.next()
    }

    /// What may be written next; nil if nothing waits, or what waits has to go on waiting.
    package mutating func next() -> ByteBuffer? {
        guard self.isLinked, self.linkEntries < self.entries.count else { return nil }
        let entry = self.entries[self.linkEntries]
        if self.linkEntries == self.sentEntries {
            guard self.sentBytes <= self.limitBytes || self.mayPass else { return nil }
            self.mayPass = false
            self.sentEntries += 1
            self.sentBytes += entry.frames.readableBytes
            self.sentNumber += entry.count
        }
        self.linkEntries += 1
        return entry.frames
    }

    /// The client has everything up to this number. False if it was never sent that.
    package mutating func acknowledge(upTo number: UInt64) -> Bool {
        guard number < self.sentNumber else { return false }
        while let entry = self.entries.first, self.firstNumber + entry.count - 1 <= number {
            self.entries.removeFirst()
            self.forget(bytes: entry.frames.readableBytes, count: entry.count)
            self.sentEntries -= 1
            self.linkEntries = max(0, self.linkEntries - 1)
        }
        while self.firstNumber <= number {
            let before = self.entries[0].frames.readableBytes
            guard WebSocketFrames.skipFrame(in: &self.entries[0].frames) else { break }
            self.entries[0].count -= 1
            self.forget(bytes: before - self.entries[0].frames.readableBytes, count: 1)
        }
        return true
    }

    private mutating func forget(bytes: Int, count: UInt64) {
        self.bytes -= bytes
        self.sentBytes -= bytes
        self.firstNumber += count
    }

    /// The client can't be written to: everything waits.
    package mutating func linkBroke() {
        self.isLinked = false
    }

    /// The client is back. All that it has not acknowledged is to be written again, in order, by asking for what is next.
    package mutating func linkCameBack() {
        self.isLinked = true
        self.linkEntries = 0
        self.mayPass = true
    }
}
