package import NIOCore

/// The arguments of a call that came in MessagePack: values back to back, and how many they are.
///
/// What a parser returns is a slice of the message it was found in; take a ``copy()`` to keep it beyond.
package struct PackedArguments: Hashable, Sendable {
    let bytes: ByteBuffer
    package let count: Int

    /// Takes bytes that a scanner has just walked over.
    init(unchecked bytes: ByteBuffer, count: Int) {
        self.bytes = bytes
        self.count = count
    }

    /// The same arguments in memory of their own.
    package func copy() -> Self { Self(unchecked: self.bytes.copied(), count: self.count) }

    /// A reader that stands before the first argument.
    /// - Parameter depthLimit: how deep one argument may be nested.
    package func makeReader(depthLimit: Int = JSONScanner.deepestNesting) -> PackedArgumentReader {
        PackedArgumentReader(self, depthLimit: depthLimit)
    }
}

/// Reads arguments one after the other as the Swift types a method declares.
package struct PackedArgumentReader: ArgumentReading {
    private let arguments: PackedArguments
    private let source: PackedSource
    private var offset = 0
    private var index = 0

    fileprivate init(_ arguments: PackedArguments, depthLimit: Int) {
        self.arguments = arguments
        self.source = PackedSource(bytes: arguments.bytes, depthLimit: depthLimit)
    }

    /// How many arguments are left.
    package var remainingCount: Int { self.arguments.count - self.index }

    /// Reads the next argument as `type`.
    ///
    /// Names of members are matched as in JSON. `Data` and `[UInt8]` are read from bytes or base64, `Date` from a
    /// timestamp or ISO 8601, `UUID` from text or its 16 bytes, `Decimal` from text or a number.
    /// - Throws: as ``ArgumentReader/next(_:)``. The reader then stands where it stood before.
    package mutating func next<Value: Decodable>(_ type: Value.Type = Value.self) throws(JSONCodingError) -> Value {
        guard self.remainingCount > 0 else { throw .noMoreArguments(than: self.arguments.count) }
        do throws(JSONCodingError) {
            let end = try self.arguments.bytes.withUnsafeReadableBytes { raw throws(JSONCodingError) -> Int in
                var scanner = PackedScanner(raw, at: self.offset)
                return try scanner.skipValue(depthLimit: self.source.depthLimit).upperBound
            }
            let value = try self.source.decodeOutermost(type, at: self.offset)
            self.offset = end
            self.index += 1
            return value
        } catch {
            throw error.inArgument(self.index + 1)
        }
    }
}

/// The bytes of exactly one MessagePack value.
package struct PackedValue: Hashable, Sendable {
    package let bytes: ByteBuffer

    /// Takes `bytes` if they are one value nested no deeper than any may be.
    package init(validating bytes: ByteBuffer) throws(JSONCodingError) {
        try bytes.withUnsafeReadableBytes { raw throws(JSONCodingError) in
            var scanner = PackedScanner(raw)
            try scanner.skipValue()
            guard scanner.isAtEnd else { throw .malformed(at: scanner.offset, expected: "the end of the value") }
        }
        self.init(unchecked: bytes)
    }

    /// Takes bytes that a scanner has just walked over.
    init(unchecked bytes: ByteBuffer) { self.bytes = bytes }

    /// The same value in memory of its own.
    package func copy() -> Self { Self(unchecked: self.bytes.copied()) }

    /// The value as a Swift type; see ``PackedArgumentReader/next(_:)`` for what is read as what.
    package func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws(JSONCodingError) -> Value {
        let source = PackedSource(bytes: self.bytes, depthLimit: JSONScanner.deepestNesting)
        return try source.decodeOutermost(type, at: 0)
    }
}
