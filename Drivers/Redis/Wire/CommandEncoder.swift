package import NIOCore

/// The arguments of a command, encoded as Redis reads them, before it is known what precedes them.
///
/// Why not `redisFormatCommandArgv`: it wants all arguments as C strings and copies them into memory of its own; a
/// record would be copied twice more.
package struct CommandArguments: Hashable, Sendable {
    private(set) var count = 0
    private(set) var bytes = ByteBuffer()

    package init() {}

    package init(_ texts: String...) {
        for text in texts { self.append(text) }
    }

    package mutating func reserve(_ byteCount: Int) {
        self.bytes.reserveCapacity(minimumWritableBytes: byteCount)
    }

    package mutating func append(_ text: String) {
        self.beginArgument(byteCount: text.utf8.count)
        self.bytes.writeString(text)
        self.bytes.writeStaticString("\r\n")
    }

    package mutating func append(_ number: UInt64) {
        self.append(String(number))
    }

    /// One argument made of `head` and, behind it, `tail`.
    package mutating func append(_ head: ByteBuffer, _ tail: ByteBuffer = ByteBuffer()) {
        self.beginArgument(byteCount: head.readableBytes + tail.readableBytes)
        self.bytes.writeImmutableBuffer(head)
        self.bytes.writeImmutableBuffer(tail)
        self.bytes.writeStaticString("\r\n")
    }

    /// The whole command: `words`, then these arguments.
    package func command(_ words: String...) -> ByteBuffer {
        var command = ByteBuffer()
        command.reserveCapacity(self.bytes.readableBytes + words.reduce(32) { $0 + $1.utf8.count + 16 })
        command.writeStaticString("*")
        command.writeString(String(self.count + words.count))
        command.writeStaticString("\r\n")
        for word in words {
            command.writeStaticString("$")
            command.writeString(String(word.utf8.count))
            command.writeStaticString("\r\n")
            command.writeString(word)
            command.writeStaticString("\r\n")
        }
        command.writeImmutableBuffer(self.bytes)
        return command
    }

    private mutating func beginArgument(byteCount: Int) {
        self.count += 1
        self.bytes.writeStaticString("$")
        self.bytes.writeString(String(byteCount))
        self.bytes.writeStaticString("\r\n")
    }
}
