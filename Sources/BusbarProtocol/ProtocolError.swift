/// What a peer sent breaks the protocol: which rule, and what would have been right.
///
/// `detail` may quote what arrived, but never more than 64 bytes of it, so it is safe to log and to answer.
package struct ProtocolError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The rule that was broken. Open: new codes may appear.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        package let name: String

        private init(_ name: String) { self.name = name }

        package var description: String { self.name }

        /// The text is not JSON, or not the kind of JSON value that belongs there.
        package static let malformed = Self("malformed")
        /// A property that the message needs is absent, null or empty.
        package static let missingProperty = Self("missingProperty")
        /// A property is there and has the wrong type or an impossible value.
        package static let invalidProperty = Self("invalidProperty")
        /// Two properties contradict each other.
        package static let conflictingProperties = Self("conflictingProperties")
        /// A message, list or text is longer than its limit.
        package static let limitExceeded = Self("limitExceeded")
        /// The same hub was listed twice.
        package static let duplicateName = Self("duplicateName")
    }

    package let code: Code
    package let detail: String

    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    package var description: String { "\(self.code): \(self.detail)" }
}

extension ProtocolError {
    /// The syntax error of the scanner as a protocol error of `subject`.
    init(_ error: JSONCodingError, in subject: StaticString) {
        self.init(error.code == .limitExceeded ? .limitExceeded : .malformed, "\(subject): \(error.detail)")
    }

    /// Peer text fit for an error: at most 64 bytes, control characters replaced.
    package static func quote(_ text: some StringProtocol) -> String {
        var quoted = ""
        for character in text {
            let isPlain = character.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
            let next = isPlain ? character : "\u{FFFD}"
            guard quoted.utf8.count + next.utf8.count <= 61 else { return quoted + "…" }
            quoted.append(next)
        }
        return quoted
    }
}
