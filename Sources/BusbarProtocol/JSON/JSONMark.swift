/// Where in JSON text stands a value of a kind that JSON has no sign for, and other encodings have.
///
/// JSON text is what the system keeps and carries. Marks let it be written in another encoding without loss of kind.
package struct JSONMark: Hashable, Sendable {
    package enum Kind: UInt8, Hashable, Sendable {
        /// Base64 text that stands for bytes.
        case bytes = 1
        /// ISO 8601 text that stands for a point in time.
        case date
        /// A number whose decimal digits count.
        case decimal
    }

    /// Of the value's first byte, counted from the beginning of the text.
    package let offset: UInt32
    package let kind: Kind

    package init(offset: UInt32, kind: Kind) {
        self.offset = offset
        self.kind = kind
    }
}

extension ScalarType {
    /// The mark that a value of the type leaves in JSON text; nil for those that JSON has a sign for, or text is right
    /// for.
    var mark: JSONMark.Kind? {
        switch self {
        case .bytes, .data: .bytes
        case .date: .date
        case .decimal: .decimal
        case .string, .optionalString, .bool, .double, .float, .int, .int8, .int16, .int32, .int64, .uint, .uint8,
            .uint16, .uint32, .uint64, .strings, .ints, .doubles, .node, .uuid, .url:
            nil
        }
    }
}

/// The marks of a text that is being written.
struct JSONMarks {
    private(set) var list: [JSONMark] = []
    /// Where the text begins in its buffer.
    let start: Int

    init(start: Int) { self.start = start }

    /// A value was written as `type` from `index` of the buffer on.
    mutating func note(_ type: ScalarType, at index: Int) {
        guard let kind = type.mark, let offset = UInt32(exactly: index - self.start) else { return }
        self.list.append(JSONMark(offset: offset, kind: kind))
    }
}
