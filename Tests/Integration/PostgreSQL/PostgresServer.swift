import BrokerTestSupport
import BusbarPostgreSQL
import Foundation
import Synchronization
import Testing

/// Whether these tests can run: they start their own clusters and find PostgreSQL's programs where Debian puts them, or on the
/// path.
///
/// Why a failure and not a skip when they are missing: what wasn't tried must not look as if it had passed. Whoever
/// wants to go without says so with `BUSBAR_TEST_WITHOUT=postgres`, and the tests show up as skipped.
enum PostgresTests {
    static var areWanted: Bool {
        !(ProcessInfo.processInfo.environment["BUSBAR_TEST_WITHOUT"] ?? "").split(separator: ",").contains("postgres")
    }

    static func program(_ name: String) throws -> String {
        let installed = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        let versions = installed.sorted { $0.compare($1, options: .numeric) == .orderedDescending }
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":").map(String.init)
        for directory in versions.map({ "/usr/lib/postgresql/\($0)/bin" }) + path {
            let candidate = directory + "/" + name
            if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
        }
        throw Failure(
            "\(name) isn't installed (see Scripts/brokers packages postgres); "
                + "set BUSBAR_TEST_WITHOUT=postgres to go without")
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }
}

/// Runs programs, as the user postgres if we are root: PostgreSQL refuses to run as root.
enum Command {
    static func process(_ program: String, _ arguments: [String], asPostgres: Bool) throws -> Process {
        let process = Process()
        let becomesPostgres = asPostgres && geteuid() == 0
        let prefix = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--inh-caps=-all"]
        let words =
            (becomesPostgres ? prefix : []) + [try program.hasPrefix("/") ? program : PostgresTests.program(program)]
            + arguments
        process.executableURL = URL(filePath: words[0])
        process.arguments = Array(words.dropFirst())
        process.standardInput = FileHandle.nullDevice
        process.currentDirectoryURL = URL(filePath: "/")
        return process
    }

    /// Runs to the end and returns what was said.
    @discardableResult
    static func run(
        _ program: String, _ arguments: [String], asPostgres: Bool = false, input: String? = nil
    ) throws -> String {
        let process = try Self.process(program, arguments, asPostgres: asPostgres)
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        let keyboard = Pipe()
        if input != nil { process.standardInput = keyboard }
        try process.run()
        if let input { Keyboard.type(input, into: keyboard) }
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw PostgresTests.Failure("\(program): \(text)") }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// A cluster of one test: a process, a port and a directory of its own, all gone when the test is.
final class PostgresServer: Sendable {
    let port: Int
    let directory: URL
    private let postmaster = Mutex<Process?>(nil)

    /// A cluster as initdb makes it, once per run: copying is quicker.
    private static let template = Mutex<URL?>(nil)

