/// A persistent connection that a runtime is to serve, and where.
public struct PersistentConnectionRegistration: Sendable {
    let path: String
    let type: String
    let make: @Sendable () -> RegisteredHub

    /// A persistent connection at `path`, such as `/echo`, and below it; made by its own initializer, anew for each
    /// message and event.
    public static func connection<C: PersistentConnection>(_ type: C.Type, path: String) -> Self {
        Self.connection(type, path: path) { C($0) }
    }

    /// A persistent connection at `path`, made by `factory`, anew for each message and event. A thrown error fails that
    /// message or event.
    public static func connection<C: PersistentConnection>(
        _ type: C.Type, path: String, factory: @escaping @Sendable (PersistentCall) async throws -> C
    ) -> Self {
        Self(path: path, type: "\(type)") { RegisteredHub(path: path, type: type, factory: factory) }
    }

    /// - Throws: ``HubRegistrationError`` for the first path that is no path, or that two have.
    static func resolve(_ registrations: [Self]) throws(HubRegistrationError) -> [RegisteredHub] {
        var taken: [String: String] = [:]
        for registration in registrations {
            try HubRegistration.check(path: registration.path, of: registration.type)
            if let other = taken.updateValue(registration.type, forKey: registration.path.lowercased()) {
                throw HubRegistrationError(
                    .duplicatePath,
                    "\(registration.type) and \(other) both have the path '\(registration.path)'; paths must differ in"
                        + " more than case")
            }
        }
        return registrations.map { $0.make() }
    }
}
