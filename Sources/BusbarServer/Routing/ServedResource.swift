import Busbar
import Crypto
public import NIOCore

/// A file that the server answers with as it is, from memory.
public struct ServedResource: Hashable, Sendable {
    /// The path it is found at, such as `/` or `/app.js`; compared exactly.
    public let path: String
    public let contentType: String
    public let bytes: ByteBuffer
    /// The `Cache-Control` field. The default lets browsers keep the resource and ask each time whether it changed.
    public let cacheControl: String
    package let etag: String

    public init(path: String, contentType: String, bytes: ByteBuffer, cacheControl: String = "no-cache") {
        self.path = path
        self.contentType = contentType
        self.bytes = bytes
        self.cacheControl = cacheControl
        self.etag = ETag.of(bytes)
    }

    package func response(to request: HTTPRequest) -> HTTPResponse {
        guard request.method == "GET" || request.method == "HEAD" else {
            var response = HTTPResponse.text(405)
            response.add("Allow", "GET, HEAD")
            return response
        }
        var response = HTTPResponse(status: 200, contentType: self.contentType, body: self.bytes)
        response.add("Cache-Control", self.cacheControl)
        response.add("X-Content-Type-Options", "nosniff")
        return ETag.apply(self.etag, to: response, request)
    }
}

/// Entity tags: a browser that has the newest version is told so instead of being sent it again.
package enum ETag {
    package static func of(_ bytes: ByteBuffer) -> String {
        let digest = SHA256.hash(data: Array(bytes.readableBytesView))
        return "\"\(Base64URL.encode(Array(digest.prefix(12))))\""
    }

    package static func apply(_ etag: String, to response: HTTPResponse, _ request: HTTPRequest) -> HTTPResponse {
        var response = response
        response.add("ETag", etag)
        let known = request.fields.values("if-none-match").flatMap { $0.split(separator: ",") }.map(\.trimmed)
        if known.contains(where: { $0 == etag || $0 == "*" || $0 == "W/" + etag }) {
            response.status = 304
            response.body = ByteBuffer()
        }
        return response
    }
}
