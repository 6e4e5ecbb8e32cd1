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
        var pid: pid_t = 0
        let code = Self.spawn(&pid, line, environment, output: output)
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

    private static func spawn(
        _ pid: inout pid_t, _ line: String, _ environment: [String: String], output: CInt
    ) -> CInt {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Why: signals that are ignored or blocked here must not be so there, and a broker started by the command
        // should outlive the terminal's Ctrl-C, so that the command can still put it right.
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for signal in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&defaults, signal) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        var mask = sigset_t()
        sigemptyset(&mask)
        posix_spawnattr_setsigmask(&attributes, &mask)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        let words: [UnsafeMutablePointer<CChar>?] = (["sh", "-c", line] as [String]).map { strdup($0) } + [nil]
        let variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        return posix_spawn(&pid, "/bin/sh", &actions, &attributes, words, variables)
    }
}
