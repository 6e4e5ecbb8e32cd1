package import BusbarDriver
import NIOCore

/// That records were stored, and the records themselves unless there are too many bytes of them.
package struct Doorbell: Hashable {
    package let stream: StreamID
    package let first: Offset
    package let last: SeenMark
    /// Nil when they are to be read from the log.
    package let records: [StoredRecord]?
}

/// Makes bells of notifications. One of these holds a few thousand bytes, so that a batch may take several; those of one
/// transaction come in a row.
///
///     stream epoch first last node incarnation sequence[ part/parts records]
///
/// Numbers are decimal; the last three of the first seven are the key of the last record, as signed integers. `records` is base64
/// (with line breaks) of a part of this: each record's length in 4 bytes and its bytes.
package struct BellReader {
    private struct Begun {
        let head: Substring
        let parts: Int
        var next = 1
        var packed = ByteBuffer()
    }

    /// Why a bound: whoever may notify may claim any number of parts.
    private static let mostParts = 16

    private var begun: Begun?

    package init() {}

    /// - Returns: a bell once it is whole; nil before, and for what is no bell of ours.
    package mutating func read(_ text: String) -> Doorbell? {
        let begun = self.begun
        self.begun = nil
        let fields = text.split(separator: " ", maxSplits: 8, omittingEmptySubsequences: false)
        guard fields.count == 9 else { return fields.count == 7 ? Self.bell(fields, nil) : nil }
        let place = fields[7].split(separator: "/", omittingEmptySubsequences: false)
        guard place.count == 2, let part = Int(place[0]), let parts = Int(place[1]), 1...Self.mostParts ~= parts,
            1...parts ~= part, let bytes = Self.decodeBase64(fields[8])
        else { return nil }
        let head = text[..<fields[6].endIndex]
        var now = part == 1 ? Begun(head: head, parts: parts) : begun
        guard now?.head == head, now?.parts == parts, now?.next == part else {
            // The beginning was missed: the log has it all.
            return part == parts ? Self.bell(fields, nil) : nil
        }
        now?.packed.writeImmutableBuffer(bytes)
        now?.next += 1
        guard part == parts else {
            self.begun = now
            return nil
        }
        return Self.bell(fields, now?.packed)
    }

    private static func bell(_ fields: [Substring], _ packed: ByteBuffer?) -> Doorbell? {
        guard let stream = UInt16(fields[0]), let epoch = UInt64(fields[1]),
            let first = UInt64(fields[2]), let last = UInt64(fields[3]), 0 < first, first <= last,
            // Why: offsets are PostgreSQL's bigint, and anybody may notify.
            last <= UInt64(Int64.max),
            let node = Int64(fields[4]), let incarnation = Int64(fields[5]), let sequence = Int64(fields[6])
        else { return nil }
        let mark = SeenMark(epoch: Epoch(epoch), offset: Offset(last), key: RecordKey(node, incarnation, sequence))
        var records: [StoredRecord]?
        if var packed {
            var unpacked: [StoredRecord] = []
            while packed.readableBytes > 0 {
                guard let bytes = packed.readLengthPrefixedSlice(as: UInt32.self) else { return nil }
                unpacked.append(StoredRecord(offset: Offset(first + UInt64(unpacked.count)), bytes: bytes))
            }
            guard UInt64(unpacked.count) == last - first + 1 else { return nil }
            records = unpacked
        }
        return Doorbell(stream: StreamID(stream), first: Offset(first), last: mark, records: records)
    }

    private static let digits: [UInt8] = {
        var table = [UInt8](repeating: 0xFF, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        for (value, digit) in alphabet.utf8.enumerated() { table[Int(digit)] = UInt8(value) }
        return table
    }()

    private static func decodeBase64(_ text: Substring) -> ByteBuffer? {
        var text = text
        return text.withUTF8 { characters in
            var bytes = ByteBuffer()
            var isFit = false
            bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: characters.count / 4 * 3 + 3) { room in
                let count = Self.digits.withUnsafeBufferPointer { Self.decode(characters, by: $0, into: room) }
                isFit = count != nil
                return count ?? 0
            }
            return isFit ? bytes : nil
        }
    }

    /// - Parameter room: has three bytes for each four characters, and three more.
    /// - Returns: how many bytes it wrote; nil if that is no base64.
    private static func decode(
        _ characters: UnsafeBufferPointer<UInt8>, by digits: UnsafeBufferPointer<UInt8>,
        into room: UnsafeMutableRawBufferPointer
    ) -> Int? {
        var (bits, count, padding, written) = (UInt32(0), 0, 0, 0)
        for character in characters where character != UInt8(ascii: "\n") {
            if character == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            let digit = digits[Int(character)]
            guard digit != 0xFF, padding == 0 else { return nil }
            bits = bits << 6 | UInt32(digit)
            count += 1
            guard count == 4 else { continue }
            room[written] = UInt8(truncatingIfNeeded: bits >> 16)
            room[written + 1] = UInt8(truncatingIfNeeded: bits >> 8)
            room[written + 2] = UInt8(truncatingIfNeeded: bits)
            written += 3
            (bits, count) = (0, 0)
        }
        switch (count, padding) {
        case (0, 0):
            return written
        case (2, 2):
            room[written] = UInt8(truncatingIfNeeded: bits >> 4)
            return written + 1
        case (3, 1):
            room[written] = UInt8(truncatingIfNeeded: bits >> 10)
            room[written + 1] = UInt8(truncatingIfNeeded: bits >> 2)
            return written + 2
        default:
            return nil
        }
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
