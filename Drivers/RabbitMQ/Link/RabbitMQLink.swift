import BusbarConnection
import BusbarDriver
import BusbarDriverThread
import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The shell around the link's machine: two connections and what is under way on them. Lives on the driver's thread.
///
/// Commands only take note of what is wanted; sockets are touched in ``turn(_:)``, which is watched. The steps on the way to
/// being live are in RabbitMQLink+Steps.swift, reading the log is in RabbitMQLink+Log.swift.
final class RabbitMQLink: ThreadResident {
    typealias Completion<Answer> = @Sendable (Result<Answer, DriverError>) -> Void

    /// What belongs to one attempt and dies with it. Connections may survive it, when only a channel failed.
    struct Attempt {
        var number = 0
        /// Answers that the current step still awaits.
        var awaited = 0
        var claims: [StreamID: EpochClaim] = [:]
        var extents: [StreamID: StreamExtent] = [:]
        /// Streams that are not followed, but were used, by the epoch they live under.
        var guests: [StreamID: Epoch] = [:]
        var arrivingGuests: [StreamID: [(Result<Epoch, DriverError>) -> Void]] = [:]
        var reader: LogReader?

        // Why other numbers for each attempt: what is still under way for a channel that was given up can't be mistaken.
        private var firstChannel: UInt16 { UInt16(1 + (self.number % 400) * 4) }
        var publishingChannel: UInt16 { self.firstChannel }
        var liveChannel: UInt16 { self.firstChannel + 1 }
        var readingChannel: UInt16 { self.firstChannel + 2 }
        var setupChannel: UInt16 { self.firstChannel + 3 }
    }

    /// Who waits for a message: told where its last record lies.
    typealias Ticket = (Result<Position, DriverError>) -> Void

    /// How many messages the broker may send ahead of their acknowledgement.
    static let prefetch: UInt16 = 1_024

    let configuration: RabbitMQConfiguration
    let streams: [StreamID]
    let names: LogNames
    let watch: SocketWatch
    /// By which this driver knows its own messages.
    let identity = UInt64.random(in: 1...(.max))
    private let inbox: any Inbox
    private let finished: (DriverError?) -> Void
    private var machine: LinkMachine
    var attempt = Attempt()
    var dialCount = 0
    var publisher: AMQPConnection?
    var consumer: AMQPConnection?
    var followers: [StreamID: Follower] = [:]
    var publishing = Publishing<Ticket>()
    /// Why the broker takes nothing at present, in its words.
    var blocked: String?
    private var arrived: [StreamID: [StoredRecord]] = [:]
    private var receipts: [() -> Void] = []
    private var work: [() -> Void] = []
    private var acknowledgeable: UInt64 = 0
    private var acknowledged: UInt64 = 0
    private var keepsConnections = false
    private var hasStarted = false
    /// Entries that came before the link was live.
    private var early: [(StreamID, LogEntry)] = []

    init(
        _ configuration: RabbitMQConfiguration, streams: [StreamID], inbox: any Inbox, watch: SocketWatch,
        finished: @escaping (DriverError?) -> Void
    ) {
        self.configuration = configuration
        self.streams = Array(Set(streams)).sorted()
        self.names = LogNames(app: configuration.app)
        self.inbox = inbox
        self.watch = watch
        self.finished = finished
        self.machine = LinkMachine(
            policy: LinkPolicy(
                // Why twice: two connections are made, one after the other.
                stepLimit: configuration.requestLimit * 2,
                probeInterval: configuration.probeInterval,
                probeLimit: configuration.probeLimit,
                backOffCeiling: configuration.backOffCeiling
            )
        )
    }

    var isLive: Bool { self.machine.isLive }
    var deadline: ContinuousClock.Instant { .now + self.configuration.requestLimit }

    // MARK: The thread

    func waits() -> ThreadWaits {
        var waits = ThreadWaits()
        guard self.hasStarted else {
            waits.wake(at: .now)
            return waits
        }
        waits.wake(at: self.machine.wakeUp)
        waits.wake(at: self.publishing.wakeUp)
        for connection in [self.publisher, self.consumer].compactMap(\.self) where connection.fault == nil {
            let hasToWrite = connection === self.publisher && self.publishing.hasWaiting && self.isLive
            waits.sockets.append(SocketWait(connection.descriptor, reading: true, writing: hasToWrite))
            waits.wake(at: connection.deadline)
            // Why: the library does its heartbeats when it is asked for frames.
            waits.wake(at: .now + .seconds(connection.hasMore ? 0 : 1))
        }
        return waits
    }

