import Busbar
import BusbarServer
import Testing

@Suite("Connection tokens")
struct ConnectionTokenTests {
    private let tokens = ConnectionTokens(key: .generate())

    @Test("9 a user name with colons comes back whole, and the id is what stands before the first one")
    func colons() throws {
        let token = self.tokens.classicToken(id: "abc", user: "::11:::::::1:1")
        let opened = try #require(self.tokens.openClassic(token))
        #expect(opened.id == "abc")
        #expect(opened.user == "::11:::::::1:1")
    }

    @Test("7 what was not sealed for this purpose is no token")
    func forged() {
        #expect(self.tokens.openClassic("garbage") == nil)
        #expect(self.tokens.openClassic("") == nil)
        #expect(
            self.tokens.openClassic(
                self.tokens.coreToken(id: ConnectionTokens.randomID(of: NodeTag(bits: 7)), user: "", now: 0)) == nil)
        let empty = self.tokens.key.seal([], purpose: "classic.connection")
        #expect(self.tokens.openClassic(empty) == nil)
        let token = self.tokens.classicToken(id: "abc", user: "")
        #expect(ConnectionTokens(key: .generate()).openClassic(token) == nil)
    }

    @Test("of version 0 are 22 characters that no one else can make", arguments: ["", "ann"])
    func short(user: String) throws {
        let id = self.tokens.shortCoreID(user: user, now: 1_000)
        #expect(id.utf8.count == 22)
        let core = try #require(self.tokens.openCore(id, user: user, now: 1_015, lifetimeSeconds: 15))
        #expect(core.id == id)
        #expect(core.issued == 1_000)
        #expect(self.tokens.openCore(id, user: "bob", now: 1_001, lifetimeSeconds: 15) == nil)
        #expect(self.tokens.openCore(id, user: user, now: 1_016, lifetimeSeconds: 15) == nil)
        #expect(self.tokens.openCore(id, user: user, now: 900, lifetimeSeconds: 15) == nil)
        for index in id.indices {
            var forged = id
            forged.replaceSubrange(index...index, with: id[index] == "A" ? "B" : "A")
            #expect(self.tokens.openCore(forged, user: user, now: 1_001, lifetimeSeconds: 15) == nil)
        }
    }

    @Test("of version 1 are bound to id, user and time")
    func long() throws {
        let id = ConnectionTokens.randomID(of: NodeTag(bits: 7))
        let token = self.tokens.coreToken(id: id, user: "a:b", now: 1_000)
        #expect(id.utf8.count == 22)
        #expect(token != id)
        let core = try #require(self.tokens.openCore(token, user: "a:b", now: 1_010, lifetimeSeconds: 15))
        #expect(core.id == id)
        #expect(self.tokens.openCore(token, user: "a", now: 1_010, lifetimeSeconds: 15) == nil)
        #expect(self.tokens.openCore(token, user: "a:b", now: 1_016, lifetimeSeconds: 15) == nil)
        #expect(self.tokens.openCore(id, user: "a:b", now: 1_010, lifetimeSeconds: 15) == nil)
    }

    @Test("open one connection only, and are forgotten when they would have expired")
    func claims() {
        let claims = CoreClaims()
        let key = CoreClaims.Key(high: 1, low: 2)
        #expect(claims.claim(key, expiry: 20, now: 10) == .claimed)
        #expect(claims.claim(key, expiry: 20, now: 11) == .inUse)
        claims.release(key, now: 12)
        #expect(claims.isOver(key))
        #expect(claims.claim(key, expiry: 20, now: 13) == .used)
        let late = CoreClaims.Key(high: 3, low: 4)
        #expect(claims.claim(late, expiry: 15, now: 14) == .claimed)
        #expect(claims.count == 2)
        claims.release(late, now: 25)
        #expect(claims.count == 0)
    }
}

@Suite("What web pages of other origins may do")
struct CrossOriginTests {
    private let listed = CrossOrigin(allowed: ["https://app.example"])
    private let open = CrossOrigin(allowed: nil)

    @Test("nothing is checked and nothing is allowed without a list")
    func withoutList() {
        #expect(self.open.mayUpgrade(origin: "https://evil.example"))
        #expect(self.open.fields(for: "https://app.example").isEmpty)
    }

    @Test("with a list only listed pages may connect, and what is no page")
    func withList() {
        #expect(self.listed.mayUpgrade(origin: "https://app.example"))
        #expect(self.listed.mayUpgrade(origin: "HTTPS://App.Example"))
        #expect(self.listed.mayUpgrade(origin: nil))
        for origin in ["https://evil.example", "http://app.example", "https://app.example.evil", "null", ""] {
            #expect(!self.listed.mayUpgrade(origin: origin))
            #expect(self.listed.fields(for: origin) == [.init("Vary", "Origin")])
        }
    }
}

@Suite("Base64 and identifiers")
struct EncodingTests {
    @Test("what is encoded for URLs decodes to the same, and nothing else decodes")
    func roundTrip() {
        for count in 0..<40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 200) }
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        }
        for text in ["A", "AB=", "A+BC", "AA\u{e9}", "AB"] where text != "AA" {
            #expect(Base64URL.decode(text) == nil)
        }
        #expect(Base64URL.encodePadded(Array("any carnal pleas".utf8)) == "YW55IGNhcm5hbCBwbGVhcw==")
    }

    @Test("the answer to the key of the RFC's sample is the RFC's")
    func acceptKey() {
        #expect(WebSocketHandshake.acceptKey(for: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test(
        "dates are those of the calendar",
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
        ])
    func dates(seconds: Int, text: String) {
        #expect(HTTPDate.text(secondsSince1970: seconds) == text)
    }

    @Test("ids of both generations say which node issued them", arguments: [0, 7, 0x8000_0000, UInt32.max])
    func nodeTags(bits: UInt32) {
        let tag = NodeTag(bits: bits)
        #expect(NodeTag(connectionID: ConnectionTokens.randomID(of: tag)) == tag)
        #expect(NodeTag(connectionID: RandomUUID.text(of: tag)) == tag)
    }

    @Test("random ids have the usual form and do not repeat")
    func uuids() {
        let texts = (0..<200).map { _ in RandomUUID.text(of: NodeTag(bits: 7)) }
        #expect(Set(texts).count == texts.count)
        for text in texts {
            #expect(text.split(separator: "-").map(\.count) == [8, 4, 4, 4, 12])
            #expect(text.dropFirst(14).first == "4")
            #expect("89ab".contains(text.dropFirst(19).first ?? " "))
        }
    }
}
