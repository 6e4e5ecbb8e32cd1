import BusbarHub

/// Tells users what concerns them, on every device that they have open, and connections what concerns only them.
struct NoticeHub: Hub {
    let call: HubCall

    init(_ call: HubCall) {
        self.call = call
    }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("whoAmI", whoAmI),
            HubMethod("tell", tell),
            HubMethod("whisper", whisper),
        ]
    }

    private func whoAmI() -> Identity {
        Identity(connectionId: self.context.id, user: self.context.userID)
    }

    /// Reaches each connection of the user, on whatever node it is.
    private func tell(_ user: String, _ text: String) async throws {
        try await self.clients.user(user).noticed(text)
    }

    /// Reaches one connection. One that doesn't exist is no error: clients come and go.
    private func whisper(_ connectionId: String, _ text: String) async throws {
        try await self.clients.client(connectionId).noticed(text)
    }

    struct Identity: Encodable, Sendable {
        let connectionId: String
        let user: String?
    }
}
