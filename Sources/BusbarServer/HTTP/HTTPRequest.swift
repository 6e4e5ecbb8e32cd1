package import NIOCore

/// One whole HTTP/1 request: head and body.
package struct HTTPRequest: Hashable, Sendable {
    package var method: String
    /// The path of the target as sent, without its query; always begins with `/` (or is `*`).
    package var path: String
    /// The text after the first `?`, as sent; empty when there is none.
    package var query: String
    package var minorVersion: Int
    package var fields: HTTPFields
    package var body = ByteBuffer()
    /// Whether the peer wants to send further requests on this connection.
    package var isKeptAlive: Bool

    /// The path with its `%XX` read as bytes of UTF-8; what is not a valid escape stays as it is.
    package var decodedPath: String {
        guard self.path.utf8.contains(UInt8(ascii: "%")) else { return self.path }
        var bytes: [UInt8] = []
        var rest = self.path.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                rest.prefix(2).allSatisfy(\.isHexDigit), let value = UInt8(Substring(rest.prefix(2)), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether the head asks for a WebSocket: `Connection` lists `upgrade` and `Upgrade` lists `websocket`, in any
    /// letter case.
    package var asksForWebSocket: Bool {
        self.method == "GET" && self.minorVersion >= 1
            && self.fields.list("connection", contains: "upgrade")
            && self.fields.list("upgrade", contains: "websocket")
    }
}

/// Header fields in the order they arrived. Names compare without letter case.
package struct HTTPFields: Hashable, Sendable {
    package struct Field: Hashable, Sendable {
        package let name: String
        package let value: String
    }

    package private(set) var all: [Field] = []

    package init() {}

    package mutating func append(_ name: String, _ value: String) {
        self.all.append(Field(name: name, value: value))
    }

    /// The value of the first field called `name`, or nil.
    package func first(_ name: String) -> String? {
        self.all.first { $0.name.isEqualIgnoringASCIICase(to: name) }?.value
    }

    /// The values of all fields called `name`.
    package func values(_ name: String) -> [String] {
        self.all.lazy.filter { $0.name.isEqualIgnoringASCIICase(to: name) }.map(\.value)
    }

    /// Whether a comma-separated list field, possibly sent in several lines, holds `token` in any letter case.
    package func list(_ name: String, contains token: String) -> Bool {
        for field in self.all where field.name.isEqualIgnoringASCIICase(to: name) {
            for element in field.value.split(separator: ",") where element.trimmed.isEqualIgnoringASCIICase(to: token) {
                return true
            }
        }
        return false
    }
}

extension StringProtocol {
    /// Equal when ASCII letters of either case count as the same; all other characters must be identical.
    package func isEqualIgnoringASCIICase(to other: some StringProtocol) -> Bool {
        guard self.utf8.count == other.utf8.count else { return false }
        return zip(self.utf8, other.utf8).allSatisfy { $0.asciiLowercased == $1.asciiLowercased }
    }
}

extension Substring {
    /// Without spaces and tabs at either end.
    package var trimmed: Substring {
        var text = self
        while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
        while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
        return text
    }
}

extension UInt8 {
    package var asciiLowercased: UInt8 {
        (0x41...0x5A).contains(self) ? self | 0x20 : self
    }
}
