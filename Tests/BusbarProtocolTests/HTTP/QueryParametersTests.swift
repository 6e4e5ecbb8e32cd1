import BusbarProtocol
import NIOCore
import Testing

@Suite("Query parameters")
struct QueryParametersTests {
    @Test(
        "classic 1.2: names match ignoring case, plus is a space, escapes are UTF-8, repeated values join with commas")
    func decoding() throws {
        let query = try QueryParameters(
            parsing:
                "clientProtocol=1.5&connectionData=%5B%7B%22name%22%3A+%22ChatHub%22%7D%5D&a=1;A=2"
                + "&%C3%A9=%f0%9f%98%80&e&f="
        )
        #expect(query["clientprotocol"] == "1.5")
        #expect(query["connectionData"] == "[{\"name\": \"ChatHub\"}]")
        #expect(query["a"] == "1,2")
        #expect(query["É"] == "😀")
        #expect(query["e"] == "" && query["f"] == "")
        #expect(query["missing"] == nil)
        #expect(query.pairs.count == 7)
    }

    @Test("classic 1.2, T8: brackets, quotes and colons that a client did not escape are themselves")
    func unescaped() throws {
        let query = try QueryParameters(parsing: "connectionData=[%7B%22Name%22:%22ChatHub%22%7D]&x==a=b")
        #expect(query["connectionData"] == "[{\"Name\":\"ChatHub\"}]")
        #expect(query["x"] == "=a=b")
    }

    @Test("classic 90: a body is parsed the same way")
    func body() throws {
        let body = try QueryParameters(parsing: ByteBuffer(string: "data=%7B%22I%22%3A0%7D&messageId=d-1%2C2"))
        #expect(body["data"] == "{\"I\":0}" && body["messageID"] == "d-1,2")
    }

    @Test(
        "a malformed escape stays as it is, and bytes that are not UTF-8 become U+FFFD",
        arguments: [
            ("%", "%"), ("%2", "%2"), ("%zz", "%zz"), ("%%41", "%A"), ("100%", "100%"), ("%u0041", "%u0041"),
            ("%FF", "\u{FFFD}"), ("%00", "\u{0}"), ("%2B+%2b", "+ +"),
        ] as [(String, String)]
    )
    func malformed(text: String, value: String) throws {
        #expect(try QueryParameters(parsing: "v=\(text)")["v"] == value)
        #expect(try QueryParameters(parsing: "v=\(text)&w=1")["v"] == value)
    }

    @Test("nothing, and nothing between separators, is no parameter")
    func empty() throws {
        for text in ["", "&", "&&;;&"] { #expect(try QueryParameters(parsing: text) == QueryParameters()) }
    }

    @Test("more parameters than the limit are refused")
    func limit() throws {
        #expect(try QueryParameters(parsing: "a&b&c", limit: 3).pairs.count == 3)
        #expect(throws: ProtocolError(.limitExceeded, "more than 3 parameters in one request")) {
            try QueryParameters(parsing: "a&b&c&d", limit: 3)
        }
    }
}
