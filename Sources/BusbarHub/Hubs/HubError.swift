/// An error whose text is meant for the client that called.
///
/// Every other error a hub method throws reaches the caller as a general text, unless detailed errors are switched on.
///
/// ```swift
/// guard seats > 0 else { throw HubError("This table is taken.", data: ["table": number]) }
/// ```
public struct HubError: Error, CustomStringConvertible {
    /// What the caller reads.
    public let message: String

    /// What a classic client finds in its error's `data`; core clients have no place for it.
    public let data: (any Encodable & Sendable)?

    public init(_ message: String, data: (any Encodable & Sendable)? = nil) {
        self.message = message
        self.data = data
    }

    public var description: String { self.message }
}
