import BusbarProtocol
import NIOCore
import Testing

@Suite("Core MessagePack")
struct CoreMessagePackTests {
    private func message(_ hex: String) throws -> CoreMessage? {
        var bytes = try ByteBuffer(hex: hex)
        let message = try CoreProtocol.messagePack.nextMessage(from: &bytes)
        #expect(bytes.readableBytes == 0)
        return message
    }

    /// The message in a record that is given without its length.
    private func parse(_ hex: String) throws -> CoreMessage { try CoreMessagePack.parse(ByteBuffer(hex: hex)) }

    private func json(_ text: String) throws -> CallArguments {
        .json(try ArgumentList(validating: ByteBuffer(string: text)))
    }

    @Test("core 1.14: every message in the specification is written byte for byte, and read and written back the same")
    func samples() throws {
        let zero = try JSONValueText(encoding: 0), answer = try JSONValueText(encoding: 42)
        let samples: [(String, CoreMessage)] = [
            (
                "0d 96 01 80 a1 31 a3 41 64 64 92 28 02 90",
                .invocation(CoreInvocation(target: "Add", arguments: try self.json("[40,2]"), invocationID: "1"))
            ),
            (
                "0e 96 01 80 c0 a4 53 65 6e 64 91 a2 68 69 90",
                .invocation(CoreInvocation(target: "Send", arguments: try self.json(#"["hi"]"#)))
            ),
            (
                "17 96 01 81 ab 74 72 61 63 65 70 61 72 65 6e 74 a1 78 a1 31 a1 41 90 90",
                .invocation(
                    CoreInvocation(
                        target: "A", arguments: .empty, invocationID: "1", headers: [("traceparent", "x")]))
            ),
            (
                "0d 96 01 80 a1 32 a2 55 70 90 91 a2 73 31",
                .invocation(CoreInvocation(target: "Up", arguments: .empty, invocationID: "2", streamIDs: ["s1"]))
            ),
            (
                "10 96 04 80 a1 33 a7 43 6f 75 6e 74 65 72 91 05 90",
                .streamInvocation(
                    CoreInvocation(target: "Counter", arguments: try self.json("[5]"), invocationID: "3"))
            ),
            ("06 94 02 80 a1 33 00", .streamItem(id: "3", item: .json(zero))),
            ("06 94 03 80 a1 33 02", .completion(id: "3", result: .void)),
            ("07 95 03 80 a1 31 03 2a", .completion(id: "1", result: .value(.json(answer)))),
            ("07 95 03 80 a1 31 03 c0", .completion(id: "1", result: .value(.json(.null)))),
            ("0c 95 03 80 a1 31 01 a5 45 72 72 6f 72", .completion(id: "1", result: .error("Error"))),
            ("05 93 05 80 a1 33", .cancelInvocation(id: "3")),
            ("02 91 06", .ping),
            ("04 93 07 c0 c2", .close(error: nil, allowReconnect: false)),
            ("07 93 07 a3 62 79 65 c3", .close(error: "bye", allowReconnect: true)),
            ("03 92 08 24", .ack(36)),
            ("05 92 08 cd 01 2c", .ack(300)),
            ("03 92 09 13", .sequence(19)),
        ]
        for (hex, message) in samples {
            var written = ByteBuffer()
            CoreMessagePack.write(message, into: &written)
            #expect(written.hex == hex)
            var again = ByteBuffer()
            CoreMessagePack.write(try #require(try self.message(hex)), into: &again)
            #expect(again.hex == hex)
        }
        #expect(CoreMessagePack.ping.hex == "02 91 06")
    }

    @Test("core 1.14, tolerance 5: optional elements may be missing, further ones are skipped, numbers have any width")
    func tolerances() throws {
        let call = try self.message("0d 96 01 80 a1 31 a3 41 64 64 92 28 02 90")
        #expect(try self.message("0c 95 01 80 a1 31 a3 41 64 64 92 28 02") == call)
        #expect(try self.parse("98 01 80 a1 31 a3 41 64 64 92 28 02 90 81 a1 78 00 c0") == call)
        #expect(try self.parse("dc 00 05 cd 00 01 de 00 00 d9 01 31 a3 41 64 64 92 28 02") == call)
        #expect(try self.parse("95 01 80 a0 a1 41 90") == self.parse("95 01 80 c0 a1 41 90"), "an empty id is none")
        #expect(try self.parse("92 07 c0") == .close(error: nil, allowReconnect: false))
        #expect(try self.parse("92 07 a3 62 79 65") == .close(error: "bye", allowReconnect: false))
        #expect(try self.parse("92 06 80") == .ping)
    }

    @Test(
        "core 1.25: a message of unknown type is there to be skipped, whatever else it says",
        arguments: [(0, "91 00"), (10, "92 0a 05"), (-1, "91 ff"), (99, "93 63 c0 81 90 90")])
    func unknownType(type: Int, hex: String) throws {
        #expect(try self.parse(hex) == .unknown(type: type))
    }

    @Test(
        "core 1.25: a body that is no array, a bad first element and a wrong primitive type close the connection",
        arguments: [
            "", "c0", "80", "06", "a1 31", "90", "91", "91 a1 31", "91 c0", "91 cb 3f f8 00 00 00 00 00 00",
            "91 cf ff ff ff ff ff ff ff ff", "91 06 00", "92 06", "c1",
            "95 01 c0 c0 a1 41 90", "95 01 90 c0 a1 41 90", "95 01 81 a1 61 01 c0 a1 41 90", "95 01 80 05 a1 41 90",
            "95 01 80 c0 c0 90", "95 01 80 c0 a0 90", "95 01 80 c0 a1 41 c0", "95 01 80 c0 a1 41 80",
            "96 01 80 c0 a1 41 90 c0", "96 01 80 c0 a1 41 90 91 01", "94 01 80 c0 a1 41", "95 01 80 c0 a2 c3 28 90",
            "95 04 80 c0 a1 41 90", "95 04 80 a0 a1 41 90", "93 02 80 a1 33", "94 02 80 c0 00",
            "94 03 80 a1 31 04", "94 03 80 a1 31 00", "94 03 80 a1 31 c0", "94 03 80 a1 31 01", "94 03 80 a1 31 03",
            "95 03 80 a1 31 01 05", "94 03 80 a0 02", "93 05 80 a0", "93 05 80 c0", "92 05 80", "91 07", "92 07 05",
            "93 07 c0 c0", "91 08", "92 08 ff", "92 09 a1 31",
        ])
    func refused(hex: String) {
        #expect(throws: ProtocolError.self) { try self.parse(hex) }
    }

    @Test("core 1.13, 1.20: more than 128 headers or streams, or an argument nested too deep, is more than may be")
    func limits() throws {
        let many = "dc 00 81" + String(repeating: " a1 61", count: 129)
        let headers = "de 00 81" + String(repeating: " a1 61 a1 62", count: 129)
        let deep = String(repeating: "91 ", count: 64) + "00"
        _ = try self.parse("95 01 80 c0 a1 41 91 " + deep)
        for hex in [
            "96 01 80 c0 a1 41 90 " + many, "95 01 \(headers) c0 a1 41 90", "95 01 80 c0 a1 41 91 91 " + deep,
        ] {
            let error = #expect(throws: ProtocolError.self) { try self.parse(hex) }
            #expect(error?.code == .limitExceeded)
        }
    }

    // MARK: Framing

    private func records(_ pieces: [[UInt8]], limitBytes: Int? = nil) throws(ProtocolError) -> [String] {
        var buffer = ByteBuffer(), splitter = RecordSplitter(), records: [String] = []
        for piece in pieces {
            buffer.writeBytes(piece)
            while let record = try CoreProtocol.messagePack.nextRecord(
                from: &buffer, &splitter, limitBytes: limitBytes)
            {
                records.append("\(record.readableBytes)")
            }
        }
        return records
    }

    @Test(
        "core 1.10: a length takes seven bits a byte, the lowest first",
        arguments: [
            (0, [0x00]), (3, [0x03]), (127, [0x7F]), (128, [0x80, 0x01]), (300, [0xAC, 0x02]),
            (32_768, [0x80, 0x80, 0x02]),
        ] as [(Int, [UInt8])])
    func lengths(length: Int, prefix: [UInt8]) throws {
        let bytes = prefix + [UInt8](repeating: 0, count: length)
        #expect(try self.records([bytes + [1, 0]]) == ["\(length)", "1"])
        #expect(try self.records(bytes.map { [$0] }) == ["\(length)"])
        #expect(try self.records([bytes], limitBytes: bytes.count) == ["\(length)"])
        let error = #expect(throws: ProtocolError.self) { try self.records([prefix], limitBytes: bytes.count - 1) }
        #expect(error?.code == .limitExceeded, "as soon as it is announced")
    }

    @Test("core 1.10: a length has at most five bytes and 31 bits", arguments: [[0x08], [0x80], [0xFF]] as [[UInt8]])
    func tooLong(last: [UInt8]) throws {
        #expect(try self.records([[0xFF, 0xFF, 0xFF, 0xFF, 0x07]]) == [])
        let error = #expect(throws: ProtocolError.self) { try self.records([[0xFF, 0xFF, 0xFF, 0xFF] + last]) }
        #expect(error?.code == .malformed)
    }
}
