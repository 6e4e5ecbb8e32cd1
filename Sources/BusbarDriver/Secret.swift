/// A text that never shows itself: not in descriptions, reflection, logs or errors.
public struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// For whoever has to show it to the broker, and for nobody else.
    public let text: String

    public init(_ text: String) {
        self.text = text
    }

    public var description: String { "•••" }
    public var debugDescription: String { "•••" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
