/// How much one HTTP connection may make the server hold, and for how long.
public struct HTTPLimits: Hashable, Sendable {
    /// Bytes of request line and header fields together. Beyond: 431, or 414 when the request line alone is too long.
    public var headBytes: Int = 32 * 1024
    /// Header fields of one request. Beyond: 431.
    public var fieldCount: Int = 100
    /// Bytes of a request body. Beyond: 413.
    public var bodyBytes: Int = 256 * 1024
    /// How long a request may take from its first byte to its last. Beyond: 408 and the connection is closed.
    public var requestTimeout: Duration = .seconds(20)
    /// How long a connection may stay open between two requests, and how long an answer may wait for a peer that does
    /// not read.
    public var idleTimeout: Duration = .seconds(75)
    /// How long an answer may take to be found, such as by an authenticator. Beyond: 503 and the connection is closed.
    public var answerTimeout: Duration = .seconds(60)
    /// Connections of all kinds at the same time. Beyond: 503 and the connection is closed.
    public var connections: Int = 100_000

    public init() {}
}

/// Why a request cannot be read. The connection is answered with it and closed, since what follows cannot be
/// understood.
package struct HTTPRefusal: Error, Hashable {
    package let status: Int
    /// What was wrong, as it is told to the peer; never text of the request.
    package let text: String

    package static func malformed(_ what: String) -> Self { Self(status: 400, text: "Bad request: \(what).") }
    package static let bodyTooLarge = Self(status: 413, text: "The request body is too large.")
    package static let targetTooLong = Self(status: 414, text: "The request target is too long.")
    package static let fieldsTooLarge = Self(status: 431, text: "The request header fields are too large.")
    package static let expectation = Self(status: 417, text: "Only 100-continue can be expected.")
    package static let coding = Self(status: 501, text: "Only the transfer coding chunked is supported.")
    package static let version = Self(status: 505, text: "Only HTTP/1.0 and HTTP/1.1 are supported.")
    package static let timeout = Self(status: 408, text: "The request took too long.")
    package static let streamHead = Self(status: 405, text: "An answer that takes its time has no head of its own.")
    package static let late = Self(status: 503, text: "The answer took too long.")
    package static let busy = Self(status: 503, text: "Too many connections.")
}
