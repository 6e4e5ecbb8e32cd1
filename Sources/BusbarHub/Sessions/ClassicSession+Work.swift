import BusbarProtocol
import Logging
import Metrics
import NIOCore

/// Calls and events of a classic connection.
extension ClassicSession {
    func received(_ text: ByteBuffer, on channel: ClassicChannel) {
        guard channel === self.channel, self.state.lifecycle.takesCalls, text.readableBytes > 0 else { return }
        var invocation: ClassicInvocation
        do throws(ProtocolError) {
            invocation = try ClassicJSON.parseInvocation(text)
        } catch {
            guard let id = ClassicJSON.invocationID(in: text) else { return }
            let isDetailed = self.runtime.configuration.detailedErrors
            return self.answer(id, .failure(isDetailed ? error.detail : "The call could not be read."))
        }
        guard let hub = self.runtime.hubs.hub(named: invocation.hub) else {
            let failure = HubFailure(.unknownMethod, "'\(invocation.hub)' Hub could not be resolved.")
            return self.answer(invocation.invocationID, .failure(self.text(failure, invocation)))
        }
        invocation.arguments = invocation.arguments.copy()
        invocation.state = invocation.state?.copy()
        self.offer(.call(invocation, hub, channel: channel.number), bytes: text.readableBytes)
        if self.state.queue.isFull { self.pauseReading() }
    }

    /// Takes a call that came by a request of its own, which its result answers.
    func post(_ text: ByteBuffer, _ reply: ClassicReply) {
        guard self.state.lifecycle.takesCalls else { return reply.resume(.unknown) }
        guard !self.state.queue.isFull else { return reply.resume(.busy) }
        var invocation: ClassicInvocation
        do throws(ProtocolError) {
            invocation = try ClassicJSON.parseInvocation(text)
        } catch {
            return reply.resume(.malformed(error.detail))
        }
        guard let hub = self.runtime.hubs.hub(named: invocation.hub) else {
            let failure = HubFailure(.unknownMethod, "'\(invocation.hub)' Hub could not be resolved.")
            return reply.resume(invocation, .failure(self.text(failure, invocation)))
        }
        invocation.arguments = invocation.arguments.copy()
        invocation.state = invocation.state?.copy()
        self.offer(.posted(invocation, hub, reply), bytes: text.readableBytes)
    }

    /// `/start`: the connected event runs once per connection, the answer comes when it has run.
    func start(_ continuation: CheckedContinuation<ClassicStart, Never>) {
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
            self.submit(context) {
                let failure = await Self.run(hubs) { await $0.connected(context, publisher: runtime) }
                route.perform { session in
                    session.perform(
                        session.state.lifecycle.connectedFinished(succeeded: failure == nil, now: session.now))
                    session.workFinished(failure, "the connected event failed")
                }
            }
        case .reconnected(let channel):
            self.submit(context) {
                let failure = await Self.run(hubs) { await $0.reconnected(context, publisher: runtime) }
                route.perform { session in
                    if session.channel?.number == channel {
                        session.perform(session.state.lifecycle.reconnectedFinished(succeeded: failure == nil))
                    }
                    session.workFinished(failure, "the reconnected event failed")
                }
            }
        case .call(let invocation, let hub, let channel):
            runtime.services.metrics.invocations.increment()
            let call = RegisteredHub.Invocation(
                method: invocation.method, arguments: invocation.arguments, rules: .classic)
            self.submit(context) {
                let outcome = await hub.invoke(call, context: context, publisher: runtime)
                route.perform { $0.callFinished(invocation, outcome, channel: channel) }
            }
        case .posted(let invocation, let hub, let reply):
            runtime.services.metrics.invocations.increment()
            let call = RegisteredHub.Invocation(
                method: invocation.method, arguments: invocation.arguments, rules: .classic)
            self.submit(context) {
                let outcome = await hub.invoke(call, context: context, publisher: runtime)
                route.perform { session in
                    let (result, failure) = session.result(of: invocation, outcome)
                    reply.resume(invocation, result)
                    session.workFinished(failure, "a call failed")
                }
            }
        case .woundUp:
            self.perform(self.state.lifecycle.woundUp())
        case .disconnected(let disconnection):
            // Why: an event that takes long is still running when it would be forced.
            guard !self.state.isDisconnecting else { return }
            self.state.isDisconnecting = true
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

    /// Runs an event for each hub, all of them whatever the others do, and returns the first failure.
    private static func run(
        _ hubs: [RegisteredHub], _ event: (RegisteredHub) async -> HubFailure?
    ) async -> HubFailure? {
        var first: HubFailure?
        for hub in hubs {
            let failure = await event(hub)
            first = first ?? failure
        }
        return first
    }

    /// False if nothing is run any more.
    @discardableResult
    private func submit(_ context: ConnectionContext?, _ body: @escaping @Sendable () async -> Void) -> Bool {
        self.runtime.services.mailbox.submit(Work(context: context, body: body))
    }

    private func callFinished(
        _ invocation: ClassicInvocation, _ outcome: InvocationOutcome, channel: ClassicLifecycle.Channel
    ) {
        let (result, failure) = self.result(of: invocation, outcome)
        // Why: on a new channel the client has given up the calls of the old one.
        if self.channel?.number == channel { self.answer(invocation.invocationID, result) }
        self.workFinished(failure, "a call failed")
    }

    private func result(
        of invocation: ClassicInvocation, _ outcome: InvocationOutcome
    ) -> (ClassicResult, HubFailure?) {
        switch outcome {
        case .void: (.success(), nil)
        case .value(let value): (.success(value), nil)
        case .failed(let why):
            (.failure(self.text(why, invocation), isHubError: why.isHubError, data: why.data), why)
        }
    }

    private func text(_ failure: HubFailure, _ invocation: ClassicInvocation) -> String {
        failure.classicText(
            hub: invocation.hub, method: invocation.method, detailed: self.runtime.configuration.detailedErrors)
    }

    /// A result without an id has nobody to go to.
    private func answer(_ id: String?, _ result: ClassicResult) {
        guard let id else { return }
        if self.isBehind { return self.fellBehind() }
        self.write(ClassicFrames.result(result, invocationID: id))
    }

    private func workFinished(_ failure: HubFailure?, _ what: Logger.Message) {
        if let failure { self.note(failure, what) }
        guard !self.state.isForced else { return }
        if let next = self.state.queue.finished() { self.start(next) }
        self.resumeIfPaused()
    }

    private func note(_ failure: HubFailure, _ what: Logger.Message) {
        self.runtime.services.note(
            failure, what, connection: self.id, hub: self.state.hubs.map(\.name).joined(separator: ","))
    }
}

/// How other threads come back to a classic connection, on whatever loop it is by then.
struct ClassicRoute: Sendable {
    let directory: ClassicDirectory
    let ticket: ClassicDirectory.Ticket

    func perform(_ body: @escaping @Sendable (ClassicSession) -> Void) {
        self.directory.perform(self.ticket) { if let session = $0 { body(session) } }
    }
}
