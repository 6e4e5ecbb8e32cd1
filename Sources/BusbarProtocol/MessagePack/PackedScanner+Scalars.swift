import FoundationEssentials
import NIOCore

extension PackedScanner {
    /// Reads the next value as `type`, for which `scalar` was made.
    ///
    /// Numbers are read from any width and sign, whole ones also from floating point. What other encodings write as text
    /// is read from text too: bytes from base64, dates from ISO 8601.
    /// - Parameter depth: how many of the `depthLimit` containers allowed stand around it.
    mutating func readScalar<Value>(
        _ scalar: ScalarType, as type: Value.Type, depth: Int = 0, depthLimit: Int
    ) throws(JSONCodingError) -> Value {
        switch scalar {
        case .string: return identical(try self.readString(), as: type)
        case .optionalString: return identical(try self.takeNull() ? nil : try self.readString(), as: type)
        case .bool: return identical(try self.readBool(), as: type)
        case .int: return identical(try self.readInteger() as Int, as: type)
        case .int8: return identical(try self.readInteger() as Int8, as: type)
        case .int16: return identical(try self.readInteger() as Int16, as: type)
        case .int32: return identical(try self.readInteger() as Int32, as: type)
        case .int64: return identical(try self.readInteger() as Int64, as: type)
        case .uint: return identical(try self.readInteger() as UInt, as: type)
        case .uint8: return identical(try self.readInteger() as UInt8, as: type)
        case .uint16: return identical(try self.readInteger() as UInt16, as: type)
        case .uint32: return identical(try self.readInteger() as UInt32, as: type)
        case .uint64: return identical(try self.readInteger() as UInt64, as: type)
        case .double: return identical(try self.readDouble(), as: type)
        case .float: return identical(Float(try self.readDouble()), as: type)
        case .strings:
            return identical(
                try self.readList(depth, depthLimit) { scanner throws(JSONCodingError) in try scanner.readString() },
                as: type)
        case .ints:
            return identical(
                try self.readList(depth, depthLimit) { scanner throws(JSONCodingError) -> Int in
                    try scanner.readInteger()
                }, as: type)
        case .doubles:
            return identical(
                try self.readList(depth, depthLimit) { scanner throws(JSONCodingError) in try scanner.readDouble() },
                as: type)
        case .node: return identical(try self.readNode(depth: depth, limit: depthLimit), as: type)
        case .bytes: return identical([UInt8](try self.readBytes()), as: type)
        case .data: return identical(try self.readBytes(), as: type)
        case .date: return identical(Date(timeIntervalSince1970: try self.readDate()), as: type)
        case .uuid: return identical(try self.readUUID(), as: type)
        case .url: return identical(try self.readText("a URL") { URL(string: $0) }, as: type)
        case .decimal: return identical(try self.readDecimal(), as: type)
        }
    }

    /// Steps over nil if it comes next.
    mutating func takeNull() throws(JSONCodingError) -> Bool {
        guard self.peek == 0xC0 else { return false }
        return try self.next() == .null
    }

    mutating func readString() throws(JSONCodingError) -> String {
        let start = self.offset
        guard case .string(let range) = try self.next() else { throw .mismatch(at: start, expected: "a string") }
        return try self.string(range)
    }

    mutating func readBool() throws(JSONCodingError) -> Bool {
        let start = self.offset
        guard case .bool(let value) = try self.next() else { throw .mismatch(at: start, expected: "true or false") }
        return value
    }

    mutating func readInteger<Integer: FixedWidthInteger>() throws(JSONCodingError) -> Integer {
        let start = self.offset
        let value: Integer?
        switch try self.next() {
        case .unsigned(let number): value = Integer(exactly: number)
        case .signed(let number): value = Integer(exactly: number)
        case .float(let number): value = Integer(exactly: number)
        case .double(let number): value = Integer(exactly: number)
        default: throw .mismatch(at: start, expected: "a number")
        }
        guard let value else {
            throw JSONCodingError(
                .outOfRange, "expected a whole number from \(Integer.min) to \(Integer.max) at byte \(start)")
        }
        return value
    }

    mutating func readDouble() throws(JSONCodingError) -> Double {
        let start = self.offset
        switch try self.next() {
        case .unsigned(let number): return Double(number)
        case .signed(let number): return Double(number)
        case .float(let number): return Double(number)
        case .double(let number): return number
        default: throw .mismatch(at: start, expected: "a number")
        }
    }

