package import BusbarDriver
package import NIOCore

/// A message as it lies in a stream queue.
package struct LogEntry: Hashable {
    package enum Content: Hashable {
        /// Proposes an epoch. The one at place 0 gives the log its epoch; later ones came too late and mean nothing.
        case proposal(Epoch)
        case batch(Epoch, [ByteBuffer])
        /// Nothing of ours: passed over.
        case foreign
    }

    /// Who published a message, as which of its messages: how a node knows its own when they come back.
    package struct Mark: Hashable, Sendable {
        package let driver: UInt64
        package let number: UInt64

        package init(driver: UInt64, number: UInt64) {
            self.driver = driver
            self.number = number
        }
    }

    package static let proposalType = "busbar.epoch"
    package static let batchType = "busbar.batch"

    package let place: UInt64
    package let content: Content
    package let mark: Mark?

    package init(place: UInt64, content: Content, mark: Mark? = nil) {
        self.place = place
        self.content = content
        self.mark = mark
    }

    /// Sorts what a broker delivered. Never fails: what can't be understood is foreign.
    package init?(_ delivery: AMQPDelivery, of stream: StreamID) {
        guard let place = delivery.streamOffset, place <= RecordPlace.largest else { return nil }
        self.place = place
        self.mark = delivery.mark
        let epoch = LogNames.epoch(inKey: delivery.routingKey.readableBytesView, of: stream)
        switch (delivery.kind, epoch) {
        case (.proposal, let epoch?):
            self.content = .proposal(epoch)
        case (.batch, let epoch?) where place > 0:
            self.content = BatchBody.decode(delivery.body).map { .batch(epoch, $0) } ?? .foreign
        case (.proposal, nil), (.batch, _), (.other, _):
            self.content = .foreign
        }
    }

    package var isBatch: Bool { if case .batch = self.content { true } else { false } }

    /// The records of a batch, with their offsets.
    package var records: [StoredRecord] {
        guard case .batch(_, let records) = self.content else { return [] }
        return records.enumerated().map { index, bytes in
            StoredRecord(offset: RecordPlace.offset(of: index, in: records.count, at: self.place), bytes: bytes)
        }
    }
}
