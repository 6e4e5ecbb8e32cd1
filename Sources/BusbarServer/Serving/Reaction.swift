/// What the server does with a request.
enum Reaction: Sendable {
    case respond(HTTPResponse)
    /// Becomes a WebSocket; the request has been checked to be a correct opening handshake.
    case upgrade(WebSocketAcceptance)
    /// Answers later: the work runs in a task that ends with the server.
    case eventually(@Sendable () async -> Reaction)
}
