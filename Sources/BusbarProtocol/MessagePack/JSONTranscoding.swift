import FoundationEssentials
import NIOCore

/// JSON text as MessagePack: whole numbers as integers of the fewest bytes, other numbers as 64-bit floating point, text
/// as text. Where a mark says so, base64 becomes bytes, a date a timestamp, and a decimal number its text.
///
/// Text is valid JSON by the type that holds it; what could not be read would be nil.
extension ByteBuffer {
    /// Appends one value.
    mutating func writePacked(_ text: JSONValueText) {
        self.writePacked(text.bytes, marks: text.marks)
    }

    /// Appends arguments as an array.
    mutating func writePacked(_ arguments: ArgumentList) {
        self.writePacked(arguments.bytes, marks: arguments.marks)
    }

    private mutating func writePacked(_ json: ByteBuffer, marks: [JSONMark]) {
        let start = self.writerIndex
        do throws(JSONCodingError) {
            try json.withUnsafeReadableBytes { raw throws(JSONCodingError) in
                var transcoder = JSONTranscoder(marks: marks)
                var scanner = JSONScanner(raw)
                try transcoder.value(&scanner, into: &self)
            }
        } catch {
            self.moveWriterIndex(to: start)
            self.writePackedNil()
        }
    }
}

private struct JSONTranscoder {
    private let marks: [JSONMark]
    private var nextMark = 0

    init(marks: [JSONMark]) { self.marks = marks }

    mutating func value(_ scanner: inout JSONScanner, into out: inout ByteBuffer) throws(JSONCodingError) {
        switch scanner.peek() {
        case UInt8(ascii: "{"): try self.object(&scanner, into: &out)
        case UInt8(ascii: "["): try self.array(&scanner, into: &out)
        case UInt8(ascii: "\""): try self.string(&scanner, into: &out)
        case UInt8(ascii: "t"), UInt8(ascii: "f"): out.writePackedBool(try scanner.readBool(.strict))
        case UInt8(ascii: "n"):
            _ = try scanner.takeNull()
            out.writePackedNil()
        default: try self.number(&scanner, into: &out)
        }
    }

    private mutating func object(_ scanner: inout JSONScanner, into out: inout ByteBuffer) throws(JSONCodingError) {
        let start = out.writerIndex
        var count = 0
        try scanner.scanObject { scanner, name throws(JSONCodingError) in
            out.writePackedString(scanner, name)
            try self.value(&scanner, into: &out)
            count += 1
        }
        out.insertPackedHead(count, .map, at: start)
    }

    private mutating func array(_ scanner: inout JSONScanner, into out: inout ByteBuffer) throws(JSONCodingError) {
        let start = out.writerIndex
        var count = 0
        try scanner.scanArray { scanner throws(JSONCodingError) in
            try self.value(&scanner, into: &out)
            count += 1
        }
        out.insertPackedHead(count, .array, at: start)
    }

    private mutating func string(_ scanner: inout JSONScanner, into out: inout ByteBuffer) throws(JSONCodingError) {
        let mark = self.mark(at: scanner.offset)
        let found = try scanner.scanString()
        switch mark {
        case .bytes:
            if let bytes = Data(base64Encoded: scanner.string(found)) { return out.writePackedBytes(bytes) }
        case .date:
            let seconds = JSONScanner.seconds(Array(scanner.string(found).utf8))
            if let time = seconds.flatMap(PackedTimestamp.init(seconds:)) { return time.write(into: &out) }
        case .decimal, nil: break
        }
        out.writePackedString(scanner, found)
    }

    private mutating func number(_ scanner: inout JSONScanner, into out: inout ByteBuffer) throws(JSONCodingError) {
        let mark = self.mark(at: scanner.offset)
        let found = try scanner.scanNumber()
        if mark == .decimal {
            out.writePackedString(scanner.text(found.range))
        } else if found.isInteger, let value = scanner.integer(found, as: Int64.self) {
            out.writePackedInteger(value)
        } else if found.isInteger, let value = scanner.integer(found, as: UInt64.self) {
            out.writePackedInteger(value)
        } else {
            // Why infinite: a text of ours never says more than a double holds.
            out.writePackedDouble(scanner.double(found) ?? .infinity)
        }
    }

    private mutating func mark(at offset: Int) -> JSONMark.Kind? {
        while self.nextMark < self.marks.count, self.marks[self.nextMark].offset < offset { self.nextMark += 1 }
        guard self.nextMark < self.marks.count, self.marks[self.nextMark].offset == offset else { return nil }
        return self.marks[self.nextMark].kind
    }
}

extension ByteBuffer {
    /// Appends a string that a scanner of JSON found.
    fileprivate mutating func writePackedString(_ scanner: JSONScanner, _ found: JSONStringRange) {
        if found.hasEscapes {
            self.writePackedString(scanner.string(found))
        } else {
            self.writePackedString(utf8: UnsafeRawBufferPointer(rebasing: scanner.bytes[found.range]))
        }
    }
}
