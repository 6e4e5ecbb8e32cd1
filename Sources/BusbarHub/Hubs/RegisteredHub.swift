package import BusbarProtocol

/// A hub that is served, whatever its type.
package final class RegisteredHub: Sendable {
    /// What a client called, and with what.
    package struct Invocation: Sendable {
        /// As the client spelled it.
        package var method: String
        package var arguments: ArgumentList
        package var rules: ArgumentRules

        package init(method: String, arguments: ArgumentList, rules: ArgumentRules) {
            self.method = method
            self.arguments = arguments
            self.rules = rules
        }
    }

    package typealias Event = @Sendable (HubCall) async -> HubFailure?

    /// The spelling that messages to clients and topics use.
    package let name: String

    /// Where core clients connect.
    package let path: String

    /// The type's name, for logs.
    package let typeName: String

    /// The names of methods that clients may call, as registered, each once.
    package let methodNames: [String]

    /// Methods that can never be called, because another takes as many arguments under the same name.
    package let ambiguousMethods: [String]

    private let invoke: @Sendable (Invocation, HubCall) async -> InvocationOutcome
    private let connect: Event
    private let reconnect: Event
    private let disconnect: @Sendable (Disconnection, HubCall) async -> HubFailure?

    init<H: Hub>(
        name: String,
        path: String,
        type: H.Type,
        factory: HubFactory<H>
    ) throws(HubRegistrationError) {
        let methods = try HubMethodTable(H.methods, hub: name)
        self.name = name
        self.path = path
        self.typeName = "\(type)"
        self.methodNames = methods.names
        self.ambiguousMethods = methods.ambiguous
        self.invoke = { invocation, call in
            do throws(HubFailure) {
                let method = try methods.method(invocation.method, argumentCount: invocation.arguments.count)
                return await method.invoke(invocation.arguments, invocation.rules, factory, call)
            } catch {
                return .failed(error)
            }
        }
        self.connect = { call in await factory.run(call) { try await $0.connected() } }
        self.reconnect = { call in await factory.run(call) { try await $0.reconnected() } }
        self.disconnect = { ending, call in await factory.run(call) { await $0.disconnected(ending) } }
    }

    /// Makes a hub and calls one of its methods. Nothing a client sends makes this throw or trap.
    ///
    /// To be run in a task that is cancelled when the connection ends.
    package func invoke(
        _ invocation: Invocation,
        context: ConnectionContext,
        publisher: any HubPublisher
    ) async -> InvocationOutcome {
        await self.invoke(invocation, self.call(context, publisher))
    }

    /// Tells a new hub that the connection has begun. A failure is to end the connection.
    package func connected(_ context: ConnectionContext, publisher: any HubPublisher) async -> HubFailure? {
        await self.connect(self.call(context, publisher))
    }

    /// Tells a new hub that the connection is back. A failure is to end the connection.
    package func reconnected(_ context: ConnectionContext, publisher: any HubPublisher) async -> HubFailure? {
        await self.reconnect(self.call(context, publisher))
    }

    /// Tells a new hub that the connection has ended. A failure is to be logged: no hub could be made.
    package func disconnected(
        _ context: ConnectionContext,
        ending: Disconnection,
        publisher: any HubPublisher
    ) async -> HubFailure? {
        await self.disconnect(ending, self.call(context, publisher))
    }

    private func call(_ context: ConnectionContext, _ publisher: any HubPublisher) -> HubCall {
        HubCall(context: context, hub: self.name, publisher: publisher)
    }
}

extension HubFactory {
    fileprivate func run(_ call: HubCall, _ event: (H) async throws -> Void) async -> HubFailure? {
        let hub: H
        do throws(HubFailure) {
            hub = try await self.make(call)
        } catch {
            return error
        }
        do {
            try await event(hub)
            return nil
        } catch {
            return HubFailure(thrown: error)
        }
    }
}
