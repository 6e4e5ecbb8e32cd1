import BusbarProtocol
import FoundationEssentials
import NIOCore
import Testing

@Suite("MessagePack values")
struct PackedValueTests {
    private func read<Value: Decodable>(_ hex: String, as type: Value.Type = Value.self) throws -> Value {
        try PackedValue(validating: ByteBuffer(hex: hex)).decode(type)
    }

    @Test(
        "core 1.14: a whole number is read from any width, with or without a sign, and from floating point",
        arguments: [
            ("2a", 42), ("cc 2a", 42), ("cd 00 2a", 42), ("ce 00 00 00 2a", 42), ("cf 00 00 00 00 00 00 00 2a", 42),
            ("d0 2a", 42), ("d1 00 2a", 42), ("d2 00 00 00 2a", 42), ("d3 00 00 00 00 00 00 00 2a", 42),
            ("ff", -1), ("e0", -32), ("d0 80", -128), ("d1 80 00", -32_768), ("d2 80 00 00 00", -2_147_483_648),
            ("d3 80 00 00 00 00 00 00 00", .min), ("cf 7f ff ff ff ff ff ff ff", .max),
            ("ca 42 28 00 00", 42), ("cb 40 45 00 00 00 00 00 00", 42),
        ] as [(String, Int)])
    func integers(hex: String, value: Int) throws {
        #expect(try self.read(hex) == value)
        #expect(try self.read(hex, as: Double.self) == Double(value))
        #expect(try self.read(hex, as: Double?.self) == Double(value))
        #expect(try self.read("91 " + hex, as: [Int].self) == [value])
        #expect(try self.read("91 " + hex, as: [Int64?].self) == [Int64(value)])
    }

    @Test("numbers that the type can't hold are refused, those that only a double holds are doubles")
    func outOfRange() throws {
        #expect(try self.read("cf ff ff ff ff ff ff ff ff") == UInt64.max)
        for hex in ["cf ff ff ff ff ff ff ff ff", "cb 3f f8 00 00 00 00 00 00", "cb 7f f8 00 00 00 00 00 00"] {
            let error = #expect(throws: JSONCodingError.self) { try self.read(hex, as: Int.self) }
            #expect(error?.code == .outOfRange)
        }
        #expect(throws: JSONCodingError.self) { try self.read("ff", as: UInt8.self) }
        #expect(try self.read("cb 3f f8 00 00 00 00 00 00") == 1.5)
        #expect(try self.read("ca 3f c0 00 00") == Float(1.5))
        #expect(try self.read("cb 7f f8 00 00 00 00 00 00", as: Double.self).isNaN)
        #expect(try self.read("cb ff f0 00 00 00 00 00 00") == -Double.infinity)
    }

    @Test("texts, booleans, nothing and bytes")
    func scalars() throws {
        #expect(try self.read("a0") == "")
        #expect(try self.read("a4 c3 bc 68 69") == "ühi")
        #expect(try self.read("d9 02 68 69") == "hi")
        #expect(try self.read("da 00 02 68 69") == "hi")
        #expect(try self.read("db 00 00 00 02 68 69") == "hi")
        #expect(try self.read("c3") == true)
        #expect(try self.read("c2") == false)
        #expect(try self.read("c0", as: String?.self) == nil)
        #expect(try self.read("c0", as: Int?.self) == nil)
        #expect(try self.read("c4 03 01 02 03") == Data([1, 2, 3]))
        #expect(try self.read("c5 00 03 01 02 03") == [1, 2, 3] as [UInt8])
        #expect(try self.read("c6 00 00 00 01 ff") == Data([255]))
        #expect(try self.read("a4 41 51 49 44") == Data([1, 2, 3]), "base64, as those write who know JSON only")
        let id = try #require(UUID(uuidString: "00112233-4455-6677-8899-AABBCCDDEEFF"))
        #expect(try self.read("c4 10 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff") == id)
        #expect(try self.read("a4 31 2e 31 30", as: Decimal.self) == Decimal(string: "1.10"))
        #expect(try self.read("cb 3f b9 99 99 99 99 99 9a", as: Decimal.self) == Decimal(string: "0.1"))
    }

