import BusbarConnection
import BusbarDriver
import BusbarDriverThread
import NIOCore

/// The shell around the link's machine: a connection for requests, one that listens, and whatever has a time.
///
/// Lives on the driver's thread. The steps on the way to being live are in PostgresLink+Steps.swift, what one node of the farm
/// does for all in PostgresLink+Upkeep.swift.
final class PostgresLink: ThreadResident {
    typealias Answer = Result<Rows, DriverError>
    typealias Instant = ContinuousClock.Instant

    /// What belongs to one attempt and dies with it.
    struct Attempt {
        var number = 0
        /// Answers that the current step still awaits.
        var awaited = 0
        var requests: Connection?
        var listener: Connection?
        var app: Int32 = 0
        var channel = ""
        /// What comes back when notifications come through, and until when.
        var nonce = ""
        var nonceDeadline: Instant?
        /// The listening connection's backend is not the one that answered when it was made.
        var listensThroughPooler = false
        var bells = BellReader()
        var following = Following()
        var extents: [StreamID: StreamExtent] = [:]
        var upkeep = Upkeep()
        /// When to ring for what was appended without a bell.
        var bellsDue: [StreamID: Instant] = [:]
    }

    let configuration: PostgresConfiguration
    let streams: [StreamID]
    let calls: LogCalls
    let packer: (any OutboxPacker)?
    /// Who this driver is in leases and in records of its own: random.
    let node = UInt64.random(in: 1...(.max))
    var outboxSequences: [StreamID: UInt64] = [:]
    private let inbox: any Inbox
    private var machine: LinkMachine
    private var finished: ((Result<Void, DriverError>) -> Void)?
    var attempt = Attempt()
    var seen: [StreamID: SeenMark] = [:]
    var pressure: Pressure
    /// How often in a row no connection came about: the next attempt begins with another host.
    var vainConnects = 0
    /// False once a prepared statement was not known any more: somebody between gives us sessions that look like ours.
    private(set) var trustsSessions = true

    init(
        configuration: PostgresConfiguration, streams: [StreamID], packer: (any OutboxPacker)?, inbox: any Inbox
    ) {
        self.configuration = configuration
        self.streams = Array(Set(streams)).sorted()
        self.packer = packer
        self.pressure = Pressure(longestRest: configuration.longestRest)
        self.inbox = inbox
        let lockLimit = (configuration.requestLimit * 0.4).components
        let milliseconds = lockLimit.seconds * 1_000 + lockLimit.attoseconds / 1_000_000_000_000_000
        self.calls = LogCalls(
            schema: configuration.schema.asIdentifier, lockLimitMilliseconds: Int32(milliseconds),
            durability: Self.durability(of: configuration)?.rawValue)
        self.machine = LinkMachine(
            policy: LinkPolicy(
                stepLimit: configuration.requestLimit,
                probeInterval: configuration.probeInterval,
                probeLimit: configuration.probeLimit,
                backOffCeiling: configuration.backOffCeiling
            )
        )
    }

    /// Why off for an unlogged schema: a crash empties its tables, so waiting for the disk, or for a standby, would keep nothing.
    private static func durability(of configuration: PostgresConfiguration) -> PostgresConfiguration.SynchronousCommit?
    {
        configuration.synchronousCommit ?? (configuration.isLogged ? nil : .off)
    }

    // MARK: From the driver

    func start(finished: @escaping (Result<Void, DriverError>) -> Void) {
        self.finished = finished
        self.perform(self.machine.started(at: .now))
    }

    func end() {
        if !self.attempt.bellsDue.isEmpty {
            self.ringBells(at: nil)
            // Why no answer is awaited: the server does what it was sent before it notices that we have gone.
            _ = self.attempt.requests?.post()
        }
        self.perform(self.machine.stopped())
    }

    /// Sends a request when there is a link, and fails at once when there is none.
    func call(
        during operation: StaticString, _ make: (LogCalls, _ app: Int32) -> Statement,
        completion: @escaping (Answer) -> Void
    ) {
        guard self.machine.isLive, let requests = self.attempt.requests else {
            let none = ServerError(state: nil, message: "there is no link to PostgreSQL at present")
            return completion(.failure(none.driverError(during: operation)))
        }
        let number = self.attempt.number
        let statement = make(self.calls, self.attempt.app)
        requests.send(statement, within: self.configuration.requestLimit) { answer in
            self.noteSession(answer)
            completion(answer.mapError { $0.driverError(during: operation) })
            if case .failure(let error) = answer, error.meansOtherLink { self.fail(error, attempt: number) }
        }
    }

