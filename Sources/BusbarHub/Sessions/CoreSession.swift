package import NIOCore

/// One connection of a core client: handshake, calls, pings and the end of it.
///
/// Confined to its event loop. A transport makes one after its upgrade, hands it what arrives and reports its own end once.
package final class CoreSession {
    package init(
        runtime: HubRuntime,
        loop: any EventLoop,
        hub: RegisteredHub,
        identity: ConnectionIdentity,
        outlet: any Outlet,
        framing: TransportFraming
    ) {}

    /// The transport is ready: the handshake's time runs.
    package func started() {}

    /// Takes bytes of the client, whatever frames they came in. All of `bytes` is consumed.
    package func received(_ bytes: inout ByteBuffer) {}

    /// The transport has ended; nothing is written to the outlet any more.
    package func transportClosed(_ closing: TransportClosing) {}
}
