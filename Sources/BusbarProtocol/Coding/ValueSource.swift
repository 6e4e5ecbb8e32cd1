/// What a decoder and all its containers read, and the rules they read it by.
///
/// It holds the bytes, so a decoder that outlives its value's `init(from:)` is harmless.
protocol ValueSource: AnyObject {
    /// How many containers may stand inside each other.
    var depthLimit: Int { get }

    func isNull(at position: ValuePosition) -> Bool

    /// Reads the value at `position` as `type`, for which `scalar` was made.
    func readScalar<Value>(
        _ scalar: ScalarType, as type: Value.Type, at position: ValuePosition
    ) throws(JSONCodingError) -> Value

    func locateMembers(at position: ValuePosition) throws(JSONCodingError) -> ObjectMembers
    func locateElements(at position: ValuePosition) throws(JSONCodingError) -> [ValuePosition]

    /// The last member called `name`; failing that, the last one whose name differs in the case of ASCII letters only.
    func search(_ name: String, in members: ObjectMembers) -> ValuePosition?

    /// The names of all members, as they stand.
    func allNames(of members: ObjectMembers) -> [String]
}

/// Where a value begins, and how many containers stand around it.
struct ValuePosition: Hashable {
    let offset: UInt32
    let depth: UInt32
}

/// One member of an object: where its name stands, and where its value begins.
struct ObjectMember {
    let nameStart: UInt32
    let nameEnd: UInt32
    /// Whether the name has to be made from what stands there: a text with escapes, a number.
    let isNameIndirect: Bool
    let value: ValuePosition
}

/// The members of an object, last one last. Large objects carry an index, so that reading all members stays linear.
struct ObjectMembers {
    private static let indexedFrom = 24

    var members: [ObjectMember] = []
    private(set) var index: [String: Int]?

    /// Makes the index if there are many members.
    mutating func makeIndex(_ name: (ObjectMember) -> String) {
        guard self.members.count >= Self.indexedFrom else { return }
        self.index = Dictionary(self.members.enumerated().map { (name($1), $0) }, uniquingKeysWith: { $1 })
    }

    /// The last member whose name is the same; failing that, the last one whose name differs in the case of letters only.
    func last(_ compare: (ObjectMember) -> NameComparison) -> ValuePosition? {
        var near: ValuePosition?
        for member in self.members.reversed() {
            switch compare(member) {
            case .same: return member.value
            case .sameIgnoringCase: near = near ?? member.value
            case .different: break
            }
        }
        return near
    }
}

/// How the name of a member compares with the one looked for; only ASCII letters have case.
enum NameComparison {
    case same, sameIgnoringCase, different

    init(_ name: UnsafeRawBufferPointer, with wanted: UnsafeBufferPointer<UInt8>) {
        var found = name.count == wanted.count ? Self.same : .different
        for index in 0..<min(name.count, wanted.count) where name[index] != wanted[index] && found != .different {
            let isSameLetter = JSONScanner.folded(name[index]) == JSONScanner.folded(wanted[index])
            found = isSameLetter ? .sameIgnoringCase : .different
        }
        self = found
    }
}

extension ValueSource {
    /// Decodes the value at `offset` with no path around it, in our own error type.
    func decodeOutermost<Value: Decodable>(_ type: Value.Type, at offset: Int) throws(JSONCodingError) -> Value {
        do {
            return try self.decode(type, at: ValuePosition(offset: UInt32(offset), depth: 0), path: nil)
        } catch let error as JSONCodingError {
            throw error
        } catch {
            throw JSONCodingError(refusal: error)
        }
    }

    /// Decodes the value at `position`; `key`, if there is one, is the last step of the way to it.
    func decode<Value: Decodable>(
        _ type: Value.Type,
        at position: ValuePosition,
        path: ValuePath?,
        key: @autoclosure () -> (any CodingKey)? = nil
    ) throws -> Value {
        guard let scalar = ScalarType(type) else {
            let path = key().map { ValuePath(path, $0) } ?? path
            return try Value(from: ValueDecoder(source: self, position: position, path: path))
        }
        do throws(JSONCodingError) {
            return try self.readScalar(scalar, as: type, at: position)
        } catch {
            throw self.decodingError(error, type, path, key())
        }
    }

    func members(at position: ValuePosition, path: ValuePath?) throws -> ObjectMembers {
        do throws(JSONCodingError) {
            return try self.locateMembers(at: position)
        } catch {
            throw self.decodingError(error, [String: Any].self, path, nil)
        }
    }

    func elements(at position: ValuePosition, path: ValuePath?) throws -> [ValuePosition] {
        do throws(JSONCodingError) {
            return try self.locateElements(at: position)
        } catch {
            throw self.decodingError(error, [Any].self, path, nil)
        }
    }

    /// The last member called `name`; failing that, the last one whose name differs in the case of ASCII letters only.
    func find(_ name: String, in members: ObjectMembers) -> ValuePosition? {
        if let place = members.index?[name] { return members.members[place].value }
        return self.search(name, in: members)
    }

    /// All different names, first ones first.
    func names(of members: ObjectMembers) -> [String] {
        var seen: Set<String> = []
        return self.allNames(of: members).filter { seen.insert($0).inserted }
    }

    /// The depth of what stands in the container at `position`.
    func deeper(than position: ValuePosition) throws(JSONCodingError) -> UInt32 {
        guard position.depth < self.depthLimit else { throw .tooDeep(limit: self.depthLimit) }
        return position.depth + 1
    }

    /// Why: types probe with `catch DecodingError.typeMismatch`, as the protocol promises, so inside they get those.
    private func decodingError(
        _ error: JSONCodingError,
        _ type: Any.Type,
        _ path: ValuePath?,
        _ key: (any CodingKey)?
    ) -> any Error {
        guard path != nil || key != nil else { return error }
        let keys = ValuePath.keys(path) + (key.map { [$0] } ?? [])
        let context = DecodingError.Context(codingPath: keys, debugDescription: error.detail, underlyingError: error)
        return error.code == .typeMismatch ? DecodingError.typeMismatch(type, context) : .dataCorrupted(context)
    }
}
