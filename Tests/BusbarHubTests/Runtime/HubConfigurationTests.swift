import BusbarHub
import Testing

@Suite("The configuration of hubs")
struct HubConfigurationTests {
    @Test(
        "the defaults are valid, and a value out of its range is named",
        arguments: [
            (
                "classic.disconnectTimeout",
                { @Sendable (c: inout HubConfiguration) in c.classic.disconnectTimeout = .seconds(5) }
            ),
            ("classic.keepAlive", { @Sendable (c: inout HubConfiguration) in c.classic.keepAlive = .seconds(11) }),
            ("classic.keepAlive", { @Sendable (c: inout HubConfiguration) in c.classic.keepAlive = .seconds(1) }),
            ("core.clientTimeout", { @Sendable (c: inout HubConfiguration) in c.core.clientTimeout = .seconds(15) }),
            ("core.handshakeTimeout", { @Sendable (c: inout HubConfiguration) in c.core.handshakeTimeout = .zero }),
            (
                "core.maximumReceiveMessageBytes",
                { @Sendable (c: inout HubConfiguration) in c.core.maximumReceiveMessageBytes = 0 }
            ),
            ("outboundLimitBytes", { @Sendable (c: inout HubConfiguration) in c.outboundLimitBytes = 0 }),
            ("queuedInvocationLimit", { @Sendable (c: inout HubConfiguration) in c.queuedInvocationLimit = 0 }),
        ] as [(String, @Sendable (inout HubConfiguration) -> Void)])
    func ranges(setting: String, change: @Sendable (inout HubConfiguration) -> Void) throws {
        var configuration = HubConfiguration()
        try configuration.validate()
        change(&configuration)
        let error = #expect(throws: HubConfigurationError.self) { try configuration.validate() }
        #expect(error?.setting == setting)
    }

    @Test("a keep-alive is a third of the disconnect timeout until it is set, in whatever order")
    func keepAlive() throws {
        var classic = HubConfiguration.Classic()
        #expect(classic.keepAlive == .seconds(10))
        classic.disconnectTimeout = .seconds(60)
        #expect(classic.keepAlive == .seconds(20))
        classic.keepAlive = .seconds(5)
        classic.disconnectTimeout = .seconds(30)
        #expect(classic.keepAlive == .seconds(5))
        classic.keepAlive = nil
        #expect(classic.keepAlive == nil)
        var configuration = HubConfiguration()
        configuration.classic.disconnectTimeout = .seconds(6)
        try configuration.validate()
    }

    @Test("the defaults are the original's")
    func defaults() {
        let classic = HubConfiguration.Classic()
        #expect(classic.transportConnectTimeout == .seconds(5))
        #expect(classic.connectionTimeout == .seconds(110))
        #expect(classic.disconnectTimeout == .seconds(30))
        #expect(classic.keepAlive == .seconds(10))
        #expect(classic.longPollDelay == .zero)
        #expect(classic.maximumWebSocketMessageBytes == 65_536)
        #expect(classic.javaScriptProxies)
        #expect(!classic.jsonp)
        #expect(!HubConfiguration().detailedErrors)
    }
}