    func appended(to stream: StreamID, _ bell: LogCalls.Bell) {
        switch bell {
        case .hasRung: self.attempt.bellsDue[stream] = nil
        case .isOurs(let pause): self.attempt.bellsDue[stream] = .now + pause
        case .isOthers: break
        }
    }

    func hasSeen(_ mark: SeenMark, of stream: StreamID) {
        if mark.isBeyond(self.seen[stream]) { self.seen[stream] = mark }
    }

    // MARK: ThreadResident

    func waits() -> ThreadWaits {
        var waits = ThreadWaits(deadline: self.machine.wakeUp)
        for connection in [self.attempt.requests, self.attempt.listener].compactMap(\.self) {
            if let wait = connection.wait {
                waits.sockets.append(SocketWait(wait.descriptor, reading: wait.reading, writing: wait.writing))
            }
            waits.wake(at: connection.deadline)
        }
        waits.wake(at: self.attempt.nonceDeadline)
        waits.wake(at: self.attempt.bellsDue.values.min())
        if self.machine.isLive { waits.wake(at: self.attempt.upkeep.wakeUp(movesOutbox: self.packer != nil)) }
        return waits
    }

    func turn(_ ready: ReadySockets) {
        let now = Instant.now
        for isListener in [false, true] {
            let number = self.attempt.number
            guard let connection = isListener ? self.attempt.listener : self.attempt.requests else { continue }
            let descriptor = connection.wait?.descriptor ?? -1
            let events = connection.turn(
                isReadable: ready.isReadable(descriptor), isWritable: ready.isWritable(descriptor), at: now)
            self.handle(events, fromListener: isListener, attempt: number, at: now)
        }
        if let deadline = self.attempt.nonceDeadline, deadline <= now {
            self.notificationsStayAway(self.attempt.number)
        }
        self.perform(self.machine.timerFired(at: now, draw: .random(in: 0..<1)))
        if self.machine.isLive {
            self.ringBells(at: now)
            self.doUpkeep(at: now)
        }
        for connection in [self.attempt.requests, self.attempt.listener].compactMap(\.self) {
            self.handle(connection.flush(), fromListener: false, attempt: self.attempt.number, at: now)
        }
    }

    func stop() {
        self.end()
    }

    var isLendable: Bool { self.machine.isLive && self.attempt.requests?.isOpen == true }

    func post() -> Bool { self.attempt.requests?.post() ?? false }

    // MARK: Effects

    private func perform(_ effects: [LinkMachine.Effect]) {
        for effect in effects {
            switch effect {
            case .perform(let step, let attempt): self.perform(step, attempt: attempt)
            case .announceLive: self.announceLive()
            case .announceInterruption(let error): self.inbox.receive(.interrupted(error))
            case .sendProbe(let number): self.sendProbe(number)
            case .disconnect(let error): self.disconnect(because: error)
            case .finish(let error):
                let finished = self.finished
                self.finished = nil
                finished?(error.map { .failure($0) } ?? .success(()))
            }
        }
    }

    private func perform(_ step: LinkMachine.Step, attempt: Int) {
        switch step {
        case .connect:
            self.connect(attempt)
            self.vainConnects += 1
        // libpq has done that while it connected.
        case .authenticate: self.stepSucceeded(attempt)
        case .verify: self.verify(attempt)
        case .follow: self.follow(attempt)
        }
    }

    private func disconnect(because error: DriverError?) {
        let attempt = self.attempt
        self.attempt = Attempt()
        self.attempt.number = attempt.number + 1
        // Why: the next server may be another one, with other statistics.
        self.pressure.noted(work: nil, at: .now)
        let gone = ServerError(
            state: nil, message: "the link to PostgreSQL was given up: \(error?.detail ?? "the driver ends")")
        for connection in [attempt.requests, attempt.listener] { connection?.close(gone) }
    }

    func fail(_ error: ServerError, attempt: Int) {
        self.fail(error.driverError(during: "run"), attempt: attempt)
    }

    func fail(_ error: DriverError, attempt: Int) {
        self.perform(self.machine.failed(error, attempt: attempt, at: .now, draw: .random(in: 0..<1)))
    }

    func stepSucceeded(_ attempt: Int) {
        self.perform(self.machine.stepSucceeded(attempt: attempt, at: .now))
    }

    // MARK: Live

    /// - Parameter now: nil when this link is to end; then all bells are due.
    private func ringBells(at now: Instant?) {
        for (stream, due) in self.attempt.bellsDue where now.map({ due <= $0 }) ?? true {
            self.attempt.bellsDue[stream] = nil
            // Why a failure is let pass: the next bell tells of it too, and who hears none asks for all places in time.
            self.call(during: "run") { calls, app in
                calls.ring(stream, isLast: now == nil, app: app)
            } completion: { _ in
            }
        }
    }

