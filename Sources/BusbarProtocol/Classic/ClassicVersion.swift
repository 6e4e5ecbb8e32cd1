/// The protocol version of a classic client: two to four numbers.
///
/// An absent third or fourth number is less than zero, so 1.2 < 1.2.0.
package struct ClassicVersion: Hashable, Sendable {
    /// The oldest version there is, and what is answered to clients that name none.
    package static let minimum = Self(1, 2)
    /// The newest version we answer unless told otherwise.
    package static let newest = Self(2, 1)

    private let numbers: [Int32]

    package init(_ major: Int32, _ minor: Int32) {
        self.numbers = [major, minor]
    }

    /// Reads `1.5` or `1.2.5.0`; nil for anything else, such as a bare `2`.
    package init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: ".", maxSplits: 4, omittingEmptySubsequences: false)
        guard (2...4).contains(parts.count) else { return nil }
        var numbers: [Int32] = []
        for part in parts {
            guard !part.isEmpty, part.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
                let number = Int32(part)
            else { return nil }
            numbers.append(number)
        }
        self.numbers = numbers
    }

    /// The version to answer and to follow for what a client asked: its own, kept between ``minimum`` and `maximum`.
    /// - Parameter text: the parameter `clientProtocol`, nil if there is none. What cannot be read counts as the
    ///   minimum.
    package static func resolve(_ text: String?, maximum: ClassicVersion = Self.newest) -> ClassicVersion {
        guard let text, let version = Self(parsing: text) else { return Self.minimum }
        return max(Self.minimum, min(version, maximum))
    }

    /// Whether the client calls `/start` when its transport is ready, and only then counts as connected.
    package var isDelayedStart: Bool { self >= Self(1, 4) }

    /// Whether the client negotiates elsewhere when it is told to, and gives up with the reason that it is told.
    package var obeysRedirects: Bool { self >= Self(2, 0) }

    /// Whether the client sends cursor and groups token of a long poll in the body of a POST.
    package var sendsPollInBody: Bool { self >= Self(1, 5) }
}

extension ClassicVersion: Comparable {
    package static func < (left: Self, right: Self) -> Bool {
        left.numbers.lexicographicallyPrecedes(right.numbers)
    }
}

extension ClassicVersion: CustomStringConvertible {
    package var description: String { self.numbers.map(String.init).joined(separator: ".") }
}
