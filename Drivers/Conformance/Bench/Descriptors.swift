#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// File descriptors of this process.
enum Descriptors {
    /// How many are open, of the first 4 096.
    static var openCount: Int { (0..<4_096).count { fcntl(Int32($0), F_GETFD) != -1 } }
}
