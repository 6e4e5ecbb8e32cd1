/// What is published to and subscribed to: a name of 0 to 16 384 UTF-8 bytes.
///
/// Two topics are the same when their bytes are: `é` written as one scalar and as two are different topics, on every node.
public struct Topic: Hashable, Sendable, CustomStringConvertible {
    /// The longest name, in UTF-8 bytes.
    public static let largestNameBytes = 16 * 1024

    public let name: String

    public init(_ name: String) {
        var name = name
        name.makeContiguousUTF8()
        self.name = name
    }

    // Why: `String` compares by canonical equivalence, but bytes decide which stream a topic lies on and what other nodes see.
    public static func == (left: Self, right: Self) -> Bool {
        left.name.utf8.elementsEqual(right.name.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        let hashed: Void? = self.name.utf8.withContiguousStorageIfAvailable { bytes in
            hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
        }
        if hashed == nil {
            for byte in self.name.utf8 { hasher.combine(byte) }
        }
    }

    public var description: String { self.name }

    /// FNV-1a, 64 bits, over the name's UTF-8 bytes: the same on every node, in every release.
    package var stableHash: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in self.name.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
        }
        return hash
    }

    /// Which of `count` streams carries this topic.
    package func streamIndex(of count: Int) -> Int {
        count == 1 ? 0 : Int(self.stableHash % UInt64(count))
    }
}
