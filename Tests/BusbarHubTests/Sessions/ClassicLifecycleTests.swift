import BusbarHub
import NIOCore
import Testing

@Suite("The life cycle of a classic connection")
struct ClassicLifecycleTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func live() -> ClassicLifecycle {
        var life = ClassicLifecycle(timeouts: .init())
        _ = life.channelOpened(1, .connect(delayedStart: true), now: self.start)
        return life
    }

    @Test(
        "case 27, T12: from 1.4 on the init message comes first and /start runs the event; before, the other way round")
    func starts() {
        var modern = ClassicLifecycle(timeouts: .init())
        expect(modern.channelOpened(1, .connect(delayedStart: true), now: self.start) == [.sendInit])
        expect(modern.startRequested() == [.runConnected])
        expect(modern.startRequested() == [])
        expect(modern.connectedFinished(succeeded: true, now: self.start) == [.answerStart(succeeded: true)])
        expect(modern.startRequested() == [.answerStart(succeeded: true)])
        var legacy = ClassicLifecycle(timeouts: .init())
        expect(legacy.channelOpened(1, .connect(delayedStart: false), now: self.start) == [.runConnected])
        expect(
            legacy.connectedFinished(succeeded: true, now: self.start) == [.answerStart(succeeded: true), .sendInit])
    }

    @Test("T13: a second connect is initialized anew and runs no event; a legacy one waits for the event under way")
    func fallback() {
        var modern = self.live()
        _ = modern.startRequested()
        _ = modern.connectedFinished(succeeded: true, now: self.start)
        expect(modern.channelOpened(2, .connect(delayedStart: true), now: self.start) == [.sendInit])
        expect(modern.channelLost(1, now: self.start) == [])
        var legacy = ClassicLifecycle(timeouts: .init())
        _ = legacy.channelOpened(1, .connect(delayedStart: false), now: self.start)
        expect(legacy.channelOpened(2, .connect(delayedStart: false), now: self.start) == [])
        expect(legacy.connectedFinished(succeeded: true, now: self.start).last == .sendInit)
    }

    @Test("case 32: a client before 1.4 that is between two polls when its event ends is initialized by the next poll")
    func lateInit() {
        var life = ClassicLifecycle(timeouts: .init())
        expect(
            life.channelOpened(1, .connect(delayedStart: false), isPolling: true, now: self.start) == [.runConnected])
        expect(life.channelLost(1, now: self.start) == [.goAway])
        expect(life.connectedFinished(succeeded: true, now: self.start) == [.answerStart(succeeded: true)])
        expect(life.channelOpened(2, .poll, isPolling: true, now: self.start) == [.sendInit])
        expect(life.channelLost(2, now: self.start) == [.goAway])
        expect(life.channelOpened(3, .poll, isPolling: true, now: self.start) == [.catchUp])
    }

    @Test("38: who comes from a node that knew of no /start is connected here when it calls that, within half a minute")
    func unstarted() {
        var life = ClassicLifecycle(timeouts: .init())
        expect(life.channelOpened(1, .poll, isUnstarted: true, now: self.start) == [.catchUp])
        #expect(life.isUnstarted)
        var other = life
        expect(life.startRequested() == [.runConnected])
        #expect(!life.isUnstarted)
        expect(life.startRequested() == [])
        _ = other.tick(now: self.start + .seconds(30))
        #expect(!other.isUnstarted)
        expect(other.startRequested() == [.answerStart(succeeded: true)])
    }

    @Test("a reconnect catches up, runs its event, and sends no init; an unknown id never runs the connected event")
    func reconnect() {
        var life = ClassicLifecycle(timeouts: .init())
        expect(life.channelOpened(1, .reconnect, now: self.start) == [.catchUp, .runReconnected])
        expect(life.startRequested() == [.answerStart(succeeded: true)])
        expect(life.reconnectedFinished(succeeded: true) == [])
        expect(life.reconnectedFinished(succeeded: false) == [.endChannel(.failed)])
    }

    @Test("case 39: away for the allowance and the disconnect timeout, and not a moment less")
    func away() {
        var life = self.live()
        expect(life.channelLost(1, now: self.start) == [.goAway])
        expect(life.tick(now: self.start + .milliseconds(34_999)) == [])
        expect(
            life.tick(now: self.start + .seconds(35)) == [
                .unregister, .dropWaiting, .cancelWork, .runDisconnected(Disconnection(.lost)),
            ])
        expect(life.channelOpened(2, .reconnect, now: self.start) == [])
        expect(life.disconnectedFinished() == [.forget])
    }

    @Test("case 40: abort acts with and without a channel, once")
    func abort() {
        var life = self.live()
        expect(life.abortRequested(now: self.start).first == .endChannel(.normal))
        expect(life.abortRequested(now: self.start) == [])
        life = self.live()
        _ = life.channelLost(1, now: self.start)
        expect(life.abortRequested(now: self.start).last == .runDisconnected(Disconnection(.stoppedByClient)))
    }

    @Test("keep-alives come every 10 s while a channel is open; without them a channel lasts 110 s")
    func keepAlive() {
        var life = self.live()
        expect(life.tick(now: self.start + .seconds(9)) == [])
        expect(life.tick(now: self.start + .seconds(10)) == [.keepAlive])
        expect(life.tick(now: self.start + .seconds(19)) == [])
        expect(life.tick(now: self.start + .seconds(20)) == [.keepAlive])
        var timeouts = ClassicLifecycle.Timeouts()
        timeouts.keepAlive = nil
        life = ClassicLifecycle(timeouts: timeouts)
        _ = life.channelOpened(1, .connect(delayedStart: true), now: self.start)
        expect(life.tick(now: self.start + .seconds(109)) == [])
        expect(life.tick(now: self.start + .seconds(110)) == [.endChannel(.normal)])
    }

    @Test("T21: the application's abort dismisses the client; a stopping node only ends the channel")
    func ends() {
        var life = self.live()
        expect(life.aborted(now: self.start).prefix(2) == [.dismiss, .endChannel(.normal)])
        life = self.live()
        expect(life.drained(now: self.start).first == .endChannel(.normal))
    }
}
