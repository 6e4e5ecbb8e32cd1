package import BusbarDriver
package import NIOCore

/// One call of a script, without the word that says which: it can be sent by digest, and again with the script's text.
package struct ScriptCall: Hashable, Sendable {
    package let script: LogScript
    /// What follows the digest or the text: number of keys, keys, arguments.
    package let arguments: CommandArguments

    package func command(digest: String) -> ByteBuffer { self.arguments.command("EVALSHA", digest) }

    /// The same call with the whole text, which Redis then knows again.
    package func commandWithText() -> ByteBuffer { self.arguments.command("EVAL", self.script.text) }

    /// - Parameter second: the writer's time in whole seconds since 1970, for forgetting writers; need not be exact.
    package static func append(
        _ batch: Batch, to names: StreamNames, retaining limits: LogLimits, second: UInt64
    ) -> Self {
        var arguments = CommandArguments("2", names.log, names.head, names.channel)
        arguments.reserve(batch.records.reduce(256) { $0 + $1.bytes.readableBytes + 48 })
        arguments.append(batch.highWater?.epoch.rawValue ?? 0)
        arguments.append(batch.highWater?.offset.rawValue ?? 0)
        arguments.append(Self.writer(of: batch.records[0].key))
        arguments.append(second)
        arguments.append(String(limits.records))
        arguments.append(String(limits.segmentBytes))
        for record in batch.records { arguments.append(ByteBuffer(recordKey: record.key), record.bytes) }
        return Self(script: .append, arguments: arguments)
    }

    package static func attach(to names: StreamNames, seen: SeenMark?, forgettingWritersBefore second: UInt64) -> Self {
        var arguments = CommandArguments("2", names.log, names.head)
        arguments.append(seen?.epoch ?? 0)
        arguments.append(seen?.offset ?? 0)
        arguments.append(seen?.key ?? ByteBuffer())
        arguments.append(second)
        return Self(script: .attach, arguments: arguments)
    }

    package static func read(_ names: StreamNames, after offset: Offset, limitBytes: Int) -> Self {
        var arguments = CommandArguments("2", names.log, names.head)
        arguments.append(offset.rawValue)
        arguments.append(String(limitBytes))
        return Self(script: .read, arguments: arguments)
    }

    private static func writer(of key: RecordKey) -> String {
        "w" + String(key.node, radix: 16) + "." + String(key.incarnation, radix: 16)
    }
}

/// How much of a stream's log is retained.
package struct LogLimits: Hashable, Sendable {
    package let records: Int
    /// A sixteenth of the bytes to retain.
    package let segmentBytes: Int

    package init(_ configuration: RedisConfiguration) {
        self.records = configuration.retainedRecords
        self.segmentBytes = max(1, configuration.retainedBytes / 16)
    }
}

/// The newest record of a stream that this driver has seen: by it a log is recognised as the same one, and not one that
/// lost its end and grew another.
package struct SeenMark: Hashable, Sendable {
    package private(set) var epoch: UInt64
    package private(set) var offset: UInt64
    /// The record's key in its 24 bytes; empty when unknown.
    package private(set) var key: ByteBuffer

    package init(epoch: Epoch, offset: Offset, key: ByteBuffer = ByteBuffer()) {
        self.epoch = epoch.rawValue
        self.offset = offset.rawValue
        self.key = key
    }

    /// Moves on to `other` if that is newer.
    package mutating func advance(to other: Self) {
        // Why by number: epochs grow, so a larger one is a later life.
        if (other.epoch, other.offset) > (self.epoch, self.offset) { self = other }
    }
}

extension ByteBuffer {
    package static let recordKeyBytes = 24

    package init(recordKey key: RecordKey) {
        self.init()
        self.reserveCapacity(Self.recordKeyBytes)
        self.writeMultipleIntegers(key.node, key.incarnation, key.sequence)
    }
}
