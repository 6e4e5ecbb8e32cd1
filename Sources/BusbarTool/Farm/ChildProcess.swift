import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Another run of this program, as a process of its own.
///
/// Its standard output and error come back line by line. Its standard input stays open as long as this process lives: a
/// child that watches it ends with us, however we end.
final class ChildProcess: Sendable {
    struct SpawnError: Error, CustomStringConvertible {
        let description: String
    }

    /// Longer lines are cut into pieces, in bytes.
    private static let longestLine = 16_384

    let pid: pid_t
    private let output: CInt
    private let input: CInt
    /// Why a lock: once it is reaped, its pid may be somebody else's.
    private let isReaped = Mutex(false)

    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - environment: all of it.
    /// - Throws: ``SpawnError``.
    init(arguments: [String], environment: [String: String]) throws(SpawnError) {
        let output = try Self.pipe()
        let input: (read: CInt, write: CInt)
        do throws(SpawnError) {
            input = try Self.pipe()
        } catch {
            close(output.read)
            close(output.write)
            throw error
        }
        var pid: pid_t = 0
        let code = Self.spawn(&pid, arguments, environment, input: input.read, output: output.write)
        close(output.write)
        close(input.read)
        guard code == 0 else {
            close(output.read)
            close(input.write)
            throw SpawnError(description: "can't start a process: \(String(cString: strerror(code)))")
        }
        self.pid = pid
        self.output = output.read
        self.input = input.write
    }

    /// Sends a signal, unless the process is over.
    func signal(_ number: CInt) {
        self.isReaped.withLock { isReaped in
            if !isReaped { _ = kill(self.pid, number) }
        }
    }

    /// Hands up each line and returns how the process ended. Blocks meanwhile: call it once, on a thread of its own.
    func follow(_ line: (String) -> Void) -> FarmMachine.Ending {
        var bytes = [UInt8](repeating: 0, count: Self.longestLine)
        var partial: [UInt8] = []
        while true {
            let count = read(self.output, &bytes, bytes.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            for byte in bytes[..<count] {
                if byte != UInt8(ascii: "\n") { partial.append(byte) }
                if byte == UInt8(ascii: "\n") || partial.count == Self.longestLine {
                    line(String(decoding: partial, as: UTF8.self))
                    partial.removeAll(keepingCapacity: true)
                }
            }
        }
        if !partial.isEmpty { line(String(decoding: partial, as: UTF8.self)) }
        return self.reap()
    }

    private func reap() -> FarmMachine.Ending {
        var information = siginfo_t()
        while waitid(P_PID, id_t(self.pid), &information, WEXITED | WNOWAIT) < 0 && errno == EINTR {}
        var status: CInt = 0
        self.isReaped.withLock { isReaped in
            while waitpid(self.pid, &status, 0) < 0 && errno == EINTR {}
            isReaped = true
        }
        close(self.output)
        close(self.input)
        let signal = status & 0x7F
        return signal == 0 ? .exited(status: (status >> 8) & 0xFF) : .signalled(signal)
    }

    private static func pipe() throws(SpawnError) -> (read: CInt, write: CInt) {
        var ends: [CInt] = [-1, -1]
        guard systemPipe(&ends) == 0 else {
            throw SpawnError(description: "can't make a pipe: \(String(cString: strerror(errno)))")
        }
        // Why: a node that inherited another's pipe would keep it open.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private static func spawn(
        _ pid: inout pid_t, _ arguments: [String], _ environment: [String: String], input: CInt, output: CInt
    ) -> CInt {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Why: signals that are ignored or blocked here must not be so there; and a group of its own keeps the
        // terminal's Ctrl-C from reaching the nodes before the farm has decided.
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
        let words = (["busbar"] + arguments).map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        return posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, words, variables)
    }
}

private func systemPipe(_ ends: UnsafeMutablePointer<CInt>) -> CInt {
    pipe(ends)
}
