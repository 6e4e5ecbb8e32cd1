import ArgumentParser

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The `busbar` command: the only place where configuration, drivers and server meet.
@main
enum Main {
    /// Runs the command and ends the process: 0 when all went well, 64 for a mistake in flags, environment or file, 1
    /// otherwise. Each failure is one line on standard error.
    static func main() async {
        // Why: whoever reads our output may go away; writing then fails instead of ending the process.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try BusbarCommand.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as ToolError {
            Self.end(error.description, status: error.status)
        } catch {
            let status = BusbarCommand.exitCode(for: error)
            if status.isSuccess {
                // Help and version texts are what was asked for: they go to standard output, whole.
                BusbarCommand.exit(withError: error)
            }
            Self.end(BusbarCommand.message(for: error), status: status.rawValue)
        }
    }

    private static func end(_ message: String, status: Int32) -> Never {
        let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
        Console.errorLine("busbar: \(line)")
        exit(status)
    }
}

struct BusbarCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "busbar",
        abstract: "A SignalR-compatible real-time server on an embedded message broker.",
        discussion: """
            Two nodes that hear each other, on one machine:
              busbar farm --nodes 2 --port 9090 --backplane redis://127.0.0.1:6379

            Every setting can be a flag, an environment variable (BUSBAR_BACKPLANE for --backplane) or a key in the \
            YAML file that --config names; flags beat the environment, the environment beats the file. A mistake in \
            any of them ends the command with one line and status 64.
            """,
        subcommands: [
            Serve.self, Farm.self, Drivers.self, Doctor.self, Conformance.self, Publish.self, Subscribe.self,
            ShowConfiguration.self,
        ]
    )
}

/// A failure that ends the command with one line and a status.
struct ToolError: Error, CustomStringConvertible {
    /// `EX_USAGE` of sysexits: something in flags, environment or file must be changed.
    static let usage: Int32 = 64
    static let failure: Int32 = 1

    let status: Int32
    let description: String

    static func usage(_ description: String) -> Self { Self(status: Self.usage, description: description) }
    static func failure(_ description: String) -> Self { Self(status: Self.failure, description: description) }
}
