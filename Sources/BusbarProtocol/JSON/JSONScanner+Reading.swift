/// How far a JSON value may differ in kind from the Swift type that is asked for.
package enum JSONLeniency: Hashable, Sendable {
    /// Numbers are numbers and strings are strings.
    case strict
    /// As the classic servers read: a number where a string belongs, a numeric string where a number belongs,
    /// `"true"`, `"false"`, 0 and 1 where a boolean belongs.
    case classic
}

extension JSONScanner {
    mutating func readString(_ leniency: JSONLeniency) throws(JSONCodingError) -> String {
        switch self.peek() {
        case UInt8(ascii: "\""):
            let found = try self.scanString()
            return self.string(found)
        case let byte? where leniency == .classic && Self.startsNumber(byte):
            let found = try self.scanNumber()
            return self.text(found.range)
        default: throw .mismatch(at: self.offset, expected: "a string")
        }
    }

    mutating func readBool(_ leniency: JSONLeniency) throws(JSONCodingError) -> Bool {
        let start = self.offset
        switch (self.peek(), leniency) {
        case (UInt8(ascii: "t"), _):
            try self.skipWord("true")
            return true
        case (UInt8(ascii: "f"), _):
            try self.skipWord("false")
            return false
        case (UInt8(ascii: "\""), .classic):
            let found = try self.scanString()
            if self.string(found, isIgnoringCase: "true") { return true }
            if self.string(found, isIgnoringCase: "false") { return false }
        case (UInt8(ascii: "0"), .classic), (UInt8(ascii: "1"), .classic):
            let found = try self.scanNumber()
            if let number = self.integer(found, as: UInt8.self), number < 2 { return number == 1 }
        default: break
        }
        throw .mismatch(at: start, expected: "true or false")
    }

    mutating func readInteger<Integer: FixedWidthInteger>(
        _ leniency: JSONLeniency
    ) throws(JSONCodingError) -> Integer {
        let start = self.offset
        if self.peek() == UInt8(ascii: "\""), leniency == .classic {
            let found = try self.scanString()
            let inner = try self.numeric(found)
            if let value: Integer = inner.scanner.integer(inner.number) { return value }
        } else {
            let found = try self.scanNumberValue()
            if let value: Integer = self.integer(found) { return value }
        }
        throw JSONCodingError(
            .outOfRange,
            "expected a whole number from \(Integer.min) to \(Integer.max) at byte \(start)"
        )
    }

    mutating func readDouble(_ leniency: JSONLeniency) throws(JSONCodingError) -> Double {
        let start = self.offset
        if self.peek() == UInt8(ascii: "\""), leniency == .classic {
            let found = try self.scanString()
            let inner = try self.numeric(found)
            if let value = inner.scanner.double(inner.number) { return value }
        } else {
            let found = try self.scanNumberValue()
            if let value = self.double(found) { return value }
        }
        throw JSONCodingError(.outOfRange, "expected a number that a double can hold at byte \(start)")
    }

    /// The digits of the next number, as written.
    mutating func readNumberText(_ leniency: JSONLeniency) throws(JSONCodingError) -> String {
        if self.peek() == UInt8(ascii: "\""), leniency == .classic {
            let found = try self.scanString()
            let inner = try self.numeric(found)
            return inner.scanner.text(inner.number.range)
        }
        let found = try self.scanNumberValue()
        return self.text(found.range)
    }

    private mutating func scanNumberValue() throws(JSONCodingError) -> JSONNumberRange {
        guard let byte = self.peek(), Self.startsNumber(byte) else {
            throw .mismatch(at: self.offset, expected: "a number")
        }
        return try self.scanNumber()
    }

    private static func startsNumber(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "-") || byte &- UInt8(ascii: "0") < 10
    }

    /// The number that a string consists of, and a scanner that stands on it.
    private func numeric(
        _ found: JSONStringRange
    ) throws(JSONCodingError) -> (scanner: JSONScanner, number: JSONNumberRange) {
        // Why: the scanner ends where the string ends, so what is left over shows as trailing text.
        var inner = JSONScanner(UnsafeRawBufferPointer(rebasing: self.bytes[..<found.range.upperBound]))
        inner.advance(to: found.range.lowerBound)
        do throws(JSONCodingError) {
            let number = try inner.scanNumber()
            try inner.expectEnd()
            return (inner, number)
        } catch {
            throw .mismatch(at: found.range.lowerBound, expected: "a number or a numeric string")
        }
    }
}
