import NIOCore

extension Batch {
    /// What every store relies on: at least one record, each of a fit size, all of one writer and in the order of its writes.
    /// - Throws: ``DriverError`` of an append, with ``DriverError/Recovery/giveUp``.
    package func check(largestRecordBytes: Int) throws(DriverError) {
        guard let first = self.records.first?.key else {
            throw DriverError(
                .rejected, during: "append", recovery: .giveUp, detail: "a batch holds at least one record")
        }
        var last: RecordKey?
        for record in self.records {
            guard (1...largestRecordBytes).contains(record.bytes.readableBytes) else {
                let detail = "a record has \(record.bytes.readableBytes) bytes; wanted: 1 to \(largestRecordBytes)"
                throw DriverError(.recordTooLarge, during: "append", recovery: .giveUp, detail: detail)
            }
            let isNext = last.map { $0.sequence < record.key.sequence } ?? true
            guard record.key.node == first.node, record.key.incarnation == first.incarnation, isNext else {
                let detail = "the records of a batch come from one writer, in the order of their sequences"
                throw DriverError(.rejected, during: "append", recovery: .giveUp, detail: detail)
            }
            last = record.key
        }
    }
}