    private func handle(_ events: [Connection.Event], fromListener: Bool, attempt number: Int, at now: Instant) {
        for event in events where number == self.attempt.number {
            if fromListener { self.machine.heard(at: now) }
            switch event {
            case .opened: self.answered(number)
            case .notified(let text): self.notified(text, attempt: number)
            case .broke(let error): self.fail(error, attempt: number)
            }
        }
    }

    private func notified(_ text: String, attempt number: Int) {
        if let bell = self.attempt.bells.read(text) {
            self.perform(self.attempt.following.rang(bell).map { [$0] } ?? [], attempt: number)
        } else if text == "probe \(self.attempt.nonce)" {
            self.notificationsComeThrough(number)
        }
    }

    private func announceLive() {
        let number = self.attempt.number
        self.inbox.receive(.live(self.attempt.extents))
        self.perform(self.attempt.following.wentLive(), attempt: number)
    }

    private func perform(_ effects: [Following.Effect], attempt number: Int) {
        for effect in effects {
            switch effect {
            case .deliver(let stream, let epoch, let records, let mark):
                self.hasSeen(mark, of: stream)
                self.inbox.receive(.records(stream: stream, epoch: epoch, records))
            case .read(let stream, let after):
                self.readOn(stream, after: after, attempt: number)
            }
        }
    }

    private func readOn(_ stream: StreamID, after offset: Offset, attempt number: Int) {
        let statement = self.calls.read(stream, after: offset, limitBytes: 1 << 20, app: self.attempt.app)
        self.ask(statement, of: self.attempt.listener, attempt: number) { rows throws(ServerError) in
            guard let page = try LogCalls.page(rows) else { throw Self.epochIsGone }
            self.perform(self.attempt.following.pageArrived(stream, page, after: offset), attempt: number)
        }
    }

    /// Asks the listening connection for all places: proof that it works, and of what a lost notification would have said.
    private func sendProbe(_ probe: UInt64) {
        let number = self.attempt.number
        let tellsWork = self.attempt.listener.map { $0.serverVersion >= 140_000 } ?? false
        let question = self.calls.places(app: self.attempt.app, tellsWork: tellsWork)
        self.ask(question, of: self.attempt.listener, attempt: number) { rows throws(ServerError) in
            self.machine.probeReturned(probe, at: .now)
            let work = rows.count > 0 ? rows.integer(0, 3) : nil
            self.pressure.noted(work: work.map { .milliseconds($0) }, at: .now)
            var missing = self.attempt.following.streams
            for row in 0..<rows.count {
                guard let index = rows.integer(row, 0).flatMap({ UInt16(exactly: $0) }),
                    let epoch = rows.unsigned(row, 1), let newest = rows.unsigned(row, 2)
                else { throw LogCalls.unexpected("places") }
                let stream = StreamID(index)
                missing.remove(stream)
                let found = self.attempt.following.found(stream, epoch: Epoch(epoch), newest: Offset(newest))
                guard !found.hasGoneBack else { throw Self.epochIsGone }
                self.perform(found.effect.map { [$0] } ?? [], attempt: number)
            }
            for stream in missing { self.attachAgain(stream, attempt: number) }
        }
    }

    /// A stream that had an epoch has none: its log was emptied under a link that is as good as before.
    private func attachAgain(_ stream: StreamID, attempt number: Int) {
        let statement = self.calls.attach(stream, seen: self.seen[stream], app: self.attempt.app)
        self.ask(statement, of: self.attempt.listener, attempt: number) { rows throws(ServerError) in
            let extent = try LogCalls.extent(rows)
            let found = self.attempt.following.found(stream, epoch: extent.epoch, newest: extent.newest)
            guard !found.hasGoneBack else { throw Self.epochIsGone }
            self.perform(found.effect.map { [$0] } ?? [], attempt: number)
        }
    }

    private static let epochIsGone = ServerError(state: "BB001", message: "the log was set back")

    private func noteSession(_ answer: Result<Rows, ServerError>) {
        if case .failure(let error) = answer, error.isUnknownStatement { self.trustsSessions = false }
    }

    /// Sends a statement of this attempt; if it fails, so does the link.
    func ask(
        _ statement: Statement, of connection: Connection?, attempt number: Int,
        use: @escaping (Rows) throws(ServerError) -> Void
    ) {
        connection?.send(statement, within: self.configuration.requestLimit) { answer in
            guard number == self.attempt.number else { return }
            self.noteSession(answer)
            do throws(ServerError) {
                try use(answer.get())
            } catch {
                self.fail(error, attempt: number)
            }
        }
    }
}