    private mutating func readList<Element>(
        _ depth: Int, _ depthLimit: Int, _ element: (inout PackedScanner) throws(JSONCodingError) -> Element
    ) throws(JSONCodingError) -> [Element] {
        let start = self.offset
        guard case .array(let count) = try self.next() else { throw .mismatch(at: start, expected: "an array") }
        guard depth < depthLimit else { throw .tooDeep(limit: depthLimit) }
        var elements: [Element] = []
        for _ in 0..<count { elements.append(try element(&self)) }
        return elements
    }

    private mutating func readBytes() throws(JSONCodingError) -> Data {
        let start = self.offset
        switch try self.next() {
        case .bytes(let range): return Data(self.bytes[range])
        case .string(let range):
            if let data = Data(base64Encoded: try self.string(range)) { return data }
        default: break
        }
        throw .mismatch(at: start, expected: "bytes or a base64 string")
    }

    private mutating func readDate() throws(JSONCodingError) -> Double {
        let start = self.offset
        switch try self.next() {
        case .extended(PackedTimestamp.extensionType, let range):
            if let time = PackedTimestamp(self, range) { return time.seconds }
        case .string(let range):
            if let seconds = JSONScanner.seconds(Array(self.bytes[range])) { return seconds }
        default: break
        }
        throw .mismatch(at: start, expected: "a timestamp, or a date such as 2026-01-31T23:59:59Z")
    }

    private mutating func readUUID() throws(JSONCodingError) -> UUID {
        let start = self.offset
        switch try self.next() {
        case .bytes(let range) where range.count == 16:
            return UUID(uuid: self.bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: uuid_t.self))
        case .string(let range):
            if let id = UUID(uuidString: try self.string(range)) { return id }
        default: break
        }
        throw .mismatch(at: start, expected: "a UUID with hyphens, or its 16 bytes")
    }

    private mutating func readDecimal() throws(JSONCodingError) -> Decimal {
        let start = self.offset
        let value: Decimal?
        switch try self.next() {
        case .unsigned(let number): value = Decimal(number)
        case .signed(let number): value = Decimal(number)
        case .float(let number): value = Decimal(string: "\(number)")
        case .double(let number): value = Decimal(string: "\(number)")
        case .string(let range): value = Decimal(string: try self.string(range))
        default: value = nil
        }
        guard let value else { throw .mismatch(at: start, expected: "a decimal number") }
        return value
    }

    private mutating func readText<Value>(
        _ expected: StaticString, _ convert: (String) -> Value?
    ) throws(JSONCodingError) -> Value {
        let start = self.offset
        guard let value = convert(try self.readString()) else { throw .mismatch(at: start, expected: expected) }
        return value
    }
}

extension PackedScanner {
    /// Reads the next value as JSON; `depth` containers of at most `limit` stand around it. Bytes become base64, a
    /// timestamp an ISO 8601 text; other extensions have no likeness in JSON.
    mutating func readNode(depth: Int, limit: Int) throws(JSONCodingError) -> JSONNode {
        let start = self.offset
        switch try self.next() {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .unsigned(let number): return Int(exactly: number).map { .integer($0) } ?? .number(Double(number))
        case .signed(let number): return Int(exactly: number).map { .integer($0) } ?? .number(Double(number))
        case .float(let number): return Int(exactly: number).map { .integer($0) } ?? .number(Double(number))
        case .double(let number): return Int(exactly: number).map { .integer($0) } ?? .number(number)
        case .string(let range): return .string(try self.string(range))
        case .bytes(let range): return .string(Data(self.bytes[range]).base64EncodedString())
        case .array(let count):
            guard depth < limit else { throw .tooDeep(limit: limit) }
            var elements: [JSONNode] = []
            for _ in 0..<count { elements.append(try self.readNode(depth: depth + 1, limit: limit)) }
            return .array(elements)
        case .map(let count):
            guard depth < limit else { throw .tooDeep(limit: limit) }
            var members: [String: JSONNode] = [:]
            for _ in 0..<count {
                let name = try self.readKey()
                members[name] = try self.readNode(depth: depth + 1, limit: limit)
            }
            return .object(members)
        case .extended(PackedTimestamp.extensionType, let range):
            var text = ByteBuffer()
            if let time = PackedTimestamp(self, range) {
                try text.writeJSONDate(secondsSince1970: time.seconds)
                return .string(String(buffer: text.slice(1..<text.readableBytes - 1)))
            }
        case .extended: break
        }
        throw .mismatch(at: start, expected: "a value that JSON has words for")
    }

    /// The name of a member: a text, or a whole number as its digits.
    mutating func readKey() throws(JSONCodingError) -> String {
        let start = self.offset
        switch try self.next() {
        case .string(let range): return try self.string(range)
        case .unsigned(let number): return String(number)
        case .signed(let number): return String(number)
        default: throw .mismatch(at: start, expected: "a name or a whole number as key of a map")
        }
    }
}
