/// One value of MessagePack, or what announces the values inside it.
enum PackedToken: Equatable {
    case null
    case bool(Bool)
    case unsigned(UInt64)
    /// Below zero, or from a sender that writes every number as one with a sign.
    case signed(Int64)
    case float(Float)
    case double(Double)
    /// UTF-8, not checked yet.
    case string(Range<Int>)
    case bytes(Range<Int>)
    /// This many values follow.
    case array(Int)
    /// This many pairs of values follow.
    case map(Int)
    /// Bytes with a type: negative ones are the format's own, others the application's.
    case extended(Int8, Range<Int>)
}

/// Walks MessagePack byte by byte and allocates nothing. The format: github.com/msgpack/msgpack, `spec.md`.
///
/// The scanner borrows its bytes and must not outlive the closure that lends them. Offsets count from their start. What
/// announces more than the bytes can hold is refused before anything is made of it.
struct PackedScanner {
    let bytes: UnsafeRawBufferPointer
    private(set) var offset: Int

    init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
        self.bytes = bytes
        self.offset = min(max(offset, 0), bytes.count)
    }

    /// The first byte of the next value; nil at the end.
    var peek: UInt8? { self.offset < self.bytes.count ? self.bytes[self.offset] : nil }

    var isAtEnd: Bool { self.offset == self.bytes.count }

    private var left: Int { self.bytes.count &- self.offset }

    /// Steps over the next value, or over the head of a container.
    mutating func next() throws(JSONCodingError) -> PackedToken {
        let lead = try self.integer(UInt8.self)
        switch lead {
        case 0x00...0x7F: return .unsigned(UInt64(lead))
        case 0x80...0x8F: return .map(try self.room(for: Int(lead & 0x0F), bytesEach: 2))
        case 0x90...0x9F: return .array(try self.room(for: Int(lead & 0x0F), bytesEach: 1))
        case 0xA0...0xBF: return .string(try self.take(Int(lead & 0x1F)))
        case 0xC0: return .null
        case 0xC2: return .bool(false)
        case 0xC3: return .bool(true)
        case 0xC4: return .bytes(try self.take(self.length(UInt8.self)))
        case 0xC5: return .bytes(try self.take(self.length(UInt16.self)))
        case 0xC6: return .bytes(try self.take(self.length(UInt32.self)))
        case 0xC7: return try self.extended(self.length(UInt8.self))
        case 0xC8: return try self.extended(self.length(UInt16.self))
        case 0xC9: return try self.extended(self.length(UInt32.self))
        case 0xCA: return .float(Float(bitPattern: try self.integer(UInt32.self)))
        case 0xCB: return .double(Double(bitPattern: try self.integer(UInt64.self)))
        case 0xCC: return .unsigned(UInt64(try self.integer(UInt8.self)))
        case 0xCD: return .unsigned(UInt64(try self.integer(UInt16.self)))
        case 0xCE: return .unsigned(UInt64(try self.integer(UInt32.self)))
        case 0xCF: return .unsigned(try self.integer(UInt64.self))
        case 0xD0: return .signed(Int64(try self.integer(Int8.self)))
        case 0xD1: return .signed(Int64(try self.integer(Int16.self)))
        case 0xD2: return .signed(Int64(try self.integer(Int32.self)))
        case 0xD3: return .signed(try self.integer(Int64.self))
        case 0xD4...0xD8: return try self.extended(1 << Int(lead - 0xD4))
        case 0xD9: return .string(try self.take(self.length(UInt8.self)))
        case 0xDA: return .string(try self.take(self.length(UInt16.self)))
        case 0xDB: return .string(try self.take(self.length(UInt32.self)))
        case 0xDC: return .array(try self.room(for: self.length(UInt16.self), bytesEach: 1))
        case 0xDD: return .array(try self.room(for: self.length(UInt32.self), bytesEach: 1))
        case 0xDE: return .map(try self.room(for: self.length(UInt16.self), bytesEach: 2))
        case 0xDF: return .map(try self.room(for: self.length(UInt32.self), bytesEach: 2))
        case 0xE0...0xFF: return .signed(Int64(Int8(bitPattern: lead)))
        default: throw .malformed(at: self.offset - 1, expected: "a MessagePack value")
        }
    }

    /// Steps over one complete value, whatever it is, and returns where it stands.
    /// - Parameter depthLimit: how many arrays and maps may stand inside each other; at most
    ///   ``JSONScanner/deepestNesting``.
    @discardableResult
    mutating func skipValue(depthLimit: Int = JSONScanner.deepestNesting) throws(JSONCodingError) -> Range<Int> {
        let start = self.offset
        let limit = min(depthLimit, JSONScanner.deepestNesting)
        try self.skip(levels: limit, of: limit)
        return start..<self.offset
    }

    private mutating func skip(levels: Int, of limit: Int) throws(JSONCodingError) {
        var count: Int
        switch try self.next() {
        case .array(let elements): count = elements
        case .map(let pairs): count = pairs * 2
        case .null, .bool, .unsigned, .signed, .float, .double, .string, .bytes, .extended: return
        }
        guard levels > 0 else { throw .tooDeep(limit: limit) }
        while count > 0 {
            try self.skip(levels: levels - 1, of: limit)
            count -= 1
        }
    }

    /// The text of a string this scanner found.
    func string(_ range: Range<Int>) throws(JSONCodingError) -> String {
        let raw = UnsafeRawBufferPointer(rebasing: self.bytes[range])
        guard UTF8Validation.isValid(raw) else { throw .malformed(at: range.lowerBound, expected: "valid UTF-8") }
        return String(decoding: raw.assumingMemoryBound(to: UInt8.self), as: UTF8.self)
    }

    func integer<Integer: FixedWidthInteger>(at offset: Int, as type: Integer.Type) -> Integer {
        Integer(bigEndian: self.bytes.loadUnaligned(fromByteOffset: offset, as: type))
    }

    private mutating func integer<Integer: FixedWidthInteger>(_ type: Integer.Type) throws(JSONCodingError) -> Integer {
        self.integer(at: try self.take(MemoryLayout<Integer>.size).lowerBound, as: type)
    }

    private mutating func length<Integer: FixedWidthInteger>(_ type: Integer.Type) throws(JSONCodingError) -> Int {
        Int(try self.integer(type))
    }

    private mutating func take(_ count: Int) throws(JSONCodingError) -> Range<Int> {
        guard count <= self.left else { throw .malformed(at: self.offset, expected: "more bytes") }
        let start = self.offset
        self.offset = start &+ count
        return start..<self.offset
    }

    private mutating func extended(_ length: Int) throws(JSONCodingError) -> PackedToken {
        let type = try self.integer(Int8.self)
        return .extended(type, try self.take(length))
    }

    private mutating func room(for count: Int, bytesEach: Int) throws(JSONCodingError) -> Int {
        guard count <= self.left / bytesEach else { throw .malformed(at: self.offset, expected: "more values") }
        return count
    }
}
