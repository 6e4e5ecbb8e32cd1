import BusbarDriver
import BusbarDriverThread

/// Looks at a PostgreSQL as an operator would: who it is, what a crash costs, whether notifications pile up. It changes nothing.
enum PostgresExamination {
    static func findings(at url: BackplaneURL, app: String) async -> [DriverFinding] {
        let configuration: PostgresConfiguration
        do throws(BackplaneURLError) {
            configuration = try PostgresConfiguration(registered: url, app: app)
        } catch {
            return [DriverFinding(.wrong, "url", error.description)]
        }
        do throws(DriverError) {
            let thread = try DriverThread(name: "busbar-examine") { Examiner(configuration) }
            let facts: Result<PostgresFacts, DriverError> = await thread.call(during: "run") { $0.begin($1) }
            await thread.stop()
            return Self.judge(try facts.get(), isLogged: configuration.isLogged)
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

/// One connection that asks one question.
private final class Examiner: ThreadResident {
    private let connection: Connection
    private let limit: Duration
    private let deadline: ContinuousClock.Instant
    private var done: ((Result<PostgresFacts, DriverError>) -> Void)?

    init(_ configuration: PostgresConfiguration) {
        self.connection = Connection(["dbname": configuration.server.text, "client_encoding": "UTF8"])
        self.limit = configuration.requestLimit
        self.deadline = .now + configuration.requestLimit
    }

    func begin(_ done: @escaping @Sendable (Result<PostgresFacts, DriverError>) -> Void) {
        self.done = done
    }

    func waits() -> ThreadWaits {
        var waits = ThreadWaits(deadline: self.done == nil ? nil : self.deadline)
        if let wait = self.connection.wait {
            waits.sockets.append(SocketWait(wait.descriptor, reading: wait.reading, writing: wait.writing))
        }
        return waits
    }

    func turn(_ ready: ReadySockets) {
        let descriptor = self.connection.wait?.descriptor ?? -1
        let events = self.connection.turn(
            isReadable: ready.isReadable(descriptor), isWritable: ready.isWritable(descriptor), at: .now)
        for event in events + self.connection.flush() {
            switch event {
            case .opened: self.ask()
            case .notified: break
            case .broke(let error): self.answer(.failure(error))
            }
        }
        if self.deadline <= .now { self.stop() }
        for case .broke(let error) in self.connection.flush() { self.answer(.failure(error)) }
    }

    func stop() {
        let late = ServerError(state: nil, message: "PostgreSQL did not answer in time")
        self.connection.close(late)
        self.answer(.failure(late))
    }

    private func ask() {
        let question = Statement(
            "SELECT current_setting('server_version'), current_setting('synchronous_commit'), "
                + "(pg_notification_queue_usage() * 1000000)::bigint")
        self.connection.send(question, within: self.limit) { answer in
            self.answer(
                answer.map { rows in
                    PostgresFacts(
                        version: rows.text(0, 0) ?? "of unknown version", commit: rows.text(0, 1) ?? "unknown",
                        queueUsage: Double(rows.integer(0, 2) ?? 0) / 1_000_000)
                })
        }
    }

    private func answer(_ answer: Result<PostgresFacts, ServerError>) {
        let done = self.done
        self.done = nil
        done?(answer.mapError { $0.driverError(during: "run") })
    }
}
