/// Where a JSON number stands, and whether it is written as an integer (no point, no exponent).
package struct JSONNumberRange: Hashable, Sendable {
    package let range: Range<Int>
    package let isInteger: Bool
}

extension JSONScanner {
    /// Steps over a number of any size; its value is not looked at.
    package mutating func scanNumber() throws(JSONCodingError) -> JSONNumberRange {
        _ = self.peek()
        let start = self.offset
        var index = start
        if self.byte(at: index) == UInt8(ascii: "-") { index &+= 1 }
        switch self.byte(at: index) {
        case UInt8(ascii: "0"): index &+= 1
        case UInt8(ascii: "1")...UInt8(ascii: "9"): index = self.skipDigits(from: index)
        default: throw .malformed(at: index, expected: "a value")
        }
        var isInteger = true
        if self.byte(at: index) == UInt8(ascii: ".") {
            isInteger = false
            let end = self.skipDigits(from: index &+ 1)
            guard end > index &+ 1 else { throw .malformed(at: end, expected: "a digit") }
            index = end
        }
        if self.byte(at: index) | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            index &+= 1
            let sign = self.byte(at: index)
            if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { index &+= 1 }
            let end = self.skipDigits(from: index)
            guard end > index else { throw .malformed(at: end, expected: "a digit") }
            index = end
        }
        self.advance(to: index)
        return JSONNumberRange(range: start..<index, isInteger: isInteger)
    }

    /// The value of a number this scanner found, nil if `Integer` cannot hold it exactly. `1.0` and `1e2` are integers.
    package func integer<Integer: FixedWidthInteger>(
        _ found: JSONNumberRange,
        as type: Integer.Type = Integer.self
    ) -> Integer? {
        guard found.isInteger else { return self.double(found).flatMap(Integer.init(exactly:)) }
        var index = found.range.lowerBound
        let isNegative = self.bytes[index] == UInt8(ascii: "-")
        if isNegative { index &+= 1 }
        var magnitude: UInt64 = 0
        while index < found.range.upperBound {
            let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(self.bytes[index] &- UInt8(ascii: "0")))
            guard !overflow, !carry else { return nil }
            magnitude = sum
            index &+= 1
        }
        guard isNegative else { return Integer(exactly: magnitude) }
        guard magnitude <= UInt64(Int64.max) &+ 1 else { return nil }
        return Integer(exactly: Int64(truncatingIfNeeded: 0 &- magnitude))
    }

    /// The nearest double to a number this scanner found, nil if it is beyond what a double holds.
    package func double(_ found: JSONNumberRange) -> Double? {
        if let exact = self.exactDouble(found) { return exact }
        let value = Double(self.text(found.range))
        guard let value, value.isFinite else { return nil }
        return value
    }

    /// The bytes of `range` as text, unchanged.
    package func text(_ range: Range<Int>) -> String {
        let raw = UnsafeRawBufferPointer(rebasing: self.bytes[range])
        return String(decoding: raw.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
    }

    /// The value when digits and power of ten are both exact doubles, so that one operation rounds correctly.
    private func exactDouble(_ found: JSONNumberRange) -> Double? {
        guard found.range.count <= 19 else { return nil }
        var mantissa: UInt64 = 0
        var exponent = 0
        var isFraction = false
        var isNegative = false
        for index in found.range {
            switch self.bytes[index] {
            case UInt8(ascii: "-"): isNegative = true
            case UInt8(ascii: "."): isFraction = true
            case let digit where digit >= UInt8(ascii: "0") && digit <= UInt8(ascii: "9"):
                mantissa = mantissa &* 10 &+ UInt64(digit &- UInt8(ascii: "0"))
                if isFraction { exponent &+= 1 }
            default: return nil
            }
        }
        guard mantissa <= 1 << 53, exponent < Self.powersOfTen.count else { return nil }
        let value = Double(mantissa) / Self.powersOfTen[exponent]
        return isNegative ? -value : value
    }

    private static let powersOfTen: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    ]

    /// The byte at `index`, 0 beyond the end.
    private func byte(at index: Int) -> UInt8 {
        index < self.bytes.count ? self.bytes[index] : 0
    }

    private func skipDigits(from index: Int) -> Int {
        var index = index
        while index < self.bytes.count, self.bytes[index] &- UInt8(ascii: "0") < 10 { index &+= 1 }
        return index
    }
}
