import FoundationEssentials
import NIOCore

/// `value` under its other name: callers have compared the two types and found them the same.
///
/// Why: a dynamic cast costs 30–100 ns in unspecialised generic code, a comparison of type pointers one.
@inline(__always)
func identical<Source, Target>(_ value: Source, as type: Target.Type) -> Target {
    unsafeBitCast(value, to: type)
}

extension ByteBuffer {
    /// Appends `value` if its type is written without asking its `encode(to:)`; says which type that is.
    mutating func writeJSONScalar<Value>(_ value: Value) throws(JSONCodingError) -> ScalarType? {
        guard let scalar = ScalarType(Value.self) else { return nil }
        switch scalar {
        case .string: self.writeJSONString(identical(value, as: String.self))
        case .optionalString:
            if let text = identical(value, as: String?.self) {
                self.writeJSONString(text)
            } else {
                self.writeStaticString("null")
            }
        case .bool: self.writeJSONBool(identical(value, as: Bool.self))
        case .int: self.writeJSONInteger(identical(value, as: Int.self))
        case .int8: self.writeJSONInteger(identical(value, as: Int8.self))
        case .int16: self.writeJSONInteger(identical(value, as: Int16.self))
        case .int32: self.writeJSONInteger(identical(value, as: Int32.self))
        case .int64: self.writeJSONInteger(identical(value, as: Int64.self))
        case .uint: self.writeJSONInteger(identical(value, as: UInt.self))
        case .uint8: self.writeJSONInteger(identical(value, as: UInt8.self))
        case .uint16: self.writeJSONInteger(identical(value, as: UInt16.self))
        case .uint32: self.writeJSONInteger(identical(value, as: UInt32.self))
        case .uint64: self.writeJSONInteger(identical(value, as: UInt64.self))
        case .double: try self.writeJSONDouble(identical(value, as: Double.self))
        case .float: try self.writeJSONFloat(identical(value, as: Float.self))
        case .strings:
            try self.writeJSONList(identical(value, as: [String].self)) { $0.writeJSONString($1) }
        case .ints:
            try self.writeJSONList(identical(value, as: [Int].self)) { $0.writeJSONInteger($1) }
        case .doubles:
            try self.writeJSONList(identical(value, as: [Double].self)) { buffer, element throws(JSONCodingError) in
                try buffer.writeJSONDouble(element)
            }
        case .node: try self.writeJSONNode(identical(value, as: JSONNode.self), depth: 0)
        case .bytes: self.writeJSONBase64(Data(identical(value, as: [UInt8].self)))
        case .data: self.writeJSONBase64(identical(value, as: Data.self))
        case .date: try self.writeJSONDate(secondsSince1970: identical(value, as: Date.self).timeIntervalSince1970)
        case .uuid: self.writeJSONString(identical(value, as: UUID.self).uuidString.lowercased())
        case .url: self.writeJSONString(identical(value, as: URL.self).absoluteString)
        case .decimal:
            let decimal = identical(value, as: Decimal.self)
            guard decimal.isFinite else { throw .notANumber }
            self.writeString(decimal.description)
        }
        return scalar
    }

    private mutating func writeJSONList<Element>(
        _ elements: [Element],
        _ write: (inout ByteBuffer, Element) throws(JSONCodingError) -> Void
    ) throws(JSONCodingError) {
        self.writeInteger(UInt8(ascii: "["))
        var isFirst = true
        for element in elements {
            if !isFirst { self.writeInteger(UInt8(ascii: ",")) }
            isFirst = false
            try write(&self, element)
        }
        self.writeInteger(UInt8(ascii: "]"))
    }

    private mutating func writeJSONBase64(_ bytes: Data) {
        self.writeInteger(UInt8(ascii: "\""))
        self.writeString(bytes.base64EncodedString())
        self.writeInteger(UInt8(ascii: "\""))
    }
}
