import BrokerTestSupport
import Foundation
import Synchronization
import Testing

/// Whether these tests can run: they start their own servers and find `redis-server` and `redis-cli` on the path.
///
/// Why a failure and not a skip when they are missing: what wasn't tried must not look as if it had passed. Whoever
/// wants to go without says so with `BUSBAR_TEST_WITHOUT=redis`, and the tests show up as skipped.
enum RedisTests {
    static var areWanted: Bool {
        !(ProcessInfo.processInfo.environment["BUSBAR_TEST_WITHOUT"] ?? "").split(separator: ",").contains("redis")
    }

    static func program(_ name: String) throws -> URL {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"
        for directory in path.split(separator: ":") {
            let candidate = URL(filePath: String(directory)).appending(path: name)
            if FileManager.default.isExecutableFile(atPath: candidate.path()) { return candidate }
        }
        throw MissingProgram(name: name)
    }

    struct MissingProgram: Error, CustomStringConvertible {
        let name: String
        var description: String {
            "\(self.name) isn't installed (see Scripts/brokers packages redis); set BUSBAR_TEST_WITHOUT=redis to go without"
        }
    }
}

/// A Redis of one test: a process, a port and a directory of its own, all gone when the test is.
final class RedisServer: Sendable {
    enum Persistence { case none, appendOnly }

    let port: Int
    let directory: URL
    private let process = Mutex<Process?>(nil)

    /// - Parameter highestPort: a Redis in cluster mode takes the port 10 000 above its own, too.
    init(highestPort: Int = 65_535) throws {
        self.port = try FreePort.choose(upTo: highestPort)
        self.directory = URL.temporaryDirectory.appending(path: "busbar-redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
    }

    deinit {
        self.process.withLock { process in
            guard let process, process.isRunning else { return }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        try? FileManager.default.removeItem(at: self.directory)
    }

    static func started(_ arguments: String..., persistence: Persistence = .none) async throws -> RedisServer {
        let server = try RedisServer()
        try await server.start(arguments, persistence: persistence)
        return server
    }

    var url: String { "redis://127.0.0.1:\(self.port)" }
    var socketPath: String { self.directory.appending(path: "socket").path() }

    /// Starts the process and returns once it says that it takes connections.
    func start(_ arguments: [String] = [], persistence: Persistence = .none) async throws {
        let common = [
            "--port", "\(self.port)", "--bind", "127.0.0.1", "--dir", self.directory.path(), "--save", "",
            "--appendonly", persistence == .appendOnly ? "yes" : "no", "--unixsocket", self.socketPath,
        ]
        try await self.launch(common + arguments, readyText: "eady to accept")
    }

    /// Starts the process as a Sentinel that knows `server` as "main".
    func startSentinel(watching server: RedisServer, readyText: String) async throws {
        let file = self.directory.appending(path: "sentinel.conf")
        let text = """
            port \(self.port)
            bind 127.0.0.1
            dir \(self.directory.path())
            sentinel monitor main 127.0.0.1 \(server.port) 1
            sentinel failover-timeout main 10000
            """
        try text.write(to: file, atomically: true, encoding: .utf8)
        try await self.launch([file.path(), "--sentinel"], readyText: readyText)
    }

    private func launch(_ arguments: [String], readyText: String) async throws {
        let process = Process()
        process.executableURL = try RedisTests.program("redis-server")
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        let (lines, continuation) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(1_000))
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
                continuation.finish()
            } else {
                continuation.yield(String(decoding: data, as: UTF8.self))
            }
        }
        try process.run()
        self.process.withLock { $0 = process }
        var seen = ""
        for await line in lines {
            seen += line
            if seen.contains(readyText) { return }
        }
        Issue.record("redis-server ended while starting: \(seen.suffix(500))")
    }

    func signal(_ number: Int32) {
        self.process.withLock { process in
            if let process { _ = kill(process.processIdentifier, number) }
        }
    }

    /// Ends the process as a crash would.
    func crash() {
        self.process.withLock { process in
            guard let ending = process else { return }
            kill(ending.processIdentifier, SIGKILL)
            ending.waitUntilExit()
            process = nil
        }
    }

    /// Runs one command and returns what Redis answered.
    @discardableResult
    func command(_ words: String...) throws -> String {
        try self.command(words)
    }

    @discardableResult
    func command(_ words: [String]) throws -> String {
        try self.runClient(words, input: nil)
    }

    /// Runs one command a line, all on one connection, and returns the answers, one a line.
    func conversation(_ lines: String...) throws -> String {
        try self.runClient([], input: lines.joined(separator: "\n") + "\n")
    }

    private func runClient(_ words: [String], input: String?) throws -> String {
        let process = Process()
        process.executableURL = try RedisTests.program("redis-cli")
        process.arguments = ["-h", "127.0.0.1", "-p", "\(self.port)"] + words
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        let keyboard = Pipe()
        process.standardInput = input == nil ? FileHandle.nullDevice : keyboard
        try process.run()
        if let input { Keyboard.type(input, into: keyboard) }
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
