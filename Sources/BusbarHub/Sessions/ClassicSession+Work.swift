import Busbar
import BusbarProtocol
import Logging
import Metrics
import NIOCore

/// Calls and events of a classic connection.
extension ClassicSession {
    func received(_ text: ByteBuffer, answer: ClassicAnswer) {
        guard self.state.lifecycle.takesCalls else { return answer.settle(.unknown) }
        switch answer {
        case .channel(let number): guard number == self.channel?.number else { return }
        case .reply: if self.state.queue.isFull { return answer.settle(.busy) }
        }
        self.runtime.services.metrics.messagesFromClients.increment()
        if let endpoint = self.state.hubs.first, endpoint.isPersistentConnection {
            self.offer(.data(String(buffer: text), endpoint, answer: answer), bytes: text.readableBytes)
            if self.state.queue.isFull { self.pauseReading() }
            return
        }
        if case .channel = answer, text.readableBytes == 0 { return }
        var invocation: ClassicInvocation
        do throws(ProtocolError) {
            invocation = try ClassicJSON.parseInvocation(text)
        } catch {
            if case .reply = answer { return answer.settle(.malformed(error.detail)) }
            guard let id = ClassicJSON.invocationID(in: text) else { return }
            let isDetailed = self.runtime.configuration.detailedErrors
            return self.answer(answer, id, .failure(isDetailed ? error.detail : "The call could not be read."))
        }
        guard let hub = self.runtime.hubs.hub(named: invocation.hub) else {
            self.runtime.services.metrics.unresolvedHubs.increment()
            let failure = HubFailure(.unknownMethod, "'\(invocation.hub)' Hub could not be resolved.")
            // Why: requests fail as the reference's do; on a socket its client would wait in vain.
            if case .reply = answer { return answer.settle(.malformed("There is no such hub.")) }
            return self.answer(answer, invocation.invocationID, .failure(Self.text(failure, invocation, self.runtime)))
        }
        invocation.arguments = invocation.arguments.copy()
        invocation.state = invocation.state?.copy()
        self.offer(.call(invocation, hub, answer: answer), bytes: text.readableBytes)
        if self.state.queue.isFull { self.pauseReading() }
    }

    /// `/start`: the connected event runs once per connection, the answer comes when it has run.
    func start(_ continuation: CheckedContinuation<ClassicStart, Never>) {
        // Why: it is about to be forgotten, and a moment later nobody would know it.
        if self.state.lifecycle.isOver { return continuation.resume(returning: .unknown) }
        self.state.starts.append(continuation)
        self.perform(self.state.lifecycle.startRequested())
    }

    func offer(_ job: ClassicState.Job, bytes: Int = 0) {
        if let next = self.state.queue.offer(job, bytes: bytes) { self.start(next) }
    }

