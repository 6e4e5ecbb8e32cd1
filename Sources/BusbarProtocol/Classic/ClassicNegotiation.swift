package import NIOCore

/// The answer to a classic `/negotiate`. Times are in seconds on the wire.
package struct ClassicNegotiation: Hashable, Sendable {
    /// Path of the endpoint as the public sees it; browsers build their receive URLs from it.
    package var url: String
    package var connectionToken: String
    package var connectionID: String
    /// After how much silence a client suspects the connection: twice the keep-alive interval. Nil = no keep-alive.
    package var keepAliveTimeout: Duration? = .seconds(20)
    /// How long a client tries to reconnect.
    package var disconnectTimeout: Duration = .seconds(30)
    /// How long a poll may last.
    package var connectionTimeout: Duration = .seconds(110)
    package var offersWebSockets = true
    package var protocolVersion: ClassicVersion
    /// How long each transport may take to connect. Browsers cannot start without it.
    package var transportConnectTimeout: Duration = .seconds(5)
    package var longPollDelay: Duration = .zero

    package init(url: String, connectionToken: String, connectionID: String, protocolVersion: ClassicVersion) {
        self.url = url
        self.connectionToken = connectionToken
        self.connectionID = connectionID
        self.protocolVersion = protocolVersion
    }

    /// Writes the body of the response.
    package func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"Url\":")
        buffer.writeJSONString(self.url)
        buffer.writeStaticString(",\"ConnectionToken\":")
        buffer.writeJSONString(self.connectionToken)
        buffer.writeStaticString(",\"ConnectionId\":")
        buffer.writeJSONString(self.connectionID)
        buffer.writeStaticString(",\"KeepAliveTimeout\":")
        if let timeout = self.keepAliveTimeout {
            Self.writeSeconds(timeout, into: &buffer)
        } else {
            buffer.writeStaticString("null")
        }
        buffer.writeStaticString(",\"DisconnectTimeout\":")
        Self.writeSeconds(self.disconnectTimeout, into: &buffer)
        buffer.writeStaticString(",\"ConnectionTimeout\":")
        Self.writeSeconds(self.connectionTimeout, into: &buffer)
        buffer.writeStaticString(",\"TryWebSockets\":")
        buffer.writeJSONBool(self.offersWebSockets)
        buffer.writeStaticString(",\"ProtocolVersion\":")
        buffer.writeJSONString(self.protocolVersion.description)
        buffer.writeStaticString(",\"TransportConnectTimeout\":")
        Self.writeSeconds(self.transportConnectTimeout, into: &buffer)
        buffer.writeStaticString(",\"LongPollDelay\":")
        Self.writeSeconds(self.longPollDelay, into: &buffer)
        buffer.writeInteger(UInt8(ascii: "}"))
    }

    /// Why: always with a point, as typed clients may read the field as a floating number only.
    private static func writeSeconds(_ duration: Duration, into buffer: inout ByteBuffer) {
        let (seconds, attoseconds) = duration.components
        buffer.writeString((Double(seconds) + Double(attoseconds / 1_000_000_000_000_000) / 1_000).description)
    }
}

extension ClassicNegotiation {
    /// The answer that sends a client of 2.0 or later to another endpoint.
    package static func redirection(to url: String, accessToken: String?, version: ClassicVersion) -> ByteBuffer {
        var body = Self.opening(version)
        body.writeStaticString(",\"RedirectUrl\":")
        body.writeJSONString(url)
        if let accessToken {
            body.writeStaticString(",\"AccessToken\":")
            body.writeJSONString(accessToken)
        }
        body.writeStaticString("}")
        return body
    }

    /// The answer that has a client of 2.0 or later give up with this text.
    package static func refusal(_ text: String, version: ClassicVersion) -> ByteBuffer {
        var body = Self.opening(version)
        body.writeStaticString(",\"Error\":")
        body.writeJSONString(text)
        body.writeStaticString("}")
        return body
    }

    private static func opening(_ version: ClassicVersion) -> ByteBuffer {
        var body = ByteBuffer(string: "{\"ProtocolVersion\":")
        body.writeJSONString(version.description)
        return body
    }
}
