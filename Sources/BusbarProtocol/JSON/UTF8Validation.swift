/// Strict UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
package enum UTF8Validation {
    /// How many bytes the well-formed character at `index` has, 0 when there is none.
    static func sequenceLength(in bytes: UnsafeRawBufferPointer, at index: Int) -> Int {
        let lead = bytes[index]
        let left = bytes.count &- index
        switch lead {
        case 0x00...0x7F: return 1
        case 0xC2...0xDF:
            return left >= 2 && Self.isContinuation(bytes[index &+ 1]) ? 2 : 0
        case 0xE0...0xEF:
            guard left >= 3, Self.isContinuation(bytes[index &+ 2]) else { return 0 }
            let second = bytes[index &+ 1]
            let lowest: UInt8 = lead == 0xE0 ? 0xA0 : 0x80
            let highest: UInt8 = lead == 0xED ? 0x9F : 0xBF
            return second >= lowest && second <= highest ? 3 : 0
        case 0xF0...0xF4:
            guard left >= 4, Self.isContinuation(bytes[index &+ 2]), Self.isContinuation(bytes[index &+ 3])
            else { return 0 }
            let second = bytes[index &+ 1]
            let lowest: UInt8 = lead == 0xF0 ? 0x90 : 0x80
            let highest: UInt8 = lead == 0xF4 ? 0x8F : 0xBF
            return second >= lowest && second <= highest ? 4 : 0
        default: return 0
        }
    }

    /// Whether all of `bytes` is well-formed. Eight ASCII bytes cost one comparison.
    package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < bytes.count {
            while index &+ 8 <= bytes.count,
                bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
            {
                index &+= 8
            }
            guard index < bytes.count else { break }
            let length = Self.sequenceLength(in: bytes, at: index)
            guard length > 0 else { return false }
            index &+= length
        }
        return true
    }

    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }
}

/// Hexadecimal digits, in either case when read and lower case when written.
enum HexDigit {
    static func value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte &- UInt8(ascii: "a") &+ 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte &- UInt8(ascii: "A") &+ 10
        default: nil
        }
    }

    static func character(_ value: UInt8) -> UInt8 {
        let low = value & 0x0F
        return low < 10 ? UInt8(ascii: "0") &+ low : UInt8(ascii: "a") &+ low &- 10
    }
}
