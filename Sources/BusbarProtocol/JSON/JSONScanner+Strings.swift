/// Where the text of a JSON string stands: between its quotes, still escaped.
package struct JSONStringRange: Hashable, Sendable {
    package let range: Range<Int>
    package let hasEscapes: Bool
}

extension JSONScanner {
    /// Steps over a string: valid UTF-8, valid escapes, no raw control characters. The next byte must be its quote.
    ///
    /// An escaped surrogate without its partner is valid here and reads as U+FFFD, as JavaScript clients can send one.
    package mutating func scanString() throws(JSONCodingError) -> JSONStringRange {
        let count = self.bytes.count
        let start = self.offset &+ 1
        var index = start
        var hasEscapes = false
        while true {
            while index &+ 8 <= count,
                !Self.hasSpecialByte(self.bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            {
                index &+= 8
            }
            while index < count, Self.isPlain(self.bytes[index]) { index &+= 1 }
            guard index < count else { throw .malformed(at: count, expected: "the closing quote of a string") }
            switch self.bytes[index] {
            case UInt8(ascii: "\""):
                self.advance(to: index &+ 1)
                return JSONStringRange(range: start..<index, hasEscapes: hasEscapes)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                index = try self.skipEscape(at: index)
            case 0x80...:
                let length = UTF8Validation.sequenceLength(in: self.bytes, at: index)
                guard length > 0 else { throw .malformed(at: index, expected: "valid UTF-8") }
                index &+= length
            default:
                throw .malformed(at: index, expected: "control characters to be escaped")
            }
        }
    }

    /// The text of a string this scanner found.
    package func string(_ found: JSONStringRange) -> String {
        let raw = UnsafeRawBufferPointer(rebasing: self.bytes[found.range])
        guard found.hasEscapes else {
            return String(decoding: raw.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
        }
        // Why: an escape never gets longer by resolving it, so the escaped length is capacity enough.
        return String(unsafeUninitializedCapacity: raw.count) { Self.unescape(raw, into: $0) }
    }

    /// Whether a string this scanner found says `text`.
    package func string(_ found: JSONStringRange, is text: StaticString) -> Bool {
        guard found.hasEscapes else { return self.matches(text, in: found.range) }
        return text.withUTF8Buffer { $0.elementsEqual(self.string(found).utf8) }
    }

    /// Whether a string this scanner found says `text`, ASCII letters of either case being equal.
    package func string(_ found: JSONStringRange, isIgnoringCase text: StaticString) -> Bool {
        if found.hasEscapes {
            let resolved = self.string(found)
            return text.withUTF8Buffer { expected in
                expected.count == resolved.utf8.count
                    && zip(expected, resolved.utf8).allSatisfy { Self.folded($0) == Self.folded($1) }
            }
        }
        guard found.range.count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { expected in
            for index in 0..<expected.count
            where Self.folded(expected[index]) != Self.folded(self.bytes[found.range.lowerBound &+ index]) {
                return false
            }
            return true
        }
    }

    static func folded(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x80 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// Whether one of eight bytes is a quote, a backslash, a control character or not ASCII.
    static func hasSpecialByte(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highBits: UInt64 = 0x8080_8080_8080_8080
        let quotes = word ^ (ones &* 0x22)
        let backslashes = word ^ (ones &* 0x5C)
        // Why: `(x - 1) & ~x` has its high bit set in bytes that are zero; a borrow can only raise a false alarm.
        let marked =
            word | (word &- ones &* 0x20) & ~word | (quotes &- ones) & ~quotes | (backslashes &- ones) & ~backslashes
        return marked & highBits != 0
    }

    private func skipEscape(at index: Int) throws(JSONCodingError) -> Int {
        guard index &+ 1 < self.bytes.count else { throw .malformed(at: index, expected: "an escape sequence") }
        switch self.bytes[index &+ 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return index &+ 2
        case UInt8(ascii: "u") where Self.hexUnit(in: self.bytes, at: index &+ 2) != nil:
            return index &+ 6
        default:
            throw .malformed(at: index, expected: "an escape sequence")
        }
    }

    private static func hexUnit(in bytes: UnsafeRawBufferPointer, at index: Int) -> UInt32? {
        guard index &+ 4 <= bytes.count else { return nil }
        var unit: UInt32 = 0
        for position in index..<(index &+ 4) {
            guard let digit = HexDigit.value(bytes[position]) else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    private static func unescape(_ raw: UnsafeRawBufferPointer, into out: UnsafeMutableBufferPointer<UInt8>) -> Int {
        var read = 0
        var written = 0
        while read < raw.count {
            let byte = raw[read]
            guard byte == UInt8(ascii: "\\"), read &+ 1 < raw.count else {
                out[written] = byte
                read &+= 1
                written &+= 1
                continue
            }
            var resolved = raw[read &+ 1]
            switch resolved {
            case UInt8(ascii: "b"): resolved = 0x08
            case UInt8(ascii: "f"): resolved = 0x0C
            case UInt8(ascii: "n"): resolved = 0x0A
            case UInt8(ascii: "r"): resolved = 0x0D
            case UInt8(ascii: "t"): resolved = 0x09
            case UInt8(ascii: "u"):
                let (scalar, length) = Self.escapedScalar(in: raw, at: read)
                for unit in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
                    out[written] = unit
                    written &+= 1
                }
                read &+= length
                continue
            default: break
            }
            out[written] = resolved
            read &+= 2
            written &+= 1
        }
        return written
    }

    /// The scalar of the `\u` escape at `index`, taking the second half of a surrogate pair with it.
    private static func escapedScalar(in raw: UnsafeRawBufferPointer, at index: Int) -> (Unicode.Scalar, length: Int) {
        let replacement: Unicode.Scalar = "\u{FFFD}"
        guard let unit = Self.hexUnit(in: raw, at: index &+ 2) else { return (replacement, 2) }
        if let scalar = Unicode.Scalar(unit) { return (scalar, 6) }
        guard unit < 0xDC00, index &+ 12 <= raw.count, raw[index &+ 6] == UInt8(ascii: "\\"),
            raw[index &+ 7] == UInt8(ascii: "u"), let low = Self.hexUnit(in: raw, at: index &+ 8),
            (0xDC00...0xDFFF).contains(low),
            let scalar = Unicode.Scalar(0x10000 &+ (unit &- 0xD800) << 10 &+ (low &- 0xDC00))
        else { return (replacement, 6) }
        return (scalar, 12)
    }
}
