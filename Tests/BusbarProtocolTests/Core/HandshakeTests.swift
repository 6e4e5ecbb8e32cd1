import BusbarProtocol
import NIOCore
import Testing

@Suite("Core handshake and framing")
struct HandshakeTests {
    @Test(
        "core 1.11: a handshake names protocol and version, with spaces, in any order and beside unknown properties",
        arguments: [
            (#"{"protocol":"json","version":1}"#, "json", 1), (#"{ "version" : 0 , "protocol" : "json" }"#, "json", 0),
            (#"{"protocol":"messagepack","version":2,"useStatefulReconnect":true,"x":{}}"#, "messagepack", 2),
            (#"{"protocol":"JSON","version":-3}"#, "JSON", -3), (#"{"protocol":"","version":9}"#, "", 9),
        ] as [(String, String, Int)]
    )
    func accepted(text: String, name: String, version: Int) throws {
        #expect(
            try CoreJSON.parseHandshake(ByteBuffer(string: text))
                == HandshakeRequest(protocolName: name, version: version))
    }

    @Test(
        "core 1.11: what is no handshake is an error that says why",
        arguments: [
            ("", ProtocolError.Code.malformed), ("{}", .missingProperty), (#"{"protocol":"json"}"#, .missingProperty),
            (#"{"version":1}"#, .missingProperty), (#"{"protocol":null,"version":1}"#, .malformed),
            (#"{"protocol":"json","version":"1"}"#, .malformed), (#"{"protocol":"json","version":1.5}"#, .malformed),
            (#"{"protocol":"json","version":1e99}"#, .malformed), (#"["json",1]"#, .malformed),
            (#"{"protocol":"json","version":1}}"#, .malformed),
        ] as [(String, ProtocolError.Code)]
    )
    func refused(text: String, code: ProtocolError.Code) {
        let error = #expect(throws: ProtocolError.self) { try CoreJSON.parseHandshake(ByteBuffer(string: text)) }
        #expect(error?.code == code)
    }

    @Test("core 1.11: the answers are {} and an error, and a client reads them")
    func answers() throws {
        #expect(String(buffer: CoreJSON.handshakeAccepted) == "{}\u{1E}")
        var buffer = ByteBuffer()
        CoreJSON.writeHandshakeRefusal("The protocol 'x' is not supported.", into: &buffer)
        #expect(String(buffer: buffer) == "{\"error\":\"The protocol 'x' is not supported.\"}\u{1E}")
        #expect(try CoreJSON.parseHandshakeResponse(ByteBuffer(string: "{\"minorVersion\":0}")) == nil)
        #expect(try CoreJSON.parseHandshakeResponse(ByteBuffer(string: "{\"error\":\"no\"}")) == "no")
        var request = ByteBuffer()
        CoreJSON.writeHandshake(HandshakeRequest(protocolName: "json", version: 1), into: &request)
        #expect(String(buffer: request) == "{\"protocol\":\"json\",\"version\":1}\u{1E}")
    }

    @Test("core 1.10: records are cut at 0x1E, several in one read and one over several reads")
    func splitting() throws {
        var splitter = RecordSplitter()
        var buffer = ByteBuffer(string: "{}\u{1E}a\u{1E}\u{1E}bc")
        var records: [String] = []
        while let record = try splitter.nextRecord(from: &buffer, limitBytes: nil) {
            records.append(String(buffer: record))
        }
        #expect(records == ["{}", "a", ""])
        for byte in "d\u{1E}e".utf8 {
            buffer.writeInteger(byte)
            if let record = try splitter.nextRecord(from: &buffer, limitBytes: 4) {
                records.append(String(buffer: record))
            }
        }
        #expect(records == ["{}", "a", "", "bcd"])
        #expect(String(buffer: buffer) == "e")
    }

    @Test("core 1.20: a record of exactly the limit with its separator passes, one byte more is refused at once")
    func recordLimit() throws {
        var splitter = RecordSplitter()
        var buffer = ByteBuffer(string: "1234567\u{1E}")
        #expect(try splitter.nextRecord(from: &buffer, limitBytes: 8)?.readableBytes == 7)
        buffer.writeString("12345678")
        #expect(try splitter.nextRecord(from: &buffer, limitBytes: 8) == nil)
        var longer = buffer
        var other = splitter
        longer.writeString("9")
        #expect(throws: ProtocolError(.limitExceeded, "a message is longer than 8 bytes")) {
            try other.nextRecord(from: &longer, limitBytes: 8)
        }
        buffer.writeString("\u{1E}")
        #expect(throws: ProtocolError.self) { try splitter.nextRecord(from: &buffer, limitBytes: 8) }
    }
}
