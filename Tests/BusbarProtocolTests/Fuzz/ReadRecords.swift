import BusbarProtocol
import NIOCore

/// The records that bytes hold which arrive in pieces, and the error that ended the reading.
struct ReadRecords: Equatable {
    private(set) var records: [[UInt8]] = []
    private(set) var error: ProtocolError?

    /// - Parameter next: takes the next whole record from the buffer's beginning.
    init(
        _ pieces: [[UInt8]],
        next: (inout ByteBuffer, inout RecordSplitter) throws(ProtocolError) -> ByteBuffer?
    ) {
        var buffer = ByteBuffer(), splitter = RecordSplitter()
        do throws(ProtocolError) {
            for piece in pieces {
                buffer.writeBytes(piece)
                while let record = try next(&buffer, &splitter) { self.records.append(Array(record.readableBytesView)) }
            }
        } catch {
            self.error = error
        }
    }
}
