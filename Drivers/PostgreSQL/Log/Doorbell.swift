package import BusbarDriver
import NIOCore

/// A notification: that records were stored, and the records themselves if they are small.
///
///     stream epoch first last node incarnation sequence[ records]
///
/// Numbers are decimal; the last three are the key of the last record, as signed integers. `records` is base64 (with line breaks)
/// of each record's length in 4 bytes and its bytes.
package struct Doorbell: Hashable {
    package let stream: StreamID
    package let first: Offset
    package let last: SeenMark
    /// Nil when they are to be read from the log.
    package let records: [StoredRecord]?

    /// Nil for what is no bell of ours.
    package init?(_ text: String) {
        let fields = text.split(separator: " ", maxSplits: 7, omittingEmptySubsequences: false)
        guard fields.count >= 7, let stream = UInt16(fields[0]), let epoch = UInt64(fields[1]),
            let first = UInt64(fields[2]), let last = UInt64(fields[3]), 0 < first, first <= last,
            let node = Int64(fields[4]), let incarnation = Int64(fields[5]), let sequence = Int64(fields[6])
        else { return nil }
        self.stream = StreamID(stream)
        self.first = Offset(first)
        self.last = SeenMark(
            epoch: Epoch(epoch), offset: Offset(last), key: RecordKey(node, incarnation, sequence))
        guard fields.count == 8 else {
            self.records = nil
            return
        }
        guard var packed = Self.decodeBase64(fields[7]), packed.readableBytes > 0 else { return nil }
        var records: [StoredRecord] = []
        while packed.readableBytes > 0 {
            guard let bytes = packed.readLengthPrefixedSlice(as: UInt32.self) else { return nil }
            records.append(StoredRecord(offset: Offset(first + UInt64(records.count)), bytes: bytes))
        }
        guard UInt64(records.count) == last - first + 1 else { return nil }
        self.records = records
    }

    private static let digits: [UInt8] = {
        var table = [UInt8](repeating: 0xFF, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        for (value, digit) in alphabet.utf8.enumerated() { table[Int(digit)] = UInt8(value) }
        return table
    }()

    private static func decodeBase64(_ text: Substring) -> ByteBuffer? {
        var bytes = ByteBuffer()
        bytes.reserveCapacity(text.utf8.count / 4 * 3)
        var (bits, count, padding) = (UInt32(0), 0, 0)
        for character in text.utf8 where character != UInt8(ascii: "\n") {
            if character == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            let digit = Self.digits[Int(character)]
            guard digit != 0xFF, padding == 0 else { return nil }
            bits = bits << 6 | UInt32(digit)
            count += 1
            guard count == 4 else { continue }
            bytes.writeMultipleIntegers(
                UInt8(truncatingIfNeeded: bits >> 16), UInt8(truncatingIfNeeded: bits >> 8),
                UInt8(truncatingIfNeeded: bits))
            (bits, count) = (0, 0)
        }
        switch (count, padding) {
        case (0, 0): break
        case (2, 2): bytes.writeInteger(UInt8(truncatingIfNeeded: bits >> 4))
        case (3, 1): bytes.writeInteger(UInt16(truncatingIfNeeded: bits >> 2))
        default: return nil
        }
        return bytes
    }
}

extension RecordKey {
    /// As PostgreSQL holds it: it has no unsigned integers, so the same bits are signed there.
    init(_ node: Int64, _ incarnation: Int64, _ sequence: Int64) {
        self.init(
            node: UInt64(bitPattern: node), incarnation: UInt64(bitPattern: incarnation),
            sequence: UInt64(bitPattern: sequence))
    }
}
