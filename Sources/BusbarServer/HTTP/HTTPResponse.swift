package import NIOCore

/// A whole answer to one HTTP request.
package struct HTTPResponse: Hashable, Sendable {
    package struct Field: Hashable, Sendable {
        package let name: String
        package let value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package var status: Int
    /// The reason phrase; the usual one of the status when nil.
    package var reason: String?
    package var fields: [Field] = []
    package var body = ByteBuffer()
    /// Whether the connection is closed after this answer even if the peer would keep it.
    package var closes = false

    package init(status: Int, reason: String? = nil, contentType: String? = nil, body: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.reason = reason
        self.body = body
        if let contentType { self.fields.append(Field("Content-Type", contentType)) }
    }

    /// An answer of plain text.
    package static func text(_ status: Int, _ text: String = "") -> Self {
        Self(status: status, contentType: "text/plain; charset=utf-8", body: ByteBuffer(string: text))
    }

    package init(_ refusal: HTTPRefusal) {
        self = .text(refusal.status, refusal.text)
        self.closes = true
    }

    package mutating func add(_ name: String, _ value: String) {
        self.fields.append(Field(name, value))
    }

    /// Writes status line and fields, which tell how long the body is unless only the end of the connection will.
    package func writeHead(
        into buffer: inout ByteBuffer, date: String, connection: HTTPPersistence, length: HTTPBodyLength = .whole
    ) {
        buffer.writeString("HTTP/1.1 \(self.status) \(self.reason ?? Self.reasonPhrase(of: self.status))\r\n")
        for field in self.fields {
            buffer.writeString("\(field.name): \(field.value)\r\n")
        }
        switch length {
        case .whole where self.status >= 200 && self.status != 204 && self.status != 304:
            buffer.writeString("Content-Length: \(self.body.readableBytes)\r\n")
        case .chunked:
            buffer.writeStaticString("Transfer-Encoding: chunked\r\n")
        case .whole, .untilClosed:
            break
        }
        if !date.isEmpty { buffer.writeString("Date: \(date)\r\n") }
        switch connection {
        case .implied: break
        case .keptAlive: buffer.writeString("Connection: keep-alive\r\n")
        case .closed: buffer.writeString("Connection: close\r\n")
        }
        buffer.writeString("\r\n")
    }

    private static func reasonPhrase(of status: Int) -> String {
        switch status {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 200: "OK"
        case 202: "Accepted"
        case 204: "No Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 426: "Upgrade Required"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Status \(status)"
        }
    }
}

/// How a peer learns where the body of an answer ends.
package enum HTTPBodyLength: Hashable, Sendable {
    /// The answer is complete and says how long it is.
    case whole
    case chunked
    /// By the end of the connection, as peers of HTTP/1.0 do.
    case untilClosed
}

/// What an answer says about the connection's future.
package enum HTTPPersistence: Hashable, Sendable {
    /// Kept, as HTTP/1.1 takes for granted.
    case implied
    /// Kept, said aloud for HTTP/1.0.
    case keptAlive
    case closed
}
