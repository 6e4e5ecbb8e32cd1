import BusbarServer
import NIOCore
import TestSupport
import Testing

@Suite("Requests are read strictly")
struct HTTPRequestParserTests {
    private static let host = "Host: a\r\n"

    private func events(
        _ text: String, limits: HTTPLimits = .init()
    ) -> Result<[HTTPRequestParser.Event], HTTPRefusal> {
        self.events(ByteBuffer(string: text), limits: limits)
    }

    private func events(
        _ bytes: ByteBuffer, limits: HTTPLimits = .init()
    ) -> Result<[HTTPRequestParser.Event], HTTPRefusal> {
        var parser = HTTPRequestParser(limits: limits)
        var buffer = bytes
        var events: [HTTPRequestParser.Event] = []
        do throws(HTTPRefusal) {
            while let event = try parser.next(in: &buffer) { events.append(event) }
            return .success(events)
        } catch {
            return .failure(error)
        }
    }

    private func requests(_ text: String) throws -> [HTTPRequest] {
        try self.events(text).get().compactMap {
            if case .request(let request) = $0 { request } else { nil }
        }
    }

    @Test("a request is the same whole, byte by byte, and joined with others")
    func arrivalDoesNotMatter() throws {
        let texts = [
            "GET /a?b=c HTTP/1.1\r\n\(Self.host)\r\n",
            "POST /p HTTP/1.1\r\n\(Self.host)Content-Length: 3\r\n\r\nxyz",
            "POST /q HTTP/1.1\r\n\(Self.host)Transfer-Encoding: chunked\r\n\r\n"
                + "2;x=y\r\nab\r\n3\r\ncde\r\n0\r\nT: 1\r\n\r\n",
            "GET /last HTTP/1.0\r\n\r\n",
        ]
        let joined = try self.requests(texts.joined())
        var parser = HTTPRequestParser(limits: .init())
        var buffer = ByteBuffer()
        var bytewise: [HTTPRequest] = []
        for byte in texts.joined().utf8 {
            buffer.writeInteger(byte)
            while case .request(let request) = try parser.next(in: &buffer) { bytewise.append(request) }
        }
        #expect(joined == bytewise)
        #expect(joined.map(\.path) == ["/a", "/p", "/q", "/last"])
        #expect(joined.map { String(buffer: $0.body) } == ["", "xyz", "abcde", ""])
        #expect(joined.map(\.isKeptAlive) == [true, true, true, false])
        #expect(joined[0].query == "b=c")
    }

    @Test("bytes behind a request stay for whoever comes next")
    func restStays() throws {
        var parser = HTTPRequestParser(limits: .init())
        var buffer = ByteBuffer(string: "GET / HTTP/1.1\r\n\(Self.host)\r\n\u{1}\u{2}")
        _ = try parser.next(in: &buffer)
        #expect(buffer.readableBytes == 2)
    }

    @Test(
        "the path is what stands between authority and query",
        arguments: [
            ("/x", "/x", ""), ("/x?", "/x", ""), ("/x?a?b", "/x", "a?b"), ("http://h:1/y?z", "/y", "z"),
            ("HTTP://h", "/", ""), ("/x#f", "/x", ""), ("/c?d=[%7B]:", "/c", "d=[%7B]:"), ("*", "*", ""),
        ])
    func targets(target: String, path: String, query: String) throws {
        let request = try #require(try self.requests("GET \(target) HTTP/1.1\r\n\(Self.host)\r\n").first)
        #expect(request.path == path)
        #expect(request.query == query)
    }

    @Test(
        "escapes in a path are read, and kept where they are none",
        arguments: [
            ("/a%20b", "/a b"), ("/%C3%A4", "/ä"), ("/a+b", "/a+b"), ("/%", "/%"), ("/%4", "/%4"), ("/%zz", "/%zz"),
            ("/%ff", "/\u{FFFD}"), ("/plain", "/plain"),
        ])
    func decodedPath(path: String, decoded: String) throws {
        let request = try #require(try self.requests("GET \(path) HTTP/1.1\r\n\(Self.host)\r\n").first)
        #expect(request.decodedPath == decoded)
    }

    @Test(
        "what could be read in two ways is refused",
        arguments: [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{0}\r\n\r\n", 400),
            ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET / FTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFF\r\n", 413),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: wonders\r\n\r\n", 417),
        ])
    func refusals(text: String, status: Int) {
        guard case .failure(let refusal) = self.events(text) else {
            Issue.record("accepted")
            return
        }
        #expect(refusal.status == status)
    }

    @Test("each limit has its own answer")
    func limits() {
        var limits = HTTPLimits()
        limits.headBytes = 1_024
        limits.bodyBytes = 10
        limits.fieldCount = 16
        func status(_ text: String) -> Int? {
            if case .failure(let refusal) = self.events(text, limits: limits) { refusal.status } else { nil }
        }
        let long = String(repeating: "x", count: 1_100)
        let many = (0..<16).map { "X-\($0): 1\r\n" }.joined()
        #expect(status("GET /\(long)") == 414)
        #expect(status("GET / HTTP/1.1\r\n\(Self.host)X: \(long)") == 431)
        #expect(status("GET / HTTP/1.1\r\n\(Self.host)\(many)\r\n") == 431)
        #expect(status("POST / HTTP/1.1\r\n\(Self.host)Content-Length: 11\r\n\r\n") == 413)
        #expect(status("POST / HTTP/1.1\r\n\(Self.host)Content-Length: 10\r\n\r\n") == nil)
        let chunked = "POST / HTTP/1.1\r\n\(Self.host)Transfer-Encoding: chunked\r\n\r\n"
        #expect(status("\(chunked)6\r\nabcdef\r\n5\r\n") == 413)
        #expect(status("\(chunked)0\r\nT: \(long)") == 431)
        #expect(status("\(chunked)1;\(long)") == 431)
    }

    @Test("a client that waits for 100 Continue is told once, and one that does not wait is not")
    func continueExpected() throws {
        let head = "POST / HTTP/1.1\r\n\(Self.host)Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
        #expect(try self.events(head).get() == [.continueExpected])
        #expect(try self.events(head + "ab").get().count == 1)
    }

    @Test(
        "tokens of Connection and Upgrade are found in any list and letter case",
        arguments: [
            ("Connection: upgrade\r\nUpgrade: WebSocket", true),
            ("Connection: keep-alive, UPGRADE\r\nUpgrade: h2c, websocket", true),
            ("Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket", true),
            ("Connection: upgraded\r\nUpgrade: websocket", false), ("Upgrade: websocket", false),
            ("Connection: Upgrade\r\nUpgrade: h2c", false),
        ])
    func upgrades(fields: String, isUpgrade: Bool) throws {
        let request = try #require(try self.requests("GET / HTTP/1.1\r\n\(Self.host)\(fields)\r\n\r\n").first)
        #expect(request.asksForWebSocket == isUpgrade)
    }

    @Test("random bytes and broken requests end in an error or in waiting, never otherwise", arguments: [1, 2, 3, 4])
    func fuzz(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let seeds = [
            "GET /chat?id=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n",
            "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        ].map { Array($0.utf8) }
        var refused = 0
        for _ in 0..<3_000 {
            var bytes = seeds.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            if case .failure = self.events(ByteBuffer(bytes: bytes)) { refused += 1 }
        }
        #expect(refused > 1_000, "seed \(seed)")
    }
}
