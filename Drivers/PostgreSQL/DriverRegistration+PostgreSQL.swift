public import BusbarDriver

extension DriverRegistration {
    /// `postgres://` and `postgresql://`: any libpq URI; options as in ``PostgresConfiguration/init(url:alsoAllowing:)``.
    public static let postgreSQL = DriverRegistration(
        name: "PostgreSQL",
        schemes: PostgresConfiguration.schemes,
        example: "postgres://postgres@127.0.0.1:5432/postgres",
        summary: "PostgreSQL 13 or later: a table is the log, NOTIFY the doorbell, one function call writes both",
        reach: .broker,
        examine: { url, app in await PostgresExamination.findings(at: url, app: app) },
        prepare: { url, app throws(BackplaneURLError) in
            let configuration = try PostgresConfiguration(registered: url, app: app)
            let schema = configuration.schema.asIdentifier
            return configuration.schemaText + """

                -- Then, for the role of the nodes, and for each role that calls busbar_publish:
                -- GRANT USAGE ON SCHEMA \(schema) TO …;
                -- GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA \(schema) TO …;
                -- GRANT EXECUTE ON FUNCTION \(schema).busbar_publish(text, text, text), \(schema).busbar_publish(text, bytea, text) TO …;
                """
        },
        remove: { url, app throws(DriverError) in
            let configuration: PostgresConfiguration
            do throws(BackplaneURLError) {
                configuration = try PostgresConfiguration(registered: url, app: app)
            } catch {
                throw DriverError(.rejected, during: "run", recovery: .giveUp, detail: error.description)
            }
            let statement = Statement("SELECT \(configuration.schema.asIdentifier).drop_app($1)", .text(app))
            try await PostgresErrand.run(statement, at: configuration) { _ in }
        },
        make: { url, app throws(BackplaneURLError) in
            PostgresDriver(try PostgresConfiguration(registered: url, app: app))
        }
    )
}

extension PostgresConfiguration {
    /// What a backplane URL says, in the namespace `app`.
    init(registered url: BackplaneURL, app: String) throws(BackplaneURLError) {
        try self.init(url: url.text, alsoAllowing: BackplaneURL.commonKeys)
        self.app = app
        try self.validate()
    }
}

extension BackplaneDriver where Self == PostgresDriver {
    /// A PostgreSQL in one line:
    ///
    /// ```swift
    /// let bus = Bus(driver: try .postgreSQL("postgres://chat@localhost/chat", app: "myApp"), logger: logger)
    /// ```
    /// - Parameters:
    ///   - url: as ``PostgresConfiguration/init(url:alsoAllowing:)`` reads it.
    ///   - app: namespace in the schema: apps of different names never see each other.
    /// - Throws: ``BackplaneURLError`` that names the key, the value and what would be right.
    public static func postgreSQL(_ url: String, app: String) throws(BackplaneURLError) -> Self {
        var configuration = try PostgresConfiguration(url: url)
        configuration.app = app
        try configuration.validate()
        return PostgresDriver(configuration)
    }
}
