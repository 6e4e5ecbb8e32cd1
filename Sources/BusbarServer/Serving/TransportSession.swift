import BusbarHub
import NIOCore

/// Who speaks over a transport channel: a WebSocket, or the answer to a request that takes its time. Confined to its event loop.
enum TransportSession {
    case core(CoreSession, claim: CoreClaim?)
    /// A core client that came back to its connection.
    case returned(ReturnedLink)
    case classic(ClassicChannel)
    /// The runtime takes no connection any more.
    case refused

    func received(_ bytes: inout ByteBuffer) {
        switch self {
        case .core(let session, _): if session.isOnFirstLink { session.received(&bytes) }
        case .returned(let link): link.received(bytes)
        case .classic(let channel): channel.received(bytes)
        case .refused: break
        }
    }

    /// The kernel has taken what waited for it.
    func drained() {
        switch self {
        case .core(let session, _): if session.isOnFirstLink { session.drained() }
        case .returned(let link): link.drained()
        case .classic(let channel): channel.drained()
        case .refused: break
        }
    }

    func transportClosed(_ closing: TransportClosing) {
        switch self {
        case .core(let session, _): if session.isOnFirstLink { session.transportClosed(closing) }
        case .returned(let link): link.transportClosed(closing)
        case .classic(let channel): channel.transportClosed(closing)
        case .refused: break
        }
    }
}
