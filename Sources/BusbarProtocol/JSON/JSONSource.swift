import NIOCore

/// The JSON text that a decoder and all its containers read, and the rules they read it by.
///
/// It holds the buffer, so a decoder that outlives its value's `init(from:)` is harmless.
final class JSONSource: ValueSource {
    private let bytes: ByteBuffer
    private let leniency: JSONLeniency
    let depthLimit: Int

    init(bytes: ByteBuffer, leniency: JSONLeniency, depthLimit: Int) {
        self.bytes = bytes
        self.leniency = leniency
        self.depthLimit = min(depthLimit, JSONScanner.deepestNesting)
    }

    func isNull(at position: ValuePosition) -> Bool {
        self.scan(at: position) { $0.peek() == UInt8(ascii: "n") }
    }

    func readScalar<Value>(
        _ scalar: ScalarType, as type: Value.Type, at position: ValuePosition
    ) throws(JSONCodingError) -> Value {
        try self.scan(at: position) { scanner throws(JSONCodingError) in
            try scanner.readScalar(
                scalar, as: type, leniency: self.leniency, depth: Int(position.depth), depthLimit: self.depthLimit)
        }
    }

    func locateMembers(at position: ValuePosition) throws(JSONCodingError) -> ObjectMembers {
        try self.scan(at: position) { scanner throws(JSONCodingError) in
            let depth = try self.deeper(than: position)
            var found = ObjectMembers()
            found.members.reserveCapacity(8)
            try scanner.scanObject { scanner, name throws(JSONCodingError) in
                let value = try scanner.skipValue()
                found.members.append(
                    ObjectMember(
                        nameStart: UInt32(name.range.lowerBound),
                        nameEnd: UInt32(name.range.upperBound),
                        isNameIndirect: name.hasEscapes,
                        value: ValuePosition(offset: UInt32(value.lowerBound), depth: depth)
                    )
                )
            }
            found.makeIndex { scanner.string($0.name) }
            return found
        }
    }

    func locateElements(at position: ValuePosition) throws(JSONCodingError) -> [ValuePosition] {
        try self.scan(at: position) { scanner throws(JSONCodingError) in
            let depth = try self.deeper(than: position)
            var found: [ValuePosition] = []
            try scanner.scanArray { scanner throws(JSONCodingError) in
                let value = try scanner.skipValue()
                found.append(ValuePosition(offset: UInt32(value.lowerBound), depth: depth))
            }
            return found
        }
    }

    func search(_ name: String, in members: ObjectMembers) -> ValuePosition? {
        var name = name
        return name.withUTF8 { wanted in
            self.scan(at: nil) { scanner in members.last { scanner.compare($0.name, with: wanted) } }
        }
    }

    func allNames(of members: ObjectMembers) -> [String] {
        self.scan(at: nil) { scanner in members.members.map { scanner.string($0.name) } }
    }

    private func scan<Result, Failure: Error>(
        at position: ValuePosition?,
        _ body: (inout JSONScanner) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try self.bytes.withUnsafeReadableBytes { raw throws(Failure) -> Result in
            var scanner = JSONScanner(raw, at: Int(position?.offset ?? 0))
            return try body(&scanner)
        }
    }
}

extension ObjectMember {
    fileprivate var name: JSONStringRange {
        JSONStringRange(range: Int(self.nameStart)..<Int(self.nameEnd), hasEscapes: self.isNameIndirect)
    }
}

extension JSONScanner {
    /// How the text of a string compares with `wanted`.
    func compare(_ found: JSONStringRange, with wanted: UnsafeBufferPointer<UInt8>) -> NameComparison {
        if found.hasEscapes {
            let resolved = Array(self.string(found).utf8)
            return resolved.withUnsafeBytes { NameComparison($0, with: wanted) }
        }
        return NameComparison(UnsafeRawBufferPointer(rebasing: self.bytes[found.range]), with: wanted)
    }
}
