import CLibPQ
import NIOCore

/// What a statement answered: rows of binary values. Values are copied out as they are asked for.
final class Rows {
    private let result: OpaquePointer

    /// Takes over a result of libpq.
    init(_ result: OpaquePointer) {
        self.result = result
    }

    deinit {
        PQclear(self.result)
    }

    var count: Int { Int(PQntuples(self.result)) }

    /// Nil for null, and for what is no integer or boolean.
    func integer(_ row: Int, _ column: Int) -> Int64? {
        guard var bytes = self.bytes(row, column) else { return nil }
        switch bytes.readableBytes {
        case 1: return bytes.readInteger(as: Int8.self).map(Int64.init)
        case 4: return bytes.readInteger(as: Int32.self).map(Int64.init)
        case 8: return bytes.readInteger(as: Int64.self)
        default: return nil
        }
    }

    /// The same of a number that never is negative in our tables.
    func unsigned(_ row: Int, _ column: Int) -> UInt64? {
        self.integer(row, column).flatMap { UInt64(exactly: $0) }
    }

    func boolean(_ row: Int, _ column: Int) -> Bool? {
        self.integer(row, column).map { $0 != 0 }
    }

    func text(_ row: Int, _ column: Int) -> String? {
        self.bytes(row, column).map { String(buffer: $0) }
    }

    func bytes(_ row: Int, _ column: Int) -> ByteBuffer? {
        guard row < self.count, column < Int(PQnfields(self.result)) else { return nil }
        let (row, column) = (CInt(row), CInt(column))
        guard PQgetisnull(self.result, row, column) == 0, let value = PQgetvalue(self.result, row, column) else {
            return nil
        }
        return ByteBuffer(
            bytes: UnsafeRawBufferPointer(start: value, count: Int(PQgetlength(self.result, row, column))))
    }
}
