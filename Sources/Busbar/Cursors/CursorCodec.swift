package import BusbarDriver

/// What a subscriber has seen, as opaque URL-safe text: good on every node of the farm that shares the key. Takes 29 characters for one
/// stream with a young log, and about 15 more for each further stream.
public struct Cursor: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    /// A cursor as it came back from outside. It is judged when it is used; any text is allowed.
    public init(text: String) {
        self.text = text
    }

    public var description: String { self.text }
}

/// Signs and reads cursors.
///
///     version 1 | stream count, count of positions, then per position: stream, epoch 8 bytes, offset | 8 bytes of HMAC
///
/// Numbers are LEB128. The signature covers the app's name, so a cursor of another app is a foreign one.
package struct CursorCodec: Sendable {
    /// What a cursor turned out to be.
    package enum Reading: Hashable {
        case positions([Position])
        case foreign
        /// Ours, but made when the app had another number of streams.
        case otherStreamCount
    }

    private static let version: UInt8 = 1
    private static let signatureBytes = 8
    private static let purpose = "cursor"
    /// Longer texts are not ours: 256 streams take less.
    package static let longestText = 8_192

    private let key: FarmKey
    private let app: [UInt8]
    private let streams: Int

    package init(key: FarmKey, app: String, streams: Int) {
        self.key = key
        self.app = Array(app.utf8)
        self.streams = streams
    }

    package func encode(_ frontier: Frontier) -> Cursor {
        var bytes: [UInt8] = [Self.version]
        bytes.reserveCapacity(4 + frontier.positions.count * 21 + Self.signatureBytes + self.app.count)
        Self.append(UInt64(self.streams), to: &bytes)
        Self.append(UInt64(frontier.positions.count), to: &bytes)
        for position in frontier.positions {
            Self.append(UInt64(position.stream.index), to: &bytes)
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: position.epoch.rawValue >> UInt64(shift)))
            }
            Self.append(position.offset.rawValue, to: &bytes)
        }
        let signature = self.key.sign(bytes + self.app, purpose: Self.purpose, count: Self.signatureBytes)
        return Cursor(text: Base64URL.encode(bytes + signature))
    }

    /// Never fails: whatever is not a cursor of this app and farm is foreign.
    package func read(_ cursor: Cursor) -> Reading {
        guard cursor.text.utf8.count <= Self.longestText, let signed = Base64URL.decode(cursor.text),
            signed.count > Self.signatureBytes
        else { return .foreign }
        let bytes = Array(signed.dropLast(Self.signatureBytes))
        let signature = signed.suffix(Self.signatureBytes)
        guard self.key.isSignature(signature, of: bytes + self.app, purpose: Self.purpose) else { return .foreign }
        return self.parse(bytes)
    }

    /// Parses what lies before the signature; apart, so that it can be fed bytes that were never signed.
    package func parse(_ bytes: [UInt8]) -> Reading {
        var rest = bytes[...]
        guard rest.popFirst() == Self.version, let streams = Self.number(&rest), let count = Self.number(&rest) else {
            return .foreign
        }
        guard streams == UInt64(self.streams) else { return .otherStreamCount }
        guard count <= streams else { return .foreign }
        var positions: [Position] = []
        for _ in 0..<count {
            guard let stream = Self.number(&rest), stream < streams, rest.count >= 8 else { return .foreign }
            if let last = positions.last, UInt64(last.stream.index) >= stream { return .foreign }
            let epoch = rest.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            rest = rest.dropFirst(8)
            guard let offset = Self.number(&rest) else { return .foreign }
            positions.append(
                Position(
                    stream: StreamID(UInt16(truncatingIfNeeded: stream)), epoch: Epoch(epoch), offset: Offset(offset)
                )
            )
        }
        return rest.isEmpty ? .positions(positions) : .foreign
    }

    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    private static func number(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard let byte = bytes.popFirst() else { return nil }
            // Why: the tenth byte has room for one bit.
            guard shift < 63 || byte <= 1 else { return nil }
            number |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return byte == 0 && shift > 0 ? nil : number }
        }
        return nil
    }
}
