import BusbarProtocol
import NIOCore
import Testing

@Suite("JSON scanner")
struct JSONScannerTests {
    private static func isValid(_ bytes: some Sequence<UInt8>, depthLimit: Int = 64) -> Bool {
        (try? JSONValueText(validating: ByteBuffer(bytes: bytes), depthLimit: depthLimit)) != nil
    }

    @Test(
        "every form of a JSON value is accepted, white space around it too",
        arguments: [
            "null", "true", " false ", "0", "-0", "-12", "1.5", "1e9", "1E+09", "-1.25e-3", "\"\"", "\"a\"", "[]", "{}",
            "[ ]", "{ }", "[1,2 , 3]", "{\"a\":1}", "\t\r\n[ {\"a\" : [ ] } , null ]\n", #""\u0041\n\/\"\\\b\f\r\t""#,
            "\"é€😀\"", "\"\u{7F}\"", "1234567890123456789012345678901234567890", "1e999999999999999999999",
            #""\ud83d\ude00""#, #""\ud83d""#, #"{"a":1,"a":2}"#,
        ]
    )
    func accepts(text: String) {
        #expect(Self.isValid(text.utf8))
    }

    @Test(
        "what is not exactly one JSON value is refused",
        arguments: [
            "", " ", "nul", "nulll", "True", "01", "+1", "-", "1.", ".5", "1e", "1e+", "0x1", "NaN", "'a'", "\"", "\"a",
            "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "{\"a\"",
            "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "[}", "{]", "[1}", "1 2",
            "[] []", "/**/1", "\"\n\"", "\"\t\"", "\"\u{0}\"", "\u{FEFF}1", "]", ",", ":",
        ]
    )
    func refuses(text: String) {
        #expect(!Self.isValid(text.utf8))
    }

    @Test(
        "bytes that are not UTF-8 are refused wherever a string holds them",
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xE2, 0x82],
            [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xFE], [0xF0, 0x9F],
        ] as [[UInt8]]
    )
    func refusesInvalidUTF8(bytes: [UInt8]) {
        for padding in 0..<17 {
            let quoted = [0x22] + [UInt8](repeating: 0x61, count: padding) + bytes
            #expect(!Self.isValid(quoted + [0x22]))
            #expect(!Self.isValid(quoted + Array("aaaaaaaa\"".utf8)))
        }
    }

    @Test("a special byte is seen at any distance from the start of a string", arguments: 0..<40)
    func specialBytesAreSeen(distance: Int) {
        let plain = String(repeating: "x", count: distance)
        #expect(Self.isValid("\"\(plain)\"".utf8))
        #expect(Self.isValid("\"\(plain)\\n\(plain)é\(plain)\"".utf8))
        #expect(!Self.isValid("\"\(plain)\u{1}\(plain)\"".utf8))
        #expect(!Self.isValid("\"\(plain)\"\(plain)\"".utf8))
        #expect(!Self.isValid("\"\(plain)\\".utf8))
    }

    @Test("nesting up to the limit is accepted and one level more refused", arguments: [1, 2, 20, 63, 64])
    func depthLimit(limit: Int) {
        func nested(_ depth: Int, _ open: String, _ close: String) -> String {
            String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
        }
        #expect(Self.isValid(nested(limit, "[", "]").utf8, depthLimit: limit))
        #expect(Self.isValid(nested(limit, "{\"a\":", "}").utf8, depthLimit: limit))
        #expect(!Self.isValid(nested(limit + 1, "[", "]").utf8, depthLimit: limit))
        #expect(!Self.isValid(nested(limit + 1, "{\"a\":", "}").utf8, depthLimit: limit))
    }

    @Test("a million brackets are refused at the limit, without recursion, and no limit goes beyond 64")
    func hostileDepth() {
        let bytes = [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
        #expect(throws: JSONCodingError(.limitExceeded, "nested deeper than 64 levels")) {
            try JSONValueText(validating: ByteBuffer(bytes: bytes), depthLimit: .max)
        }
    }

    @Test("a value is cut out without the white space around it")
    func trimmed() throws {
        let text = try JSONValueText(validating: ByteBuffer(string: " \n[1, 2]\t"))
        #expect(String(buffer: text.bytes) == "[1, 2]")
    }

    @Test("an error names the byte where it stands and what belongs there")
    func errorPlace() {
        #expect(throws: JSONCodingError(.malformed, "expected ',' or ']' at byte 3")) {
            try JSONValueText(validating: ByteBuffer(string: "[1 2]"))
        }
    }

    @Test("foreign text is passed on without white space and with line separators escaped")
    func compact() throws {
        let text = try JSONValueText(
            validating: ByteBuffer(string: "{ \"a b\\\" \" : [ 1 ,\n\"\u{85}\u{2028}\u{2029}é\u{2027}\" ] }")
        )
        var buffer = ByteBuffer()
        text.writeCompact(into: &buffer)
        #expect(String(buffer: buffer) == "{\"a b\\\" \":[1,\"\\u0085\\u2028\\u2029é\u{2027}\"]}")
    }
}
