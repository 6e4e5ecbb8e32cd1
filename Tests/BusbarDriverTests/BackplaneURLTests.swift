import BusbarDriver
import Testing

@Suite("Backplane URLs")
struct BackplaneURLTests {
    @Test("scheme, app and number of streams are read; the rest is the driver's")
    func commonParts() throws {
        let url = try BackplaneURL("REDIS://h:1/2?app=chat&streams=4&retainedRecords=7")
        #expect(url.scheme == "redis")
        #expect(url.app == "chat")
        #expect(url.streams == 4)
        let bare = try BackplaneURL("memory:")
        #expect(bare.app == nil && bare.streams == nil)
    }

    @Test(
        "what may be a secret is not shown",
        arguments: [
            ("redis://ada:opensesame@h:1/2?app=chat", "redis://***@h:1/2?app=chat"),
            ("redis://:opensesame@h", "redis://***@h"),
            ("redis://:open@sesame@h", "redis://***@h"),
            ("redis://:open/sesame@h/1", "redis://***@h/1"),
            ("redis://h?sentinelPassword=opensesame&streams=2", "redis://h?sentinelPassword=***&streams=2"),
            ("redis://:open?sesame@h", "redis://***"),
            ("amqp://h/vhost?heartbeat=5", "amqp://h/vhost?heartbeat=5"),
            ("memory:", "memory:"),
        ]
    )
    func masking(text: String, shown: String) throws {
        #expect(try BackplaneURL(text).description == shown)
    }

    @Test(
        "a mistake is named by key and without the text around it",
        arguments: [
            ("", "url"), ("redis", "url"), (":x", "url"), ("//h", "url"), ("re dis://h", "url"),
            ("redis://:opensesame@h?streams=0", "streams"), ("redis://:opensesame@h?streams=257", "streams"),
            ("redis://:opensesame@h?streams=x", "streams"), ("redis://:opensesame@h?app=a&app=b", "app"),
            (String(repeating: "x", count: 9_000), "url"),
        ]
    )
    func mistakes(text: String, key: String) throws {
        let error = try #require(throws: BackplaneURLError.self) { try BackplaneURL(text) }
        #expect(error.key == key)
        #expect(!error.description.contains("opensesame"))
        #expect(error.description.utf8.count < 300)
    }
}
