import BusbarProtocol
import FoundationEssentials
import NIOCore
import Testing

@Suite("From JSON to MessagePack")
struct TranscodingTests {
    /// The bytes of `text`, as the result of a call has them.
    private func packed(_ text: JSONValueText) throws -> String {
        var record = ByteBuffer()
        CoreMessagePack.writeCompletion(id: "1", result: .value(.json(text)), into: &record)
        let message = try #require(try CoreProtocol.messagePack.nextMessage(from: &record))
        guard case .completion(_, .value(.messagePack(let value))) = message else { return "not a completion" }
        return value.bytes.hex
    }

    private func packed(json: String) throws -> String {
        try self.packed(JSONValueText(validating: ByteBuffer(string: json)))
    }

    private func packed(_ value: some Encodable) throws -> String { try self.packed(JSONValueText(encoding: value)) }

    @Test(
        "core 1.14: whole numbers take as few bytes as they can, others are 64-bit floating point, text is text",
        arguments: [
            ("null", "c0"), ("true", "c3"), ("false", "c2"), ("0", "00"), ("127", "7f"), ("128", "cc 80"),
            ("255", "cc ff"), ("256", "cd 01 00"), ("65535", "cd ff ff"), ("65536", "ce 00 01 00 00"),
            ("4294967296", "cf 00 00 00 01 00 00 00 00"), ("18446744073709551615", "cf ff ff ff ff ff ff ff ff"),
            ("-1", "ff"), ("-32", "e0"), ("-33", "d0 df"), ("-129", "d1 ff 7f"), ("-32769", "d2 ff ff 7f ff"),
            ("-2147483649", "d3 ff ff ff ff 7f ff ff ff"), ("-9223372036854775808", "d3 80 00 00 00 00 00 00 00"),
            ("1.5", "cb 3f f8 00 00 00 00 00 00"), ("1e2", "cb 40 59 00 00 00 00 00 00"),
            ("-0.0", "cb 80 00 00 00 00 00 00 00"), ("18446744073709551616", "cb 43 f0 00 00 00 00 00 00"),
            (#""""#, "a0"), (#""ü\u0041\n\ud83d\ude00""#, "a8 c3 bc 41 0a f0 9f 98 80"), ("[]", "90"), ("{}", "80"),
            (#" { "a" : [ 1 , { } ] , "b" : null } "#, "82 a1 61 92 01 80 a1 62 c0"),
        ])
    func values(json: String, hex: String) throws {
        #expect(try self.packed(json: json) == hex)
    }

    @Test("longer texts and containers say their length in 8, 16 or 32 bits")
    func lengths() throws {
        func text(_ count: Int) -> String { "\"" + String(repeating: "x", count: count) + "\"" }
        func list(_ count: Int) -> String { "[" + Array(repeating: "0", count: count).joined(separator: ",") + "]" }
        for (json, head) in [
            (text(31), "bf 78"), (text(32), "d9 20 78"), (text(255), "d9 ff 78"), (text(256), "da 01 00 78"),
            (text(65_536), "db 00 01 00 00 78"), (list(15), "9f 00"), (list(16), "dc 00 10 00"),
            (list(65_536), "dd 00 01 00 00 00"),
        ] {
            let hex = try self.packed(json: json)
            #expect(hex.hasPrefix(head), "\(json.prefix(10)) of \(json.utf8.count)")
            #expect(hex.hasSuffix("78") || hex.hasSuffix("00"))
        }
        let members = (0..<16).map { "\"\($0)\":\($0)" }.joined(separator: ",")
        #expect(try self.packed(json: "{\(members)}").hasPrefix("de 00 10 a1 30 00 a1 31 01"))
        #expect(try self.packed(json: "[[\(list(16))],1]").hasPrefix("92 91 dc 00 10 00"))
    }

    private struct Typed: Codable {
        var bytes = Data([1, 2, 3])
        var at = Date(timeIntervalSince1970: 1.5)
        var price = Decimal(string: "1.10")!
        var text = "AQID"
        var id = UUID(uuidString: "00112233-4455-6677-8899-AABBCCDDEEFF")!
    }

    @Test("what JSON has no sign for keeps its kind: bytes are bytes, dates are timestamps, decimals are their text")
    func kinds() throws {
        #expect(try self.packed(Data([1, 2, 3])) == "c4 03 01 02 03")
        #expect(try self.packed([7, 8] as [UInt8]) == "c4 02 07 08")
        #expect(try self.packed("AQID") == "a4 41 51 49 44")
        #expect(try self.packed(Date(timeIntervalSince1970: 1)) == "d6 ff 00 00 00 01")
        #expect(try self.packed(Date(timeIntervalSince1970: 1.5)) == "d7 ff 77 35 94 00 00 00 00 01")
        #expect(try self.packed(Date(timeIntervalSince1970: -0.5)) == "c7 0c ff 1d cd 65 00 ff ff ff ff ff ff ff ff")
        #expect(try self.packed(Date?.some(Date(timeIntervalSince1970: 1))) == "d6 ff 00 00 00 01")
        #expect(try self.packed(Data?.none) == "c0")
        #expect(
            try self.packed([Date(timeIntervalSince1970: 1), Date(timeIntervalSince1970: 2)])
                == "92 d6 ff 00 00 00 01 d6 ff 00 00 00 02")
        let typed = try self.packed(Typed())
        #expect(
            typed.hasPrefix(
                "85 a5 62 79 74 65 73 c4 03 01 02 03 a2 61 74 d7 ff 77 35 94 00 00 00 00 01"
                    + " a5 70 72 69 63 65 a3 31 2e 31 a4 74 65 78 74 a4 41 51 49 44 a2 69 64 d9 24 30 30 31 31"))
    }

