package import NIOCore

/// Reads HTTP/1 requests from bytes, one at a time and only when asked, so that whoever answers sets the pace.
///
/// Strict where leniency lets two readers disagree about where a request ends: no bare LF, no folded fields, no
/// `Content-Length` beside `Transfer-Encoding`, no differing lengths, no unknown codings. After an error it only
/// repeats it.
///
/// Why not NIO's decoder: it parses ahead of the answers, and it stops for good after any request with an `Upgrade`
/// field, which clients that would like HTTP/2 send on ordinary requests too.
package struct HTTPRequestParser {
    package enum Event: Hashable {
        /// The peer waits for `100 Continue` before it sends the body.
        case continueExpected
        case request(HTTPRequest)
    }

    enum State {
        case head
        case body(HTTPRequest, remaining: Int)
        case chunkSize(HTTPRequest)
        case chunkData(HTTPRequest, remaining: Int)
        case chunkEnd(HTTPRequest)
        case trailers(HTTPRequest, bytes: Int)
        case failed(HTTPRefusal)
    }

    let limits: HTTPLimits
    var state = State.head
    /// Bytes of an incomplete head that hold no end of it, so that slow senders do not cost a scan from the start
    /// each time.
    var scannedBytes = 0

    package init(limits: HTTPLimits) {
        self.limits = limits
    }

    /// Whether a request has begun and is not complete. Nothing of it may be in the buffer any more.
    package func isMidRequest(with buffer: ByteBuffer) -> Bool {
        if case .head = self.state { return buffer.readableBytes > 0 }
        return true
    }

    /// Takes the next event out of `buffer`, or returns nil when more bytes are needed.
    ///
    /// Bytes after a complete request stay in the buffer: they are the next request or belong to an upgraded protocol.
    package mutating func next(in buffer: inout ByteBuffer) throws(HTTPRefusal) -> Event? {
        do throws(HTTPRefusal) {
            return try self.step(in: &buffer)
        } catch {
            self.state = .failed(error)
            throw error
        }
    }

    private mutating func step(in buffer: inout ByteBuffer) throws(HTTPRefusal) -> Event? {
        while true {
            switch self.state {
            case .head:
                guard let head = try self.readHead(in: &buffer) else { return nil }
                if let event = try self.begin(head, isBodyHere: buffer.readableBytes > 0) { return event }
            case .body(var request, let remaining):
                guard let body = buffer.readSlice(length: remaining) else { return nil }
                request.body = body
                return self.finish(request)
            case .chunkSize, .chunkData, .chunkEnd, .trailers:
                switch try self.chunkStep(in: &buffer) {
                case .needsBytes: return nil
                case .advanced: continue
                case .complete(let request): return self.finish(request)
                }
            case .failed(let refusal):
                throw refusal
            }
        }
    }

    private mutating func finish(_ request: HTTPRequest) -> Event {
        self.state = .head
        return .request(request)
    }

    /// Decides how the body of a request is framed.
    private mutating func begin(_ head: HTTPRequest, isBodyHere: Bool) throws(HTTPRefusal) -> Event? {
        let codings = head.fields.values("transfer-encoding")
        let lengths = head.fields.values("content-length")
        if !codings.isEmpty {
            guard lengths.isEmpty else { throw .malformed("both Content-Length and Transfer-Encoding") }
            guard head.minorVersion >= 1 else { throw .malformed("Transfer-Encoding in HTTP/1.0") }
            guard codings.count == 1, codings[0].isEqualIgnoringASCIICase(to: "chunked") else { throw .coding }
            self.state = .chunkSize(head)
        } else if let first = lengths.first {
            guard lengths.allSatisfy({ $0 == first }) else { throw .malformed("several values of Content-Length") }
            let length = try Self.contentLength(first)
            guard length <= self.limits.bodyBytes else { throw .bodyTooLarge }
            guard length > 0 else { return self.finish(head) }
            self.state = .body(head, remaining: length)
        } else {
            return self.finish(head)
        }
        guard let expectation = head.fields.first("expect"), head.minorVersion >= 1 else { return nil }
        guard expectation.isEqualIgnoringASCIICase(to: "100-continue") else { throw .expectation }
        return isBodyHere ? nil : .continueExpected
    }

    private static func contentLength(_ text: String) throws(HTTPRefusal) -> Int {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw .malformed("Content-Length is not a number")
        }
        // Why: a number of digits only that does not fit is a length beyond every limit.
        guard let length = Int(text) else { throw .bodyTooLarge }
        return length
    }
}
