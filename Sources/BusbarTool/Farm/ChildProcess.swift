import BusbarProcess
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
        let (pid, code) = Spawn.start(
            "/proc/self/exe", arguments: ["busbar"] + arguments, environment: environment, input: input.read,
            output: output.write)
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
}

private func systemPipe(_ ends: UnsafeMutablePointer<CInt>) -> CInt {
    pipe(ends)
}
