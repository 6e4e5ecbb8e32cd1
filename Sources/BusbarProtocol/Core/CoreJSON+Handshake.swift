package import NIOCore

/// What a core client proposes in its first record.
package struct HandshakeRequest: Hashable, Sendable {
    /// The hub protocol as the client spells it, e.g. `json`.
    package var protocolName: String
    package var version: Int

    package init(protocolName: String, version: Int) {
        self.protocolName = protocolName
        self.version = version
    }
}

extension CoreJSON {
    /// The whole record that accepts a handshake.
    package static let handshakeAccepted = ByteBuffer(string: "{}\u{1E}")

    /// Reads the first record of a connection. Unknown properties are skipped.
    /// - Throws: ``ProtocolError`` when it is not JSON or lacks `protocol` or `version`.
    package static func parseHandshake(_ record: ByteBuffer) throws(ProtocolError) -> HandshakeRequest {
        var name: String?
        var version: Int?
        do throws(JSONCodingError) {
            try record.withUnsafeReadableBytes { raw throws(JSONCodingError) in
                try JSONScanner.scanDocument(raw) { scanner, key throws(JSONCodingError) in
                    if scanner.string(key, is: "protocol") {
                        name = try scanner.readString(.strict)
                    } else if scanner.string(key, is: "version") {
                        version = try scanner.readInteger(.strict) as Int
                    } else {
                        try scanner.skipValue()
                    }
                }
            }
        } catch {
            throw ProtocolError(error, in: "handshake request")
        }
        guard let name else {
            throw ProtocolError(.missingProperty, "handshake request: property 'protocol' is missing")
        }
        guard let version else {
            throw ProtocolError(.missingProperty, "handshake request: property 'version' is missing")
        }
        return HandshakeRequest(protocolName: name, version: version)
    }

    /// Writes a handshake request.
    package static func writeHandshake(_ request: HandshakeRequest, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"protocol\":")
        buffer.writeJSONString(request.protocolName)
        buffer.writeStaticString(",\"version\":")
        buffer.writeJSONInteger(request.version)
        Self.endRecord(&buffer)
    }

    /// Writes the record that refuses a handshake; the connection ends after it.
    package static func writeHandshakeRefusal(_ error: String, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"error\":")
        buffer.writeJSONString(error)
        Self.endRecord(&buffer)
    }

    /// Reads what a server answered to a handshake request: nil when it accepted, else its error.
    package static func parseHandshakeResponse(_ record: ByteBuffer) throws(ProtocolError) -> String? {
        var refusal: String?
        do throws(JSONCodingError) {
            try record.withUnsafeReadableBytes { raw throws(JSONCodingError) in
                try JSONScanner.scanDocument(raw) { scanner, key throws(JSONCodingError) in
                    if scanner.string(key, is: "error") {
                        refusal = try scanner.takeNull() ? nil : try scanner.readString(.strict)
                    } else {
                        try scanner.skipValue()
                    }
                }
            }
        } catch {
            throw ProtocolError(error, in: "handshake response")
        }
        return refusal
    }
}
