import NIOCore

/// Reads arguments one after the other as the Swift types a method declares.
package protocol ArgumentReading {
    mutating func next<Value: Decodable>(_ type: Value.Type) throws(JSONCodingError) -> Value
}

/// Arguments as they came from a client, in the encoding of its protocol.
package enum CallArguments: Hashable, Sendable {
    case json(ArgumentList)
    case messagePack(PackedArguments)

    package static let empty = Self.json(.empty)

    package var count: Int {
        switch self {
        case .json(let list): list.count
        case .messagePack(let list): list.count
        }
    }

    /// The same arguments in memory of their own.
    package func copy() -> Self {
        switch self {
        case .json(let list): .json(list.copy())
        case .messagePack(let list): .messagePack(list.copy())
        }
    }

    /// Every argument as any JSON, read anew.
    /// - Throws: ``JSONCodingError`` that names the first argument that JSON has no words for.
    package func nodes() throws(JSONCodingError) -> [JSONNode] {
        switch self {
        case .json(let list): try list.makeReader().rest(list.count)
        case .messagePack(let list): try list.makeReader().rest(list.count)
        }
    }
}

extension ArgumentReading {
    fileprivate func rest(_ count: Int) throws(JSONCodingError) -> [JSONNode] {
        var reader = self
        var nodes: [JSONNode] = []
        for _ in 0..<count { nodes.append(try reader.next(JSONNode.self)) }
        return nodes
    }
}

extension CallArguments {
    /// The arguments as one JSON array.
    package var jsonText: JSONValueText {
        switch self {
        case .json(let list): JSONValueText(unchecked: list.bytes, marks: list.marks)
        case .messagePack:
            (try? JSONValueText(encoding: self.nodes())) ?? JSONValueText(unchecked: ArgumentList.empty.bytes)
        }
    }
}

/// A value as it came from a client, in the encoding of its protocol, or as it is to be sent to one.
package enum CallValue: Hashable, Sendable {
    case json(JSONValueText)
    case messagePack(PackedValue)

    /// The same value in memory of its own.
    package func copy() -> Self {
        switch self {
        case .json(let text): .json(text.copy())
        case .messagePack(let value): .messagePack(value.copy())
        }
    }

    /// The value as a Swift type.
    package func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws(JSONCodingError) -> Value {
        switch self {
        case .json(let text): try text.decode(type)
        case .messagePack(let value): try value.decode(type)
        }
    }

    /// The value as JSON; null for one that JSON has no words for.
    package var jsonText: JSONValueText {
        switch self {
        case .json(let text): text
        case .messagePack(let value):
            (try? JSONValueText(encoding: value.decode(JSONNode.self) as JSONNode)) ?? .null
        }
    }
}
