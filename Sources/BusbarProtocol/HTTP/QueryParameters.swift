package import NIOCore

/// The parameters of a query string or of an urlencoded body.
///
/// Pairs are separated by `&` or `;`, `+` is a space, `%XX` a byte of UTF-8; what is not a valid escape stays as it is,
/// and bytes that are not UTF-8 become U+FFFD. Names are equal ignoring case. A name without `=` has the value "".
package struct QueryParameters: Hashable, Sendable {
    /// How many parameters are read unless told otherwise.
    package static let defaultLimit = 256

    /// All pairs, decoded, in the order they came in.
    package private(set) var pairs: [Pair] = []

    /// One parameter.
    package struct Pair: Hashable, Sendable {
        package let name: String
        package let value: String
    }

    /// No parameters.
    package init() {}

    /// Reads the text after the `?` of a request target.
    /// - Throws: ``ProtocolError`` `limitExceeded` for more than `limit` parameters.
    package init(parsing text: some StringProtocol, limit: Int = Self.defaultLimit) throws(ProtocolError) {
        try self.init(parsing: ByteBuffer(substring: Substring(text)), limit: limit)
    }

    /// Reads all of `bytes`, the query of a request or an urlencoded body whatever its content type says.
    /// - Throws: ``ProtocolError`` `limitExceeded` for more than `limit` parameters.
    package init(parsing bytes: ByteBuffer, limit: Int = Self.defaultLimit) throws(ProtocolError) {
        let pairs = bytes.withUnsafeReadableBytes { Self.pairs(in: $0, atMost: limit) }
        guard let pairs else { throw ProtocolError(.limitExceeded, "more than \(limit) parameters in one request") }
        self.pairs = pairs
    }

    /// Reads an urlencoded body, whose pairs are separated by `&` alone.
    /// - Throws: ``ProtocolError`` `limitExceeded` for more than ``defaultLimit`` parameters.
    package init(parsingForm bytes: ByteBuffer) throws(ProtocolError) {
        let limit = Self.defaultLimit
        let pairs = bytes.withUnsafeReadableBytes { Self.pairs(in: $0, atMost: limit, separators: [UInt8(ascii: "&")]) }
        guard let pairs else { throw ProtocolError(.limitExceeded, "more than \(limit) parameters in one form") }
        self.pairs = pairs
    }

    /// The value of `name`; the values of a repeated one joined by commas; nil if there is none.
    package subscript(name: String) -> String? {
        var joined: String?
        for pair in self.pairs where Self.isSame(pair.name, name) {
            joined = joined.map { "\($0),\(pair.value)" } ?? pair.value
        }
        return joined
    }

    private static func pairs(
        in bytes: UnsafeRawBufferPointer, atMost limit: Int,
        separators: [UInt8] = [UInt8(ascii: "&"), UInt8(ascii: ";")]
    ) -> [Pair]? {
        var pairs: [Pair] = []
        var start = 0
        while start <= bytes.count {
            let end = bytes[start...].firstIndex { separators.contains($0) } ?? bytes.count
            if end > start {
                guard pairs.count < limit else { return nil }
                let equals = bytes[start..<end].firstIndex(of: UInt8(ascii: "="))
                let name = Self.decode(bytes, start..<(equals ?? end))
                pairs.append(Pair(name: name, value: Self.decode(bytes, (equals.map { $0 &+ 1 } ?? end)..<end)))
            }
            start = end &+ 1
        }
        return pairs
    }

    private static func decode(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> String {
        // Why: decoded text is never longer, except where broken UTF-8 is repaired, which is done on the decoded bytes.
        let decoded = [UInt8](unsafeUninitializedCapacity: range.count) { out, written in
            var index = range.lowerBound
            while index < range.upperBound {
                var byte = bytes[index]
                index &+= 1
                if byte == UInt8(ascii: "+") {
                    byte = 0x20
                } else if byte == UInt8(ascii: "%"), index &+ 1 < range.upperBound,
                    let high = HexDigit.value(bytes[index]), let low = HexDigit.value(bytes[index &+ 1])
                {
                    byte = high << 4 | low
                    index &+= 2
                }
                out[written] = byte
                written &+= 1
            }
        }
        return String(decoding: decoded, as: UTF8.self)
    }

    private static func isSame(_ left: String, _ right: String) -> Bool {
        left == right || left.lowercased() == right.lowercased()
    }
}
