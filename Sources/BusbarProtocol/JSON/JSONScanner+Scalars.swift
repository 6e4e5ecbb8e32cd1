import FoundationEssentials

extension JSONScanner {
    /// Reads the next value as `type`, for which `scalar` was made.
    /// - Parameter depth: how many of the `depthLimit` containers allowed stand around it.
    mutating func readScalar<Value>(
        _ scalar: ScalarType,
        as type: Value.Type,
        leniency: JSONLeniency,
        depth: Int = 0,
        depthLimit: Int
    ) throws(JSONCodingError) -> Value {
        switch scalar {
        case .string: return identical(try self.readString(leniency), as: type)
        case .optionalString: return identical(try self.takeNull() ? nil : try self.readString(leniency), as: type)
        case .bool: return identical(try self.readBool(leniency), as: type)
        case .int: return identical(try self.readInteger(leniency) as Int, as: type)
        case .int8: return identical(try self.readInteger(leniency) as Int8, as: type)
        case .int16: return identical(try self.readInteger(leniency) as Int16, as: type)
        case .int32: return identical(try self.readInteger(leniency) as Int32, as: type)
        case .int64: return identical(try self.readInteger(leniency) as Int64, as: type)
        case .uint: return identical(try self.readInteger(leniency) as UInt, as: type)
        case .uint8: return identical(try self.readInteger(leniency) as UInt8, as: type)
        case .uint16: return identical(try self.readInteger(leniency) as UInt16, as: type)
        case .uint32: return identical(try self.readInteger(leniency) as UInt32, as: type)
        case .uint64: return identical(try self.readInteger(leniency) as UInt64, as: type)
        case .double: return identical(try self.readDouble(leniency), as: type)
        case .float: return identical(Float(try self.readDouble(leniency)), as: type)
        case .strings:
            var elements: [String] = []
            try self.scanElements(depth, depthLimit) { scanner throws(JSONCodingError) in
                elements.append(try scanner.readString(leniency))
            }
            return identical(elements, as: type)
        case .ints:
            var elements: [Int] = []
            try self.scanElements(depth, depthLimit) { scanner throws(JSONCodingError) in
                elements.append(try scanner.readInteger(leniency))
            }
            return identical(elements, as: type)
        case .doubles:
            var elements: [Double] = []
            try self.scanElements(depth, depthLimit) { scanner throws(JSONCodingError) in
                elements.append(try scanner.readDouble(leniency))
            }
            return identical(elements, as: type)
        case .node: return identical(try self.readNode(depth: depth, limit: depthLimit), as: type)
        case .bytes: return identical([UInt8](try self.readBase64()), as: type)
        case .data: return identical(try self.readBase64(), as: type)
        case .date: return identical(Date(timeIntervalSince1970: try self.readDate()), as: type)
        case .uuid: return identical(try self.readText("a UUID with hyphens") { UUID(uuidString: $0) }, as: type)
        case .url: return identical(try self.readText("a URL") { URL(string: $0) }, as: type)
        case .decimal: return identical(try self.readDecimal(leniency), as: type)
        }
    }

    private mutating func scanElements(
        _ depth: Int,
        _ depthLimit: Int,
        _ element: (inout JSONScanner) throws(JSONCodingError) -> Void
    ) throws(JSONCodingError) {
        guard depth < depthLimit else { throw .tooDeep(limit: depthLimit) }
        try self.scanArray(element)
    }

    private mutating func readBase64() throws(JSONCodingError) -> Data {
        try self.readText("a base64 string") { Data(base64Encoded: $0) }
    }

    private mutating func readText<Value>(
        _ expected: StaticString,
        _ convert: (String) -> Value?
    ) throws(JSONCodingError) -> Value {
        let start = self.offset
        guard let value = convert(try self.readString(.strict)) else { throw .mismatch(at: start, expected: expected) }
        return value
    }

    private mutating func readDecimal(_ leniency: JSONLeniency) throws(JSONCodingError) -> Decimal {
        let start = self.offset
        guard let value = Decimal(string: try self.readNumberText(leniency)) else {
            throw .mismatch(at: start, expected: "a decimal number")
        }
        return value
    }
}
