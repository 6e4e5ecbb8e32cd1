import BusbarDriver

/// Looks at a PostgreSQL as an operator would: who it is, what a crash costs, whether notifications pile up. It changes nothing.
enum PostgresExamination {
    static func findings(at url: BackplaneURL, app: String) async -> [DriverFinding] {
        let configuration: PostgresConfiguration
        do throws(BackplaneURLError) {
            configuration = try PostgresConfiguration(registered: url, app: app)
        } catch {
            return [DriverFinding(.wrong, "url", error.description)]
        }
        let question = Statement(
            "SELECT current_setting('server_version'), current_setting('synchronous_commit'), "
                + "(pg_notification_queue_usage() * 1000000)::bigint")
        do throws(DriverError) {
            let facts = try await PostgresErrand.run(question, at: configuration) { rows in
                PostgresFacts(
                    version: rows.text(0, 0) ?? "of unknown version", commit: rows.text(0, 1) ?? "unknown",
                    queueUsage: Double(rows.integer(0, 2) ?? 0) / 1_000_000)
            }
            return Self.judge(facts, isLogged: configuration.isLogged)
        } catch {
            // Why no finding: whoever examines also runs the driver, and that says better what is wrong.
            return []
        }
    }

    static func judge(_ facts: PostgresFacts, isLogged: Bool) -> [DriverFinding] {
        var findings = [DriverFinding(.good, "version", "PostgreSQL \(facts.version)")]
        findings.append(
            isLogged
                ? DriverFinding(
                    .good, "durability",
                    "logged tables: a crash keeps what synchronous_commit (\(facts.commit)) has kept")
                : DriverFinding(
                    .good, "durability",
                    "unlogged tables: fast; a crash of the database begins a new epoch, which is reported"
                )
        )
        findings.append(
            facts.queueUsage < 0.01
                ? DriverFinding(.good, "notifications", "the server's queue of notifications is empty")
                : DriverFinding(
                    .advice, "notifications", "the server's queue of notifications is filling up",
                    remedy: "find the session that listens and sits in a transaction (pg_stat_activity)")
        )
        return findings
    }
}

struct PostgresFacts: Sendable {
    let version: String
    let commit: String
    let queueUsage: Double
}
