import BusbarProtocol
import FoundationEssentials
import NIOCore
import Testing

@Suite("Arguments")
struct ArgumentReaderTests {
    struct Person: Codable, Equatable {
        var name: String
        var age: Int
        var nick: String?
        var tags: [String] = []
    }

    enum Color: String, Codable { case red, green }

    enum Level: Int, Codable { case low = 1, high = 2 }

    class Animal: Codable {
        var legs: Int
        init(legs: Int) { self.legs = legs }
    }

    final class Dog: Animal {
        var name: String
        private enum CodingKeys: CodingKey { case name }
        init(legs: Int, name: String) {
            self.name = name
            super.init(legs: legs)
        }
        required init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            self.name = try container.decode(String.self, forKey: .name)
            try super.init(from: try container.superDecoder())
        }
    }

    private static func read<Value: Decodable>(
        _ json: String,
        as type: Value.Type = Value.self,
        leniency: JSONLeniency = .strict,
        depthLimit: Int = 64
    ) throws -> Value {
        var reader = try ArgumentList(validating: ByteBuffer(string: "[\(json)]"))
            .makeReader(leniency: leniency, depthLimit: depthLimit)
        return try reader.next(type)
    }

    @Test("arguments are read in order, each as the type the method declares, and counted")
    func inOrder() throws {
        var buffer = ByteBuffer(
            string: "xx[ \"Bob\" , 7,true ,1.5, null,[1,2],{\"name\":\"A\",\"age\":3,\"tags\":[]} ]")
        buffer.moveReaderIndex(forwardBy: 2)
        let list = try ArgumentList(validating: buffer)
        #expect(list.count == 7)
        var reader = list.makeReader()
        #expect(try reader.next(String.self) == "Bob")
        #expect(try reader.next(Int.self) == 7)
        #expect(try reader.next(Bool.self))
        #expect(reader.remainingCount == 4)
        #expect(try reader.next(Double.self) == 1.5)
        #expect(try reader.next(String?.self) == nil)
        #expect(try reader.next([Int].self) == [1, 2])
        #expect(try reader.next(Person.self) == Person(name: "A", age: 3))
        #expect(throws: JSONCodingError(.missing, "expected more than 7 arguments")) { try reader.next(Int.self) }
    }

    @Test("an argument of the wrong type is an error that counts it from one, and can be read again as another type")
    func wrongType() throws {
        var reader = try ArgumentList(validating: ByteBuffer(string: "[1,\"x\"]")).makeReader()
        _ = try reader.next(Int.self)
        #expect(throws: JSONCodingError(.typeMismatch, "argument 2: expected a number at byte 3")) {
            try reader.next(Int.self)
        }
        #expect(try reader.next(String.self) == "x")
    }

    @Test("an argument's own text can be taken untouched")
    func rawText() throws {
        var reader = try ArgumentList(validating: ByteBuffer(string: "[ {\"b\" : 1.50} ,2]")).makeReader()
        #expect(String(buffer: try reader.nextText().bytes) == "{\"b\" : 1.50}")
        #expect(try reader.next(Int.self) == 2)
    }

    @Test("every width of integer is read up to its bounds and refused beyond")
    func integerBounds() throws {
        func check<Integer: FixedWidthInteger & Codable>(_ type: Integer.Type) throws {
            #expect(try Self.read("\(Integer.max)") == Integer.max)
            #expect(try Self.read("\(Integer.min)") == Integer.min)
            for beyond in ["\(Integer.max)0", "-\(Integer.max)0", "1e30", "-1e30", "0.5", "99999999999999999999999"] {
                #expect(throws: JSONCodingError.self) { try Self.read(beyond, as: Integer.self) }
            }
            #expect(try Self.read("1.0") == Integer(1))
            #expect(try Self.read("1e2") == Integer(100))
        }
        try check(Int.self)
        try check(Int8.self)
        try check(Int16.self)
        try check(Int32.self)
        try check(Int64.self)
        try check(UInt.self)
        try check(UInt8.self)
        try check(UInt16.self)
        try check(UInt32.self)
        try check(UInt64.self)
        #expect(throws: JSONCodingError.self) { try Self.read("9223372036854775808", as: Int64.self) }
        #expect(throws: JSONCodingError.self) { try Self.read("18446744073709551616", as: UInt64.self) }
        #expect(throws: JSONCodingError.self) { try Self.read("-9223372036854775809", as: Int64.self) }
    }

    @Test(
        "a double is read to the last bit, as the standard library reads it",
        arguments: [
            "0", "-0", "0.1", "1.7976931348623157e308", "5e-324", "2.2250738585072014E-308", "9007199254740993",
            "0.30000000000000004", "123456789.123456789", "1e22", "1e23", "-1.5e-7", "1e-400",
            "3.14159265358979323846264338327950288",
        ]
    )
    func doubles(text: String) throws {
        let value: Double = try Self.read(text)
        #expect(value.bitPattern == Double(text)?.bitPattern)
    }

    @Test("a number that no double can hold is refused", arguments: ["1e309", "-1e309", "1e99999999999999999999"])
    func hugeDoubles(text: String) {
        #expect(throws: JSONCodingError.self) { try Self.read(text, as: Double.self) }
    }

    @Test("escapes are resolved, surrogate pairs joined, lone surrogates become U+FFFD")
    func escapes() throws {
        let cases = [
            #""\"\\\/\b\f\n\r\t""#: "\"\\/\u{8}\u{C}\n\r\t", #""\u0041\u00e9\u20AC""#: "Aé€", #""\ud83d\ude00!""#: "😀!",
            #""a\ud83d""#: "a\u{FFFD}", #""\ude00b""#: "\u{FFFD}b", #""\ud83d\u0041""#: "\u{FFFD}A",
            #""\ud83d\ud83d\ude00""#: "\u{FFFD}😀", #""\u0000""#: "\u{0}", #""\ud83dx""#: "\u{FFFD}x",
        ]
        for (json, text) in cases { #expect(try Self.read(json) == text) }
    }

    @Test("members match by exact name first, then ignoring case; unknown ones are ignored; the last of equals counts")
    func memberNames() throws {
        #expect(try Self.read(#"{"Name":"A","AGE":1,"tags":[],"x":{"y":[1]}}"#) == Person(name: "A", age: 1))
        #expect(try Self.read(#"{"name":"A","NAME":"B","age":1,"tags":[]}"#) == Person(name: "A", age: 1))
        #expect(try Self.read(#"{"name":"A","name":"B","age":1,"tags":[]}"#) == Person(name: "B", age: 1))
        #expect(
            try Self.read(#"{"n\u0061me":"A","age":1,"nick":null,"tags":["t"]}"#)
                == Person(name: "A", age: 1, tags: ["t"]))
        let many = (0..<200).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        #expect(try Self.read("{\(many),\"NAME\":\"A\",\"Age\":1,\"tags\":[]}") == Person(name: "A", age: 1))
        #expect(try Self.read("{\(many)}", as: [String: Int].self).count == 200)
    }

    @Test("a missing or mistyped member is an error that says where")
    func memberErrors() {
        #expect(throws: JSONCodingError(.missing, "argument 1: member 'age' is missing")) {
            try Self.read(#"{"name":"A"}"#, as: Person.self)
        }
        #expect(throws: JSONCodingError(.typeMismatch, "argument 1: expected Int in 1.age")) {
            try Self.read(#"[{"name":"A","age":1,"tags":[]},{"name":"A","age":"1"}]"#, as: [Person].self)
        }
        #expect(throws: JSONCodingError.self) { try Self.read("null", as: Person.self) }
        #expect(throws: JSONCodingError.self) { try Self.read("null", as: Int.self) }
        #expect(throws: JSONCodingError.self) { try Self.read("\"blue\"", as: Color.self) }
    }

    @Test("enumerations, optionals, dictionaries, inherited classes and nested lists are read")
    func compounds() throws {
        #expect(try Self.read("\"green\"") == Color.green)
        #expect(try Self.read("2") == Level.high)
        #expect(try Self.read("[1,null,3]") == [1, nil, 3] as [Int?])
        #expect(try Self.read(#"{"a":[{"b":1}],"c":[]}"#) == ["a": [["b": 1]], "c": []])
        let dog: Dog = try Self.read(#"{"name":"Rex","super":{"legs":4}}"#)
        #expect(dog.name == "Rex" && dog.legs == 4)
    }

    @Test("bytes are base64, dates ISO 8601, identifiers and addresses their text")
    func foundationTypes() throws {
        #expect(try Self.read("\"AQID\"") == Data([1, 2, 3]))
        #expect(try Self.read("\"AQID\"") == [1, 2, 3] as [UInt8])
        #expect(try Self.read("[\"AQID\",\"\"]") == [[1, 2, 3], []] as [[UInt8]])
        #expect(throws: JSONCodingError.self) { try Self.read("\"A*\"", as: Data.self) }
        let id = "5F33FD34-6352-4AA8-87D9-4C51E1062C73"
        #expect(try Self.read("\"\(id.lowercased())\"", as: UUID.self).uuidString == id)
        #expect(throws: JSONCodingError.self) { try Self.read("\"{\(id)}\"", as: UUID.self) }
        #expect(try Self.read("\"http://a/b?c\"") == URL(string: "http://a/b?c"))
        #expect(try Self.read("0.1") == Decimal(string: "0.1"))
    }

    @Test(
        "a date is read with any fraction and offset",
        arguments: [
            ("1970-01-01", 0), ("1970-01-01T00:00:00Z", 0), ("2000-02-29T12:30:15.25Z", 951_827_415.25),
            ("2026-11-22T23:55:56.1234567+02:00", 1_795_384_556.1234567), ("1969-12-31T23:59:59-0100", 3599),
            ("0001-01-01T00:00:00", -62_135_596_800), ("9999-12-31T23:59Z", 253_402_300_740),
        ] as [(String, Double)]
    )
    func dates(text: String, seconds: Double) throws {
        let date: Date = try Self.read("\"\(text)\"")
        #expect(abs(date.timeIntervalSince1970 - seconds) < 1e-6)
    }

    @Test(
        "what is no date is refused",
        arguments: [
            "", "2026", "2026-13-01", "2026-02-29", "2026-01-01T24:00", "2026-01-01T1:00", "2026-01-01Tx", "now",
        ]
    )
    func notDates(text: String) {
        #expect(throws: JSONCodingError.self) { try Self.read("\"\(text)\"", as: Date.self) }
    }

    @Test("classic leniency turns numbers into strings and numeric strings into numbers; strict does neither")
    func leniency() throws {
        #expect(try Self.read("5", leniency: .classic) == "5")
        #expect(try Self.read("-1.50", leniency: .classic) == "-1.50")
        #expect(try Self.read("\"5\"", leniency: .classic) == 5)
        #expect(try Self.read("\"-2.5\"", leniency: .classic) == -2.5)
        #expect(try Self.read("\"True\"", leniency: .classic) == true)
        #expect(try Self.read("0", leniency: .classic) == false)
        #expect(
            try Self.read(#"{"name":1,"age":"2","tags":[3]}"#, leniency: .classic)
                == Person(name: "1", age: 2, tags: ["3"]))
        for text in ["\"\"", "\"x\"", "\"1 2\"", "\"5", "\"5\\u0030\"", "\"1e999\"", "true", "[]"] {
            #expect(throws: (any Error).self) { try Self.read(text, as: Int.self, leniency: .classic) }
        }
        #expect(throws: JSONCodingError.self) { try Self.read("5", as: String.self) }
        #expect(throws: JSONCodingError.self) { try Self.read("\"5\"", as: Int.self) }
        #expect(throws: JSONCodingError.self) { try Self.read("\"true\"", as: Bool.self) }
        #expect(throws: JSONCodingError.self) { try Self.read("1", as: Bool.self) }
    }

    @Test("an argument nested deeper than the reader's limit fails alone; the ones around it can be read")
    func depthLimit() throws {
        let deep = String(repeating: "[", count: 21) + String(repeating: "]", count: 21)
        let list = try ArgumentList(validating: ByteBuffer(string: "[1,\(deep)]"))
        var reader = list.makeReader(leniency: .classic, depthLimit: 20)
        #expect(try reader.next(Int.self) == 1)
        #expect(throws: JSONCodingError(.limitExceeded, "argument 2: nested deeper than 20 levels")) {
            try reader.next(JSONNode.self)
        }
        var deeper = list.makeReader(depthLimit: 21)
        _ = try deeper.next(Int.self)
        #expect(throws: Never.self) { try deeper.next(JSONNode.self) }
    }

    @Test("any value is read as a node, integers apart from other numbers")
    func nodes() throws {
        let node: JSONNode = try Self.read(#"{"a":[1,-2.5,true,null,"x",{}],"b":9223372036854775808}"#)
        #expect(node == ["a": [1, -2.5, true, nil, "x", [:]], "b": .number(9_223_372_036_854_775_808)])
        #expect(node["a"]?[4] == "x")
        #expect(node["a"]?[9] == nil)
        #expect(try Self.read("[[1],{\"k\":null}]", as: [JSONNode].self) == [[1], ["k": nil]])
    }
}
