import NIOCore

/// Any JSON value, for parameters and results whose shape only the application knows.
public indirect enum JSONNode: Hashable, Sendable {
    case null
    case bool(Bool)
    /// A whole number that an `Int` can hold, however it is written: 1, 1.0 and 1e0 are the same.
    case integer(Int)
    /// Any other number.
    case number(Double)
    case string(String)
    case array([JSONNode])
    /// Members by name; of members with the same name the last one counts, and their order is lost.
    case object([String: JSONNode])
}

extension JSONNode {
    /// The member `name` of an object; nil if it has none, or is not an object.
    public subscript(name: String) -> JSONNode? {
        if case .object(let members) = self { members[name] } else { nil }
    }

    /// The element at `index` of an array; nil beyond its end, or if it is not an array.
    public subscript(index: Int) -> JSONNode? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }
}

extension JSONNode: Codable {
    /// Reads any value from any decoder.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONNode].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONNode].self))
        }
    }

    /// Writes the value to any encoder.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}

extension JSONNode: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSONNode...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONNode)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
    }
}

extension ByteBuffer {
    mutating func writeJSONNode(_ node: JSONNode, depth: Int) throws(JSONCodingError) {
        guard depth <= JSONScanner.deepestNesting else { throw .tooDeep(limit: JSONScanner.deepestNesting) }
        switch node {
        case .null: self.writeStaticString("null")
        case .bool(let value): self.writeJSONBool(value)
        case .integer(let value): self.writeJSONInteger(value)
        case .number(let value): try self.writeJSONDouble(value)
        case .string(let value): self.writeJSONString(value)
        case .array(let elements):
            self.writeInteger(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                if !isFirst { self.writeInteger(UInt8(ascii: ",")) }
                isFirst = false
                try self.writeJSONNode(element, depth: depth + 1)
            }
            self.writeInteger(UInt8(ascii: "]"))
        case .object(let members):
            self.writeInteger(UInt8(ascii: "{"))
            var isFirst = true
            for (name, member) in members {
                if !isFirst { self.writeInteger(UInt8(ascii: ",")) }
                isFirst = false
                self.writeJSONString(name)
                self.writeInteger(UInt8(ascii: ":"))
                try self.writeJSONNode(member, depth: depth + 1)
            }
            self.writeInteger(UInt8(ascii: "}"))
        }
    }
}

extension JSONScanner {
    /// Reads the next value, whatever it is; `depth` containers of at most `limit` stand around it.
    mutating func readNode(depth: Int = 0, limit: Int) throws(JSONCodingError) -> JSONNode {
        switch self.peek() {
        case UInt8(ascii: "n"):
            try self.skipWord("null")
            return .null
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool(try self.readBool(.strict))
        case UInt8(ascii: "\""): return .string(try self.readString(.strict))
        case UInt8(ascii: "["):
            guard depth < limit else { throw .tooDeep(limit: limit) }
            var elements: [JSONNode] = []
            try self.scanArray { scanner throws(JSONCodingError) in
                elements.append(try scanner.readNode(depth: depth + 1, limit: limit))
            }
            return .array(elements)
        case UInt8(ascii: "{"):
            guard depth < limit else { throw .tooDeep(limit: limit) }
            var members: [String: JSONNode] = [:]
            try self.scanObject { scanner, name throws(JSONCodingError) in
                members[scanner.string(name)] = try scanner.readNode(depth: depth + 1, limit: limit)
            }
            return .object(members)
        default:
            let start = self.offset
            let found = try self.scanNumber()
            if let value: Int = self.integer(found) { return .integer(value) }
            guard let value = self.double(found) else {
                throw JSONCodingError(.outOfRange, "expected a number that a double can hold at byte \(start)")
            }
            // Why: digits beyond the range of Int may round to a double within it, which is then written as one.
            return Int(exactly: value).map { .integer($0) } ?? .number(value)
        }
    }
}
