package import BusbarDriver
import DequeModule
package import NIOCore

/// Messages on their way: to be sent, then sent and awaited. Bounded in count and bytes.
///
/// A batch is stored when the broker confirms it, but the confirmation doesn't say where. That is known when it comes back to its
/// own node like to all others; so that is what an append waits for, and a batch that is back needs no confirmation any more.
///
/// A value without I/O; generic over the ticket by which its owner knows who waits.
package struct Publishing<Ticket> {
    package enum Kind: Hashable {
        case batch(recordCount: Int)
        case proposal
    }

    package struct Message {
        package let number: UInt64
        package let stream: StreamID
        package let epoch: Epoch
        package let kind: Kind
        package let body: ByteBuffer
        package let deadline: ContinuousClock.Instant
        package let ticket: Ticket
        /// Whether its stream is followed.
        fileprivate let comesBack: Bool
        fileprivate var tag: UInt64 = 0
        fileprivate var locateAt: ContinuousClock.Instant?
    }

    private let limitCount: Int
    private let limitBytes: Int
    private let patience: Duration
    private var waiting: Deque<Message> = []
    /// In the order of their numbers and tags.
    private var sent: Deque<Message> = []
    private var pendingBytes = 0
    private var lastNumber: UInt64 = 0
    private var lastTag: UInt64 = 0

    /// - Parameter patience: how long after its confirmation a batch may take to come back before it is looked for.
    package init(limitCount: Int = 4_096, limitBytes: Int = 32 << 20, patience: Duration = .milliseconds(250)) {
        self.limitCount = limitCount
        self.limitBytes = limitBytes
        self.patience = patience
    }

    package var hasWaiting: Bool { !self.waiting.isEmpty }
    /// Bytes of the messages that were not sent yet.
    package var waitingBytes: Int { self.waiting.reduce(0) { $0 + $1.body.readableBytes } }

    /// When something is due: a deadline, or a batch to be looked for.
    package var wakeUp: ContinuousClock.Instant? {
        // Why all of them: there are as many as streams, in the usual case.
        let deadlines = self.sent.map { min($0.deadline, $0.locateAt ?? $0.deadline) }
        return (deadlines + self.waiting.prefix(1).map(\.deadline)).min()
    }

    /// Takes a message, or refuses it when too much is under way. One is always taken, however large.
    package mutating func offer(
        _ kind: Kind, of stream: StreamID, epoch: Epoch, body: ByteBuffer, deadline: ContinuousClock.Instant,
        comesBack: Bool = true, ticket: Ticket
    ) -> Bool {
        let count = self.waiting.count + self.sent.count
        let isBearable = count < self.limitCount && self.pendingBytes + body.readableBytes <= self.limitBytes
        guard count == 0 || isBearable else { return false }
        self.lastNumber += 1
        self.pendingBytes += body.readableBytes
        self.waiting.append(
            Message(
                number: self.lastNumber, stream: stream, epoch: epoch, kind: kind, body: body, deadline: deadline,
                ticket: ticket, comesBack: comesBack))
        return true
    }

    /// A channel was opened: its confirmations count from 1.
    package mutating func channelOpened() {
        self.lastTag = 0
    }

    /// The next message; it counts as sent.
    package mutating func next() -> Message? {
        guard var message = self.waiting.popFirst() else { return nil }
        self.lastTag += 1
        message.tag = self.lastTag
        self.sent.append(message)
        return message
    }

    /// The broker has confirmed messages up to a tag, or one.
    /// - Returns: those that are done: proposals that were stored, or everything that wasn't.
    package mutating func confirmed(
        upTo tag: UInt64, multiple: Bool, isStored: Bool, at now: ContinuousClock.Instant
    ) -> [Message] {
        var done: [Message] = []
        for (index, message) in self.sent.enumerated().reversed() {
            guard message.tag <= tag else { continue }
            guard multiple || message.tag == tag else { break }
            if isStored, case .batch = message.kind {
                if message.locateAt == nil { self.sent[index].locateAt = message.comesBack ? now + self.patience : now }
            } else {
                done.append(self.remove(at: index))
            }
        }
        return done.reversed()
    }

    /// A message has come back: as a delivery, or because nobody wanted it.
    package mutating func cameBack(_ number: UInt64) -> Message? {
        guard let index = self.sent.firstIndex(where: { $0.number == number }) else { return nil }
        return self.remove(at: index)
    }

    /// Batches that are stored and overdue; asked again after the same time.
    package mutating func toLocate(at now: ContinuousClock.Instant) -> [Message] {
        var found: [Message] = []
        for (index, message) in self.sent.enumerated() {
            guard let locateAt = message.locateAt, locateAt <= now else { continue }
            self.sent[index].locateAt = now + self.patience
            found.append(message)
        }
        return found
    }

    /// Messages whose time is over, and whether any of them had been sent.
    package mutating func expired(at now: ContinuousClock.Instant) -> (messages: [Message], wereSent: Bool) {
        let late = self.sent.filter { $0.deadline <= now }
        self.sent.removeAll { $0.deadline <= now }
        let unsent = self.waiting.prefix { $0.deadline <= now }
        self.waiting.removeFirst(unsent.count)
        let messages = late + unsent
        self.pendingBytes -= messages.reduce(0) { $0 + $1.body.readableBytes }
        return (Array(messages), !late.isEmpty)
    }

    /// The broker takes nothing: everything that wasn't sent.
    package mutating func recall() -> [Message] {
        defer { self.waiting.removeAll() }
        self.pendingBytes -= self.waiting.reduce(0) { $0 + $1.body.readableBytes }
        return Array(self.waiting)
    }

    /// The channel is over: everything, oldest first.
    package mutating func closed() -> [Message] {
        defer {
            self.waiting.removeAll()
            self.sent.removeAll()
            self.pendingBytes = 0
        }
        return Array(self.sent) + Array(self.waiting)
    }

    private mutating func remove(at index: Int) -> Message {
        let message = self.sent.remove(at: index)
        self.pendingBytes -= message.body.readableBytes
        return message
    }
}

extension Publishing: Sendable where Ticket: Sendable {}
extension Publishing.Message: Sendable where Ticket: Sendable {}