    func turn(_ ready: ReadySockets) {
        self.watch.turnBegins()
        defer { self.watch.turnEnds() }
        if !self.hasStarted {
            self.hasStarted = true
            self.perform(self.machine.started(at: .now))
        }
        self.consumer?.receive()
        self.publisher?.receive()
        self.flush()
        let work = self.work
        self.work = []
        for item in work { item() }
        self.sendWaiting()
        self.flush()
        self.lookAtTime()
    }

    func stop() {
        self.watch.turnBegins()
        defer { self.watch.turnEnds() }
        self.keepsConnections = false
        self.perform(self.machine.stopped())
        for item in self.work { item() }
        self.work = []
    }

    var isLendable: Bool {
        self.isLive && self.publisher?.isOpen(self.attempt.publishingChannel) == true && !self.publishing.hasWaiting
    }

    func post() -> Bool {
        // Why: the library waits for room to write, and there is some; a larger message might need more.
        guard self.work.isEmpty, self.publishing.waitingBytes <= 4_096 else { return false }
        self.watch.turnBegins()
        defer { self.watch.turnEnds() }
        self.sendWaiting()
        return !self.publishing.hasWaiting && self.publisher?.fault == nil
    }

    /// Does something in the next turn.
    func later(_ item: @escaping () -> Void) {
        self.work.append(item)
    }

    private func lookAtTime() {
        let now = ContinuousClock.now
        let (late, wereSent) = self.publishing.expired(at: now)
        for message in late { message.ticket(.failure(self.lateness)) }
        for message in self.publishing.toLocate(at: now) { self.locate(message) }
        let isUnanswered = [self.publisher, self.consumer].contains { ($0?.deadline).map { $0 <= now } ?? false }
        // Why not while blocked: then nothing is wrong with the link, and a new one would be blocked too.
        if isUnanswered || (wereSent && self.blocked == nil) {
            self.fail(Self.late("RabbitMQ didn't answer in time"), attempt: self.attempt.number)
        }
        self.perform(self.machine.timerFired(at: now, draw: .random(in: 0..<1)))
    }

    private var lateness: DriverError {
        Self.late(self.blocked.map { "RabbitMQ takes nothing: \($0)" } ?? "RabbitMQ didn't answer in time")
    }

    private static func late(_ detail: String) -> DriverError {
        DriverError(.timedOut, during: "run", recovery: .retry(after: .milliseconds(20)), detail: detail)
    }

    // MARK: Effects

    private func perform(_ effects: [LinkMachine.Effect]) {
        for effect in effects {
            switch effect {
            case .perform(let step, let attempt): self.perform(step, attempt: attempt)
            case .announceLive: self.announceLive()
            case .announceInterruption(let error): self.inbox.receive(.interrupted(error))
            case .sendProbe(let number): self.sendProbe(number)
            case .disconnect(let error): self.disconnect(because: error)
            case .finish(let error): self.finished(error)
            }
        }
    }

    func stepSucceeded(_ attempt: Int) {
        self.perform(self.machine.stepSucceeded(attempt: attempt, at: .now))
    }

    /// - Parameter keepingConnections: only a channel or what lies in the broker failed.
    func fail(_ error: DriverError, attempt: Int, keepingConnections: Bool = false) {
        guard attempt == self.attempt.number else { return }
        let error = error.hiding(self.configuration)
        self.keepsConnections = keepingConnections
        self.perform(self.machine.failed(error, attempt: attempt, at: .now, draw: .random(in: 0..<1)))
        self.keepsConnections = false
    }

    func fail(_ fault: AMQPFault, attempt: Int) {
        self.fail(fault.driverError(during: "run"), attempt: attempt, keepingConnections: fault.isOfChannel)
    }

    private func disconnect(because error: DriverError?) {
        let old = self.attempt
        self.flush()
        // Why: what is answered below may not take effect on an attempt that is over.
        self.attempt = Attempt()
        self.early = []
        self.acknowledgeable = 0
        self.acknowledged = 0
        let error = DriverError.lost("the link to RabbitMQ was given up: \(error?.detail ?? "the driver ends")")
        for message in self.publishing.closed() { message.ticket(.failure(error)) }
        for waiting in old.arrivingGuests.values { for completion in waiting { completion(.failure(error)) } }
        if self.keepsConnections, self.publisher?.fault == nil, self.consumer?.fault == nil {
            self.publisher?.closeChannel(old.publishingChannel)
            for channel in [old.liveChannel, old.readingChannel, old.setupChannel] {
                self.consumer?.closeChannel(channel)
            }
            return
        }
        self.blocked = nil
        self.publisher?.close(.lost(error.detail))
        self.consumer?.close(.lost(error.detail))
        self.publisher = nil
        self.consumer = nil
    }

