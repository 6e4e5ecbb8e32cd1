import FoundationEssentials

/// The types that are read without asking their `init(from:)`.
///
/// Why: a type is recognised once by comparing pointers, so that reading needs neither a cast nor an optional of a
/// generic type, both of which cost more at run time than reading a short string.
enum ScalarType {
    case string, optionalString, bool, double, float
    case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64
    case strings, ints, doubles, bytes, node, data, date, uuid, url, decimal

    /// Nil for every type that reads itself.
    init?(_ type: Any.Type) {
        if type == String.self {
            self = .string
        } else if type == Int.self {
            self = .int
        } else if type == Bool.self {
            self = .bool
        } else if type == Double.self {
            self = .double
        } else if let known = Self.rarer[ObjectIdentifier(type)] {
            self = known
        } else {
            return nil
        }
    }

    private static let rarer: [ObjectIdentifier: ScalarType] = [
        ObjectIdentifier(String?.self): .optionalString, ObjectIdentifier(Float.self): .float,
        ObjectIdentifier(Int8.self): .int8, ObjectIdentifier(Int16.self): .int16, ObjectIdentifier(Int32.self): .int32,
        ObjectIdentifier(Int64.self): .int64, ObjectIdentifier(UInt.self): .uint, ObjectIdentifier(UInt8.self): .uint8,
        ObjectIdentifier(UInt16.self): .uint16, ObjectIdentifier(UInt32.self): .uint32,
        ObjectIdentifier(UInt64.self): .uint64, ObjectIdentifier([String].self): .strings,
        ObjectIdentifier([Int].self): .ints, ObjectIdentifier([Double].self): .doubles,
        ObjectIdentifier([UInt8].self): .bytes, ObjectIdentifier(JSONNode.self): .node,
        ObjectIdentifier(Data.self): .data, ObjectIdentifier(Date.self): .date, ObjectIdentifier(UUID.self): .uuid,
        ObjectIdentifier(URL.self): .url, ObjectIdentifier(Decimal.self): .decimal,
    ]
}
