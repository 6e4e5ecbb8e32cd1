/// A hub that a runtime is to serve, and under which names.
///
/// ```swift
/// let hubs: [HubRegistration] = [
///     .hub(ChatHub.self, path: "/chat"),
///     .hub(StockHub.self, name: "stocks") { StockHub($0, prices: prices) },
/// ]
/// ```
public struct HubRegistration: Sendable {
    let name: String
    let path: String
    let type: String
    let make: @Sendable () throws(HubRegistrationError) -> RegisteredHub

    /// A hub made by its own initializer, anew for each call and event.
    /// - Parameters:
    ///   - name: what classic clients know it as; ``Hub/name`` unless given.
    ///   - path: where core clients connect; `/` and the name with a lower-case initial unless given.
    public static func hub<H: Hub>(_ type: H.Type, name: String? = nil, path: String? = nil) -> Self {
        Self(type, name: name, path: path, factory: .initializer)
    }

    /// A hub made by `factory`, anew for each call and event. A thrown error fails that call or event.
    public static func hub<H: Hub>(
        _ type: H.Type,
        name: String? = nil,
        path: String? = nil,
        factory: @escaping @Sendable (HubCall) async throws -> H
    ) -> Self {
        Self(type, name: name, path: path, factory: .application(factory))
    }

    /// A hub that other nodes serve and this process only sends to: its name must be theirs. Clients who connect to it
    /// here find a hub without methods.
    public static func elsewhere(_ name: String) -> Self {
        .hub(HubElsewhere.self, name: name)
    }

    private init<H: Hub>(_ type: H.Type, name: String?, path: String?, factory: HubFactory<H>) {
        let name = name ?? H.name
        let path = path ?? "/\(name.prefix(1).lowercased())\(name.dropFirst())"
        self.name = name
        self.path = path
        self.type = "\(type)"
        self.make = { () throws(HubRegistrationError) in
            try RegisteredHub(name: name, path: path, type: type, factory: factory)
        }
    }
}

private struct HubElsewhere: Hub {
    let call: HubCall

    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] { [] }
}

/// Why hubs cannot be served as registered.
public struct HubRegistrationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of mistake. Open: new codes may appear.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let name: String

        private init(_ name: String) { self.name = name }

        public var description: String { self.name }

        /// A hub's name is empty, too long, or has a character it must not have.
        public static let invalidName = Self("invalidName")
        /// Two hubs have the same name, ignoring case.
        public static let duplicateName = Self("duplicateName")
        /// A path does not begin with `/`, or ends with it, or has a part that no request can have.
        public static let invalidPath = Self("invalidPath")
        /// Two hubs have the same path, ignoring case.
        public static let duplicatePath = Self("duplicatePath")
        /// A method's name is empty.
        public static let invalidMethod = Self("invalidMethod")
    }

    public let code: Code

    /// What was wrong and what would be right, in one line.
    public let detail: String

    init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    public var description: String { "\(self.code): \(self.detail)" }
}
