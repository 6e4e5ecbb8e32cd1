public import BusbarDriver

/// Any driver that a registry knows, on a broker that runs already, before the kit.
///
/// Each case gets an app of its own there, named after the URL's app (or `conformance`) and a random number. If the
/// driver's registration can remove an app, nothing of it stays.
public struct RegisteredDriver: DriverUnderTest {
    public let name: String
    public let brokerPersists: Bool
    public var limitsRetention: Bool {
        self.registration.retentionKey.map { self.url.adding($0, 1) != nil } ?? false
    }
    /// Whether cases clean up behind themselves.
    public var removesApps: Bool { self.registration.remove != nil }

    private let registration: DriverRegistration
    private let url: BackplaneURL
    private let faults: FaultCommand?

    /// - Parameters:
    ///   - faults: what may be done to the broker; nil skips the cases that need it.
    ///   - brokerPersists: see ``DriverUnderTest/brokerPersists``.
    /// - Throws: ``BackplaneURLError`` when no driver has this scheme, or one of the options won't do.
    public init(
        at url: BackplaneURL, among drivers: DriverRegistry, faults: FaultCommand? = nil, brokerPersists: Bool = true
    ) throws(BackplaneURLError) {
        self.registration = try drivers.registration(for: url)
        guard self.registration.reach == .broker else {
            let remedy = "a broker that several nodes can share; this driver reaches one process only"
            throw BackplaneURLError(key: "url", value: "\(url)", remedy: remedy)
        }
        self.url = url
        self.name = "\(self.registration.name) at \(url)"
        self.faults = faults
        self.brokerPersists = brokerPersists
        _ = try self.registration.make(url, Self.newApp(of: url))
    }

    public func makeApp(_ options: AppOptions) async throws -> any AppUnderTest {
        var url = self.url
        if let count = options.retainedCount, let key = self.registration.retentionKey {
            url = url.adding(key, count) ?? url
        }
        return RegisteredApp(
            app: Self.newApp(of: self.url), url: url, registration: self.registration, command: self.faults)
    }

    private static func newApp(of url: BackplaneURL) -> String {
        // Why cut: some brokers allow names of a few dozen bytes only.
        (url.app ?? "conformance").prefix(40) + "-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
    }
}

private struct RegisteredApp: AppUnderTest {
    let app: String
    let url: BackplaneURL
    let registration: DriverRegistration
    let command: FaultCommand?

    var faults: (any BrokerFaults)? { self.command }

    func makeNode() async throws -> any BackplaneDriver { try self.registration.make(self.url, self.app) }

    func remove() async {
        // Why an error is passed over: what stays behind is a log nobody reads, and no reason to fail a law.
        try? await self.registration.remove?(self.url, self.app)
    }
}
