import NIOCore

/// A point in time as MessagePack's extension of type -1 has it, in 4, 8 or 12 bytes.
struct PackedTimestamp: Equatable {
    static let extensionType: Int8 = -1

    let wholeSeconds: Int64
    let nanoseconds: UInt32

    /// Seconds since 1970.
    var seconds: Double { Double(self.wholeSeconds) + Double(self.nanoseconds) / 1_000_000_000 }

    /// The time nearest to `seconds` since 1970, to the millisecond. Nil if it is beyond what the years 1 to 9999 hold.
    init?(seconds: Double) {
        guard seconds.magnitude < 1e12 else { return nil }
        let milliseconds = Int64((seconds * 1_000).rounded())
        let (whole, rest) = milliseconds.quotientAndRemainder(dividingBy: 1_000)
        self.wholeSeconds = rest < 0 ? whole - 1 : whole
        self.nanoseconds = UInt32(rest < 0 ? rest + 1_000 : rest) * 1_000_000
    }

    /// Nil if the bytes are none of the three forms.
    init?(_ scanner: PackedScanner, _ range: Range<Int>) {
        switch range.count {
        case 4:
            self.wholeSeconds = Int64(scanner.integer(at: range.lowerBound, as: UInt32.self))
            self.nanoseconds = 0
        case 8:
            let both = scanner.integer(at: range.lowerBound, as: UInt64.self)
            self.wholeSeconds = Int64(both & 0x3_FFFF_FFFF)
            self.nanoseconds = UInt32(both >> 34)
        case 12:
            self.nanoseconds = scanner.integer(at: range.lowerBound, as: UInt32.self)
            self.wholeSeconds = scanner.integer(at: range.lowerBound + 4, as: Int64.self)
        default: return nil
        }
        guard self.nanoseconds < 1_000_000_000 else { return nil }
    }

    /// Writes the shortest of the three forms.
    func write(into buffer: inout ByteBuffer) {
        if self.nanoseconds == 0, let short = UInt32(exactly: self.wholeSeconds) {
            buffer.writeMultipleIntegers(0xD6 as UInt8, Self.extensionType, short)
        } else if self.wholeSeconds >= 0, self.wholeSeconds < 1 << 34 {
            let both = UInt64(self.nanoseconds) << 34 | UInt64(self.wholeSeconds)
            buffer.writeMultipleIntegers(0xD7 as UInt8, Self.extensionType, both)
        } else {
            buffer.writeMultipleIntegers(
                0xC7 as UInt8, 12 as UInt8, Self.extensionType, self.nanoseconds, self.wholeSeconds)
        }
    }
}
