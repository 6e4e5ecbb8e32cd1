public import BusbarDriver

/// Where a PostgreSQL is, which schema and app are ours there, and how much of each app's log it keeps.
///
/// How to connect, and as whom, is libpq's business: host names and several of them, unix sockets, TLS (`sslmode`, `sslrootcert`,
/// `sslcert`, `sslkey`), passwords, `.pgpass`, service files and the `PG…` environment variables work as in `psql`.
public struct PostgresConfiguration: Hashable, Sendable {
    /// When an append counts as stored: the values of `synchronous_commit`.
    public enum SynchronousCommit: String, Hashable, Sendable, CaseIterable {
        case off, local, on
        case remoteWrite = "remote_write"
        case remoteApply = "remote_apply"
    }

    /// A libpq URI: `postgres://[user[:password]@][host][:port][,…][/database][?parameters]`.
    public var server: Secret
    /// The same for the connection that listens, when the other one goes through a pooler that gives each transaction another
    /// connection: notifications don't come through such a thing. Nil: both are made alike.
    public var listenerServer: Secret?
    /// Name of the schema that holds Busbar's tables and functions, 1 … 63 bytes; created if the role may.
    public var schema: String
    /// Namespace: two apps in one schema never see each other. 1 … 100 bytes without control characters.
    public var app: String
    /// Whether the log survives a crash of the database. Without it the tables are unlogged: several times faster, and a crash
    /// begins a new epoch, which is reported to whoever missed something. Decided when the schema is created.
    public var isLogged: Bool
    /// Nil leaves it to the server for a logged schema, and is `off` for an unlogged one, where waiting would keep nothing.
    public var synchronousCommit: SynchronousCommit?
    /// The largest record that is taken, in bytes.
    public var largestRecordBytes: Int
    /// How much of an app's log is kept at least, in bytes of storage; up to a half more lies there at times.
    public var retainedBytes: Int
    /// How long a record is kept at least, unless ``retainedBytes`` push it out; whole seconds.
    public var retainedAge: Duration
    /// How often the node whose turn it is looks for messages published within transactions; the most they are delayed.
    public var outboxInterval: Duration
    /// The longest rest between two appends of a stream to a server that is busy with something else, while messages come in
    /// crowds; how much later they are at most. From zero, never any, to a second. PostgreSQL 13 doesn't tell that it is busy.
    public var longestRest: Duration
    /// The longest that any one request may take, the one under way when a link dies included.
    public var requestLimit: Duration
    /// The pause between two position queries on the listening connection. A dead link is recognised after this and
    /// ``probeLimit`` at the latest, and so is a notification that was lost.
    public var probeInterval: Duration
    /// The longest that the answer to a position query may stay away while nothing else arrives.
    public var probeLimit: Duration
    /// The longest wait between two attempts to connect.
    public var backOffCeiling: Duration

    public init(server: Secret, app: String = "busbar") throws(BackplaneURLError) {
        self.server = server
        self.listenerServer = nil
        self.schema = "busbar"
        self.app = app
        self.isLogged = false
        self.synchronousCommit = nil
        self.largestRecordBytes = 8 << 20
        self.retainedBytes = 256 << 20
        self.retainedAge = .seconds(86_400)
        self.outboxInterval = .milliseconds(50)
        self.longestRest = .milliseconds(50)
        self.requestLimit = .seconds(5)
        self.probeInterval = .seconds(2)
        self.probeLimit = .seconds(3)
        self.backOffCeiling = .seconds(5)
        try self.validate()
    }

    /// Checks every value against its limits, and the URIs with libpq's own parser.
    /// - Throws: ``BackplaneURLError`` naming the first wrong key, its value and what would be right.
    public func validate() throws(BackplaneURLError) {
        try ConnectionURI.check(self.server.text, key: "url")
        if let listener = self.listenerServer { try ConnectionURI.check(listener.text, key: "listener") }
        guard (1...63).contains(self.schema.utf8.count), Self.isPrintable(self.schema), !self.schema.hasPrefix("pg_")
        else {
            throw .init(
                key: "schema", value: self.schema,
                remedy: "1 to 63 bytes without control characters, not beginning with pg_")
        }
        guard (1...100).contains(self.app.utf8.count), Self.isPrintable(self.app) else {
            throw .init(key: "app", value: self.app, remedy: "1 to 100 bytes without control characters")
        }
        // Why 64 MiB: a value and its hexadecimal text have to fit into what PostgreSQL allocates at once.
        try Self.check("largestRecordBytes", self.largestRecordBytes, in: 1_024...(64 << 20))
        try Self.check("retainedBytes", self.retainedBytes, in: (1 << 16)...(1 << 44))
        try Self.check("retainedAge", self.retainedAge, from: .seconds(1), to: .seconds(86_400 * 365))
        try Self.check("outboxInterval", self.outboxInterval, from: .milliseconds(1), to: .seconds(60))
        try Self.check("longestRest", self.longestRest, from: .zero, to: Receipt.longestRest)
        for (key, duration) in [
            ("requestLimit", self.requestLimit), ("probeInterval", self.probeInterval), ("probeLimit", self.probeLimit),
            ("backOffCeiling", self.backOffCeiling),
        ] { try Self.check(key, duration, from: .milliseconds(10), to: .seconds(3_600)) }
    }

    /// The SQL that creates the schema, for an owner whose nodes may not: run it once, then grant the nodes' role `USAGE` on the
    /// schema and `EXECUTE` on its functions.
    public var schemaText: String { Schema.text(named: self.schema, isLogged: self.isLogged) }

    private static func isPrintable(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }

    private static func check(_ key: String, _ value: Int, in range: ClosedRange<Int>) throws(BackplaneURLError) {
        guard range.contains(value) else {
            let remedy = "a number from \(range.lowerBound) to \(range.upperBound)"
            throw .init(key: key, value: String(value), remedy: remedy)
        }
    }

    private static func check(
        _ key: String, _ value: Duration, from shortest: Duration, to longest: Duration
    ) throws(BackplaneURLError) {
        guard (shortest...longest).contains(value) else {
            throw .init(key: key, value: "\(value)", remedy: "\(shortest) to \(longest)")
        }
    }
}