    private func announceLive() {
        self.inbox.receive(.live(self.attempt.extents))
        let early = self.early
        self.early = []
        for (stream, entry) in early { self.saw(entry, of: stream) }
        if let blocked = self.blocked { self.announceBlocked(blocked) }
    }

    private func sendProbe(_ probe: UInt64) {
        self.consumer?.send(.setPrefetch(Self.prefetch), on: self.attempt.liveChannel, by: self.deadline) { result in
            if case .success = result { self.machine.probeReturned(probe, at: .now) }
        }
    }

    // MARK: Events

    func publisherSaid(_ event: AMQPEvent, on channel: UInt16) {
        let number = self.attempt.number
        switch event {
        case .confirmed(let tag, let multiple, let isStored):
            guard channel == self.attempt.publishingChannel else { return }
            for message in self.publishing.confirmed(upTo: tag, multiple: multiple, isStored: isStored, at: .now) {
                let place = Position(stream: message.stream, epoch: message.epoch, offset: .beginning)
                message.ticket(isStored ? .success(place) : .failure(.lost("RabbitMQ couldn't store it")))
            }
        case .returned(let mark, let text):
            guard let mark, let message = self.publishing.cameBack(mark.number) else { return }
            let error = DriverError.lost("nobody to take it: \(text); the queue was deleted, or made anew")
            message.ticket(.failure(error))
            self.fail(error, attempt: number, keepingConnections: true)
        case .blocked(let reason):
            self.blocked = reason
            if self.isLive { self.announceBlocked(reason) }
        case .unblocked:
            self.blocked = nil
            if self.isLive { self.announceUnblocked(number) }
        case .channelClosed(let fault), .closed(let fault):
            guard channel == 0 || channel == self.attempt.publishingChannel else { return }
            self.fail(fault, attempt: number)
        case .delivery, .cancelled:
            break
        }
    }

    func consumerSaid(_ event: AMQPEvent, on channel: UInt16) {
        let number = self.attempt.number
        self.machine.heard(at: .now)
        switch event {
        case .delivery(let delivery) where channel == self.attempt.readingChannel:
            self.attempt.reader?.received(delivery)
        case .delivery(let delivery) where channel == self.attempt.liveChannel:
            self.received(delivery)
        case .cancelled(let consumer):
            guard channel == self.attempt.liveChannel else { return }
            let error = DriverError.lost("the queue of stream \(consumer) was deleted")
            self.fail(error, attempt: number, keepingConnections: true)
        case .closed(let fault):
            self.fail(fault, attempt: number)
        case .channelClosed(let fault):
            // Why not for a look: whoever asked is told, and the next look opens the channel anew.
            guard channel == self.attempt.liveChannel || channel == self.attempt.setupChannel else { return }
            self.fail(fault, attempt: number)
        case .delivery, .confirmed, .returned, .blocked, .unblocked:
            break
        }
    }

    private func announceBlocked(_ reason: String) {
        let error = DriverError(
            .overloaded, during: "run", recovery: .retry(after: .milliseconds(250)),
            detail: "RabbitMQ takes nothing at present: \(reason)")
        for message in self.publishing.recall() { message.ticket(.failure(error)) }
        self.inbox.receive(.interrupted(error))
    }

    private func announceUnblocked(_ number: Int) {
        self.survey(self.streams) { result in
            guard number == self.attempt.number, self.isLive, self.blocked == nil else { return }
            self.flush()
            switch result {
            case .success(let extents): self.inbox.receive(.live(extents))
            case .failure(let error): self.fail(error, attempt: number, keepingConnections: true)
            }
        }
    }

    private func received(_ delivery: AMQPDelivery) {
        self.acknowledgeable = delivery.tag
        guard let index = UInt16(String(buffer: delivery.consumer)), let entry = LogEntry(delivery, of: StreamID(index))
        else {
            let error = DriverError.lost("RabbitMQ delivered a message without a place in a stream")
            return self.fail(error, attempt: self.attempt.number)
        }
        guard self.isLive else { return self.early.append((StreamID(index), entry)) }
        self.saw(entry, of: StreamID(index))
    }

    private func saw(_ entry: LogEntry, of stream: StreamID) {
        guard let sighting = self.followers[stream]?.saw(entry) else { return }
        self.act(on: sighting, of: stream)
        guard let mark = entry.mark, mark.driver == self.identity, entry.isBatch,
            let message = self.publishing.cameBack(mark.number)
        else { return }
        let place = Position(stream: stream, epoch: message.epoch, offset: RecordPlace.last(at: entry.place))
        self.receipts.append { message.ticket(.success(place)) }
    }

