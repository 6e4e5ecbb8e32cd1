import BusbarProtocol
import FoundationEssentials
import NIOCore
import Testing

@Suite("JSON encoding")
struct JSONEncodingTests {
    private static func json(_ value: some Encodable) throws(JSONCodingError) -> String {
        String(buffer: try JSONValueText(encoding: value).bytes)
    }

    @Test("scalars are written in their shortest form")
    func scalars() throws {
        #expect(try Self.json("") == "\"\"")
        #expect(try Self.json(true) == "true")
        #expect(try Self.json(0) == "0")
        #expect(try Self.json(Int.min) == "-9223372036854775808")
        #expect(try Self.json(UInt64.max) == "18446744073709551615")
        #expect(try Self.json(Int8.min) == "-128")
        #expect(try Self.json(1.0) == "1")
        #expect(try Self.json(-0.0) == "-0.0")
        #expect(try Self.json(0.1) == "0.1")
        #expect(try Self.json(1e300) == "1e+300")
        #expect(try Self.json(Float(0.1)) == "0.1")
        #expect(try Self.json(Float(3)) == "3")
        #expect(try Self.json(String?.none) == "null")
        #expect(try Self.json(Int?.some(4)) == "4")
        #expect(try Self.json(Int?.none) == "null")
    }

    @Test(
        "whole doubles at the edges of integer types are written and read back exactly",
        arguments: [
            0x1p53, -0x1p53, 0x1p63, -0x1p63, 0x1p64, -0x1p31, 0x1p31, 0x1p24, -0x1p24, 1e15, .leastNonzeroMagnitude,
        ]
    )
    func edgeDoubles(value: Double) throws {
        #expect(try JSONValueText(encoding: value).decode(Double.self) == value)
        #expect(try JSONValueText(encoding: JSONNode.number(value)).decode(Double.self) == value)
        #expect(try JSONValueText(encoding: Float(value)).decode(Float.self) == Float(value))
    }

    @Test("every power of ten and its neighbours are written with all their digits")
    func integerDigits() throws {
        var value: UInt64 = 1
        for _ in 0..<20 {
            for near in [value &- 1, value, value &+ 1] { #expect(try Self.json(near) == String(near)) }
            value = value &* 10
        }
    }

    @Test("classic 83: quotes, control characters, U+0085, U+2028 and U+2029 are escaped, all else is raw")
    func escapes() throws {
        #expect(
            try Self.json("a\"\\/<>&'\u{7F}é😀\u{86}\u{2027}\u{202A}")
                == "\"a\\\"\\\\/<>&'\u{7F}é😀\u{86}\u{2027}\u{202A}\"")
        #expect(try Self.json("\u{0}\u{8}\t\n\u{B}\u{C}\r\u{1F}") == #""\u0000\b\t\n\u000b\f\r\u001f""#)
        #expect(try Self.json("x\u{85}y\u{2028}z\u{2029}") == #""x\u0085y\u2028z\u2029""#)
    }

    @Test("classic 83: every character survives being written and read")
    func everyCharacter() throws {
        let scalars = (0...0x10FFFF).lazy.filter { $0 % 37 == 0 || $0 < 0x3000 }.compactMap {
            Unicode.Scalar($0 as UInt32)
        }
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        let encoded = try JSONValueText(encoding: text)
        #expect(try encoded.decode(String.self) == text)
        #expect(!encoded.bytes.readableBytesView.contains { $0 < 0x20 })
    }

    @Test("NaN and infinity are errors, wherever they stand, and nothing of the value is left in the buffer")
    func notNumbers() {
        var buffer = ByteBuffer(string: "kept")
        for value in [Double.nan, .infinity, -.infinity] {
            let error = JSONCodingError(.outOfRange, "NaN and infinity cannot be written as JSON")
            #expect(throws: error) { try JSONEncoding.encode(value, into: &buffer) }
            #expect(throws: error) { try JSONEncoding.encode(["a": [1, value]], into: &buffer) }
            #expect(throws: error) { try JSONEncoding.encodeArray("a", value, into: &buffer) }
            #expect(throws: error) { try JSONEncoding.encode(JSONNode.array([.number(value)]), into: &buffer) }
        }
        #expect(String(buffer: buffer) == "kept")
    }

