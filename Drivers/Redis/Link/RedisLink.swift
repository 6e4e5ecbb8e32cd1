import BusbarConnection
import BusbarDriver
import NIOCore

/// The shell around the link's machine: two connections, one for requests and one that receives, and the timer.
///
/// Confined to one event loop, as are both connections, so that nothing here needs a lock or a hop.
final class RedisLink {
    /// What belongs to one attempt and dies with it.
    private struct Attempt {
        var number = 0
        /// Answers that the current step still awaits.
        var awaited = 0
        var requests: RedisConnection?
        var receiver: RedisConnection?
        var digests: [LogScript: String] = [:]
        var extents: [StreamID: StreamExtent] = [:]
    }

    typealias Completion = (RedisConnection.Answer) -> Void

    private let loop: any EventLoop
    let configuration: RedisConfiguration
    private let secrets: [Secret]
    private let inbox: any Inbox
    private let finished: EventLoopPromise<DriverError?>
    private let names: [StreamID: StreamNames]
    private let probeChannel: String
    private let dialer: RedisDialer
    private var receiving: Receiving
    private var machine: LinkMachine
    private var attempt = Attempt()
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
            case .disconnect: self.disconnect()
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
        // Why: a deadline that moved further away is noticed when the earlier one comes; that spares a timer per message.
        if let timer = self.timer, timer.at <= wakeUp { return }
        self.timer?.task.cancel()
        let delay = max(.zero, ContinuousClock.now.duration(to: wakeUp))
        let task = self.loop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) {
            self.timer = nil
            self.perform(self.machine.timerFired(at: .now, draw: .random(in: 0..<1)))
        }
        self.timer = (wakeUp, task)
    }

    private func disconnect() {
        let attempt = self.attempt
        self.attempt = Attempt()
        self.receiving.reset()
        for connection in [attempt.requests, attempt.receiver] {
            connection?.close(.lost("the link to Redis was given up"))
        }
    }

    private func fail(_ error: DriverError, attempt: Int) {
        let shown = DriverError(
            error.code, during: error.operation, recovery: error.recovery, detail: error.detail.hiding(self.secrets)
        )
        self.perform(self.machine.failed(shown, attempt: attempt, at: .now, draw: .random(in: 0..<1)))
    }

    private func stepSucceeded(_ attempt: Int) {
        self.perform(self.machine.stepSucceeded(attempt: attempt, at: .now))
    }

    // MARK: Steps

    private func connect(_ number: Int) {
        self.attempt.number = number
        self.dialer.dialPair { result in
            guard number == self.attempt.number else {
                if case .success(let pair) = result {
                    pair.requests.close(.lost("too late"))
                    pair.receiver.close(.lost("too late"))
                }
                return
            }
            switch result {
            case .failure(let error):
                self.fail(error, attempt: number)
            case .success(let pair):
                self.attempt.requests = pair.requests
                self.attempt.receiver = pair.receiver
                pair.requests.setOwner { event in
                    if case .closed(let error) = event { self.fail(error, attempt: number) }
                }
                pair.receiver.setOwner { event in self.received(event, attempt: number) }
                self.stepSucceeded(number)
            }
        }
    }

    private func authenticate(_ number: Int) {
        let configuration = self.configuration
        let login = configuration.password.map { password in
            let words = [configuration.user, password.text].compactMap(\.self)
            return words.reduce(into: CommandArguments()) { $0.append($1) }.command("AUTH")
        }
        let name = CommandArguments("SETNAME", "busbar:\(configuration.app)").command("CLIENT")
        let select = CommandArguments(String(configuration.database)).command("SELECT")
        let connections = [self.attempt.requests, self.attempt.receiver].compactMap(\.self)
        self.attempt.awaited = 1
        for connection in connections {
            if let login { self.request(login, on: connection, attempt: number) }
            if configuration.database != 0 { self.request(select, on: connection, attempt: number) }
            // A name is a courtesy to whoever reads CLIENT LIST: a user without the right to give one is fine.
            self.request(name, on: connection, attempt: number, tolerating: { $0.code == "NOPERM" })
        }
        self.answered(number)
    }

    private func verify(_ number: Int) {
        guard let requests = self.attempt.requests else { return }
        self.attempt.awaited = 1
        for section in ["server", "replication"] {
            let info = CommandArguments(section).command("INFO")
            self.request(
                info, on: requests, attempt: number, tolerating: { $0.code == "NOPERM" },
                use: { reply in
                    if let error = ServerFacts(info: reply.text ?? "").objection() { self.fail(error, attempt: number) }
                })
        }
        for script in LogScript.allCases {
            let load = CommandArguments("LOAD", script.text).command("SCRIPT")
            self.request(load, on: requests, attempt: number, use: { self.attempt.digests[script] = $0.text })
        }
        self.answered(number)
    }

    private func follow(_ number: Int) {
        guard let receiver = self.attempt.receiver else { return }
        self.attempt.awaited = self.names.count + 1
        var channels = CommandArguments(self.probeChannel)
        for name in self.names.values { channels.append(name.channel) }
        receiver.sendUnanswered(channels.command("SUBSCRIBE"))
    }

    /// All subscriptions are confirmed. Only now the streams are asked what they hold: whatever is appended after that is delivered.
    private func attachAll(_ number: Int) {
        guard let requests = self.attempt.requests else { return }
        self.attempt.awaited = 1 + self.names.count
        for (stream, names) in self.names {
            self.call(self.attachCall(stream, names: names), on: requests, during: "run") { answer in
                guard number == self.attempt.number else { return }
                do {
                    switch answer {
                    case .failure(let error): throw error
                    case .success(.error(let error)): throw error.driverError(during: "run", hiding: self.secrets)
                    case .success(let reply): self.attempt.extents[stream] = try LogAnswers.extent(reply)
                    }
                    self.attached(number)
                } catch {
                    self.fail(error as? DriverError ?? .lost("\(error)"), attempt: number)
                }
            }
        }
        self.attached(number)
    }

    private func attached(_ number: Int) {
        self.attempt.awaited -= 1
        if self.attempt.awaited == 0 { self.stepSucceeded(number) }
    }

    /// Sends one request of a step; the step is done when all are answered.
    private func request(
        _ command: ByteBuffer,
        on connection: RedisConnection,
        attempt number: Int,
        tolerating isTolerable: @escaping (RedisServerError) -> Bool = { _ in false },
        use: @escaping (RedisReply) -> Void = { _ in }
    ) {
        self.attempt.awaited += 1
        connection.send(command, within: self.configuration.requestLimit) { answer in
            guard number == self.attempt.number else { return }
            switch answer {
            case .failure(let error):
                self.fail(error, attempt: number)
            case .success(.error(let error)) where !isTolerable(error):
                self.fail(error.driverError(during: "run", hiding: self.secrets), attempt: number)
            case .success(let reply):
                use(reply)
                self.answered(number)
            }
        }
    }

    private func answered(_ number: Int) {
        guard number == self.attempt.number else { return }
        self.attempt.awaited -= 1
        if self.attempt.awaited == 0 { self.stepSucceeded(number) }
    }

    private func call(
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
            if error.meansOtherServer { self.fail(error.driverError(during: "run"), attempt: number) }
        }
    }

    // MARK: Live

    private func received(_ event: RedisConnection.Event, attempt number: Int) {
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
