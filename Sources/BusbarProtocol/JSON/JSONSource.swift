import NIOCore

/// Where a value begins, and how many containers stand around it.
struct JSONPosition: Hashable {
    let offset: UInt32
    let depth: UInt32
}

/// One member of an object: its name as it stands in the text, and where its value begins.
struct JSONMember {
    let nameStart: UInt32
    let nameEnd: UInt32
    let hasEscapes: Bool
    let value: JSONPosition

    var name: JSONStringRange {
        JSONStringRange(range: Int(self.nameStart)..<Int(self.nameEnd), hasEscapes: self.hasEscapes)
    }
}

/// The members of an object, last one last. Large objects carry an index, so that reading all members stays linear.
struct JSONMembers {
    fileprivate static let indexedFrom = 24

    var members: [JSONMember] = []
    var index: [String: Int]?
}

/// The JSON text that a decoder and all its containers read, and the rules they read it by.
///
/// It holds the buffer, so a decoder that outlives its value's `init(from:)` is harmless.
final class JSONSource {
    private let bytes: ByteBuffer
    private let leniency: JSONLeniency
    private let depthLimit: Int

    init(bytes: ByteBuffer, leniency: JSONLeniency, depthLimit: Int) {
        self.bytes = bytes
        self.leniency = leniency
        self.depthLimit = min(depthLimit, JSONScanner.deepestNesting)
    }

    /// Decodes the value at `offset` with no path around it, in our own error type.
    func decodeOutermost<Value: Decodable>(_ type: Value.Type, at offset: Int) throws(JSONCodingError) -> Value {
        do {
            return try self.decode(type, at: JSONPosition(offset: UInt32(offset), depth: 0), path: nil)
        } catch let error as JSONCodingError {
            throw error
        } catch {
            throw JSONCodingError(refusal: error)
        }
    }

    /// Decodes the value at `position`; `key`, if there is one, is the last step of the way to it.
    func decode<Value: Decodable>(
        _ type: Value.Type,
        at position: JSONPosition,
        path: JSONPath?,
        key: @autoclosure () -> (any CodingKey)? = nil
    ) throws -> Value {
        guard let scalar = JSONScalar(type) else {
            let path = key().map { JSONPath(path, $0) } ?? path
            return try Value(from: JSONValueDecoder(source: self, position: position, path: path))
        }
        do throws(JSONCodingError) {
            return try self.scan(at: position) { scanner throws(JSONCodingError) in
                try scanner.readScalar(
                    scalar, as: type, leniency: self.leniency, depth: Int(position.depth), depthLimit: self.depthLimit
                )
            }
        } catch {
            throw self.decodingError(error, type, path, key())
        }
    }

    func isNull(at position: JSONPosition) -> Bool {
        self.scan(at: position) { $0.peek() == UInt8(ascii: "n") }
    }

    func members(at position: JSONPosition, path: JSONPath?) throws -> JSONMembers {
        do throws(JSONCodingError) {
            return try self.scan(at: position) { scanner throws(JSONCodingError) in
                let depth = try self.deeper(than: position)
                var found = JSONMembers()
                found.members.reserveCapacity(8)
                try scanner.scanObject { scanner, name throws(JSONCodingError) in
                    let value = try scanner.skipValue()
                    found.members.append(
                        JSONMember(
                            nameStart: UInt32(name.range.lowerBound),
                            nameEnd: UInt32(name.range.upperBound),
                            hasEscapes: name.hasEscapes,
                            value: JSONPosition(offset: UInt32(value.lowerBound), depth: depth)
                        )
                    )
                }
                if found.members.count >= JSONMembers.indexedFrom {
                    let names = found.members.enumerated().map { (scanner.string($1.name), $0) }
                    found.index = Dictionary(names, uniquingKeysWith: { $1 })
                }
                return found
            }
        } catch {
            throw self.decodingError(error, [String: Any].self, path, nil)
        }
    }