    @Test("arguments keep their kinds too, wherever in the list they stand, and marks that fit nothing do no harm")
    func arguments() throws {
        let list = try ArgumentList(encoding: "AQID", Data([1]), ["x": Data([2])], Date(timeIntervalSince1970: 1), 5)
        #expect(list.marks.map(\.kind) == [.bytes, .bytes, .date])
        var record = ByteBuffer()
        CoreProtocol.messagePack.writeInvocation(target: "m", arguments: list, into: &record)
        #expect(
            record.hex
                == "1d 96 01 80 c0 a1 6d 95 a4 41 51 49 44 c4 01 01 81 a1 78 c4 01 02 d6 ff 00 00 00 01 05 90")
        let odd = try ArgumentList(
            validating: ByteBuffer(string: #"["??",7,[1]]"#),
            marks: [(1, .bytes), (1, .date), (6, .bytes), (8, .decimal), (99, .date)].map {
                JSONMark(offset: $0, kind: $1)
            })
        record.clear()
        CoreProtocol.messagePack.writeInvocation(target: "m", arguments: odd, into: &record)
        #expect(record.hex == "0e 96 01 80 c0 a1 6d 93 a2 3f 3f 07 91 01 90")
    }

    @Test("a value written as MessagePack reads back as the same type")
    func roundTrip() throws {
        let typed = Typed()
        var record = ByteBuffer()
        let text = try JSONValueText(encoding: typed)
        CoreMessagePack.writeCompletion(id: "1", result: .value(.json(text)), into: &record)
        let message = try #require(try CoreProtocol.messagePack.nextMessage(from: &record))
        guard case .completion("1", .value(let value)) = message else { Issue.record("\(message)"); return }
        let back: Typed = try value.decode()
        #expect(back.bytes == typed.bytes && back.at == typed.at && back.price == typed.price && back.id == typed.id)
        #expect(try value.jsonText.decode(JSONNode.self)["bytes"] == "AQID")
    }
}

extension CoreProtocol {
    /// The next message of a buffer, which holds whole records.
    func nextMessage(from buffer: inout ByteBuffer) throws(ProtocolError) -> CoreMessage? {
        var splitter = RecordSplitter()
        return try self.nextRecord(from: &buffer, &splitter, limitBytes: nil).map { record throws(ProtocolError) in
            try self.parse(record)
        }
    }
}