    private func act(on sighting: Follower.Sighting, of stream: StreamID) {
        let number = self.attempt.number
        switch sighting {
        case .nothing: break
        case .records(let records): self.arrived[stream, default: []] += records
        case .broken(let why):
            self.fail(.lost("\(stream): \(why)"), attempt: number, keepingConnections: true)
        case .hole:
            guard let follower = self.followers[stream] else { return }
            let hole = LogReader.Probe(from: follower.start, prefetch: Self.prefetch, limitBytes: 16 << 20)
            self.attempt.reader?.look(into: stream, [hole, .oldest], by: self.deadline) { result in
                guard number == self.attempt.number else { return }
                guard case .success(let findings) = result, let oldest = findings[1].first else {
                    let error = DriverError.lost("\(stream): a hole before message \(follower.start) can't be examined")
                    return self.fail(error, attempt: number, keepingConnections: true)
                }
                let sighting = self.followers[stream]?.holeExamined(findings[0], oldestPlace: oldest.place)
                if let sighting { self.act(on: sighting, of: stream) }
            }
        }
    }

    /// Hands on what one turn has brought, then tells those whose own messages were among it.
    private func flush() {
        for (stream, records) in self.arrived {
            guard let epoch = self.followers[stream]?.epoch else { continue }
            self.inbox.receive(.records(stream: stream, epoch: epoch, records))
        }
        self.arrived.removeAll(keepingCapacity: true)
        let receipts = self.receipts
        self.receipts.removeAll(keepingCapacity: true)
        for receipt in receipts { receipt() }
        if self.isLive, self.acknowledgeable >= self.acknowledged + UInt64(Self.prefetch / 4) {
            self.acknowledged = self.acknowledgeable
            self.consumer?.acknowledge(upTo: self.acknowledged, on: self.attempt.liveChannel)
        }
    }

    // MARK: Publishing

    func append(_ body: ByteBuffer, recordCount: Int, to stream: StreamID, _ completion: @escaping Completion<Position>)
    {
        guard self.isLive else { return completion(.failure(self.noLink)) }
        guard let epoch = self.followers[stream]?.epoch ?? self.attempt.guests[stream] else {
            return self.later {
                self.welcome(stream) { result in
                    switch result {
                    case .success: self.append(body, recordCount: recordCount, to: stream, completion)
                    case .failure(let error): completion(.failure(error))
                    }
                }
            }
        }
        if let blocked = self.blocked {
            return completion(
                .failure(
                    DriverError(
                        .overloaded, during: "append", recovery: .retry(after: .milliseconds(250)),
                        detail: "RabbitMQ takes nothing at present: \(blocked)")))
        }
        self.offer(.batch(recordCount: recordCount), of: stream, epoch, body, completion)
    }

    func offer(
        _ kind: Publishing<Ticket>.Kind, of stream: StreamID, _ epoch: Epoch, _ body: ByteBuffer,
        _ ticket: @escaping Ticket
    ) {
        let isTaken = self.publishing.offer(
            kind, of: stream, epoch: epoch, body: body, deadline: self.deadline,
            comesBack: self.followers[stream] != nil, ticket: ticket)
        guard !isTaken else { return }
        ticket(
            .failure(
                DriverError(
                    .overloaded, during: "append", recovery: .retry(after: .milliseconds(20)),
                    detail: "too much is waiting for RabbitMQ's confirmation already")))
    }

    var noLink: DriverError { .lost("there is no link to RabbitMQ at present") }

    private func sendWaiting() {
        while self.publishing.hasWaiting, let publisher = self.publisher,
            publisher.isOpen(self.attempt.publishingChannel), Self.isWritable(publisher.descriptor),
            let message = self.publishing.next()
        {
            publisher.publish(
                AMQPMessage(
                    exchange: self.names.exchange, key: LogNames.key(of: message.stream, message.epoch),
                    type: message.kind == .proposal ? LogEntry.proposalType : LogEntry.batchType,
                    mark: LogEntry.Mark(driver: self.identity, number: message.number), body: message.body),
                on: self.attempt.publishingChannel)
        }
    }

    /// Whether a write will find room. Why asked: the library would wait for it, and meanwhile nothing were received.
    private static func isWritable(_ descriptor: CInt) -> Bool {
        var socket = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&socket, 1, 0) > 0
    }
}

extension DriverError {
    /// Why: a library or broker may quote what it was given.
    fileprivate func hiding(_ configuration: RabbitMQConfiguration) -> Self {
        guard case .password(_, let secret) = configuration.credentials, !secret.text.isEmpty, secret.text != "guest"
        else { return self }
        let detail = self.detail.split(separator: secret.text, omittingEmptySubsequences: false).joined(
            separator: "•••")
        return Self(self.code, during: self.operation, recovery: self.recovery, detail: detail)
    }
}
