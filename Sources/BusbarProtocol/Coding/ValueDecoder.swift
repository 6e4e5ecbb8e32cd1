/// The decoder a value's own `init(from:)` is given: a place in a ``ValueSource``.
struct ValueDecoder: Decoder {
    let source: any ValueSource
    let position: ValuePosition
    let path: ValuePath?

    var codingPath: [any CodingKey] { ValuePath.keys(self.path) }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        let members = try self.source.members(at: self.position, path: self.path)
        return KeyedDecodingContainer(ObjectReader(source: self.source, members: members, path: self.path))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let positions = try self.source.elements(at: self.position, path: self.path)
        return ArrayReader(source: self.source, positions: positions, path: self.path)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { self }
}

extension ValueDecoder: SingleValueDecodingContainer {
    func decodeNil() -> Bool { self.source.isNull(at: self.position) }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try self.source.decode(type, at: self.position, path: self.path)
    }
}

/// The members of one object, found in one pass.
struct ObjectReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let source: any ValueSource
    let members: ObjectMembers
    let path: ValuePath?

    var codingPath: [any CodingKey] { ValuePath.keys(self.path) }
    var allKeys: [Key] { self.source.names(of: self.members).compactMap { Key(stringValue: $0) } }

    func contains(_ key: Key) -> Bool { self.source.find(key.stringValue, in: self.members) != nil }

    func decodeNil(forKey key: Key) throws -> Bool { self.source.isNull(at: try self.position(key)) }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try self.source.decode(type, at: try self.position(key), path: self.path, key: key)
    }

    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        guard let position = self.source.find(key.stringValue, in: self.members), !self.source.isNull(at: position)
        else { return nil }
        return try self.source.decode(type, at: position, path: self.path, key: key)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type,
        forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try self.decoder(at: try self.position(key), key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try self.decoder(at: try self.position(key), key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder {
        let key = ValueKey("super")
        guard let position = self.source.find(key.stringValue, in: self.members) else { throw self.missing(key) }
        return self.decoder(at: position, key)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder { self.decoder(at: try self.position(key), key) }

    private func position(_ key: Key) throws -> ValuePosition {
        guard let position = self.source.find(key.stringValue, in: self.members) else { throw self.missing(key) }
        return position
    }

    private func decoder(at position: ValuePosition, _ key: any CodingKey) -> ValueDecoder {
        ValueDecoder(source: self.source, position: position, path: ValuePath(self.path, key))
    }

    private func missing(_ key: any CodingKey) -> DecodingError {
        .keyNotFound(key, .init(codingPath: self.codingPath, debugDescription: "the object has no such member"))
    }
}

/// The elements of one array, found in one pass.
struct ArrayReader: UnkeyedDecodingContainer {
    let source: any ValueSource
    let positions: [ValuePosition]
    let path: ValuePath?
    private(set) var currentIndex = 0

    init(source: any ValueSource, positions: [ValuePosition], path: ValuePath?) {
        self.source = source
        self.positions = positions
        self.path = path
    }

    var codingPath: [any CodingKey] { ValuePath.keys(self.path) }
    var count: Int? { self.positions.count }
    var isAtEnd: Bool { self.currentIndex >= self.positions.count }

    mutating func decodeNil() throws -> Bool {
        let isNull = self.source.isNull(at: try self.position(Any?.self))
        if isNull { self.currentIndex += 1 }
        return isNull
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let position = try self.position(type)
        let value = try self.source.decode(type, at: position, path: self.path, key: ValueKey(self.currentIndex))
        self.currentIndex += 1
        return value
    }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested>
    {
        let container = try self.nested(KeyedDecodingContainer<Nested>.self).container(keyedBy: type)
        self.currentIndex += 1
        return container
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let container = try self.nested([Any].self).unkeyedContainer()
        self.currentIndex += 1
        return container
    }

    mutating func superDecoder() throws -> any Decoder {
        let decoder = try self.nested((any Decoder).self)
        self.currentIndex += 1
        return decoder
    }

    private func nested(_ type: Any.Type) throws -> ValueDecoder {
        let path = ValuePath(self.path, ValueKey(self.currentIndex))
        return ValueDecoder(source: self.source, position: try self.position(type), path: path)
    }

    private func position(_ type: Any.Type) throws -> ValuePosition {
        guard self.currentIndex < self.positions.count else {
            let path = self.codingPath + [ValueKey(self.currentIndex)]
            throw DecodingError.valueNotFound(type, .init(codingPath: path, debugDescription: "the array has ended"))
        }
        return self.positions[self.currentIndex]
    }
}
