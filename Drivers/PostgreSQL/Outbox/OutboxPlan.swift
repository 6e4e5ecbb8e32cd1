package import BusbarDriver
import NIOCore

/// Messages of an outbox as the records that they become: for each stream what moves in one transaction.
///
/// Messages come in the order in which they are to appear, and keep it within their stream.
package struct OutboxPlan {
    package struct Entry {
        package let id: Int64
        package let message: OutboxMessage

        package init(id: Int64, message: OutboxMessage) {
            self.id = id
            self.message = message
        }
    }

    package struct Move {
        package let stream: StreamID
        package let ids: [Int64]
        package let records: [Record]
    }

    package let moves: [Move]

    /// - Parameters:
    ///   - limitBytes: how large a record may become; a message that is larger alone has a record of its own.
    ///   - nextKey: called once per record, in order.
    package init(
        _ entries: [Entry], packer: any OutboxPacker, limitBytes: Int, nextKey: (StreamID) -> RecordKey
    ) {
        var byStream: [StreamID: [Entry]] = [:]
        for entry in entries { byStream[packer.stream(of: entry.message.topic), default: []].append(entry) }
        self.moves = byStream.keys.sorted().map { stream in
            let entries = byStream[stream] ?? []
            var records: [Record] = []
            var gathered: [OutboxMessage] = []
            var gatheredBytes = packer.overheadBytes
            func close() {
                guard !gathered.isEmpty else { return }
                let key = nextKey(stream)
                records.append(Record(key: key, bytes: packer.bytes(of: gathered, key: key)))
                gathered = []
                gatheredBytes = packer.overheadBytes
            }
            for entry in entries {
                let size = packer.byteCount(of: entry.message)
                if gatheredBytes + size > limitBytes || gathered.count == Self.messagesPerRecord { close() }
                gathered.append(entry.message)
                gatheredBytes += size
            }
            close()
            return Move(stream: stream, ids: entries.map(\.id), records: records)
        }
    }

    private static let messagesPerRecord = 1_024
}
