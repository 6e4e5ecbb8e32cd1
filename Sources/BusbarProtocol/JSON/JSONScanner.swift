/// Walks JSON text byte by byte: finds where values begin and end, validates everything it passes, allocates nothing.
///
/// The scanner borrows its bytes and must not outlive the closure that lends them. Offsets count from their start.
/// Accepts RFC 8259 and nothing beyond: no comments, no trailing commas, no byte order mark, no bare words.
package struct JSONScanner {
    /// Nesting deeper than this is never accepted, whatever limit is asked for.
    package static let deepestNesting = 64

    let bytes: UnsafeRawBufferPointer
    private(set) var offset: Int

    package init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
        self.bytes = bytes
        self.offset = min(max(offset, 0), bytes.count)
    }

    /// The next byte after white space, or nil at the end.
    package mutating func peek() -> UInt8? {
        let count = self.bytes.count
        while self.offset < count {
            switch self.bytes[self.offset] {
            case 0x20, 0x0A, 0x0D, 0x09: self.offset &+= 1
            case let byte: return byte
            }
        }
        return nil
    }

    /// Steps over `byte` (and white space before it) if it comes next.
    package mutating func take(_ byte: UInt8) -> Bool {
        guard self.peek() == byte else { return false }
        self.offset &+= 1
        return true
    }

    /// Steps over `byte`, which must come next.
    package mutating func expect(_ byte: UInt8, _ name: StaticString) throws(JSONCodingError) {
        guard self.take(byte) else { throw .malformed(at: self.offset, expected: name) }
    }

    /// Nothing but white space may follow.
    package mutating func expectEnd() throws(JSONCodingError) {
        guard self.peek() == nil else { throw .malformed(at: self.offset, expected: "the end of the text") }
    }

    /// Steps over one complete value, whatever it is, and returns where it stands (without white space around it).
    /// - Parameter depthLimit: how many arrays and objects may stand inside each other; at most ``deepestNesting``.
    @discardableResult
    package mutating func skipValue(
        depthLimit: Int = JSONScanner.deepestNesting
    ) throws(JSONCodingError) -> Range<Int> {
        let limit = min(depthLimit, Self.deepestNesting)
        _ = self.peek()
        let start = self.offset
        // Why: one bit per open container (1 = object) replaces recursion, so hostile nesting costs no stack.
        var kinds: UInt64 = 0
        var depth = 0
        while true {
            guard let byte = self.peek() else { throw .malformed(at: self.offset, expected: "a value") }
            var opened = false
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard depth < limit else { throw .tooDeep(limit: limit) }
                let isObject = byte == UInt8(ascii: "{")
                self.offset &+= 1
                depth &+= 1
                kinds = kinds << 1 | (isObject ? 1 : 0)
                if !self.take(isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    opened = true
                    if isObject { _ = try self.scanKey() }
                } else {
                    depth &-= 1
                    kinds >>= 1
                }
            case UInt8(ascii: "\""): _ = try self.scanString()
            case UInt8(ascii: "t"): try self.skipWord("true")
            case UInt8(ascii: "f"): try self.skipWord("false")
            case UInt8(ascii: "n"): try self.skipWord("null")
            default: _ = try self.scanNumber()
            }
            if opened { continue }
            while depth > 0 {
                let isObject = kinds & 1 == 1
                if self.take(UInt8(ascii: ",")) {
                    if isObject { _ = try self.scanKey() }
                    break
                }
                if isObject {
                    try self.expect(UInt8(ascii: "}"), "',' or '}'")
                } else {
                    try self.expect(UInt8(ascii: "]"), "',' or ']'")
                }
                depth &-= 1
                kinds >>= 1
            }
            if depth == 0 { return start..<self.offset }
        }
    }

    /// Steps over a member name and its colon.
    package mutating func scanKey() throws(JSONCodingError) -> JSONStringRange {
        guard self.peek() == UInt8(ascii: "\"") else {
            throw .malformed(at: self.offset, expected: "a member name in quotes")
        }
        let key = try self.scanString()
        try self.expect(UInt8(ascii: ":"), "':'")
        return key
    }

    /// Steps over `null` if it comes next.
    package mutating func takeNull() throws(JSONCodingError) -> Bool {
        guard self.peek() == UInt8(ascii: "n") else { return false }
        try self.skipWord("null")
        return true
    }

    mutating func skipWord(_ word: StaticString) throws(JSONCodingError) {
        let end = self.offset &+ word.utf8CodeUnitCount
        guard end <= self.bytes.count, self.matches(word, in: self.offset..<end) else {
            throw .malformed(at: self.offset, expected: "a value")
        }
        self.offset = end
    }

    mutating func advance(to offset: Int) {
        self.offset = offset
    }

    /// Whether exactly `text` stands in `range`.
    package func matches(_ text: StaticString, in range: Range<Int>) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { expected in
            for index in 0..<expected.count where expected[index] != self.bytes[range.lowerBound &+ index] {
                return false
            }
            return true
        }
    }
}
