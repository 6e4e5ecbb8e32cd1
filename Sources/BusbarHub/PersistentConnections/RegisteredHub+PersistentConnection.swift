import BusbarProtocol

extension RegisteredHub {
    /// A persistent connection of a type of the application.
    convenience init<C: PersistentConnection>(
        path: String, type: C.Type, factory: @escaping @Sendable (PersistentCall) async throws -> C
    ) {
        // Why so: no hub's name has a dot and no path a percent sign, so no two names are equal.
        let name = "." + path.dropFirst().map { $0 == "/" ? "%" : String($0).lowercased() }.joined()
        self.init(
            name: name, scriptName: nil, path: path, type: type, methods: [], ambiguous: [],
            behaviour: Behaviour(
                invoke: { _, _ in .failed(HubFailure(.unknownMethod, "a persistent connection has no methods")) },
                receive: { data, call in
                    let response = ResponseBox()
                    let failure = await Self.run(PersistentCall(call, response: response), factory) {
                        try await $0.received(data)
                    }
                    if let failure { return .failed(failure) }
                    return response.get().map { .value($0) } ?? .void
                },
                handle: { event, call in
                    await Self.run(PersistentCall(call), factory) { connection in
                        switch event {
                        case .connected: try await connection.connected()
                        case .reconnected: try await connection.reconnected()
                        case .disconnected(let ending): await connection.disconnected(ending)
                        }
                    }
                },
                admits: { C.authorize($1, user: $0) },
                signals: { C.signals(for: $0) },
                rejoining: { C.rejoiningGroups($0, context: $1) }))
    }

    private static func run<C: PersistentConnection>(
        _ call: PersistentCall, _ factory: @Sendable (PersistentCall) async throws -> C,
        _ body: (C) async throws -> Void
    ) async -> HubFailure? {
        let connection: C
        do {
            connection = try await factory(call)
        } catch {
            return HubFailure(factory: error)
        }
        do {
            try await body(connection)
            return nil
        } catch {
            return HubFailure(thrown: error)
        }
    }
}