    func start(_ job: ClassicState.Job) {
        let runtime = self.runtime, context = self.state.context, hubs = self.state.hubs, route = self.route
        switch job {
        case .connected:
            runtime.services.metrics.connected.increment()
            self.submit(context) {
                let failure = await Self.run(hubs) { await $0.connected(context, publisher: runtime) }
                route.perform { session in
                    session.perform(
                        session.state.lifecycle.connectedFinished(succeeded: failure == nil, now: session.now))
                    session.workFinished(failure, "the connected event failed")
                }
            }
        case .reconnected(let channel):
            runtime.services.metrics.reconnected.increment()
            self.submit(context) {
                let failure = await Self.run(hubs) { await $0.reconnected(context, publisher: runtime) }
                route.perform { session in
                    if session.channel?.number == channel {
                        session.perform(session.state.lifecycle.reconnectedFinished(succeeded: failure == nil))
                    }
                    session.workFinished(failure, "the reconnected event failed")
                }
            }
        case .call(let invocation, let hub, let answer):
            runtime.services.metrics.invocations.increment()
            let exchange = ClassicExchange(invocationID: invocation.invocationID, state: invocation.state)
            let call = RegisteredHub.Invocation(
                method: invocation.method, arguments: .json(invocation.arguments), rules: .classic, exchange: exchange)
            self.submit(context) {
                let publisher = NotingPublisher(runtime)
                let outcome = await hub.invoke(call, context: context, publisher: publisher)
                let state = exchange.stateChanges
                let place = publisher.hasPublished ? runtime.services.bus.publishedFrontier : nil
                route.perform {
                    $0.callFinished(invocation, outcome, state: state, answer, after: place)
                } otherwise: {
                    Self.callOutlived(context, invocation, outcome, state: state, answer, runtime)
                }
            }
        case .data(let data, let endpoint, let answer):
            runtime.services.metrics.invocations.increment()
            self.submit(context) {
                let publisher = NotingPublisher(runtime)
                let outcome = await endpoint.receive(data, context: context, publisher: publisher)
                let place = publisher.hasPublished ? runtime.services.bus.publishedFrontier : nil
                route.perform {
                    $0.dataTaken(outcome, answer, after: place)
                } otherwise: {
                    answer.settle(Self.send(outcome))
                }
            }
        case .woundUp:
            self.perform(self.state.lifecycle.woundUp())
        case .disconnected(let disconnection):
            // Why: an event that takes long is still running when it would be forced.
            guard !self.state.isDisconnecting else { return }
            self.state.isDisconnecting = true
            runtime.services.connectionEnded(self.id, hub: self.hubNames, disconnection)
            context.end()
            let isTaken = self.submit(nil) {
                let failure = await Self.run(hubs) {
                    await $0.disconnected(context, ending: disconnection, publisher: runtime)
                }
                route.perform { session in
                    if let failure { session.note(failure, "the disconnected event did not run") }
                    session.perform(session.state.lifecycle.disconnectedFinished())
                }
            }
            if !isTaken { self.perform(self.state.lifecycle.disconnectedFinished()) }
        }
    }

    /// Runs an event for each hub side by side, all of them whatever the others do, and returns the first failure. A hub
    /// that can't be made hears of no event and hinders no other.
    private static func run(
        _ hubs: [RegisteredHub], _ event: @escaping @Sendable (RegisteredHub) async -> HubFailure?
    ) async -> HubFailure? {
        guard hubs.count > 1 else {
            guard let hub = hubs.first else { return nil }
            return await Self.unlessUnavailable(event(hub))
        }
        return await withTaskGroup(of: (Int, HubFailure?).self) { group in
            for (index, hub) in hubs.enumerated() {
                group.addTask { (index, Self.unlessUnavailable(await event(hub))) }
            }
            var first: (index: Int, failure: HubFailure)?
            for await (index, failure) in group {
                if let failure, index < first?.index ?? .max { first = (index, failure) }
            }
            return first?.failure
        }
    }

    private static func unlessUnavailable(_ failure: HubFailure?) -> HubFailure? {
        if case .hubUnavailable = failure?.kind { nil } else { failure }
    }

    /// False if nothing is run any more.
    @discardableResult
    private func submit(_ context: ConnectionContext?, _ body: @escaping @Sendable () async -> Void) -> Bool {
        self.runtime.services.mailbox.submit(Work(context: context, body: body))
    }

    /// - Parameter place: what the call has published lies before it, and reaches the client before the result does.
    private func callFinished(
        _ invocation: ClassicInvocation, _ outcome: InvocationOutcome, state: JSONValueText?,
        _ answer: ClassicAnswer, after place: Frontier?
    ) {
        let (result, failure) = Self.result(of: invocation, outcome, state: state, self.runtime)
        self.deliver(Self.send(invocation.invocationID, result), answer, after: place)
        self.workFinished(failure, "a call failed")
    }

    /// A call that took longer than its connection was waited for is answered all the same: it has run.
    private static func callOutlived(
        _ context: ConnectionContext, _ invocation: ClassicInvocation, _ outcome: InvocationOutcome,
        state: JSONValueText?, _ answer: ClassicAnswer, _ runtime: HubRuntime
    ) {
        let (result, failure) = Self.result(of: invocation, outcome, state: state, runtime)
        answer.settle(Self.send(invocation.invocationID, result))
        if let failure {
            runtime.services.note(
                failure, "a call failed behind its connection's end", connection: context.id, hub: invocation.hub)
        }
    }