    @Test("bytes are base64, dates ISO 8601, identifiers lower case, addresses and decimals their text")
    func foundationTypes() throws {
        #expect(try Self.json(Data([1, 2, 3])) == "\"AQID\"")
        #expect(try Self.json([1, 2, 3] as [UInt8]) == "\"AQID\"")
        #expect(try Self.json(Date(timeIntervalSince1970: 0)) == "\"1970-01-01T00:00:00Z\"")
        #expect(try Self.json(Date(timeIntervalSince1970: 951_827_415.25)) == "\"2000-02-29T12:30:15.250Z\"")
        #expect(try Self.json(Date(timeIntervalSince1970: -0.001)) == "\"1969-12-31T23:59:59.999Z\"")
        #expect(throws: JSONCodingError.self) { try Self.json(Date(timeIntervalSince1970: 1e15)) }
        #expect(throws: JSONCodingError.self) { try Self.json(Date(timeIntervalSince1970: .nan)) }
        #expect(
            try Self.json(UUID(uuid: (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255)))
                == "\"01020304-0506-0708-090a-0b0c0d0e0fff\"")
        #expect(try Self.json(URL(string: "http://a/b?c")) == "\"http://a/b?c\"")
        #expect(try Self.json(Decimal(string: "12.50")) == "12.5")
    }

    struct Point: Codable {
        var x: Int
        var label: String?
        var next: [Point]
    }

    @Test("structures are objects whose members come in the order they are encoded, nested ones too")
    func structures() throws {
        let point = Point(x: 1, label: nil, next: [Point(x: 2, label: "b", next: [])])
        #expect(try Self.json(point) == #"{"x":1,"next":[{"x":2,"label":"b","next":[]}]}"#)
        #expect(try Self.json([point.next, []]) == #"[[{"x":2,"label":"b","next":[]}],[]]"#)
        #expect(try Self.json(["a": ["b": 1]]) == #"{"a":{"b":1}}"#)
        #expect(try Self.json([1, nil] as [Int?]) == "[1,null]")
    }

    @Test("arguments of different types become one array")
    func argumentPacks() throws {
        let list = try ArgumentList(encoding: "a", 1, true, [2.5], Point(x: 1, label: nil, next: []))
        #expect(list.description == #"["a",1,true,[2.5],{"x":1,"next":[]}]"#)
        #expect(list.count == 5)
        let none = try ArgumentList()
        #expect(none == .empty)
    }

    private struct Nothing: Encodable { func encode(to encoder: any Encoder) throws {} }

    private struct Nested: Encodable {
        func encode(to encoder: any Encoder) throws {
            var outer = encoder.container(keyedBy: Key.self)
            var list = outer.nestedUnkeyedContainer(forKey: "list")
            try list.encode(1)
            var inner = list.nestedContainer(keyedBy: Key.self)
            try inner.encode(2, forKey: "two")
            try list.encodeNil()
            _ = outer.nestedContainer(keyedBy: Key.self, forKey: "empty")
            try Nothing().encode(to: outer.superEncoder(forKey: "nothing"))
            try "s".encode(to: outer.superEncoder())
            // A type that inherits its conformance asks its encoder for the same container again.
            var again = encoder.container(keyedBy: Key.self)
            try again.encode("x", forKey: "last")
        }
    }

    private struct Key: CodingKey, ExpressibleByStringLiteral {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringLiteral value: String) { self.stringValue = value }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    @Test("nested containers close when an outer one goes on; a value that encodes nothing is an empty object")
    func nestedContainers() throws {
        #expect(
            try Self.json(Nested())
                == #"{"list":[1,{"two":2},null],"empty":{},"nothing":{},"super":"s","last":"x"}"#)
        #expect(try Self.json(Nothing()) == "{}")
        #expect(try Self.json([Nothing()]) == "[{}]")
    }

    private struct OutOfTurn: Encodable {
        func encode(to encoder: any Encoder) throws {
            var outer = encoder.unkeyedContainer()
            var first = outer.nestedUnkeyedContainer()
            try outer.encode(1)
            try first.encode(2)
        }
    }

    private struct Twice: Encodable {
        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(1)
            try container.encode(2)
        }
    }

    private struct Both: Encodable {
        func encode(to encoder: any Encoder) throws {
            var list = encoder.unkeyedContainer()
            try list.encode(1)
            var object = encoder.container(keyedBy: Key.self)
            try object.encode(1, forKey: "a")
        }
    }

    private final class Endless: Encodable {
        func encode(to encoder: any Encoder) throws {
            var list = encoder.unkeyedContainer()
            try list.encode(self)
        }
    }

    private struct Refusing: Encodable {
        struct Refusal: Error {}
        func encode(to encoder: any Encoder) throws { throw Refusal() }
    }

    @Test("an encode(to:) that uses its encoder out of turn, goes in circles or throws is an error, never a bad text")
    func misuse() {
        #expect(throws: JSONCodingError.self) { try Self.json(OutOfTurn()) }
        #expect(throws: JSONCodingError.self) { try Self.json(Twice()) }
        #expect(throws: JSONCodingError.self) { try Self.json(Both()) }
        #expect(throws: JSONCodingError(.limitExceeded, "nested deeper than 64 levels")) { try Self.json(Endless()) }
        #expect(throws: JSONCodingError(.refused, "Refusal")) { try Self.json(Refusing()) }
    }

    @Test("a node is written as the value it is")
    func nodes() throws {
        let node: JSONNode = ["a": [nil, true, 1, 2.5, "x", [:]]]
        #expect(try Self.json(node) == #"{"a":[null,true,1,2.5,"x",{}]}"#)
        #expect(try Self.json([node]) == #"[{"a":[null,true,1,2.5,"x",{}]}]"#)
    }
}
