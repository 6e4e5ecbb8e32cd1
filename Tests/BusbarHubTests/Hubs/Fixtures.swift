import BusbarHub
import BusbarProtocol
import NIOCore
import Synchronization

/// A publisher that keeps what it is given.
final class Recorder: HubPublisher {
    private let kept = Mutex<(messages: [HubMessage], changes: [GroupChange])>(([], []))
    private let refusal: HubSendError?

    init(refusing refusal: HubSendError? = nil) { self.refusal = refusal }

    var messages: [HubMessage] { self.kept.withLock { $0.messages } }
    var changes: [GroupChange] { self.kept.withLock { $0.changes } }
    var audiences: [Audience] { self.messages.map(\.audience) }

    func publish(_ message: HubMessage) async throws(HubSendError) {
        if let refusal = self.refusal { throw refusal }
        self.kept.withLock { $0.messages.append(message) }
    }

    func changeGroup(_ change: GroupChange) async throws(HubSendError) {
        if let refusal = self.refusal { throw refusal }
        self.kept.withLock { $0.changes.append(change) }
    }

    let clientResultTimeout = Duration.seconds(30)

    func invoke(_ invocation: ClientInvocation) async throws(HubSendError) -> ClientAnswer {
        if let refusal = self.refusal { throw refusal }
        self.kept.withLock { $0.messages.append(invocation.message) }
        return .nothing
    }
}

extension ConnectionContext {
    static func make(_ id: String = "c1") -> ConnectionContext {
        ConnectionContext(id: id, request: ConnectionRequest(path: "/chat"), transport: .webSockets)
    }
}

/// One hub behind its registration, a connection, and what it sends.
struct Bench {
    let hub: RegisteredHub
    let context: ConnectionContext
    let recorder: Recorder

    init(
        _ registration: HubRegistration,
        pipeline: HubPipeline = HubPipeline(),
        context: ConnectionContext = .make(),
        recorder: Recorder = Recorder()
    ) throws {
        self.hub = try HubTable([registration], pipeline: pipeline).hubs[0]
        self.context = context
        self.recorder = recorder
    }

    func call(
        _ method: String, _ arguments: String = "[]", rules: ArgumentRules = .classic,
        exchange: ClassicExchange? = nil
    ) async throws
        -> InvocationOutcome
    {
        let list = try ArgumentList(validating: ByteBuffer(string: arguments))
        let invocation = RegisteredHub.Invocation(
            method: method, arguments: .json(list), rules: rules, exchange: exchange)
        return await self.hub.invoke(invocation, context: self.context, publisher: self.recorder)
    }
}

extension InvocationOutcome {
    /// The result's JSON text.
    var text: String? {
        if case .value(let value) = self { String(buffer: value.bytes) } else { nil }
    }

    var failure: HubFailure? {
        if case .failed(let failure) = self { failure } else { nil }
    }
}

extension HubMessage {
    /// What a call of a client's method says; nil of other messages.
    private var clientCall: ClientCall? {
        if case .call(let call) = self.body { call } else { nil }
    }

    var method: String? { self.clientCall?.method }
    var callerState: JSONValueText? { self.clientCall?.callerState }
    var argumentsText: String { self.clientCall.map { String(buffer: $0.arguments.bytes) } ?? "" }
}

extension JSONValueText {
    init(_ text: String) throws { try self.init(validating: ByteBuffer(string: text)) }

    var text: String { String(buffer: self.bytes) }
}
