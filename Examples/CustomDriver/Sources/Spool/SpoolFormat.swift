import BusbarDriver
import NIOCore

/// How a stream lies in a file: a header, then a frame for each batch. A frame that isn't whole isn't there: so a writer
/// that was killed in the middle leaves nothing behind.
///
/// | bytes | header | frame |
/// |---|---|---|
/// | 4 | | its length without these four bytes |
/// | 8 | `busbar 1` | |
/// | 8 | epoch | |
/// | 8 | offset before the first record | |
/// | per record: 4 + 24 + n | | length n of its bytes, its key, its bytes |
enum SpoolFormat {
    static let magic: UInt64 = 0x6275_7362_6172_2031
    static let headerBytes = 24
    static let recordHeaderBytes = 28

    struct Header: Hashable {
        let epoch: Epoch
        let base: UInt64

        init(epoch: Epoch, base: UInt64) {
            self.epoch = epoch
            self.base = base
        }

        /// Nil unless these bytes are one.
        init?(_ bytes: ByteBuffer) {
            var bytes = bytes
            guard let (magic, epoch, base) = bytes.readMultipleIntegers(as: (UInt64, UInt64, UInt64).self),
                magic == SpoolFormat.magic
            else { return nil }
            (self.epoch, self.base) = (Epoch(epoch), base)
        }

        var encoded: ByteBuffer {
            var bytes = ByteBuffer()
            bytes.writeMultipleIntegers(SpoolFormat.magic, self.epoch.rawValue, self.base)
            return bytes
        }
    }

    /// Where a record's bytes lie in the file.
    struct Entry: Hashable {
        let key: RecordKey
        let start: UInt64
        let count: Int
        /// Where its frame begins: a log is cut there and nowhere else.
        let frame: UInt64
    }

    static func frame(_ records: some Collection<Record>) -> ByteBuffer {
        var body = ByteBuffer()
        for record in records {
            body.writeInteger(UInt32(record.bytes.readableBytes))
            body.writeMultipleIntegers(record.key.node, record.key.incarnation, record.key.sequence)
            body.writeImmutableBuffer(record.bytes)
        }
        var frame = ByteBuffer()
        frame.writeInteger(UInt32(body.readableBytes))
        frame.writeImmutableBuffer(body)
        return frame
    }

    /// The records of all whole frames in `bytes`, which lie in the file from `start` on, and how far those reach.
    static func entries(_ bytes: ByteBuffer, from start: UInt64) -> (entries: [Entry], end: UInt64) {
        var (rest, entries, end) = (bytes, [Entry](), start)
        while var body = rest.readLengthPrefixedSlice(as: UInt32.self) {
            let frame = end
            var at = frame + 4
            while let count = body.readInteger(as: UInt32.self),
                let (node, life, sequence) = body.readMultipleIntegers(as: (UInt64, UInt64, UInt64).self)
            {
                let key = RecordKey(node: node, incarnation: life, sequence: sequence)
                at += UInt64(Self.recordHeaderBytes)
                entries.append(Entry(key: key, start: at, count: Int(count), frame: frame))
                at += UInt64(count)
                body.moveReaderIndex(forwardBy: min(Int(count), body.readableBytes))
            }
            end = start + UInt64(rest.readerIndex - bytes.readerIndex)
        }
        return (entries, end)
    }
}
