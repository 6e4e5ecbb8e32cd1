import BrokerTestSupport
import Foundation

/// A pooler that lends a server connection for one transaction at a time, as a process of its own.
final class TransactionPooler: Sendable {
    let port: Int
    private let keyboard: Pipe
    private let process: Process

    /// - Parameter isSecret: it announces the backends that a client is first connected to, as if they stayed the same.
    init(server: Int, isSecret: Bool = false) throws {
        self.port = try FreePort.choose()
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "transaction_pooler.py")
        self.process = try Command.process(
            "python3", ["-B", script.path(), "\(self.port)", "\(server)"] + (isSecret ? ["secretly"] : []),
            asPostgres: false)
        self.keyboard = Pipe()
        self.process.standardInput = self.keyboard
        let output = Pipe()
        self.process.standardOutput = output
        try self.process.run()
        guard !output.fileHandleForReading.availableData.isEmpty else {
            throw PostgresTests.Failure("the pooler doesn't start")
        }
    }

    func end() {
        try? self.keyboard.fileHandleForWriting.close()
        self.process.waitUntilExit()
    }
}
