import Foundation

/// Messages for some seconds, none for as many, and so on, by the wall clock.
struct Turns {
    private let length: Duration
    let begin: ContinuousClock.Instant

    /// `start`: Unix time, in seconds.
    init(seconds: Int, start: Int) {
        guard seconds > 0 else { fail("turns of \(seconds) seconds won't do; wanted: 1 or more") }
        self.length = .seconds(seconds)
        self.begin = .now + .seconds(Double(start) - Date().timeIntervalSince1970)
    }

    /// How long nothing was sent until a message is due that would be at `due` if nothing were ever silent.
    func silence(before due: Duration) -> Duration {
        self.length * Int(due / self.length)
    }
}
