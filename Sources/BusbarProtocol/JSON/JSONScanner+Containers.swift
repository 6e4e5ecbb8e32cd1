extension JSONScanner {
    /// Walks the members of the next value, which must be an object. `member` is called after each name and colon and
    /// must step over exactly the value.
    mutating func scanObject(
        _ member: (inout JSONScanner, JSONStringRange) throws(JSONCodingError) -> Void
    ) throws(JSONCodingError) {
        guard self.take(UInt8(ascii: "{")) else { throw .mismatch(at: self.offset, expected: "an object") }
        if self.take(UInt8(ascii: "}")) { return }
        repeat {
            let key = try self.scanKey()
            try member(&self, key)
        } while self.take(UInt8(ascii: ","))
        try self.expect(UInt8(ascii: "}"), "',' or '}'")
    }

    /// Walks the elements of the next value, which must be an array. `element` must step over exactly one value.
    mutating func scanArray(
        _ element: (inout JSONScanner) throws(JSONCodingError) -> Void
    ) throws(JSONCodingError) {
        guard self.take(UInt8(ascii: "[")) else { throw .mismatch(at: self.offset, expected: "an array") }
        if self.take(UInt8(ascii: "]")) { return }
        repeat {
            try element(&self)
        } while self.take(UInt8(ascii: ","))
        try self.expect(UInt8(ascii: "]"), "',' or ']'")
    }

    /// Walks the members of a text that is one object and nothing else.
    static func scanDocument(
        _ bytes: UnsafeRawBufferPointer,
        _ member: (inout JSONScanner, JSONStringRange) throws(JSONCodingError) -> Void
    ) throws(JSONCodingError) {
        var scanner = JSONScanner(bytes)
        try scanner.scanObject(member)
        try scanner.expectEnd()
    }
}
