import BusbarCertification

/// What an administrator does to a RabbitMQ, in its virtual host `/`, at once.
extension ThrowawayBroker {
    func add(user: String, password: String) async throws {
        try await self.evaluate(
            "ok = rabbit_auth_backend_internal:add_user(\(binary(user)), \(binary(password)), \(administrator))")
    }

    /// - Parameters:
    ///   - configure: a regular expression, as the others.
    func allow(_ user: String, configure: String, write: String, read: String) async throws {
        let rights = [user, "/", configure, write, read].map(binary).joined(separator: ", ")
        try await self.evaluate("ok = rabbit_auth_backend_internal:set_permissions(\(rights), \(administrator))")
    }

    func allowNothing(_ user: String) async throws {
        let whose = "\(binary(user)), \(binary("/"))"
        try await self.evaluate("ok = rabbit_auth_backend_internal:clear_permissions(\(whose), \(administrator))")
    }

    func delete(queue: String) async throws {
        try await self.evaluate(
            """
            {ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r(\(binary("/")), queue, \(binary(queue)))), \
            {ok, _} = rabbit_amqqueue:delete(Queue, false, false, \(administrator))
            """)
    }
}

private let administrator = binary("busbar")

private func binary(_ text: String) -> String { "<<\"\(text)\">>" }
