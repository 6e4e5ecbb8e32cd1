import BusbarProtocol
import NIOCore
import Testing

@Suite("Framing of classic transports")
struct ClassicFramingTests {
    private static let text = "{\"C\":\"c\",\"M\":[\"<ø\u{1F96A}>\"]}"

    @Test(
        "each transport wraps a text as the document says",
        arguments: [
            (.serverSentEvents, "data: {\"C\":\"c\",\"M\":[\"<\\u00f8\\ud83e\\udd6a>\"]}\r\n\r\n"),
            (
                .foreverFrame,
                "<script>r(c, {\"C\":\"c\",\"M\":[\"\\u003c\\u00f8\\ud83e\\udd6a\\u003e\"]});</script>\r\n"
            ),
            (.longPolling, "{\"C\":\"c\",\"M\":[\"<\\u00f8\\ud83e\\udd6a>\"]}"),
        ] as [(ClassicFraming, String)])
    func frames(framing: ClassicFraming, content: String) {
        let frame = framing.frame(ByteBuffer(string: Self.text))
        #expect(String(buffer: frame) == "\(String(content.utf8.count, radix: 16))\r\n\(content)\r\n")
        #expect(String(buffer: HTTPChunks.content(of: frame)) == content)
    }

    @Test(
        "the keep-alive of each transport is the document's",
        arguments: [
            (.serverSentEvents, "data: {}\n\n"), (.foreverFrame, "<script>r(c, {});</script>\n\n"), (.longPolling, " "),
        ] as [(ClassicFraming, String)])
    func keepAlives(framing: ClassicFraming, content: String) {
        #expect(String(buffer: HTTPChunks.content(of: framing.keepAlive)) == content)
    }

    @Test("83 text that is ASCII already is not touched, whatever its length, and what is beyond becomes escapes")
    func ascii() {
        for text in [
            "", "{}", String(repeating: "x", count: 10_000), "\u{7F}", "a\u{85}b\u{2028}\u{2029}", "\u{10FFFF}",
        ] {
            var escaped = ByteBuffer()
            escaped.writeJSONAsASCII(ByteBuffer(string: text))
            let expected = text.utf16.map { unit -> String in
                if unit < 0x80 { return String(UnicodeScalar(UInt8(unit))) }
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
            #expect(String(buffer: escaped) == expected)
        }
    }

    @Test("several chunks give back what was put in, and what is no chunk gives nothing and harms nobody")
    func chunks() {
        var all = ByteBuffer()
        for part in ["a", "bc", String(repeating: "d", count: 300)] {
            all.writeImmutableBuffer(HTTPChunks.chunk(ByteBuffer(string: part)))
        }
        #expect(String(buffer: HTTPChunks.content(of: all)) == "abc" + String(repeating: "d", count: 300))
        for broken in ["", "x\r\n", "5\r\nab", "\r\n", "ffffffffffffffff\r\n"] {
            #expect(HTTPChunks.content(of: ByteBuffer(string: broken)).readableBytes == 0)
        }
    }
}
