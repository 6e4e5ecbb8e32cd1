import BusbarTool
import Testing

@Suite("A farm of nodes")
struct FarmMachineTests {
    /// A farm of two nodes that both serve.
    private static func serving() -> FarmMachine {
        var farm = FarmMachine(nodes: 2)
        _ = farm.handle(.started, at: .zero)
        _ = farm.handle(.nodeListens(0), at: .seconds(1))
        _ = farm.handle(.nodeListens(1), at: .seconds(1))
        return farm
    }

    @Test("starts all nodes and announces itself once, when the last of them serves")
    func starting() {
        var farm = FarmMachine(nodes: 2)
        #expect(farm.handle(.started, at: .zero) == [.start(0), .start(1)])
        #expect(farm.handle(.nodeListens(1), at: .seconds(1)) == [])
        #expect(farm.handle(.nodeListens(0), at: .seconds(2)) == [.announceServing])
        #expect(farm.handle(.nodeListens(0), at: .seconds(3)) == [])
    }

    @Test("a node that ends before it served ends the farm, and the others are asked to stop")
    func neverServed() {
        var farm = FarmMachine(nodes: 2)
        _ = farm.handle(.started, at: .zero)
        #expect(farm.handle(.nodeEnded(0, .exited(status: 64)), at: .seconds(1)) == [.terminate(1)])
        let outcome = FarmMachine.Outcome.nodeNeverServed(0, .exited(status: 64))
        #expect(farm.handle(.nodeEnded(1, .exited(status: 0)), at: .seconds(2)) == [.end(outcome)])
    }

    @Test(
        "a node that served is started again after pauses that double, are bounded, and begin anew once it was healthy")
    func restarts() {
        var farm = Self.serving()
        var now = Duration.seconds(1)
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            let ending = FarmMachine.Ending.signalled(9)
            let announcement = FarmMachine.Effect.announceRestart(0, ending, after: .seconds(pause))
            #expect(farm.handle(.nodeEnded(0, ending), at: now) == [announcement])
            #expect(farm.handle(.ticked, at: now + .seconds(pause) - .milliseconds(1)) == [])
            now += .seconds(pause)
            #expect(farm.handle(.ticked, at: now) == [.start(0)])
            #expect(farm.handle(.nodeListens(0), at: now) == [])
        }
        now += .seconds(60)
        let ending = FarmMachine.Ending.exited(status: 1)
        #expect(farm.handle(.nodeEnded(0, ending), at: now) == [.announceRestart(0, ending, after: .seconds(1))])
    }

    @Test("stopping asks every node, waits for all, and says which did not end cleanly")
    func stopping() {
        var farm = Self.serving()
        #expect(farm.handle(.stopRequested, at: .seconds(5)) == [.terminate(0), .terminate(1)])
        #expect(farm.handle(.nodeEnded(1, .exited(status: 0)), at: .seconds(6)) == [])
        #expect(
            farm.handle(.nodeEnded(0, .exited(status: 1)), at: .seconds(7)) == [.end(.stoppedUncleanly([0]))])
        var clean = Self.serving()
        _ = clean.handle(.stopRequested, at: .seconds(5))
        _ = clean.handle(.nodeEnded(1, .exited(status: 0)), at: .seconds(6))
        #expect(clean.handle(.nodeEnded(0, .exited(status: 0)), at: .seconds(6)) == [.end(.stopped)])
    }

    @Test("a node that was started again and is asked to stop before it serves may end by that signal")
    func stoppingEarly() {
        var farm = Self.serving()
        _ = farm.handle(.nodeEnded(1, .signalled(9)), at: .seconds(5))
        #expect(farm.handle(.ticked, at: .seconds(6)) == [.start(1)])
        #expect(farm.handle(.stopRequested, at: .seconds(6)) == [.terminate(0), .terminate(1)])
        _ = farm.handle(.nodeEnded(1, .signalled(15)), at: .seconds(6))
        #expect(farm.handle(.nodeEnded(0, .exited(status: 0)), at: .seconds(6)) == [.end(.stopped)])
        var served = Self.serving()
        _ = served.handle(.stopRequested, at: .seconds(5))
        _ = served.handle(.nodeEnded(1, .signalled(15)), at: .seconds(6))
        #expect(served.handle(.nodeEnded(0, .exited(status: 0)), at: .seconds(6)) == [.end(.stoppedUncleanly([1]))])
    }

    @Test("a node that does not stop is killed at its deadline, once")
    func deadline() {
        var farm = Self.serving()
        _ = farm.handle(.stopRequested, at: .seconds(5))
        _ = farm.handle(.nodeEnded(0, .exited(status: 0)), at: .seconds(6))
        #expect(farm.handle(.ticked, at: .seconds(19)) == [])
        #expect(farm.handle(.ticked, at: .seconds(20)) == [.announceKill(1), .kill(1)])
        #expect(farm.handle(.ticked, at: .seconds(21)) == [])
        #expect(farm.handle(.nodeEnded(1, .signalled(9)), at: .seconds(21)) == [.end(.stoppedUncleanly([1]))])
    }

    @Test("a second request to stop kills, unless it comes with the first")
    func impatience() {
        var farm = Self.serving()
        _ = farm.handle(.stopRequested, at: .seconds(5))
        #expect(farm.handle(.stopRequested, at: .milliseconds(5_100)) == [])
        #expect(
            farm.handle(.stopRequested, at: .seconds(7)) == [.announceKill(0), .kill(0), .announceKill(1), .kill(1)])
        #expect(farm.handle(.stopRequested, at: .seconds(8)) == [])
    }

    @Test("a node that waits for its restart is not waited for when the farm stops")
    func stopWhilePausing() {
        var farm = Self.serving()
        _ = farm.handle(.nodeEnded(0, .signalled(9)), at: .seconds(2))
        #expect(farm.handle(.stopRequested, at: .milliseconds(2_500)) == [.terminate(1)])
        #expect(farm.handle(.ticked, at: .seconds(4)) == [])
        #expect(farm.handle(.nodeEnded(1, .exited(status: 0)), at: .seconds(4)) == [.end(.stopped)])
    }

    @Test("a process that can't be started ends the farm with the reason")
    func spawnFailure() {
        var farm = FarmMachine(nodes: 1)
        _ = farm.handle(.started, at: .zero)
        #expect(
            farm.handle(.nodeFailedToStart(0, reason: "no memory"), at: .zero)
                == [.end(.nodeFailedToStart(0, reason: "no memory"))])
    }
}
