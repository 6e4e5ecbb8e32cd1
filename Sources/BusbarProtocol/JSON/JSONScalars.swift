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
    /// Appends `value` if its type is written without asking its `encode(to:)`; says whether it was.
    mutating func writeJSONScalar<Value>(_ value: Value) throws(JSONCodingError) -> Bool {
        if Value.self == String.self {
            self.writeJSONString(identical(value, as: String.self))
        } else if Value.self == Int.self {
            self.writeJSONInteger(identical(value, as: Int.self))
        } else if Value.self == Bool.self {
            self.writeJSONBool(identical(value, as: Bool.self))
        } else if Value.self == Double.self {
            try self.writeJSONDouble(identical(value, as: Double.self))
        } else if Value.self == String?.self {
            if let text = identical(value, as: String?.self) {
                self.writeJSONString(text)
            } else {
                self.writeStaticString("null")
            }
        } else if Value.self == Int64.self {
            self.writeJSONInteger(identical(value, as: Int64.self))
        } else if Value.self == [String].self {
            self.writeJSONList(identical(value, as: [String].self)) { $0.writeJSONString($1) }
        } else if Value.self == [Int].self {
            self.writeJSONList(identical(value, as: [Int].self)) { $0.writeJSONInteger($1) }
        } else if Value.self == [UInt8].self {
            self.writeJSONBase64(identical(value, as: [UInt8].self))
        } else if Value.self == JSONNode.self {
            try self.writeJSONNode(identical(value, as: JSONNode.self), depth: 0)
        } else {
            return try self.writeRarerScalar(value)
        }
        return true
    }

    private mutating func writeRarerScalar<Value>(_ value: Value) throws(JSONCodingError) -> Bool {
        if Value.self == Int32.self {
            self.writeJSONInteger(identical(value, as: Int32.self))
        } else if Value.self == UInt.self {
            self.writeJSONInteger(identical(value, as: UInt.self))
        } else if Value.self == UInt64.self {
            self.writeJSONInteger(identical(value, as: UInt64.self))
        } else if Value.self == UInt32.self {
            self.writeJSONInteger(identical(value, as: UInt32.self))
        } else if Value.self == Int16.self {
            self.writeJSONInteger(identical(value, as: Int16.self))
        } else if Value.self == UInt16.self {
            self.writeJSONInteger(identical(value, as: UInt16.self))
        } else if Value.self == Int8.self {
            self.writeJSONInteger(identical(value, as: Int8.self))
        } else if Value.self == UInt8.self {
            self.writeJSONInteger(identical(value, as: UInt8.self))
        } else if Value.self == Float.self {
            try self.writeJSONFloat(identical(value, as: Float.self))
        } else if Value.self == Data.self {
            self.writeJSONBase64(identical(value, as: Data.self))
        } else if Value.self == Date.self {
            try self.writeJSONDate(secondsSince1970: identical(value, as: Date.self).timeIntervalSince1970)
        } else if Value.self == UUID.self {
            self.writeJSONString(identical(value, as: UUID.self).uuidString.lowercased())
        } else if Value.self == URL.self {
            self.writeJSONString(identical(value, as: URL.self).absoluteString)
        } else if Value.self == Decimal.self {
            let decimal = identical(value, as: Decimal.self)
            guard decimal.isFinite else { throw .notANumber }
            self.writeString(decimal.description)
        } else {
            return false
        }
        return true
    }

    private mutating func writeJSONList<Element>(
        _ elements: [Element],
        _ write: (inout ByteBuffer, Element) -> Void
    ) {
        self.writeInteger(UInt8(ascii: "["))
        var isFirst = true
        for element in elements {
            if !isFirst { self.writeInteger(UInt8(ascii: ",")) }
            isFirst = false
            write(&self, element)
        }
        self.writeInteger(UInt8(ascii: "]"))
    }

    private mutating func writeJSONBase64(_ bytes: some DataProtocol) {
        self.writeInteger(UInt8(ascii: "\""))
        self.writeString(Data(bytes).base64EncodedString())
        self.writeInteger(UInt8(ascii: "\""))
    }
}

