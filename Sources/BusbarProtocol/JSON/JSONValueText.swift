package import NIOCore

/// The bytes of exactly one valid JSON value, without white space around it.
///
/// Usually a slice of what it was received in: whoever keeps it beyond the handling of that message takes a
/// ``copy()``, since a slice keeps the whole receive buffer alive.
package struct JSONValueText: Hashable, Sendable {
    package let bytes: ByteBuffer
    /// Where values stand that JSON has no sign for, in order; known only of text that was encoded here.
    let marks: [JSONMark]

    /// The value `null`.
    package static let null = Self(unchecked: ByteBuffer(string: "null"))

    /// Takes `bytes` if they are one valid JSON value nested no deeper than `depthLimit`.
    package init(
        validating bytes: ByteBuffer,
        depthLimit: Int = JSONScanner.deepestNesting
    ) throws(JSONCodingError) {
        let range = try bytes.withUnsafeReadableBytes { raw throws(JSONCodingError) -> Range<Int> in
            var scanner = JSONScanner(raw)
            let range = try scanner.skipValue(depthLimit: depthLimit)
            try scanner.expectEnd()
            return range
        }
        self.init(unchecked: bytes.slice(range))
    }

    /// Encodes `value`.
    package init(encoding value: some Encodable) throws(JSONCodingError) {
        var buffer = ByteBuffer()
        let marks = try JSONEncoding.encode(value, into: &buffer)
        self.init(unchecked: buffer, marks: marks)
    }

    /// An object with these members in this order, which must differ in name.
    package init(members: [(name: String, value: JSONNode)]) throws(JSONCodingError) {
        var buffer = ByteBuffer()
        buffer.writeInteger(UInt8(ascii: "{"))
        var isFirst = true
        for (name, value) in members {
            if !isFirst { buffer.writeInteger(UInt8(ascii: ",")) }
            isFirst = false
            buffer.writeJSONString(name)
            buffer.writeInteger(UInt8(ascii: ":"))
            try buffer.writeJSONNode(value, depth: 1)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
        self.init(unchecked: buffer)
    }

    /// Takes bytes that a scanner has just validated, or that we have just written.
    init(unchecked bytes: ByteBuffer, marks: [JSONMark] = []) {
        self.bytes = bytes
        self.marks = marks
    }

    /// The value as a Swift type; see ``ArgumentReader/next(_:)`` for what is read as what.
    package func decode<Value: Decodable>(
        _ type: Value.Type = Value.self,
        leniency: JSONLeniency = .strict,
        depthLimit: Int = JSONScanner.deepestNesting
    ) throws(JSONCodingError) -> Value {
        let source = JSONSource(bytes: self.bytes, leniency: leniency, depthLimit: depthLimit)
        return try source.decodeOutermost(type, at: 0)
    }

    /// The same value in memory of its own.
    package func copy() -> Self { Self(unchecked: self.bytes.copied(), marks: self.marks) }

    /// Appends the value on one line without white space between its tokens, U+0085, U+2028 and U+2029 escaped.
    ///
    /// For text a peer wrote that is passed on to other peers: inside the system JSON is compact.
    package func writeCompact(into buffer: inout ByteBuffer) {
        self.bytes.withUnsafeReadableBytes { raw in
            var isInString = false
            var index = 0
            while index < raw.count {
                let byte = raw[index]
                var length = 1
                switch byte {
                case UInt8(ascii: "\""): isInString.toggle()
                case UInt8(ascii: "\\"): length = min(2, raw.count &- index)
                case 0x20, 0x0A, 0x0D, 0x09:
                    if !isInString {
                        index &+= 1
                        continue
                    }
                case 0xC2 where raw[index...].starts(with: [0xC2, 0x85] as [UInt8]):
                    buffer.writeStaticString("\\u0085")
                    index &+= 2
                    continue
                case 0xE2 where raw[index...].starts(with: [0xE2, 0x80, 0xA8] as [UInt8]):
                    buffer.writeStaticString("\\u2028")
                    index &+= 3
                    continue
                case 0xE2 where raw[index...].starts(with: [0xE2, 0x80, 0xA9] as [UInt8]):
                    buffer.writeStaticString("\\u2029")
                    index &+= 3
                    continue
                default: break
                }
                buffer.writeBytes(UnsafeRawBufferPointer(rebasing: raw[index..<(index &+ length)]))
                index &+= length
            }
        }
    }
}

extension ByteBuffer {
    /// The bytes of `range`, counted from the reader index, sharing storage. The range must lie within what is
    /// readable.
    func slice(_ range: Range<Int>) -> ByteBuffer {
        self.getSlice(at: self.readerIndex &+ range.lowerBound, length: range.count) ?? ByteBuffer()
    }

    /// The readable bytes in storage of their own, as small as they are.
    package func copied() -> ByteBuffer {
        self.withUnsafeReadableBytes { ByteBuffer(bytes: $0) }
    }
}
