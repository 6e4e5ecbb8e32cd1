import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

@Suite("The life cycle of a core connection with stateful reconnect")
struct ReturningLifecycleTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func open(version: Int = 2, mayReturn: Bool = true) -> CoreLifecycle {
        var life = CoreLifecycle(timeouts: .init(), detailedErrors: false, mayReturn: mayReturn, now: self.start)
        let effects = life.handshakeReceived(HandshakeRequest(protocolName: "json", version: version), now: self.start)
        let isKept = effects == [.acceptHandshake, .keepForReturn, .register, .runConnected]
        expect(isKept == (mayReturn && version >= 2))
        _ = life.connectedFinished(failure: nil, now: self.start)
        return life
    }

    @Test(
        "core 1.21: version 1 of the protocol, or a negotiation without it, turns it off",
        arguments: [(1, true), (2, false)])
    func off(version: Int, mayReturn: Bool) {
        var life = self.open(version: version, mayReturn: mayReturn)
        expect(life.transportClosed(.lost, now: self.start).first == .unregister)
        expect(!life.isAway)
        let isBack = life.cameBack(now: self.start)
        expect(!isBack)
    }

    @Test("core 1.21: a client whose link broke is waited for, silently, and is then as if it had not been away")
    func away() {
        var life = self.open()
        expect(life.transportClosed(.lost, now: self.start).isEmpty)
        expect(life.isAway && life.takesMessages)
        expect(life.tick(isHeldUp: false, now: self.start + .milliseconds(14_999)).isEmpty)
        let isBack = life.cameBack(now: self.start + .milliseconds(14_999))
        expect(isBack && !life.isAway)
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(29)).isEmpty)
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(30)) == [.ping])
    }

    @Test("core 1.21: a client that is not back in time has ended, as lost, once")
    func tooLate() {
        var life = self.open()
        _ = life.transportClosed(.lost, now: self.start)
        let effects = life.tick(isHeldUp: false, now: self.start + .seconds(15))
        expect(effects == [.unregister, .dropWaiting, .cancelWork, .runDisconnected(Disconnection(.lost))])
        let isBack = life.cameBack(now: self.start + .seconds(15))
        expect(!isBack && !life.isAway)
    }

    @Test("core 1.21: a goodbye, an abort, a broken rule and a stopping server end it for good")
    func endings() {
        var life = self.open()
        expect(life.transportClosed(.graceful, now: self.start).first == .unregister)
        for cause in [
            CoreLifecycle.Cause.clientClosed(error: nil), .aborted, .protocolViolated("x"), .serverStopping, .tooSlow,
        ] {
            life = self.open()
            expect(life.end(cause, now: self.start).contains(.unregister))
            expect(life.transportClosed(.lost, now: self.start).isEmpty)
            let isBack = life.cameBack(now: self.start)
            expect(!isBack && !life.isAway)
        }
    }

    @Test("a connection that is ended while its client is away is not waited for any more")
    func endedWhileAway() {
        var life = self.open()
        _ = life.transportClosed(.lost, now: self.start)
        expect(life.end(.tooSlow, now: self.start).contains(.unregister))
        let isBack = life.cameBack(now: self.start)
        expect(!isBack && !life.isAway)
    }
}
