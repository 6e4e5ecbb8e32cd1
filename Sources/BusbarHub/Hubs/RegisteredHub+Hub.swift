import BusbarProtocol

extension RegisteredHub {
    /// A hub of a type of the application.
    convenience init<H: Hub>(
        name: String,
        scriptName: String?,
        path: String,
        type: H.Type,
        factory: HubFactory<H>,
        pipeline: HubPipeline
    ) throws(HubRegistrationError) {
        let methods = try HubMethodTable(H.methods, hub: name)
        let gate = HubGate(hub: name, authorization: H.authorization, pipeline: pipeline)
        let dispatch = HubDispatch(name: name, methods: methods, factory: factory, gate: gate, pipeline: pipeline)
        let ask: @Sendable (Principal?, ConnectionRequest) -> Bool = { user, request in gate.admits(user, request) }
        let admits = gate.isOpenToAll ? nil : ask
        self.init(
            name: name, scriptName: scriptName, path: path, type: type, methods: methods.names,
            ambiguous: methods.ambiguous,
            behaviour: Behaviour(
                invoke: { await dispatch.invoke($0, $1) },
                receive: nil,
                handle: { await dispatch.handle($0, $1) },
                admits: admits,
                signals: { _ in [] },
                rejoining: { pipeline.rejoining($0, hub: name, context: $1) }))
    }
}

/// Calls methods of one hub and tells it of events.
private struct HubDispatch<H: Hub>: Sendable {
    let name: String
    let methods: HubMethodTable<H>
    let factory: HubFactory<H>
    let gate: HubGate
    let pipeline: HubPipeline

    func invoke(_ invocation: RegisteredHub.Invocation, _ call: HubCall) async -> InvocationOutcome {
        let outcome = await self.call(invocation, call)
        guard let exchange = call.exchange else { return outcome }
        exchange.complete()
        if !outcome.isFailure, let problem = exchange.stateProblem {
            return .failed(HubFailure(.thrown("EncodingError"), problem))
        }
        return outcome
    }

    private func call(_ invocation: RegisteredHub.Invocation, _ call: HubCall) async -> InvocationOutcome {
        let method: HubMethod<H>?
        let misfit: HubFailure?
        do throws(HubFailure) {
            method = try self.methods.method(invocation.method, argumentCount: invocation.arguments.count)
            misfit = nil
        } catch {
            method = nil
            misfit = error
        }
        let name = method?.name ?? invocation.method
        if let refusal = self.gate.refusal(of: name, asking: method?.requirements ?? [], call.context) {
            return .failed(refusal)
        }
        if self.pipeline.modules.isEmpty {
            guard let method else { return .failed(misfit ?? HubFailure(.unknownMethod, "")) }
            return await method.invoke(invocation.arguments, invocation.rules, self.factory, call)
        }
        let arguments: [JSONNode]
        do throws(JSONCodingError) {
            arguments = try invocation.arguments.nodes()
        } catch {
            return .failed(HubFailure(.argumentMismatch, "an argument can't be shown to modules: \(error.detail)"))
        }
        let incoming = IncomingCall(hub: self.name, method: name, arguments: arguments, call: call)
        do {
            let result = try await self.pipeline.incoming(incoming) {
                guard let method else { throw misfit ?? HubFailure(.unknownMethod, "") }
                return try await method.invoke(invocation.arguments, invocation.rules, self.factory, call).result
            }
            return result.text.map { .value($0) } ?? .void
        } catch {
            return .failed(HubFailure(passing: error))
        }
    }

    func handle(_ event: RegisteredHub.Event, _ call: HubCall) async -> HubFailure? {
        if self.pipeline.modules.isEmpty { return await self.factory.handle(event, call) }
        do {
            let seen = HubEvent(kind: event.kind, hub: self.name, context: call.context)
            try await self.pipeline.event(seen) {
                if let failure = await self.factory.handle(event, call) { throw failure }
            }
            return nil
        } catch {
            return HubFailure(passing: error)
        }
    }
}

extension InvocationOutcome {
    /// The outcome as modules see it. What fails is thrown: the error that a method threw, as it threw it.
    fileprivate var result: CallResult {
        get throws {
            switch self {
            case .void: return .nothing
            case .value(let text): return CallResult(text: text)
            case .failed(let failure): throw failure.cause.error ?? failure
            }
        }
    }
}

extension HubFailure {
    /// The failure for what came out of the pipeline, which may be one that went into it.
    fileprivate init(passing error: any Error) {
        self = (error as? HubFailure) ?? HubFailure(thrown: error)
    }
}

extension RegisteredHub.Event {
    fileprivate var kind: HubEvent.Kind {
        switch self {
        case .connected: .connected
        case .reconnected: .reconnected
        case .disconnected(let ending): .disconnected(ending)
        }
    }
}

extension HubFactory {
    fileprivate func handle(_ event: RegisteredHub.Event, _ call: HubCall) async -> HubFailure? {
        let hub: H
        do throws(HubFailure) {
            hub = try await self.make(call)
        } catch {
            return error
        }
        do {
            switch event {
            case .connected: try await hub.connected()
            case .reconnected: try await hub.reconnected()
            case .disconnected(let ending): await hub.disconnected(ending)
            }
            return nil
        } catch {
            return HubFailure(thrown: error)
        }
    }
}
