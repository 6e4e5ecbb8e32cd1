import BusbarCertification
import BusbarConformance

/// What an administrator does to a RabbitMQ, in its virtual host `/`, at once.
extension ThrowawayBroker {
    /// Takes no more messages while `body` runs, and does again however that ends: other tests share the broker.
    func refusing(_ body: () async throws -> Void) async throws {
        try await self.faults.inject(.refuse)
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        try await self.faults.inject(.accept)
        try outcome.get()
    }

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
