import NIOCore

/// The MessagePack that a decoder and all its containers read. Objects are maps.
final class PackedSource: ValueSource {
    private let bytes: ByteBuffer
    let depthLimit: Int

    init(bytes: ByteBuffer, depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = min(depthLimit, JSONScanner.deepestNesting)
    }

    func isNull(at position: ValuePosition) -> Bool {
        self.scan(at: position) { $0.peek == 0xC0 }
    }

    func readScalar<Value>(
        _ scalar: ScalarType, as type: Value.Type, at position: ValuePosition
    ) throws(JSONCodingError) -> Value {
        try self.scan(at: position) { scanner throws(JSONCodingError) in
            try scanner.readScalar(scalar, as: type, depth: Int(position.depth), depthLimit: self.depthLimit)
        }
    }

    func locateMembers(at position: ValuePosition) throws(JSONCodingError) -> ObjectMembers {
        try self.scan(at: position) { scanner throws(JSONCodingError) in
            let start = scanner.offset
            guard case .map(let count) = try scanner.next() else { throw .mismatch(at: start, expected: "a map") }
            let depth = try self.deeper(than: position)
            var found = ObjectMembers()
            for _ in 0..<count {
                let keyStart = scanner.offset
                var keyScanner = scanner
                let key = try keyScanner.next()
                // Why the whole of it: a key may be a container, whose elements are no members.
                let keyEnd = try scanner.skipValue().upperBound
                let value = ValuePosition(offset: UInt32(scanner.offset), depth: depth)
                try scanner.skipValue()
                switch key {
                case .string(let range): found.add(range, isNameIndirect: false, value)
                case .unsigned, .signed: found.add(keyStart..<keyEnd, isNameIndirect: true, value)
                // Why skipped: no Swift type could ask for it, as it asks for none of the names it doesn't know.
                default: continue
                }
            }
            found.makeIndex { scanner.name(of: $0) }
            return found
        }
    }

    func locateElements(at position: ValuePosition) throws(JSONCodingError) -> [ValuePosition] {
        try self.scan(at: position) { scanner throws(JSONCodingError) in
            let start = scanner.offset
            guard case .array(let count) = try scanner.next() else { throw .mismatch(at: start, expected: "an array") }
            let depth = try self.deeper(than: position)
            var found: [ValuePosition] = []
            for _ in 0..<count {
                found.append(ValuePosition(offset: UInt32(scanner.offset), depth: depth))
                try scanner.skipValue()
            }
            return found
        }
    }

    func search(_ name: String, in members: ObjectMembers) -> ValuePosition? {
        var name = name
        return name.withUTF8 { wanted in
            self.scan(at: nil) { scanner in
                members.last { member in
                    guard member.isNameIndirect else {
                        return NameComparison(
                            UnsafeRawBufferPointer(rebasing: scanner.bytes[member.range]), with: wanted)
                    }
                    return scanner.name(of: member).utf8.elementsEqual(wanted) ? .same : .different
                }
            }
        }
    }

    func allNames(of members: ObjectMembers) -> [String] {
        self.scan(at: nil) { scanner in members.members.map { scanner.name(of: $0) } }
    }

    private func scan<Result, Failure: Error>(
        at position: ValuePosition?, _ body: (inout PackedScanner) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try self.bytes.withUnsafeReadableBytes { raw throws(Failure) -> Result in
            var scanner = PackedScanner(raw, at: Int(position?.offset ?? 0))
            return try body(&scanner)
        }
    }
}

extension ObjectMember {
    fileprivate var range: Range<Int> { Int(self.nameStart)..<Int(self.nameEnd) }
}

extension ObjectMembers {
    fileprivate mutating func add(_ name: Range<Int>, isNameIndirect: Bool, _ value: ValuePosition) {
        self.members.append(
            ObjectMember(
                nameStart: UInt32(name.lowerBound), nameEnd: UInt32(name.upperBound), isNameIndirect: isNameIndirect,
                value: value))
    }
}

extension PackedScanner {
    /// The name of a member, repaired where it is not UTF-8: then it is nobody's.
    fileprivate func name(of member: ObjectMember) -> String {
        guard member.isNameIndirect else {
            return String(decoding: self.bytes[member.range], as: UTF8.self)
        }
        var key = PackedScanner(self.bytes, at: Int(member.nameStart))
        return (try? key.readKey()) ?? ""
    }
}
