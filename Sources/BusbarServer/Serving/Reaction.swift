/// What the server does with a request.
enum Reaction: Sendable {
    case respond(HTTPResponse)
    /// Becomes a WebSocket; the request has been checked to be a correct opening handshake.
    case upgrade(WebSocketAcceptance)
    /// An answer whose body comes bit by bit.
    case stream(StreamAcceptance)
    /// Answers later: the work runs in a task that ends with the server. The answer has to be found within
    /// ``HTTPLimits/answerTimeout``.
    case eventually(@Sendable () async -> Reaction)
    /// The same without a time, for what only the application can bound: a hub method takes as long as it takes. The
    /// work must end with the hub connection that it is for.
    case held(@Sendable () async -> Reaction)
}