    init(copying data: URL? = nil) throws {
        self.port = try FreePort.choose()
        self.directory = try Self.makeDirectory()
        let source =
            try data
            ?? Self.template.withLock { made in
                if let made { return made }
                let parent = try Self.makeDirectory()
                let data = parent.appending(path: "data")
                try Command.run(
                    "initdb",
                    [
                        "-D", data.path(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                        "--no-sync",
                    ],
                    asPostgres: true)
                made = data
                atexit { PostgresServer.removeTemplate() }
                return data
            }
        try Command.run("/bin/cp", ["-a", source.path(), self.data.path()], asPostgres: true)
    }

    private static func removeTemplate() {
        self.template.withLock { made in
            if let made { try? FileManager.default.removeItem(at: made.deletingLastPathComponent()) }
        }
    }

    deinit {
        // Why not as a crash: this way the children are gone before their folder is.
        self.end(by: SIGQUIT)
        try? FileManager.default.removeItem(at: self.directory)
    }

    var data: URL { self.directory.appending(path: "data") }

    private static func makeDirectory() throws -> URL {
        let directory = URL.temporaryDirectory.appending(path: "busbar-postgres-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: directory.path())
        return directory
    }

    static func started(_ settings: String...) async throws -> PostgresServer {
        let server = try PostgresServer()
        try await server.start(settings)
        return server
    }

    /// Starts the cluster and returns once it takes connections.
    func start(_ settings: [String] = []) async throws {
        let common = [
            "listen_addresses=127.0.0.1", "port=\(self.port)", "unix_socket_directories=\(self.directory.path())",
            "fsync=off", "full_page_writes=off", "max_connections=60", "autovacuum=off",
            // Why: a server that is killed leaves what it shares, and the system's shared memory outlives this run.
            "dynamic_shared_memory_type=mmap",
        ]
        let arguments = ["-D", self.data.path()] + (common + settings).flatMap { ["-c", $0] }
        // Why again and again: backends of a postmaster that was killed hold its memory for a moment.
        for _ in 0..<600 {
            let process = try Command.process("postgres", arguments, asPostgres: true)
            let log = self.directory.appending(path: "log").path()
            _ = FileManager.default.createFile(atPath: log, contents: nil)
            process.standardOutput = FileHandle(forWritingAtPath: log)
            process.standardError = process.standardOutput
            try process.run()
            while process.isRunning {
                if (try? self.sql("SELECT 1")) == "1" {
                    self.postmaster.withLock { $0 = process }
                    return
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        throw PostgresTests.Failure("postgres doesn't start: see \(self.directory.path())log")
    }

    /// Runs SQL as the superuser and returns what it answers, columns separated by `|`.
    @discardableResult
    func sql(_ text: String, user: String = "postgres") throws -> String {
        try Command.run(
            "psql",
            ["-qXAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", "\(self.port)", "-U", user, "postgres"],
            input: text + "\n")
    }

    /// A session that is at work all the time, statement by statement, until it is terminated.
    func sessionAtWork() throws -> Process {
        let process = try Command.process(
            "psql", ["-qXAt", "-h", "127.0.0.1", "-p", "\(self.port)", "-U", "postgres", "postgres"], asPostgres: false)
        let keyboard = Pipe()
        process.standardInput = keyboard
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        // Why a table: the server adds up what a session has worked when there is something to tell of tables, too.
        Keyboard.type("SELECT pg_sleep(0.05) FROM pg_class LIMIT 1 \\watch 0.01\n", into: keyboard)
        return process
    }

    /// Sets the least time between two bells of the only app, and keeps nodes from deciding on it.
    func pauseBells(_ interval: String) throws {
        // Why locked: a node that is deciding right now comes first.
        try self.sql(
            """
            BEGIN; LOCK TABLE busbar.apps;
            UPDATE busbar.apps SET keeper = 1, keeper_until = now() + interval '1 day', bell_pause = '\(interval)'; COMMIT
            """)
    }

    /// How many records of the only stream bells have told of.
    func told() throws -> String { try self.sql("SELECT told || ' of ' || newest FROM busbar.heads") }

    /// The postmaster and all its children.
    var processes: [pid_t] {
        guard let postmaster = self.postmaster.withLock({ $0?.processIdentifier }) else { return [] }
        let all = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) }
        return [postmaster] + all.filter { Self.parent(of: $0) == postmaster }
    }

    private static func parent(of process: pid_t) -> pid_t? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return nil }
        return text[text.index(after: end)...].split(separator: " ").dropFirst().first.flatMap { pid_t($0) }
    }

    /// To the postmaster and all its children, as if the machine did it.
    func signalAll(_ number: Int32) {
        for process in self.processes { kill(process, number) }
    }

    /// Ends the postmaster as a crash would; its children notice and end by themselves.
    func crash() { self.end(by: SIGKILL) }

    /// A shutdown as an operator orders it.
    func shutDown() { self.end(by: SIGINT) }

    private func end(by number: Int32) {
        self.postmaster.withLock { process in
            guard let ending = process else { return }
            kill(ending.processIdentifier, number)
            // Why: one that stands still takes no other signal but KILL.
            kill(ending.processIdentifier, SIGCONT)
            ending.waitUntilExit()
            process = nil
        }
    }

    /// A configuration that notices faults quickly, so that tests need not wait for it.
    func configuration(
        app: String = "test", user: String = "postgres", query: String = ""
    ) throws -> PostgresConfiguration {
        var configuration = try PostgresConfiguration(
            url: "postgres://\(user)@127.0.0.1:\(self.port)/postgres?app=\(app)\(query)")
        configuration.probeInterval = .milliseconds(100)
        configuration.probeLimit = .seconds(6)
        configuration.requestLimit = .seconds(8)
        configuration.backOffCeiling = .milliseconds(300)
        return configuration
    }
}
