package import NIOCore

extension ByteBuffer {
    /// Appends `text` as a JSON string: `"`, `\`, control characters, U+0085, U+2028 and U+2029 escaped, all else raw.
    package mutating func writeJSONString(_ text: String) {
        var text = text
        text.withUTF8 { self.writeJSONString(utf8: UnsafeRawBufferPointer($0)) }
    }

    /// Appends valid UTF-8 as a JSON string.
    mutating func writeJSONString(utf8 text: UnsafeRawBufferPointer) {
        // Why: nearly all strings need no escape, and then quotes and text go in with one write.
        if JSONEscape.isAbsent(in: text) {
            self.writeWithUnsafeMutableBytes(minimumWritableBytes: text.count &+ 2) { out in
                out[0] = UInt8(ascii: "\"")
                UnsafeMutableRawBufferPointer(rebasing: out[1...]).copyMemory(from: text)
                out[text.count &+ 1] = UInt8(ascii: "\"")
                return text.count &+ 2
            }
            return
        }
        self.writeInteger(UInt8(ascii: "\""))
        self.writeJSONEscaped(utf8: text)
        self.writeInteger(UInt8(ascii: "\""))
    }

    private mutating func writeJSONEscaped(utf8 text: UnsafeRawBufferPointer) {
        var clean = 0
        var index = 0
        while index < text.count {
            let (length, escape) = JSONEscape.needed(in: text, at: index)
            if let escape {
                self.writeBytes(UnsafeRawBufferPointer(rebasing: text[clean..<index]))
                escape.write(into: &self)
                clean = index &+ length
            }
            index &+= length
        }
        self.writeBytes(UnsafeRawBufferPointer(rebasing: text[clean...]))
    }

    /// Appends a whole number in decimal.
    package mutating func writeJSONInteger(_ value: some FixedWidthInteger) {
        guard let magnitude = UInt64(exactly: value.magnitude) else {
            self.writeString(String(value))
            return
        }
        if value < 0 { self.writeInteger(UInt8(ascii: "-")) }
        self.writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { out in
            var length = 1
            var bound: UInt64 = 10
            while length < 20, magnitude >= bound {
                length &+= 1
                bound = length < 20 ? bound &* 10 : UInt64.max
            }
            var rest = magnitude
            for position in stride(from: length &- 1, through: 0, by: -1) {
                out[position] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return length
        }
    }

    /// Appends the shortest number that reads back as `value`; whole ones without a point.
    package mutating func writeJSONDouble(_ value: Double) throws(JSONCodingError) {
        guard value.isFinite else { throw .notANumber }
        if value.magnitude < 0x1p53, let whole = Int64(exactly: value), whole != 0 || value.sign == .plus {
            self.writeJSONInteger(whole)
        } else {
            self.writeString(value.description)
        }
    }

    /// Appends the shortest number that reads back as `value`; whole ones without a point.
    package mutating func writeJSONFloat(_ value: Float) throws(JSONCodingError) {
        guard value.isFinite else { throw .notANumber }
        if value.magnitude < 0x1p24, let whole = Int32(exactly: value), whole != 0 || value.sign == .plus {
            self.writeJSONInteger(whole)
        } else {
            self.writeString(value.description)
        }
    }

    /// Appends `true` or `false`.
    package mutating func writeJSONBool(_ value: Bool) {
        self.writeStaticString(value ? "true" : "false")
    }

    /// Appends all readable bytes of `text`, which must be JSON already.
    package mutating func writeJSON(_ text: JSONValueText) {
        self.writeImmutableBuffer(text.bytes)
    }
}

extension JSONCodingError {
    static var notANumber: Self { Self(.outOfRange, "NaN and infinity cannot be written as JSON") }
}

/// What stands for a character that must not appear raw inside a JSON string.
private enum JSONEscape {
    /// A backslash and this letter.
    case short(UInt8)
    /// `\u` and four hexadecimal digits.
    case unit(UInt16)

    /// Whether all of `text` can stand in a string as it is.
    static func isAbsent(in text: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < text.count {
            if index &+ 8 <= text.count,
                !JSONScanner.hasSpecialByte(text.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            {
                index &+= 8
                continue
            }
            let byte = text[index]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return false }
            if byte >= 0xC2, Self.needed(in: text, at: index).1 != nil { return false }
            index &+= 1
        }
        return true
    }

    /// How many bytes can be judged together at `index`, and the escape they need, if any.
    static func needed(in text: UnsafeRawBufferPointer, at index: Int) -> (length: Int, JSONEscape?) {
        let byte = text[index]
        if byte >= 0x20, byte < 0xC2, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") { return (1, nil) }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): return (1, .short(byte))
        case 0x08: return (1, .short(UInt8(ascii: "b")))
        case 0x09: return (1, .short(UInt8(ascii: "t")))
        case 0x0A: return (1, .short(UInt8(ascii: "n")))
        case 0x0C: return (1, .short(UInt8(ascii: "f")))
        case 0x0D: return (1, .short(UInt8(ascii: "r")))
        case 0x00..<0x20: return (1, .unit(UInt16(byte)))
        case 0xC2 where index &+ 1 < text.count && text[index &+ 1] == 0x85: return (2, .unit(0x0085))
        case 0xE2 where index &+ 2 < text.count && text[index &+ 1] == 0x80 && text[index &+ 2] & 0xFE == 0xA8:
            return (3, .unit(0x2000 | UInt16(text[index &+ 2] & 0x3F)))
        default: return (1, nil)
        }
    }

    func write(into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(ascii: "\\"))
        switch self {
        case .short(let letter): buffer.writeInteger(letter)
        case .unit(let unit):
            buffer.writeInteger(UInt8(ascii: "u"))
            for shift in [12, 8, 4, 0] {
                buffer.writeInteger(HexDigit.character(UInt8(truncatingIfNeeded: unit >> shift)))
            }
        }
    }
}
