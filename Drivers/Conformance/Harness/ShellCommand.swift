import BusbarProcess
import Dispatch

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One line for `/bin/sh`, run in a process group of its own.
package enum ShellCommand {
    package enum Outcome: Hashable, Sendable {
        /// With the end of what it wrote.
        case exited(CInt, String)
        case signalled(CInt, String)
        /// It was killed, and its process group with it.
        case timedOut
        case notStarted(String)
    }

    /// How much of what a command wrote is kept, in bytes.
    private static let saidBytes = 4_096

    /// Returns when the command itself has ended, whatever processes it left behind; in a cancelled task too.
    package static func run(
        _ line: String, environment: [String: String], within deadline: Duration
    ) async -> Outcome {
        // Why a thread: the wait blocks.
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(returning: Self.runBlocking(line, environment, deadline))
            }
        }
    }

    private static func runBlocking(
        _ line: String, _ environment: [String: String], _ deadline: Duration
    ) -> Outcome {
        // Why a file and not a pipe: a broker that the command starts may hold its end open for hours.
        var path = Array("/tmp/busbar-command-XXXXXX".utf8CString)
        let output = mkstemp(&path)
        guard output >= 0 else { return .notStarted(String(cString: strerror(errno))) }
        defer { close(output) }
        unlink(path)
        // Why: another command that is started meanwhile must not inherit it.
        _ = fcntl(output, F_SETFD, FD_CLOEXEC)
        // Why a group of its own: a broker that the command starts outlives Ctrl-C, so that it can still be put right.
        let (pid, code) = Spawn.start(
            "/bin/sh", arguments: ["sh", "-c", line], environment: environment, input: nil, output: output)
        guard code == 0 else { return .notStarted(String(cString: strerror(code))) }
        let end = ContinuousClock.now + deadline
        var status: CInt = 0
        while true {
            let ended = waitpid(pid, &status, WNOHANG)
            if ended == pid { break }
            guard ended == 0 || errno == EINTR else { return .notStarted(String(cString: strerror(errno))) }
            guard ContinuousClock.now < end else {
                kill(-pid, SIGKILL)
                while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
                return .timedOut
            }
            usleep(5_000)
        }
        let said = Self.end(of: output)
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF, said) : .signalled(signal, said)
    }

    private static func end(of file: CInt) -> String {
        let size = lseek(file, 0, SEEK_END)
        lseek(file, max(0, size - off_t(Self.saidBytes)), SEEK_SET)
        var bytes = [UInt8](repeating: 0, count: Self.saidBytes)
        let count = max(0, read(file, &bytes, bytes.count))
        let text = String(decoding: bytes[..<count], as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).last.map(String.init) ?? "it wrote nothing"
    }
}
