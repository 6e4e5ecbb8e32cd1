import NIOCore

/// One life of a node: which process it is, and how often that has come back.
package struct NodeID: Hashable, Sendable, CustomStringConvertible {
    /// Random, chosen when the process starts.
    package let process: UInt64
    /// 1 at the start, and one more each time the process comes back from a pause in which others may have given it up.
    package let incarnation: UInt32

    package init(process: UInt64, incarnation: UInt32 = 1) {
        self.process = process
        self.incarnation = incarnation
    }

    package static func generate() -> Self {
        Self(process: UInt64.random(in: 1...UInt64.max))
    }

    /// The same process after a pause.
    package var next: Self { Self(process: self.process, incarnation: self.incarnation &+ 1) }

    package var tag: NodeTag { NodeTag(bits: UInt32(truncatingIfNeeded: self.process)) }

    package var description: String { "\(String(self.process, radix: 36))/\(self.incarnation)" }
}

/// What the ids of connections say of the node that issued them: 32 bits of its identity.
///
/// Ids of either generation carry it in front: 22 characters of base64 that stand for 16 bytes, or a UUID.
package struct NodeTag: Hashable, Sendable {
    package let bits: UInt32

    package init(bits: UInt32) {
        self.bits = bits
    }

    /// The first four bytes of an id; nil if it has neither form. An id that was made without a tag has a random one.
    package init?(connectionID id: String) {
        switch id.utf8.count {
        case 22:
            guard let bytes = Base64URL.decode(id), bytes.count == 16 else { return nil }
            self.bits = bytes[..<4].reduce(0) { $0 << 8 | UInt32($1) }
        case 36:
            guard let bits = UInt32(id.prefix(8), radix: 16) else { return nil }
            self.bits = bits
        default:
            return nil
        }
    }

    package var bytes: [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: self.bits >> $0) } }
}
