#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Starts processes; what becomes of them is the caller's.
package enum Spawn {
    /// Starts `program` in a process group of its own, with signals as a shell would give them.
    ///
    /// Why so: signals that are ignored or blocked here must not be so there, and the terminal's Ctrl-C is to reach us
    /// only, who decide what it means for the child.
    /// - Parameters:
    ///   - arguments: its own name first.
    ///   - environment: all of it.
    ///   - input: its standard input; nil: nothing to read.
    ///   - output: its standard output and error.
    /// - Returns: its process id, or -1 and the number of the error.
    package static func start(
        _ program: String, arguments: [String], environment: [String: String], input: CInt?, output: CInt
    ) -> (pid: Int32, error: CInt) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        } else {
            posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
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
        let words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        let variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var pid: pid_t = -1
        let error = posix_spawn(&pid, program, &actions, &attributes, words, variables)
        return (error == 0 ? pid : -1, error)
    }
}
