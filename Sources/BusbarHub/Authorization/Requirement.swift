/// Something that whoever connects to a hub, or calls it, must be.
///
/// ```swift
/// static var authorization: HubAuthorization { .required(.authenticated) }
///
/// static var methods: [HubMethod<Self>] {
///     [
///         HubMethod("read", read),
///         HubMethod("delete", delete).requiring(.roles("editor", "owner"), .custom { $0.user?.claims["mfa"] != nil }),
///     ]
/// }
/// ```
///
/// Where several requirements stand side by side, all must be met. Nobody anonymous meets ``authenticated``,
/// ``users(_:)`` or ``roles(_:)``.
public struct Requirement: Sendable {
    private enum Rule: Sendable {
        case authenticated
        case users(Set<String>)
        case roles(Set<String>)
        case custom(@Sendable (AccessRequest) -> Bool)
    }

    private let rule: Rule

    /// Somebody the authenticator knows by a name.
    public static let authenticated = Self(rule: .authenticated)

    /// One of these users, by ``Principal/name``, whatever the case of its letters.
    public static func users(_ names: String...) -> Self {
        Self(rule: .users(Set(names.map { $0.lowercased() })))
    }

    /// Somebody in at least one of these roles, compared exactly.
    public static func roles(_ roles: String...) -> Self { Self(rule: .roles(Set(roles))) }

    /// Whatever `isMet` decides, at once and without waiting: it runs on the event loop of the request that connects,
    /// and in the task of the call.
    public static func custom(_ isMet: @escaping @Sendable (AccessRequest) -> Bool) -> Self {
        Self(rule: .custom(isMet))
    }

    func isMet(by request: AccessRequest) -> Bool {
        if case .custom(let isMet) = self.rule { return isMet(request) }
        guard let user = request.user, !user.name.isEmpty else { return false }
        switch self.rule {
        case .authenticated, .custom: return true
        case .users(let names): return names.contains(user.name.lowercased())
        case .roles(let roles): return !roles.isDisjoint(with: user.roles)
        }
    }
}

/// What somebody wants: to connect to a hub, or to call one of its methods.
public struct AccessRequest: Sendable {
    /// The registered name of the hub.
    public let hub: String

    /// The registered name of the method that is called; nil when it is about connecting.
    public let method: String?

    /// Who an authenticator found on the other side; nil for nobody.
    public let user: Principal?

    /// The request that the client connects with.
    public let request: ConnectionRequest
}