    /// The direct answer to data is a message of its own, outside envelopes.
    private func dataTaken(_ outcome: InvocationOutcome, _ answer: ClassicAnswer, after place: Frontier?) {
        self.deliver(Self.send(outcome), answer, after: place)
        var failure: HubFailure?
        if case .failed(let why) = outcome { failure = why }
        self.workFinished(failure, "data of a client could not be handled")
    }

    /// Answers when the client has been sent what lies before `place`.
    private func deliver(_ text: ClassicSend, _ answer: ClassicAnswer, after place: Frontier?) {
        let route = self.route
        self.loop.whenReached(place ?? self.loop.frontier, by: self.now + Self.longestLag) {
            switch answer {
            case .reply(let reply): reply.resume(text)
            // Why route: by now the connection may be on another loop.
            case .channel where place != nil: route.perform { $0.answer(answer, text) }
            case .channel: self.answer(answer, text)
            }
        }
    }

    /// How long a result waits for messages that the broker has taken and not delivered.
    private static let longestLag = TimeAmount.seconds(5)

    private static func result(
        of invocation: ClassicInvocation, _ outcome: InvocationOutcome, state: JSONValueText?, _ runtime: HubRuntime
    ) -> (ClassicResult, HubFailure?) {
        var result: ClassicResult
        var failure: HubFailure?
        switch outcome {
        case .void: result = .success()
        case .value(let value): result = .success(value)
        case .failed(let why):
            result = .failure(Self.text(why, invocation, runtime), isHubError: why.isHubError, data: why.data)
            failure = why
        }
        result.state = state
        return (result, failure)
    }

    private static func text(
        _ failure: HubFailure, _ invocation: ClassicInvocation, _ runtime: HubRuntime
    ) -> String {
        failure.classicText(
            hub: invocation.hub, method: invocation.method, detailed: runtime.configuration.detailedErrors)
    }

    private func answer(_ answer: ClassicAnswer, _ id: String?, _ result: ClassicResult) {
        self.answer(answer, Self.send(id, result))
    }

    /// A result without an id has nobody to go to, and over a channel only results are told.
    private func answer(_ answer: ClassicAnswer, _ text: ClassicSend) {
        switch answer {
        case .channel(let number):
            // Why: on a new channel the client has given up the calls of the old one.
            guard case .result(let text) = text, let channel = self.channel, channel.number == number else { return }
            if self.isBehind { return self.fellBehind() }
            self.write(channel.framing.frame(text))
        case .reply(let reply):
            reply.resume(text)
        }
    }

    private static func send(_ id: String?, _ result: ClassicResult) -> ClassicSend {
        id.map { .result(ClassicFrames.result(result, invocationID: $0)) } ?? .nothing
    }

    private static func send(_ outcome: InvocationOutcome) -> ClassicSend {
        switch outcome {
        case .void: .nothing
        case .value(let value): .result(value.bytes)
        case .failed: .failed
        }
    }

    private func workFinished(_ failure: HubFailure?, _ what: Logger.Message) {
        if let failure { self.note(failure, what) }
        guard !self.state.isForced else { return }
        if let next = self.state.queue.finished() { self.start(next) }
        self.resumeIfPaused()
    }

    private func note(_ failure: HubFailure, _ what: Logger.Message) {
        self.runtime.services.note(failure, what, connection: self.id, hub: self.hubNames)
    }

    private var hubNames: String { self.state.hubs.map(\.name).joined(separator: ",") }
}

/// How other threads come back to a classic connection, on whatever loop it is by then.
struct ClassicRoute: Sendable {
    let directory: ClassicDirectory
    let ticket: ClassicDirectory.Ticket

    /// - Parameter otherwise: what is done instead when the connection is over and forgotten.
    func perform(
        _ body: @escaping @Sendable (ClassicSession) -> Void, otherwise: @escaping @Sendable () -> Void = {}
    ) {
        self.directory.perform(self.ticket) { if let session = $0 { body(session) } else { otherwise() } }
    }
}
