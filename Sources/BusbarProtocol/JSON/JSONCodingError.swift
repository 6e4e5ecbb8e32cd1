/// Why a JSON text or a MessagePack value could not be read, or a value could not be written as JSON.
///
/// `detail` says what was wrong, where, and what would have been right; it never quotes payloads.
package struct JSONCodingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure. Open: new codes may appear.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        package let name: String

        private init(_ name: String) { self.name = name }

        package var description: String { self.name }

        /// The bytes are not JSON, or not MessagePack.
        package static let malformed = Self("malformed")
        /// A value of another kind than the type asked for.
        package static let typeMismatch = Self("typeMismatch")
        /// A number that the type asked for cannot hold, or a number that JSON cannot hold.
        package static let outOfRange = Self("outOfRange")
        /// An object member or an argument that is not there.
        package static let missing = Self("missing")
        /// Nested deeper than the limit, or longer than the limit.
        package static let limitExceeded = Self("limitExceeded")
        /// The value's own `init(from:)` or `encode(to:)` refused, or used its coder wrongly.
        package static let refused = Self("refused")
    }

    package let code: Code
    package let detail: String

    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    package var description: String { "\(self.code): \(self.detail)" }
}

extension JSONCodingError {
    static func malformed(at offset: Int, expected: StaticString) -> Self {
        Self(.malformed, "expected \(expected) at byte \(offset)")
    }

    static func mismatch(at offset: Int, expected: StaticString) -> Self {
        Self(.typeMismatch, "expected \(expected) at byte \(offset)")
    }

    static func tooDeep(limit: Int) -> Self {
        Self(.limitExceeded, "nested deeper than \(limit) levels")
    }

    static func noMoreArguments(than count: Int) -> Self { Self(.missing, "expected more than \(count) arguments") }

    func inArgument(_ number: Int) -> Self { Self(self.code, "argument \(number): \(self.detail)") }
}