    @Test("a date is a timestamp of 4, 8 or 12 bytes, or a text")
    func dates() throws {
        #expect(try self.read("d6 ff 00 00 00 01") == Date(timeIntervalSince1970: 1))
        #expect(try self.read("d7 ff 77 35 94 00 00 00 00 01") == Date(timeIntervalSince1970: 1.5))
        #expect(try self.read("c7 0c ff 1d cd 65 00 ff ff ff ff ff ff ff ff") == Date(timeIntervalSince1970: -0.5))
        #expect(
            try self.read("b4 31 39 37 30 2d 30 31 2d 30 31 54 30 30 3a 30 30 3a 30 31 5a")
                == Date(timeIntervalSince1970: 1))
        for hex in ["d6 01 00 00 00 01", "d5 ff 00 01", "d7 ff ee 6b 28 00 00 00 00 01", "01", "a1 78"] {
            #expect(throws: JSONCodingError.self) { try self.read(hex, as: Date.self) }
        }
    }

    private struct Line: Codable, Equatable {
        struct Inner: Codable, Equatable { var at: Date? }

        var text: String
        var count: Int?
        var tags: [String]
        var inner: Inner
    }

    @Test("objects are maps, their members found by name in any order and ASCII case, others ignored")
    func objects() throws {
        let line = Line(text: "hi", count: nil, tags: ["a"], inner: Line.Inner(at: Date(timeIntervalSince1970: 1)))
        let hex =
            "85 a5 69 6e 6e 65 72 81 a2 61 74 d6 ff 00 00 00 01 c0 07 a4 54 45 58 54 a2 68 69"
            + " a4 74 61 67 73 91 a1 61 a1 78 81 07 90"
        #expect(try self.read(hex) == line)
        #expect(try self.read("82 01 a1 61 02 a1 62") == [1: "a", 2: "b"])
        #expect(try self.read("82 a1 61 01 a1 62 02") == ["a": 1, "b": 2])
        #expect(throws: JSONCodingError.self) { try self.read("80", as: Line.self) }
        #expect(throws: JSONCodingError.self) { try self.read("90", as: Line.self) }
    }

    @Test("an object with many members is read as one with few")
    func largeObject() throws {
        var bytes: [UInt8] = [0xDE, 0, 100]
        for number in 0..<100 as Range<UInt8> {
            bytes += [0xA3] + Array("k\(number / 10)\(number % 10)".utf8) + [number]
        }
        let read: [String: Int] = try PackedValue(validating: ByteBuffer(bytes: bytes)).decode()
        #expect(read.count == 100)
        #expect(read["k42"] == 42)
    }

    @Test("any value is JSON: bytes as base64, a timestamp as its text, numbers as keys as their digits")
    func nodes() throws {
        let node: JSONNode = [
            "a": [nil, true, 1, -1, 1.5, "x"], "7": "AQID", "t": "1970-01-01T00:00:01Z",
            "big": 18_446_744_073_709_551_615.0,
        ]
        let hex =
            "84 a1 61 96 c0 c3 01 ff cb 3f f8 00 00 00 00 00 00 a1 78 07 c4 03 01 02 03 a1 74 d6 ff 00 00 00 01"
            + " a3 62 69 67 cf ff ff ff ff ff ff ff ff"
        #expect(try self.read(hex) == node)
        #expect(throws: JSONCodingError.self) { try self.read("d4 05 00", as: JSONNode.self) }
        #expect(throws: JSONCodingError.self) { try self.read("81 90 00", as: JSONNode.self) }
    }

    @Test(
        "bytes that announce more than there is, or are no value, are refused before anything is made of them",
        arguments: [
            "", "c1", "a1", "d9 05 68", "db ff ff ff ff", "c6 ff ff ff ff 00", "dd ff ff ff ff", "df ff ff ff ff 00",
            "92 00", "81 a1 61", "c9 ff ff ff ff 05", "cb 00", "d8 01 00", "00 00",
        ])
    func truncated(hex: String) {
        let error = #expect(throws: JSONCodingError.self) { try PackedValue(validating: ByteBuffer(hex: hex)) }
        #expect(error?.code == .malformed)
    }

    @Test("core 1.13: values are nested at most 64 levels deep")
    func depth() throws {
        for container in ["91 ", "81 00 "] {
            let deepest = String(repeating: container, count: 64) + "00"
            _ = try PackedValue(validating: ByteBuffer(hex: deepest))
            let error = #expect(throws: JSONCodingError.self) {
                try PackedValue(validating: ByteBuffer(hex: container + deepest))
            }
            #expect(error?.code == .limitExceeded)
        }
    }

    @Test("a key that is a container is stepped over whole, so that what is in it is no member")
    func containerKeys() throws {
        struct Named: Decodable { let a: Int }
        #expect(try self.read("82 92 01 02 03 a1 61 07", as: Named.self).a == 7)
        #expect(try self.read("82 81 a1 61 08 03 a1 61 07", as: Named.self).a == 7)
    }

    @Test("text that is not UTF-8 is refused where it is read")
    func invalidUTF8() {
        #expect(throws: JSONCodingError.self) { try self.read("a2 c3 28", as: String.self) }
        #expect(throws: JSONCodingError.self) { try self.read("a2 c3 28", as: JSONNode.self) }
        #expect(throws: JSONCodingError.self) { try self.read("81 a2 c3 28 01", as: JSONNode.self) }
    }
}
