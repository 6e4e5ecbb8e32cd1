import BusbarConnection
import BusbarDriver
import NIOCore

/// The shell around the link's machine: two connections, one for requests and one that receives, and the timer.
///
/// Confined to one event loop, as are both connections, so that nothing here needs a lock or a hop. The steps on the
/// way to being live are in RedisLink+Steps.swift.
final class RedisLink {
    /// What belongs to one attempt and dies with it.
    struct Attempt {
        var number = 0
        /// Answers that the current step still awaits.
        var awaited = 0
        var requests: RedisConnection?
        var receiver: RedisConnection?
        var digests: [LogScript: String] = [:]
        var isCluster = false
        var wasLive = false
        var extents: [StreamID: StreamExtent] = [:]
    }

    typealias Completion = (RedisConnection.Answer) -> Void

    private let loop: any EventLoop
    let configuration: RedisConfiguration
    let secrets: [Secret]
    private let inbox: any Inbox
    private let finished: EventLoopPromise<DriverError?>
    let names: [StreamID: StreamNames]
    let probeChannel: String
    let dialer: RedisDialer
    private var receiving: Receiving
    private var machine: LinkMachine
    var attempt = Attempt()
    private var timer: (at: ContinuousClock.Instant, task: Scheduled<Void>)?
    private var seen: [StreamID: SeenMark] = [:]

    init(
        configuration: RedisConfiguration,
        streams: [StreamID],
        driver: UInt64,
        inbox: any Inbox,
        loop: any EventLoop,
        finished: EventLoopPromise<DriverError?>
    ) {
        self.loop = loop
        self.configuration = configuration
        self.secrets = [configuration.password, configuration.sentinelPassword].compactMap(\.self)
        self.inbox = inbox
        self.finished = finished
        let names = streams.map { stream in
            (stream, StreamNames(app: configuration.app, database: configuration.database, stream: stream))
        }
        self.names = Dictionary(names, uniquingKeysWith: { first, _ in first })
        self.probeChannel = StreamNames.probeChannel(app: configuration.app, driver: driver)
        self.receiving = Receiving(channels: self.names.mapValues(\.channel), probeChannel: self.probeChannel)
        self.dialer = RedisDialer(configuration: configuration, loop: loop)
        self.machine = LinkMachine(
            policy: LinkPolicy(
                stepLimit: configuration.requestLimit,
                probeInterval: configuration.probeInterval,
                probeLimit: configuration.probeLimit,
                backOffCeiling: configuration.backOffCeiling
            )
        )
    }

    // MARK: From the driver

    func start() {
        self.perform(self.machine.started(at: .now))
    }

    func stop() {
        self.perform(self.machine.stopped())
    }

    /// Calls a script, with its text if Redis has forgotten it.
    func call(_ call: ScriptCall, during operation: StaticString, completion: @escaping Completion) {
        guard self.machine.isLive, let requests = self.attempt.requests else {
            return completion(.failure(.lost("there is no link to Redis at present").during(operation)))
        }
        self.call(call, on: requests, during: operation, completion: completion)
    }

    /// The mark by which a log is recognised as the one this driver has seen.
    func mark(of stream: StreamID) -> SeenMark? {
        self.seen[stream]
    }

    func hasSeen(_ mark: SeenMark, of stream: StreamID) {
        if self.seen[stream]?.advance(to: mark) == nil { self.seen[stream] = mark }
    }

