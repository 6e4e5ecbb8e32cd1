import Foundation
import Synchronization
import Testing

#if canImport(Glibc)
import Glibc
#endif

/// Whether these tests can run: they start their own RabbitMQ.
///
/// Why a failure and not a skip when it is missing: what wasn't tried must not look as if it had passed. Whoever wants to
/// go without says so with `BUSBAR_TEST_WITHOUT=rabbitmq`, and the tests show up as skipped.
@Suite("on a real RabbitMQ", .enabled(if: rabbitIsWanted), .serialized)
enum RabbitTests {}

private let rabbitIsWanted =
    !(ProcessInfo.processInfo.environment["BUSBAR_TEST_WITHOUT"] ?? "").split(separator: ",").contains("rabbitmq")

/// The one RabbitMQ of this test process: started by the first test that wants it, since that takes seconds, and used by
/// one test after the other, each with an app of its own. It ends with this process, however that ends.
actor RabbitServer {
    static let shared = RabbitServer()

    struct Failed: Error, CustomStringConvertible {
        let command: String
        let output: String
        var description: String { "\(self.command): \(self.output)" }
    }

    nonisolated let directory = URL.temporaryDirectory.appending(path: "busbar-rabbit-\(UUID().uuidString)")
    private let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../Scripts/brokers")
    private var keeper: Process?
    private var orders: FileHandle?

    /// Starts the broker if it isn't running.
    @discardableResult
    func started() throws -> Self {
        if self.keeper == nil { try self.startKeeper() }
        try self.brokers("start")
        return self
    }

    var port: Int {
        get throws {
            let text = try String(contentsOf: self.directory.appending(path: "rabbit.port"), encoding: .utf8)
            return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        }
    }

    var epmdPort: String {
        get throws {
            try String(contentsOf: self.directory.appending(path: "epmd.port"), encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    func url(_ options: String = "", user: String = "guest", password: String = "guest", vhost: String = "") throws -> String {
        "amqp://\(user):\(password)@127.0.0.1:\(try self.port)/\(vhost)?\(options)"
    }

    /// Ends the process as a crash would.
    func crash() throws { try self.brokers("kill") }

    func signal(_ number: Int32) throws {
        let text = try String(contentsOf: self.directory.appending(path: "rabbit.pid"), encoding: .utf8)
        if let pid = text.split(separator: " ").first.flatMap({ pid_t($0) }) { kill(pid, number) }
    }

    /// Asks the running node to do something.
    @discardableResult
    func control(_ words: String...) throws -> String {
        let home = self.directory.appending(path: "rabbit").path()
        let installed = "/usr/lib/rabbitmq/bin/rabbitmqctl"
        let program = FileManager.default.isExecutableFile(atPath: installed) ? installed : "rabbitmqctl"
        return try Self.run(
            "/usr/bin/env",
            [
                "HOME=\(home)", "RABBITMQ_CONF_ENV_FILE=\(home)/none.conf", "ERL_EPMD_PORT=\(try self.epmdPort)",
                "RABBITMQ_NODENAME=busbar\(try self.port)@localhost", program, "--quiet",
            ] + words)
    }

    private func brokers(_ command: String) throws {
        try Self.run(
            "/usr/bin/env", ["BROKERS_DIR=\(self.directory.path())", self.script.path(), command, "rabbit"])
    }

    /// A process that does nothing but wait for our end, and then ends the broker and removes its files.
    private func startKeeper() throws {
        let keeper = Process()
        keeper.executableURL = URL(filePath: "/bin/bash")
        let script = self.script.path()
        let directory = self.directory.path()
        keeper.arguments = [
            "-c", "trap '' INT TERM; read -r _; export BROKERS_DIR=\"$1\"; \"$0\" kill rabbit; \"$0\" stop rabbit; rm -rf \"$1\"",
            script, directory,
        ]
        let pipe = Pipe()
        keeper.standardInput = pipe
        keeper.standardOutput = FileHandle.nullDevice
        keeper.standardError = FileHandle.nullDevice
        try keeper.run()
        self.orders = pipe.fileHandleForWriting
        self.keeper = keeper
    }

    @discardableResult
    private static func run(_ program: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/bash")
        // Why: a broker that inherits what this process has open would hold it open, and Foundation waits for that.
        let alone = #"for fd in /proc/$$/fd/*; do fd=${fd##*/}; [ "$fd" -le 2 ] || eval "exec $fd>&-"; done; exec "$@""#
        process.arguments = ["-c", alone, "bash", program] + arguments
        // Why a file: a pipe would stay open as long as the broker that inherits it.
        let log = URL.temporaryDirectory.appending(path: "busbar-\(UUID().uuidString).log")
        defer { try? FileManager.default.removeItem(at: log) }
        guard FileManager.default.createFile(atPath: log.path(), contents: nil) else { throw POSIXError(.EIO) }
        let output = try FileHandle(forWritingTo: log)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
        process.waitUntilExit()
        try output.close()
        let text = try String(contentsOf: log, encoding: .utf8)
        guard process.terminationStatus == 0 else {
            throw Failed(command: arguments.suffix(3).joined(separator: " "), output: String(text.suffix(500)))
        }
        return text
    }
}