extension JSONScanner {
    /// Reads the next value if `Value` is read without asking its `init(from:)`; nil if it is not such a type.
    /// - Parameter depth: how many of the `depthLimit` containers allowed stand around it.
    mutating func readScalar<Value>(
        _ type: Value.Type,
        leniency: JSONLeniency,
        depth: Int = 0,
        depthLimit: Int = JSONScanner.deepestNesting
    ) throws(JSONCodingError) -> Value? {
        if Value.self == String.self {
            return identical(try self.readString(leniency), as: type)
        } else if Value.self == Int.self {
            return identical(try self.readInteger(leniency) as Int, as: type)
        } else if Value.self == Bool.self {
            return identical(try self.readBool(leniency), as: type)
        } else if Value.self == Double.self {
            return identical(try self.readDouble(leniency), as: type)
        } else if Value.self == String?.self {
            return identical(try self.takeNull() ? nil : try self.readString(leniency), as: type)
        } else if Value.self == Int64.self {
            return identical(try self.readInteger(leniency) as Int64, as: type)
        } else if Value.self == [UInt8].self {
            return identical([UInt8](try self.readBase64()), as: type)
        } else if Value.self == JSONNode.self {
            return identical(try self.readNode(depth: depth, limit: depthLimit), as: type)
        }
        return try self.readRarerScalar(type, leniency: leniency)
    }

    private mutating func readRarerScalar<Value>(
        _ type: Value.Type,
        leniency: JSONLeniency
    ) throws(JSONCodingError) -> Value? {
        if Value.self == Int32.self {
            return identical(try self.readInteger(leniency) as Int32, as: type)
        } else if Value.self == UInt.self {
            return identical(try self.readInteger(leniency) as UInt, as: type)
        } else if Value.self == UInt64.self {
            return identical(try self.readInteger(leniency) as UInt64, as: type)
        } else if Value.self == UInt32.self {
            return identical(try self.readInteger(leniency) as UInt32, as: type)
        } else if Value.self == Int16.self {
            return identical(try self.readInteger(leniency) as Int16, as: type)
        } else if Value.self == UInt16.self {
            return identical(try self.readInteger(leniency) as UInt16, as: type)
        } else if Value.self == Int8.self {
            return identical(try self.readInteger(leniency) as Int8, as: type)
        } else if Value.self == UInt8.self {
            return identical(try self.readInteger(leniency) as UInt8, as: type)
        } else if Value.self == Float.self {
            return identical(Float(try self.readDouble(leniency)), as: type)
        } else if Value.self == Data.self {
            return identical(try self.readBase64(), as: type)
        } else if Value.self == Date.self {
            return identical(Date(timeIntervalSince1970: try self.readDate()), as: type)
        } else if Value.self == UUID.self {
            let start = self.offset
            guard let value = UUID(uuidString: try self.readString(.strict)) else {
                throw .mismatch(at: start, expected: "a UUID with hyphens")
            }
            return identical(value, as: type)
        } else if Value.self == URL.self {
            let start = self.offset
            guard let value = URL(string: try self.readString(.strict)) else {
                throw .mismatch(at: start, expected: "a URL")
            }
            return identical(value, as: type)
        } else if Value.self == Decimal.self {
            let start = self.offset
            let text = try self.readNumberText(leniency)
            guard let value = Decimal(string: text) else { throw .mismatch(at: start, expected: "a decimal number") }
            return identical(value, as: type)
        }
        return nil
    }

    private mutating func readBase64() throws(JSONCodingError) -> Data {
        let start = self.offset
        guard let bytes = Data(base64Encoded: try self.readString(.strict)) else {
            throw .mismatch(at: start, expected: "a base64 string")
        }
        return bytes
    }
}
