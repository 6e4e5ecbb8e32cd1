/// Who is on the other side, as an authenticator found out when the connection began.
public struct Principal: Hashable, Sendable {
    /// The name; also the user's id unless another is provided.
    public var name: String
    public var roles: Set<String>
    /// What else is known, such as the claims of a token.
    public var claims: NamedValues

    public init(name: String, roles: Set<String> = [], claims: NamedValues = NamedValues()) {
        self.name = name
        self.roles = roles
        self.claims = claims
    }
}
