import Glibc

/// Whole seconds since the beginning of 1970.
struct WallClock: Sendable {
    let seconds: @Sendable () -> Int

    static let system = Self { time(nil) }
}
