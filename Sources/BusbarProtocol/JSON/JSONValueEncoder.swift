/// The encoder a value's own `encode(to:)` is given: a place in a ``JSONSink``.
struct JSONValueEncoder: Encoder {
    let sink: JSONSink
    /// How many containers stand around this place.
    let level: Int
    let slot: Int
    let path: ValuePath?

    var codingPath: [any CodingKey] { ValuePath.keys(self.path) }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        let serial = self.sink.open(isObject: true, level: self.level, slot: self.slot)
        return KeyedEncodingContainer(
            JSONObjectWriter(sink: self.sink, level: self.level, serial: serial, path: self.path)
        )
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        let serial = self.sink.open(isObject: false, level: self.level, slot: self.slot)
        return JSONArrayWriter(sink: self.sink, level: self.level, serial: serial, path: self.path)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        JSONSingleWriter(sink: self.sink, level: self.level, path: self.path)
    }
}

struct JSONObjectWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let sink: JSONSink
    let level: Int
    let serial: Int
    let path: ValuePath?

    var codingPath: [any CodingKey] { ValuePath.keys(self.path) }

    func encodeNil(forKey key: Key) throws {
        self.begin(key)
        try self.sink.writeNull()
    }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        self.begin(key)
        try self.sink.write(value, level: self.level &+ 1, path: self.path)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy keyType: Nested.Type,
        forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        self.place(key).container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { self.place(key).unkeyedContainer() }

    func superEncoder() -> any Encoder { self.place(ValueKey("super")) }

    func superEncoder(forKey key: Key) -> any Encoder { self.place(key) }

    private func begin(_ key: some CodingKey) {
        self.sink.beginElement(level: self.level, serial: self.serial, key: key.stringValue)
    }

    private func place(_ key: some CodingKey) -> JSONValueEncoder {
        self.begin(key)
        let path = ValuePath(self.path, key)
        return JSONValueEncoder(sink: self.sink, level: self.level &+ 1, slot: self.sink.newSlot(), path: path)
    }
}

struct JSONArrayWriter: UnkeyedEncodingContainer {
    let sink: JSONSink
    let level: Int
    let serial: Int
    let path: ValuePath?

    var codingPath: [any CodingKey] { ValuePath.keys(self.path) }
    var count: Int { self.sink.count(level: self.level, serial: self.serial) }

    func encodeNil() throws {
        self.begin()
        try self.sink.writeNull()
    }

    func encode<Value: Encodable>(_ value: Value) throws {
        self.begin()
        try self.sink.write(value, level: self.level &+ 1, path: self.path)
    }

    func nestedContainer<Nested: CodingKey>(keyedBy keyType: Nested.Type) -> KeyedEncodingContainer<Nested> {
        self.place().container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { self.place().unkeyedContainer() }

    func superEncoder() -> any Encoder { self.place() }

    private func begin() { self.sink.beginElement(level: self.level, serial: self.serial) }

    private func place() -> JSONValueEncoder {
        let path = ValuePath(self.path, ValueKey(self.count))
        self.begin()
        return JSONValueEncoder(sink: self.sink, level: self.level &+ 1, slot: self.sink.newSlot(), path: path)
    }
}

struct JSONSingleWriter: SingleValueEncodingContainer {
    let sink: JSONSink
    let level: Int
    let path: ValuePath?

    var codingPath: [any CodingKey] { ValuePath.keys(self.path) }

    func encodeNil() throws { try self.sink.writeNull() }

    func encode<Value: Encodable>(_ value: Value) throws {
        try self.sink.write(value, level: self.level, path: self.path)
    }
}
