package import NIOCore

/// The arguments of a hub message, protocol-neutral: the text of one JSON array, and how many elements it has.
///
/// What a parser returns is a slice of the message it was found in; take a ``copy()`` to keep it beyond.
package struct ArgumentList: Hashable, Sendable {
    /// `[…]`, valid JSON.
    package let bytes: ByteBuffer
    package let count: Int
    /// Where values stand that JSON has no sign for, in order; known only of text that some node of ours encoded.
    package let marks: [JSONMark]

    /// No arguments: `[]`.
    package static let empty = Self(unchecked: ByteBuffer(string: "[]"), count: 0)

    /// Encodes `values` once, for all protocols.
    /// - Throws: ``JSONCodingError`` as ``JSONEncoding/encode(_:into:)`` does.
    package init<each Value: Encodable>(encoding values: repeat each Value) throws(JSONCodingError) {
        var buffer = ByteBuffer()
        let (count, marks) = try JSONEncoding.encodeArray(repeat each values, into: &buffer)
        self.init(unchecked: buffer, count: count, marks: marks)
    }

    /// Takes `bytes` if they are one valid JSON array whose elements are nested no deeper than `depthLimit`. Marks that
    /// point to nothing of their kind do no harm.
    package init(
        validating bytes: ByteBuffer,
        marks: [JSONMark] = [],
        depthLimit: Int = JSONScanner.deepestNesting
    ) throws(JSONCodingError) {
        let found = try bytes.withUnsafeReadableBytes { raw throws(JSONCodingError) -> ArgumentRange in
            var scanner = JSONScanner(raw)
            let found = try scanner.scanArguments(depthLimit: depthLimit)
            try scanner.expectEnd()
            return found
        }
        self.init(unchecked: bytes.slice(found.range), count: found.count, marks: marks)
    }

    /// Takes bytes that a scanner has just validated, or that we have just written.
    init(unchecked bytes: ByteBuffer, count: Int, marks: [JSONMark] = []) {
        self.bytes = bytes
        self.count = count
        self.marks = marks
    }

    /// The same arguments in memory of their own.
    package func copy() -> Self {
        Self(unchecked: self.bytes.copied(), count: self.count, marks: self.marks)
    }

    /// A reader that stands before the first argument.
    /// - Parameter depthLimit: how deep one argument may be nested: 64 for core clients, 20 for classic ones.
    package func makeReader(
        leniency: JSONLeniency = .strict,
        depthLimit: Int = JSONScanner.deepestNesting
    ) -> ArgumentReader {
        ArgumentReader(self, leniency: leniency, depthLimit: depthLimit)
    }
}

extension ArgumentList: CustomStringConvertible {
    package var description: String { String(buffer: self.bytes) }
}

/// Reads arguments one after the other as the Swift types a method declares.
package struct ArgumentReader: ArgumentReading {
    private let arguments: ArgumentList
    private let leniency: JSONLeniency
    private let depthLimit: Int
    private var offset = 1
    private var source: JSONSource?

    /// How many arguments have been read.
    package private(set) var index = 0

    fileprivate init(_ arguments: ArgumentList, leniency: JSONLeniency, depthLimit: Int) {
        self.arguments = arguments
        self.leniency = leniency
        self.depthLimit = min(depthLimit, JSONScanner.deepestNesting)
    }

    /// How many arguments are left.
    package var remainingCount: Int { self.arguments.count - self.index }

    /// Reads the next argument as `type`.
    ///
    /// Members of objects are matched by exact name, else ignoring the case of ASCII letters; unknown ones are ignored,
    /// and of equal ones the last counts. `Data` and `[UInt8]` are read from base64, `Date` from ISO 8601, `UUID` and
    /// `URL` from their text.
    /// - Throws: ``JSONCodingError`` `missing` after the last argument, `typeMismatch`, `outOfRange`, `limitExceeded`
    ///   or `refused`, with the number of the argument. The reader then stands where it stood before.
    package mutating func next<Value: Decodable>(
        _ type: Value.Type = Value.self
    ) throws(JSONCodingError) -> Value {
        guard self.remainingCount > 0 else { throw .noMoreArguments(than: self.arguments.count) }
        do throws(JSONCodingError) {
            return try self.read(type)
        } catch {
            throw error.inArgument(self.index + 1)
        }
    }

    /// Steps to the next argument and returns its text.
    package mutating func nextText() throws(JSONCodingError) -> JSONValueText {
        guard self.remainingCount > 0 else { throw .noMoreArguments(than: self.arguments.count) }
        let range = try self.skip()
        self.finished(at: range.upperBound)
        return JSONValueText(unchecked: self.arguments.bytes.slice(range))
    }

    private mutating func read<Value: Decodable>(_ type: Value.Type) throws(JSONCodingError) -> Value {
        guard let scalar = ScalarType(type) else {
            let range = try self.skip()
            let value = try self.makeSource().decodeOutermost(type, at: range.lowerBound)
            self.finished(at: range.upperBound)
            return value
        }
        var end = self.offset
        let value = try self.arguments.bytes.withUnsafeReadableBytes { raw throws(JSONCodingError) -> Value in
            var scanner = JSONScanner(raw, at: end)
            let value = try scanner.readScalar(scalar, as: type, leniency: self.leniency, depthLimit: self.depthLimit)
            _ = scanner.take(UInt8(ascii: ","))
            end = scanner.offset
            return value
        }
        self.offset = end
        self.index += 1
        return value
    }

    private mutating func makeSource() -> JSONSource {
        if let source { return source }
        let source = JSONSource(bytes: self.arguments.bytes, leniency: self.leniency, depthLimit: self.depthLimit)
        self.source = source
        return source
    }

    private func skip() throws(JSONCodingError) -> Range<Int> {
        try self.arguments.bytes.withUnsafeReadableBytes { raw throws(JSONCodingError) -> Range<Int> in
            var scanner = JSONScanner(raw, at: self.offset)
            return try scanner.skipValue(depthLimit: self.depthLimit)
        }
    }

    /// Steps over the comma, or onto the closing bracket.
    private mutating func finished(at end: Int) {
        self.index += 1
        self.offset = self.arguments.bytes.withUnsafeReadableBytes { raw in
            var scanner = JSONScanner(raw, at: end)
            _ = scanner.take(UInt8(ascii: ","))
            return scanner.offset
        }
    }
}

/// Where an array of arguments stands, and how many there are.
struct ArgumentRange {
    let range: Range<Int>
    let count: Int
}

extension JSONScanner {
    /// Steps over an array. The limit counts from its elements, so that an argument may be as deep alone as in a list.
    mutating func scanArguments(depthLimit: Int) throws(JSONCodingError) -> ArgumentRange {
        _ = self.peek()
        let start = self.offset
        var count = 0
        try self.scanArray { scanner throws(JSONCodingError) in
            try scanner.skipValue(depthLimit: depthLimit)
            count += 1
        }
        return ArgumentRange(range: start..<self.offset, count: count)
    }
}
