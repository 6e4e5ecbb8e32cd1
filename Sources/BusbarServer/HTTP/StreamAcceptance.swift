import BusbarHub
import NIOCore

/// An answer whose body a session writes for as long as it likes: an event stream, or a long poll that waits.
struct StreamAcceptance: Sendable {
    /// Status and fields of the answer, which are sent at once. Its body is what the stream begins with.
    var response: HTTPResponse
    /// How long the kernel may take nothing of what waits before the connection is given up.
    var sendTimeout: TimeAmount = .seconds(10)
    /// Makes the session that writes the body, in whole chunks of the chunked coding. Called once, on the event loop of the
    /// connection.
    let attach: @Sendable (any Outlet, any EventLoop) -> TransportSession
}
