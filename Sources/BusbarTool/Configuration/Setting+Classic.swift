import Busbar
import BusbarHub

/// The settings of the original, under its names.
extension Setting {
    static let transportConnectTimeout = Self(
        "classic-transport-connect-timeout", .seconds(0.1...3_600, canBeOff: false), default: "5",
        summary: "seconds that classic clients give a transport to become ready"
    )
    static let connectionTimeout = Self(
        "classic-connection-timeout", .seconds(1...86_400, canBeOff: false), default: "110",
        summary: "seconds that a long poll may last"
    )
    static let disconnectTimeout = Self(
        "classic-disconnect-timeout", .seconds(6...86_400, canBeOff: false), default: "30",
        summary: "seconds that a classic connection is kept while its client is away"
    )
    static let keepAlive = Self(
        "classic-keep-alive", .seconds(2...28_800, canBeOff: true), default: nil,
        summary: "seconds between keep-alives, or off; a third of classic-disconnect-timeout, and no more, unless set"
    )
    static let longPollDelay = Self(
        "classic-long-poll-delay", .seconds(0...3_600, canBeOff: false), default: "0",
        summary: "seconds that a client waits before its next long poll"
    )
    static let messageBufferSize = Self(
        "classic-default-message-buffer-size", .integer(0...1_000_000_000), default: nil,
        summary: "messages of each stream kept in memory for clients that come back, at least 32"
    )
    static let webSocketMessageSize = Self(
        "classic-max-incoming-websocket-message-size", .bytes(1...16_777_216), default: "65536",
        summary: "largest WebSocket message of a classic client in bytes, or off"
    )
    static let javaScriptProxies = Self(
        "classic-javascript-proxies", .flag, default: "true", summary: "serve the script that is generated for pages"
    )
    static let jsonp = Self(
        "classic-jsonp", .flag, default: "false", summary: "wrap answers in the callback that a client asks for"
    )
    static let classic = [
        transportConnectTimeout, connectionTimeout, disconnectTimeout, keepAlive, longPollDelay, messageBufferSize,
        webSocketMessageSize, javaScriptProxies, jsonp,
    ]
}

extension HubConfiguration {
    /// What the settings say about hubs.
    init(_ settings: Settings) {
        self.init()
        self.detailedErrors = settings.isOn(.detailedErrors)
        self.classic.transportConnectTimeout = settings.duration(.transportConnectTimeout) ?? .zero
        self.classic.connectionTimeout = settings.duration(.connectionTimeout) ?? .zero
        self.classic.disconnectTimeout = settings.duration(.disconnectTimeout) ?? .zero
        if settings.text(.keepAlive) != nil { self.classic.keepAlive = settings.duration(.keepAlive) }
        self.classic.longPollDelay = settings.duration(.longPollDelay) ?? .zero
        self.classic.maximumWebSocketMessageBytes = settings.text(.webSocketMessageSize).flatMap { Int($0) }
        self.classic.javaScriptProxies = settings.isOn(.javaScriptProxies)
        self.classic.jsonp = settings.isOn(.jsonp)
    }
}

extension BusConfiguration {
    /// Takes over how much of what is published is kept for clients that come back.
    mutating func keep(asIn settings: Settings) {
        if settings.text(.messageBufferSize) != nil { self.windowCount = max(32, settings.integer(.messageBufferSize)) }
    }
}
