import NIOCore

extension ByteBuffer {
    mutating func writePackedNil() { self.writeInteger(0xC0 as UInt8) }

    mutating func writePackedBool(_ value: Bool) { self.writeInteger(value ? 0xC3 : 0xC2 as UInt8) }

    /// Appends a whole number in as few bytes as it takes.
    mutating func writePackedInteger(_ value: Int64) {
        switch value {
        case 0...: self.writePackedInteger(UInt64(value))
        case -32..<0: self.writeInteger(Int8(value))
        case Int64(Int8.min)...: self.writeMultipleIntegers(0xD0 as UInt8, Int8(value))
        case Int64(Int16.min)...: self.writeMultipleIntegers(0xD1 as UInt8, Int16(value))
        case Int64(Int32.min)...: self.writeMultipleIntegers(0xD2 as UInt8, Int32(value))
        default: self.writeMultipleIntegers(0xD3 as UInt8, value)
        }
    }

    /// Appends a whole number in as few bytes as it takes.
    mutating func writePackedInteger(_ value: UInt64) {
        switch value {
        case 0...0x7F: self.writeInteger(UInt8(value))
        case ...0xFF: self.writeMultipleIntegers(0xCC as UInt8, UInt8(value))
        case ...0xFFFF: self.writeMultipleIntegers(0xCD as UInt8, UInt16(value))
        case ...0xFFFF_FFFF: self.writeMultipleIntegers(0xCE as UInt8, UInt32(value))
        default: self.writeMultipleIntegers(0xCF as UInt8, value)
        }
    }

    mutating func writePackedDouble(_ value: Double) {
        self.writeMultipleIntegers(0xCB as UInt8, value.bitPattern)
    }

    mutating func writePackedString(_ text: String) {
        var text = text
        text.withUTF8 { self.writePackedString(utf8: UnsafeRawBufferPointer($0)) }
    }

    /// Appends valid UTF-8 as a string.
    mutating func writePackedString(utf8 text: UnsafeRawBufferPointer) {
        switch text.count {
        case ...31: self.writeInteger(0xA0 | UInt8(text.count))
        case ...0xFF: self.writeMultipleIntegers(0xD9 as UInt8, UInt8(text.count))
        case ...0xFFFF: self.writeMultipleIntegers(0xDA as UInt8, UInt16(text.count))
        default: self.writeMultipleIntegers(0xDB as UInt8, UInt32(clamping: text.count))
        }
        self.writeBytes(text)
    }

    mutating func writePackedBytes(_ bytes: some Collection<UInt8>) {
        switch bytes.count {
        case ...0xFF: self.writeMultipleIntegers(0xC4 as UInt8, UInt8(bytes.count))
        case ...0xFFFF: self.writeMultipleIntegers(0xC5 as UInt8, UInt16(bytes.count))
        default: self.writeMultipleIntegers(0xC6 as UInt8, UInt32(clamping: bytes.count))
        }
        self.writeBytes(bytes)
    }

    mutating func writePackedArrayHead(_ count: Int) {
        self.insertPackedHead(count, .array, at: self.writerIndex)
    }

    mutating func writePackedMapHead(_ count: Int) {
        self.insertPackedHead(count, .map, at: self.writerIndex)
    }

    /// What stands before the values of a container: one byte for up to 15, else a code and the number.
    enum PackedContainer {
        case array, map

        fileprivate var short: UInt8 { self == .array ? 0x90 : 0x80 }
        fileprivate var medium: UInt8 { self == .array ? 0xDC : 0xDE }
        fileprivate var long: UInt8 { self == .array ? 0xDD : 0xDF }
    }

    /// Puts the head of a container in front of its values, which were written from `start` on.
    mutating func insertPackedHead(_ count: Int, _ container: PackedContainer, at start: Int) {
        switch count {
        case ...15:
            self.openGap(1, at: start)
            self.setInteger(container.short | UInt8(count), at: start)
        case ...0xFFFF:
            self.openGap(3, at: start)
            self.setInteger(container.medium, at: start)
            self.setInteger(UInt16(count), at: start + 1)
        default:
            self.openGap(5, at: start)
            self.setInteger(container.long, at: start)
            self.setInteger(UInt32(clamping: count), at: start + 1)
        }
    }

    /// Moves what stands from `start` on `count` bytes up. What the gap holds is to be set.
    mutating func openGap(_ count: Int, at start: Int) {
        let moved = self.writerIndex - start
        let base = start - self.readerIndex
        self.writeRepeatingByte(0, count: count)
        self.withUnsafeMutableReadableBytes { raw in
            UnsafeMutableRawBufferPointer(rebasing: raw[(base + count)...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[base..<(base + moved)]))
        }
    }
}
