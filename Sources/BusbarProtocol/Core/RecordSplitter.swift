package import NIOCore

/// Cuts a stream of bytes into records that end with the byte 0x1E.
///
/// One splitter serves one buffer, to which new bytes are only appended. It remembers how far it has looked, so a
/// record that arrives byte by byte costs no more than one that arrives whole.
package struct RecordSplitter: Sendable {
    /// The byte that ends every record.
    package static let separator: UInt8 = 0x1E

    private var searchedBytes = 0

    package init() {}

    /// Takes the next complete record out of `buffer`, without its separator; nil when more bytes are needed.
    ///
    /// The record shares the storage of `buffer`.
    /// - Parameter limitBytes: longest record allowed, separator included; nil for no limit.
    /// - Throws: ``ProtocolError`` `limitExceeded` for a longer record, as soon as more than the limit is buffered.
    package mutating func nextRecord(
        from buffer: inout ByteBuffer,
        limitBytes: Int?
    ) throws(ProtocolError) -> ByteBuffer? {
        let limit = limitBytes ?? Int.max
        let searched = min(self.searchedBytes, buffer.readableBytes)
        let length = buffer.withUnsafeReadableBytes { $0[searched...].firstIndex(of: Self.separator) }
        guard let length else {
            self.searchedBytes = buffer.readableBytes
            guard buffer.readableBytes <= limit else { throw Self.tooLong(limit) }
            return nil
        }
        guard length < limit else { throw Self.tooLong(limit) }
        self.searchedBytes = 0
        let record = buffer.readSlice(length: length)
        buffer.moveReaderIndex(forwardBy: 1)
        return record
    }

    private static func tooLong(_ limit: Int) -> ProtocolError {
        ProtocolError(.limitExceeded, "a message is longer than \(limit) bytes")
    }
}
