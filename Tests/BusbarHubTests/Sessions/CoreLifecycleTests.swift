import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

@Suite("The life cycle of a core connection")
struct CoreLifecycleTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func fresh(detailed: Bool = false) -> CoreLifecycle {
        CoreLifecycle(timeouts: .init(), detailedErrors: detailed, now: self.start)
    }

    private func open(detailed: Bool = false) -> CoreLifecycle {
        var life = self.fresh(detailed: detailed)
        _ = life.handshakeReceived(HandshakeRequest(protocolName: "json", version: 1), now: self.start)
        _ = life.connectedFinished(failure: nil, now: self.start)
        return life
    }

    @Test(
        "core 1.11: a handshake of versions 0 to 2, and below, is accepted before the connected event runs",
        arguments: [-1, 0, 1, 2])
    func accepts(version: Int) {
        var life = self.fresh()
        let effects = life.handshakeReceived(HandshakeRequest(protocolName: "JSON", version: version), now: self.start)
        expect(effects == [.acceptHandshake, .register, .runConnected])
    }

    @Test(
        "core 1.11: refusals name what is wrong, no Close and no event follows",
        arguments: [
            ("blazorpack", 1, "The protocol 'blazorpack' is not supported."),
            ("MessagePack", 3, "The server does not support version 3 of the 'messagepack' protocol."),
            ("json", 9, "The server does not support version 9 of the 'json' protocol."),
        ])
    func refuses(name: String, version: Int, text: String) {
        var life = self.fresh()
        let effects = life.handshakeReceived(HandshakeRequest(protocolName: name, version: version), now: self.start)
        expect(effects == [.refuseHandshake(text), .endTransport(.normal), .forget])
    }

    @Test("core 1.11: nothing usable within 15 s, or too much of it, cancels the handshake")
    func handshakeTimeout() {
        let cancelled: [CoreLifecycle.Effect] = [
            .refuseHandshake("Handshake was canceled."), .endTransport(.normal), .forget,
        ]
        var life = self.fresh()
        expect(life.tick(isHeldUp: false, now: self.start + .milliseconds(14_999)).isEmpty)
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(15)) == cancelled)
        life = self.fresh()
        expect(life.handshakeTooLong() == cancelled)
    }

    @Test("core 1.11: malformed handshakes are refused, with the reason only when errors are detailed")
    func malformed() {
        let text = "An unexpected error occurred during connection handshake."
        var life = self.fresh()
        expect(life.handshakeMalformed("why").first == .refuseHandshake(text))
        life = self.fresh(detailed: true)
        expect(life.handshakeMalformed("why").first == .refuseHandshake(text + " why"))
    }

    @Test("core 1.11: a peer that leaves before its handshake is sent nothing and causes no event")
    func leavesEarly() {
        var life = self.fresh()
        expect(life.transportClosed(.lost, now: self.start) == [.forget])
    }

    @Test("core 1.19: a ping goes out every 15 s, counted from the last ping alone")
    func pings() {
        var life = self.open()
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(14)).isEmpty)
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(15)) == [.ping])
        life.messageReceived(isPing: false, now: self.start + .seconds(20))
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(29)).isEmpty)
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(30)) == [.ping])
    }

    @Test("core 1.19, tolerance 6: 30 s of silence end a client that has pinged; one that never did has an hour")
    func clientTimeout() {
        var life = self.open()
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(3_599)) == [.ping])
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(3_600)).contains(.endTransport(.normal)))
        life = self.open()
        life.messageReceived(isPing: true, now: self.start)
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(29)) == [.ping])
        let effects = life.tick(isHeldUp: false, now: self.start + .seconds(30))
        expect(effects.first == .close(error: "Connection closed with an error.", allowReconnect: true))
    }

    @Test("core 1.19: the clock of silence stands still while the client isn't read")
    func heldUp() {
        var life = self.open()
        life.messageReceived(isPing: true, now: self.start)
        for second in 1...100 { _ = life.tick(isHeldUp: true, now: self.start + .seconds(Int64(second))) }
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(129)) != [])
        expect(life.takesMessages)
        _ = life.tick(isHeldUp: false, now: self.start + .seconds(130))
        expect(!life.takesMessages)
    }

    @Test(
        "core 1.18: each end has its Close message, cancels or not, and its transport's end",
        arguments: [
            (CoreLifecycle.Cause.serverStopping, nil, true, OutletEnding.goingAway),
            (.aborted, nil, false, .normal),
            (.protocolViolated("why"), "Connection closed with an error.", true, .normal),
        ] as [(CoreLifecycle.Cause, String?, Bool, OutletEnding)])
    func ends(cause: CoreLifecycle.Cause, error: String?, allowReconnect: Bool, ending: OutletEnding) {
        var life = self.open()
        let effects = life.end(cause, now: self.start)
        expect(
            effects.prefix(3) == [
                .close(error: error, allowReconnect: allowReconnect), .unregister, .endTransport(ending),
            ])
        expect(effects.contains(.cancelWork))
        expect(life.end(cause, now: self.start).isEmpty)
        expect(life.transportClosed(.graceful, now: self.start).isEmpty)
        expect(life.disconnectedFinished() == [.forget])
    }

    @Test("core 1.18: a connected event that throws closes with an error and no leave to come back")
    func connectedThrows() {
        var life = self.fresh(detailed: true)
        _ = life.handshakeReceived(HandshakeRequest(protocolName: "json", version: 1), now: self.start)
        let effects = life.connectedFinished(failure: "no", now: self.start)
        expect(effects.first == .close(error: "Connection closed with an error. no", allowReconnect: false))
        expect(effects.last == .runDisconnected(Disconnection(.refused, detail: "no")))
    }

    @Test("core 1.18: a Close of the client, or an orderly end, lets what was sent before it run")
    func graceful() {
        var life = self.open()
        let effects = life.end(.clientClosed(error: "bye"), now: self.start)
        expect(
            effects == [
                .unregister, .endTransport(.normal), .runDisconnected(Disconnection(.stoppedByClient, detail: "bye")),
            ])
        life = self.open()
        expect(
            life.transportClosed(.graceful, now: self.start) == [
                .unregister, .runDisconnected(Disconnection(.stoppedByClient)),
            ])
        life = self.open()
        expect(life.transportClosed(.lost, now: self.start).contains(.cancelWork))
    }

    @Test("work that outlives its connection is cancelled, and at last the disconnected event runs beside it")
    func stubbornWork() {
        var life = self.open()
        _ = life.transportClosed(.graceful, now: self.start)
        let gone = Disconnection(.stoppedByClient)
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(4)).isEmpty)
        expect(
            life.tick(isHeldUp: false, now: self.start + .seconds(5)) == [
                .dropWaiting, .cancelWork, .runDisconnected(gone),
            ])
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(10)) == [.forceDisconnected(gone)])
        expect(life.tick(isHeldUp: false, now: self.start + .seconds(99)).isEmpty)
    }
}