    func elements(at position: JSONPosition, path: JSONPath?) throws -> [JSONPosition] {
        do throws(JSONCodingError) {
            return try self.scan(at: position) { scanner throws(JSONCodingError) in
                let depth = try self.deeper(than: position)
                var found: [JSONPosition] = []
                try scanner.scanArray { scanner throws(JSONCodingError) in
                    let value = try scanner.skipValue()
                    found.append(JSONPosition(offset: UInt32(value.lowerBound), depth: depth))
                }
                return found
            }
        } catch {
            throw self.decodingError(error, [Any].self, path, nil)
        }
    }

    /// The last member called `name`; failing that, the last one whose name differs in the case of ASCII letters only.
    func find(_ name: String, in members: JSONMembers) -> JSONPosition? {
        if let index = members.index {
            if let exact = index[name] { return members.members[exact].value }
            let folded = name.lowercased()
            return self.scan(at: nil) { scanner in
                members.members.last { scanner.string($0.name).lowercased() == folded }?.value
            }
        }
        var name = name
        return name.withUTF8 { wanted in
            self.scan(at: nil) { scanner in
                var near: JSONPosition?
                for member in members.members.reversed() {
                    switch scanner.compare(member.name, with: wanted) {
                    case .same: return member.value
                    case .sameIgnoringCase: near = near ?? member.value
                    case .different: break
                    }
                }
                return near
            }
        }
    }

    /// All different names, first ones first.
    func names(of members: JSONMembers) -> [String] {
        var seen: Set<String> = []
        return self.scan(at: nil) { scanner in
            members.members.map { scanner.string($0.name) }.filter { seen.insert($0).inserted }
        }
    }

    private func deeper(than position: JSONPosition) throws(JSONCodingError) -> UInt32 {
        guard position.depth < self.depthLimit else { throw .tooDeep(limit: self.depthLimit) }
        return position.depth + 1
    }

    private func scan<Result, Failure: Error>(
        at position: JSONPosition?,
        _ body: (inout JSONScanner) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try self.bytes.withUnsafeReadableBytes { raw throws(Failure) -> Result in
            var scanner = JSONScanner(raw, at: Int(position?.offset ?? 0))
            return try body(&scanner)
        }
    }

    /// Why: types probe with `catch DecodingError.typeMismatch`, as the protocol promises, so inside they get those.
    private func decodingError(
        _ error: JSONCodingError,
        _ type: Any.Type,
        _ path: JSONPath?,
        _ key: (any CodingKey)?
    ) -> any Error {
        guard path != nil || key != nil else { return error }
        let keys = JSONPath.keys(path) + (key.map { [$0] } ?? [])
        let context = DecodingError.Context(codingPath: keys, debugDescription: error.detail, underlyingError: error)
        return error.code == .typeMismatch ? DecodingError.typeMismatch(type, context) : .dataCorrupted(context)
    }
}

extension JSONScanner {
    enum NameComparison { case same, sameIgnoringCase, different }

    /// How the text of a string compares with `wanted`.
    func compare(_ found: JSONStringRange, with wanted: UnsafeBufferPointer<UInt8>) -> NameComparison {
        if found.hasEscapes {
            let resolved = Array(self.string(found).utf8)
            return resolved.withUnsafeBytes { Self.compare($0, with: wanted) }
        }
        return Self.compare(UnsafeRawBufferPointer(rebasing: self.bytes[found.range]), with: wanted)
    }

    private static func compare(
        _ name: UnsafeRawBufferPointer,
        with wanted: UnsafeBufferPointer<UInt8>
    ) -> NameComparison {
        guard name.count == wanted.count else { return .different }
        var isSame = true
        for index in 0..<name.count where name[index] != wanted[index] {
            guard Self.folded(name[index]) == Self.folded(wanted[index]) else { return .different }
            isSame = false
        }
        return isSame ? .same : .sameIgnoringCase
    }
}
