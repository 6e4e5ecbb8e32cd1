/// Who may connect to a hub, and who may call its methods; see ``Hub/authorization``.
///
/// A single method asks for more with ``HubMethod/requiring(_:)``, and all hubs at once with
/// ``HubPipeline/requirements``; everything asked for must be met.
public struct HubAuthorization: Sendable {
    let requirements: [Requirement]
    let coversConnecting: Bool

    private init(_ requirements: [Requirement], coversConnecting: Bool) {
        self.requirements = requirements
        self.coversConnecting = coversConnecting
    }

    /// Everybody may.
    public static let everybody = Self([], coversConnecting: false)

    /// Who connects must meet the requirements, and so must who calls.
    ///
    /// A classic client that lists several hubs hears those that it may connect to, and is refused if that is none.
    public static func required(_ requirements: Requirement...) -> Self { Self(requirements, coversConnecting: true) }

    /// Anybody may connect and hear what the hub sends; who calls must meet the requirements.
    public static func requiredForCalls(_ requirements: Requirement...) -> Self {
        Self(requirements, coversConnecting: false)
    }
}
