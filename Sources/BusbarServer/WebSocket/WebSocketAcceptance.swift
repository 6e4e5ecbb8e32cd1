import BusbarHub
import BusbarProtocol
import NIOCore

/// A checked opening handshake and what becomes of the connection.
struct WebSocketAcceptance: Sendable {
    /// The value of `Sec-WebSocket-Accept`.
    let accept: String
    /// Further fields of the answer.
    var fields: [HTTPResponse.Field] = []
    let limits: WebSocketLimits
    /// Makes the session that speaks over the socket. Called once, on the event loop of the connection.
    let attach: @Sendable (any Outlet, any EventLoop) -> TransportSession

    func response(date: String) -> ByteBuffer {
        var response = HTTPResponse(status: 101)
        response.add("Upgrade", "websocket")
        response.add("Connection", "Upgrade")
        response.add("Sec-WebSocket-Accept", self.accept)
        response.fields += self.fields
        var buffer = ByteBuffer()
        response.writeHead(into: &buffer, date: date, connection: .implied)
        return buffer
    }
}

/// What one WebSocket may do to the server.
struct WebSocketLimits: Hashable, Sendable {
    enum Reading: Hashable, Sendable {
        /// All data frames are one stream of bytes, whatever their opcode; the session bounds its messages.
        case stream
        /// Whole text messages of at most so many bytes (nil = unlimited); a binary one ends the connection.
        case text(limitBytes: Int?)
    }

    let reading: Reading
    /// How long the peer may take to answer a close frame.
    var closeTimeout: TimeAmount = .seconds(5)
    /// How long the kernel may take nothing of what waits before the connection is given up.
    var sendTimeout: TimeAmount = .seconds(10)

    func makeParser() -> WebSocketParser {
        switch self.reading {
        case .stream: WebSocketParser(mode: .stream)
        case .text(let limitBytes): WebSocketParser(mode: .messages(maximumBytes: limitBytes ?? Int.max))
        }
    }
}
