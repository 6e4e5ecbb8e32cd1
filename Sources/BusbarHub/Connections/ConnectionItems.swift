/// The name and type of something kept with a connection.
///
/// ```swift
/// extension ItemKey where Value == String {
///     static var displayName: Self { ItemKey("displayName") }
/// }
/// context.items[.displayName] = "Bob"
/// ```
public struct ItemKey<Value: Sendable>: Hashable, Sendable {
    public let name: String

    public init(_ name: String) { self.name = name }
}

/// What the application keeps with a connection, from its beginning to its end, on the node it is connected to.
public struct ConnectionItems: Sendable {
    let context: ConnectionContext

    /// The value of `key`; nil if nothing is kept under its name, or something of another type.
    public subscript<Value>(key: ItemKey<Value>) -> Value? {
        get { self.context.withItems { $0[key.name] as? Value } }
        nonmutating set { self.context.withItems { $0[key.name] = newValue } }
    }

    /// Reads and changes one value in one step; nil is no value. A value of another type under that name is replaced.
    /// `body` must not use the connection itself.
    @discardableResult
    public func update<Value, Result: Sendable>(
        _ key: ItemKey<Value>,
        _ body: (inout Value?) throws -> Result
    ) rethrows -> Result {
        try self.context.withItems { items in
            var value = items[key.name] as? Value
            defer { items[key.name] = value }
            return try body(&value)
        }
    }
}
