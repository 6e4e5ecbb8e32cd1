import BusbarHub
import BusbarServer
import NIOCore
import Testing

@Suite("Classic clients in a forever frame", .timeLimit(.minutes(3)))
struct ForeverFrameTests {
    @Test("85 get a document that finds their transport, says so once, and is long enough to be shown")
    func document() async throws {
        try await TestServer.chat { server, _ in
            let query = try await ClassicClient.negotiate(server, transport: "foreverFrame")
            let stream = try await RawStream.open(server, "/signalr/connect?\(query)&frameId=4294967295")
            #expect(stream.status == 200)
            #expect(stream["content-type"] == "text/html; charset=UTF-8")
            let head = try await stream.chunk()
            #expect(head.utf8.count >= 4_096)
            #expect(head.contains(#"getConnection("4294967295")"#))
            #expect(head.contains("transport.receive"))
            #expect(head.count(of: ".started(c)") == 1)
            let first = try await stream.chunk()
            let cursor = try #require(ClassicClient.field("C", in: first))
            #expect(first == "<script>r(c, {\"C\":\"\(cursor)\",\"S\":1,\"M\":[]});</script>\r\n")
        }
    }

    @Test(
        "84 need a frame id of digits that fits in 32 bits",
        arguments: ["invalid", "-100", "1,000", "+1", "", "4294967296", nil] as [String?])
    func frameID(id: String?) async throws {
        try await TestServer.chat { server, _ in
            let query = try await ClassicClient.negotiate(server, transport: "foreverFrame")
            let suffix = id.map { "&frameId=\(ClassicClient.encoded($0))" } ?? ""
            #expect(try await server.get("/signalr/connect?\(query)\(suffix)").status == 400)
        }
    }

    @Test(
        "82 get nothing that could end their script element",
        arguments: ["</sCRiPT>", "</SCRIPT x='y'>", "<script type=''>", "<p>"])
    func markup(text: String) async throws {
        try await TestServer.chat { server, _ in
            let client = try await ClassicHTTPClient.start(server, .foreverFrame)
            _ = try await client.call("send", "[\"\(text)\"]")
            let stream = try #require(client.stream)
            let chunk = try await stream.chunk(containing: "messageReceived")
            #expect(chunk.hasPrefix("<script>r(c, {"))
            #expect(chunk.hasSuffix("});</script>\r\n"))
            let inside = chunk.dropFirst("<script>r(c, ".count).dropLast(");</script>\r\n".count)
            #expect(!inside.contains("<") && !inside.contains(">"))
            let escaped = text.replacing("<", with: #"\u003c"#).replacing(">", with: #"\u003e"#)
            #expect(inside.contains("\"A\":[\"\(escaped)\"]"))
        }
    }

    @Test("89 are sent keep-alives or envelopes without messages, which show the cursor as well")
    func keepAlive() async throws {
        var settings = HubConfiguration()
        settings.classic.keepAlive = .seconds(2)
        try await TestServer.chat(settings) { server, _ in
            let client = try await ClassicHTTPClient.start(server, .foreverFrame)
            let stream = try #require(client.stream)
            let chunk = try await stream.chunk()
            #expect(
                chunk == "<script>r(c, {});</script>\n\n"
                    || (chunk.hasPrefix("<script>r(c, {\"C\":") && chunk.hasSuffix("\"M\":[]});</script>\r\n")))
        }
    }
}
