import Testing

@testable import BusbarPostgreSQL

/// Appends that follow each other every five milliseconds.
private struct Appends {
    var pressure: Pressure
    var now = ContinuousClock.now

    init(longestRest: Duration = .milliseconds(20)) {
        self.pressure = Pressure(longestRest: longestRest)
    }

    /// - Returns: the rest after the last of `count` appends that took so many microseconds each.
    @discardableResult
    mutating func take(_ microseconds: Int, bytes: Int = 100, count: Int = 1) -> Duration {
        var rest = Duration.zero
        for _ in 0..<count {
            self.now += .milliseconds(5)
            rest = self.pressure.rest(after: .microseconds(microseconds), bytes: bytes, at: self.now)
        }
        return rest
    }
}

@Suite("a busy PostgreSQL")
struct PressureTests {
    @Test("is none while appends take about as long as the quickest of late, or as their bytes do")
    func leisure() {
        var appends = Appends()
        appends.take(400)
        #expect(appends.take(1_600, count: 100) == .zero)
        #expect(appends.take(4_000, bytes: 60_000, count: 100) == .zero)
        var remote = Appends()
        #expect(remote.take(30_000, count: 100) == .zero, "far away is not busy")
    }

    @Test("rests the longer the longer appends wait, up to the limit, and no more once they don't")
    func busy() {
        var appends = Appends()
        appends.take(400, count: 10)
        let little = appends.take(1_900, count: 100)
        #expect(little > .milliseconds(4) && little < .milliseconds(8))
        #expect(appends.take(3_000, count: 100) == .milliseconds(20))
        #expect(appends.take(400, count: 100) < .milliseconds(1))
        var hurried = Appends(longestRest: .zero)
        hurried.take(400)
        #expect(hurried.take(9_000, count: 100) == .zero)
    }

    @Test("is not seen in a single late append, however late")
    func outlier() {
        var appends = Appends(longestRest: .seconds(1))
        appends.take(400, count: 10)
        #expect(appends.take(10_000_000) <= .milliseconds(5))
        #expect(appends.take(400, count: 50) < .milliseconds(1))
    }

    @Test("is measured anew when the quickest append is long ago, as after a failover to another place")
    func forgets() {
        var appends = Appends()
        appends.take(400, count: 10)
        appends.take(5_000, count: 5_000)
        #expect(appends.take(5_000) < .milliseconds(1))
    }
}
