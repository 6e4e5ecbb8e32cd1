/// Busbar's tables and functions in a database: which version this build knows, and how they come to be.
enum Schema {
    /// The version that this build makes, and the only one it works with: what ``schema_facts`` answers.
    ///
    /// It grows with every change of the tables, of the functions or of what they say through `NOTIFY`.
    static let version = 3

    /// What creates the whole schema, as an operator would run it.
    static func text(named name: String, isLogged: Bool) -> String {
        String(decoding: PackageResources.Schema_sql, as: UTF8.self)
            .replacing("{schema}", with: name.asIdentifier)
            .replacing("{persistence}", with: isLogged ? "" : "UNLOGGED")
            .replacing("{logged}", with: isLogged ? "true" : "false")
    }

    /// One statement that creates the schema unless it is there; nodes that start at once wait for each other.
    static func migration(named name: String, isLogged: Bool) -> Statement {
        Statement(
            """
            DO $busbar$ BEGIN
                PERFORM pg_advisory_xact_lock(\(Self.lockKey), hashtext(\(name.asLiteral)));
                IF to_regclass(\("\(name.asIdentifier).apps".asLiteral)) IS NULL THEN
                    EXECUTE $migration$\(Self.text(named: name, isLogged: isLogged))$migration$;
                END IF;
            END $busbar$
            """
        )
    }

    /// First half of the key of the advisory lock under which schemas are created: "busb".
    private static let lockKey = 0x6275_7362
}

extension String {
    /// As the name of a thing in SQL.
    var asIdentifier: String { "\"" + self.replacing("\"", with: "\"\"") + "\"" }

    /// As a text in SQL, whatever the server makes of backslashes.
    var asLiteral: String {
        "E'" + self.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
    }
}