    func attachCall(_ stream: StreamID, names: StreamNames) -> ScriptCall {
        let second = UInt64(RedisDriver.secondsSince1970())
        let horizon = second - min(second, RedisDriver.writerMemorySeconds)
        return .attach(to: names, seen: self.seen[stream], forgettingWritersBefore: horizon)
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
            case .finish(let error): self.finished.succeed(error)
            }
        }
        self.armTimer()
    }

    private func perform(_ step: LinkMachine.Step, attempt: Int) {
        switch step {
        case .connect: self.connect(attempt)
        case .authenticate: self.authenticate(attempt)
        case .verify: self.verify(attempt)
        case .follow: self.follow(attempt)
        }
    }

    private func armTimer() {
        guard let wakeUp = self.machine.wakeUp else {
            self.timer?.task.cancel()
            self.timer = nil
            return
        }
        // Why: a deadline that moved further away is noticed when the earlier one comes; that spares a timer per
        // message.
        if let timer = self.timer, timer.at <= wakeUp { return }
        self.timer?.task.cancel()
        let delay = max(.zero, ContinuousClock.now.duration(to: wakeUp))
        let task = self.loop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) {
            self.timer = nil
            self.perform(self.machine.timerFired(at: .now, draw: .random(in: 0..<1)))
        }
        self.timer = (wakeUp, task)
    }

    private func disconnect(because error: DriverError?) {
        let attempt = self.attempt
        self.attempt = Attempt()
        self.receiving.reset()
        // Why not of a live link: what worked is tried again first.
        if !attempt.wasLive { self.dialer.guide.attemptFailed() }
        for connection in [attempt.requests, attempt.receiver] {
            connection?.close(.lost("the link to Redis was given up: \(error?.detail ?? "the driver ends")"))
        }
    }

    func fail(_ error: DriverError, attempt: Int) {
        let shown = DriverError(
            error.code, during: error.operation, recovery: error.recovery, detail: error.detail.hiding(self.secrets)
        )
        self.perform(self.machine.failed(shown, attempt: attempt, at: .now, draw: .random(in: 0..<1)))
    }

    func stepSucceeded(_ attempt: Int) {
        self.perform(self.machine.stepSucceeded(attempt: attempt, at: .now))
    }

    func call(
        _ call: ScriptCall, on connection: RedisConnection, during operation: StaticString,
        completion: @escaping Completion
    ) {
        let number = self.attempt.number
        let limit = self.configuration.requestLimit
        let digest = self.attempt.digests[call.script] ?? "?"
        connection.send(call.command(digest: digest), within: limit, during: operation) { answer in
            guard case .success(.error(let error)) = answer else { return completion(answer) }
            if error.isMissingScript {
                return connection.send(call.commandWithText(), within: limit, during: operation, completion: completion)
            }
            completion(.failure(error.driverError(during: operation, hiding: self.secrets)))
            guard error.meansOtherServer else { return }
            let home = error.movedTo(asked: self.dialer.host)
            self.fail(error.driverError(during: "run"), attempt: number)
            if let home { self.dialer.guide.moved(to: home) }
        }
    }

    // MARK: Live

    func received(_ event: RedisConnection.Event, attempt number: Int) {
        guard number == self.attempt.number else { return }
        switch event {
        case .pushed(let parts):
            switch self.receiving.pushed(parts) {
            case .nothing: break
            case .subscribed:
                self.attempt.awaited -= 1
                if self.attempt.awaited == 0 { self.attachAll(number) }
            case .probe(let probe): self.machine.probeReturned(probe, at: .now)
            case .deliver(let delivery): self.deliver(delivery)
            }
        case .readCompleted:
            self.machine.heard(at: .now)
            if let delivery = self.receiving.readCompleted() { self.deliver(delivery) }
        case .closed(let error):
            self.fail(error, attempt: number)
        }
    }

    private func announceLive() {
        self.attempt.wasLive = true
        self.dialer.guide.wentLive()
        self.inbox.receive(.live(self.attempt.extents))
        for delivery in self.receiving.wentLive() { self.deliver(delivery) }
    }

    private func deliver(_ delivery: Receiving.Delivery) {
        self.hasSeen(delivery.last, of: delivery.stream)
        self.inbox.receive(.records(stream: delivery.stream, epoch: delivery.epoch, delivery.records))
    }

    private func sendProbe(_ probe: UInt64) {
        guard let requests = self.attempt.requests else { return }
        let number = self.attempt.number
        let publish = CommandArguments(self.probeChannel, String(probe)).command("PUBLISH")
        requests.send(publish, within: self.configuration.probeLimit) { answer in
            switch answer {
            case .success(.error(let error)): self.fail(error.driverError(during: "run"), attempt: number)
            case .failure(let error): self.fail(error, attempt: number)
            case .success: break
            }
        }
    }
}
