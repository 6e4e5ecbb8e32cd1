/// Which drivers a program has, by the schemes of their URLs.
///
/// ```swift
/// var drivers = DriverRegistry([.memory, .redis])
/// try drivers.register(.carrierPigeon)                       // your own
/// let driver = try drivers.makeDriver(for: BackplaneURL("redis://cache.example.org?app=chat"), app: "chat")
/// ```
/// It is a value: pass it to whatever reads configuration. Nothing is global, and a driver that isn't registered isn't
/// linked.
public struct DriverRegistry: Sendable {
    /// In the order of registration.
    public private(set) var registrations: [DriverRegistration] = []

    public init() {}

    /// - Throws: as ``register(_:)``.
    public init(_ registrations: [DriverRegistration]) throws(BackplaneURLError) {
        for registration in registrations { try self.register(registration) }
    }

    /// Every scheme, in the order of registration.
    public var schemes: [String] { self.registrations.flatMap(\.schemes) }

    /// - Throws: ``BackplaneURLError`` when one of the schemes is taken, or there is none.
    public mutating func register(_ registration: DriverRegistration) throws(BackplaneURLError) {
        let taken = Set(self.schemes)
        let schemes = registration.schemes
        guard !schemes.isEmpty, Set(schemes).count == schemes.count else {
            throw .init(key: "schemes of \(registration.name)", value: "\(schemes)", remedy: "at least one, each once")
        }
        if let double = schemes.first(where: taken.contains) {
            throw .init(
                key: "schemes of \(registration.name)", value: double, remedy: "a scheme that no other driver has")
        }
        self.registrations.append(registration)
    }

    /// The driver whose scheme `url` has.
    /// - Throws: ``BackplaneURLError`` that says which schemes there are.
    public func registration(for url: BackplaneURL) throws(BackplaneURLError) -> DriverRegistration {
        guard let found = self.registrations.first(where: { $0.schemes.contains(url.scheme) }) else {
            let known = self.schemes.map { $0 + ":" }.joined(separator: ", ")
            throw .init(key: "scheme", value: url.scheme, remedy: "a driver of this build: \(known)")
        }
        return found
    }

    /// Makes the driver that `url` names; it is not connected before it runs.
    /// - Parameter app: namespace on the broker; ``BackplaneURL/app`` is not asked again.
    /// - Throws: ``BackplaneURLError`` for an unknown scheme or an option that won't do.
    public func makeDriver(for url: BackplaneURL, app: String) throws(BackplaneURLError) -> any BackplaneDriver {
        try self.registration(for: url).make(url, app)
    }
}

/// What a program has to know of a driver to offer it.
public struct DriverRegistration: Sendable {
    /// Makes a driver for a URL of one of the schemes and a namespace on the broker.
    public typealias Factory = @Sendable (BackplaneURL, _ app: String) throws(BackplaneURLError) -> any BackplaneDriver
    /// Looks at the broker behind a URL, within a few seconds, changes nothing there and says what it finds.
    public typealias Examination = @Sendable (BackplaneURL, _ app: String) async -> [DriverFinding]
    /// Removes from the broker behind a URL all that an app of which no node runs has stored there.
    public typealias Removal = @Sendable (BackplaneURL, _ app: String) async throws(DriverError) -> Void

    /// Who hears what is published through it.
    public enum Reach: Hashable, Sendable {
        /// This process only.
        case process
        /// Every process that names the same broker and app.
        case broker
    }

    /// As people say it: "Redis".
    public let name: String
    /// In lower case, without the colon; the first is the usual one.
    public let schemes: [String]
    /// A URL that works on a machine where the broker runs with its usual settings.
    public let example: String
    /// One line on what it stands on and how it does it.
    public let summary: String
    public let reach: Reach
    /// The URL's query key whose value is how many records a stream's log retains, about; nil when there is none.
    public let retentionKey: String?
    package let make: Factory
    package let examine: Examination?
    package let remove: Removal?

    public init(
        name: String, schemes: [String], example: String, summary: String, reach: Reach, retentionKey: String? = nil,
        examine: Examination? = nil, remove: Removal? = nil, make: @escaping Factory
    ) {
        self.name = name
        self.schemes = schemes
        self.example = example
        self.summary = summary
        self.reach = reach
        self.retentionKey = retentionKey
        self.examine = examine
        self.remove = remove
        self.make = make
    }
}

/// One thing that an examination found.
public struct DriverFinding: Hashable, Sendable {
    public enum Grade: Hashable, Sendable {
        case good
        /// It works, and could be better or safer.
        case advice
        /// It doesn't work.
        case wrong
    }

    public let grade: Grade
    /// What was looked at: "version".
    public let subject: String
    /// What was found, without secrets.
    public let detail: String
    /// What to do about it; nil when nothing has to be done.
    public let remedy: String?

    public init(_ grade: Grade, _ subject: String, _ detail: String, remedy: String? = nil) {
        self.grade = grade
        self.subject = subject
        self.detail = detail
        self.remedy = remedy
    }
}
