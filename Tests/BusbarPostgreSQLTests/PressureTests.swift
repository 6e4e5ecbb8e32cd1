import Testing

@testable import BusbarPostgreSQL

/// Appends that follow each other every five milliseconds, on a server that tells every two seconds what is at work on it.
private struct Appends {
    var pressure: Pressure
    /// How many sessions of others are at work.
    var others: Int
    private var now = ContinuousClock.now
    private var work = Duration.seconds(1_000)
    private var nextReading = ContinuousClock.now

    init(others: Int = 8, longestRest: Duration = .milliseconds(20)) {
        self.pressure = Pressure(longestRest: longestRest)
        self.others = others
    }

    /// - Returns: the rest after the last of `count` appends that took so many microseconds each.
    @discardableResult
    mutating func take(_ microseconds: Int, bytes: Int = 100, count: Int = 1) -> Duration {
        var rest = Duration.zero
        for _ in 0..<count {
            self.now += .milliseconds(5)
            self.work += .milliseconds(5 * self.others) + .microseconds(microseconds)
            if self.nextReading <= self.now { self.read(self.work) }
            rest = self.pressure.rest(after: .microseconds(microseconds), bytes: bytes, at: self.now)
        }
        return rest
    }

    mutating func read(_ work: Duration?) {
        self.pressure.noted(work: work, at: self.now)
        self.nextReading = self.now + .seconds(2)
    }
}

@Suite("a busy PostgreSQL")
struct PressureTests {
    @Test("is none while appends take about as long as the quickest of late, or as their bytes do")
    func leisure() {
        var appends = Appends()
        appends.take(400, count: 1_000)
        #expect(appends.take(450, bytes: 1_000, count: 100) == .zero)
        #expect(appends.take(4_000, bytes: 60_000, count: 100) == .zero)
        var remote = Appends()
        #expect(remote.take(30_000, count: 1_000) == .zero, "far away is not busy")
    }

    @Test("rests the longer the longer appends wait, up to the limit, and no more once they don't")
    func busy() {
        var appends = Appends()
        appends.take(400, count: 1_000)
        let little = appends.take(600, count: 100)
        #expect(little > .milliseconds(6) && little < .milliseconds(8))
        #expect(appends.take(1_000, count: 100) == .milliseconds(20))
        #expect(appends.take(400, count: 300) < .milliseconds(1))
        var hurried = Appends(longestRest: .zero)
        hurried.take(400, count: 1_000)
        #expect(hurried.take(9_000, count: 100) == .zero)
    }

    @Test("is none without others at work, however long appends take: then they are what makes them slow, or the node")
    func alone() {
        var appends = Appends(others: 0)
        appends.take(400, count: 1_000)
        #expect(appends.take(4_000, count: 1_000) == .zero)
        appends.others = 1
        #expect(appends.take(4_000, count: 1_000) == .zero, "one is what any server serves")
        appends.others = 3
        #expect(appends.take(4_000, count: 1_000) == .milliseconds(20))
        appends.others = 0
        #expect(appends.take(4_000, count: 1_000) == .zero)
    }

    @Test("is none for our own work, which the server tells of once a second, however often it is asked")
    func ownWork() {
        var pressure = Pressure(longestRest: .milliseconds(20)), now = ContinuousClock.now
        var told = Duration.seconds(1_000)
        for step in 0..<2_000 {
            now += .milliseconds(5)
            if step % 20 == 0 { pressure.noted(work: told, at: now) }
            if step % 200 == 0 { told += .milliseconds(800) }
            let rest = pressure.rest(after: .milliseconds(step.isMultiple(of: 2) ? 3 : 5), bytes: 100, at: now)
            #expect(rest == .zero)
        }
    }

    @Test("is none on a server that doesn't tell what is at work, or whose statistics were set back")
    func untold() {
        var appends = Appends()
        appends.take(400, count: 1_000)
        #expect(appends.take(4_000, count: 100) > .zero)
        appends.read(.seconds(1))
        #expect(appends.take(4_000) == .zero)
        #expect(appends.take(4_000, count: 1_000) > .zero, "two more readings, and it is known again")
        appends.read(nil)
        #expect(appends.take(4_000) == .zero)
    }

    @Test("is not seen in a single late append, however late")
    func outlier() {
        var appends = Appends(longestRest: .seconds(1))
        appends.take(400, count: 1_000)
        #expect(appends.take(10_000_000) <= .milliseconds(10))
        #expect(appends.take(400, count: 200) < .milliseconds(1))
    }

    @Test("is seen though the server lets every second append go first")
    func letFirst() {
        var appends = Appends()
        appends.take(400, count: 1_000)
        for _ in 0..<100 {
            appends.take(1_000)
            appends.take(400)
        }
        #expect(appends.take(400) == .milliseconds(20))
    }

    @Test("is measured anew when the quickest append is long ago, as after a failover to another place")
    func forgets() {
        var appends = Appends()
        appends.take(400, count: 1_000)
        #expect(appends.take(5_000, count: 100) > .zero)
        #expect(appends.take(5_000, count: 5_000) < .milliseconds(1))
    }
}
