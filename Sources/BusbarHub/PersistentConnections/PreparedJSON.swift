import BusbarProtocol
public import NIOCore

/// JSON that is there already, to be sent as it is, byte for byte.
///
/// ```swift
/// try await self.connection.broadcast(try PreparedJSON(#"{"price":1.50}"#))
/// ```
public struct PreparedJSON: Hashable, Sendable {
    let text: JSONValueText

    /// - Throws: ``HubSendError`` `argumentNotEncodable` if the bytes are not one JSON value on one line.
    public init(_ bytes: ByteBuffer) throws(HubSendError) {
        do throws(JSONCodingError) {
            self.text = try JSONValueText(validating: bytes)
        } catch {
            throw HubSendError(.argumentNotEncodable, "prepared JSON: \(error.detail)")
        }
        guard !self.text.bytes.readableBytesView.contains(where: { $0 == 0x0A || $0 == 0x0D }) else {
            throw HubSendError(.argumentNotEncodable, "prepared JSON: it must stand on one line")
        }
    }

    /// - Throws: as ``init(_:)-(ByteBuffer)`` does.
    public init(_ text: String) throws(HubSendError) {
        try self.init(ByteBuffer(string: text))
    }
}

/// As a part of another value it is read and written anew.
extension PreparedJSON: Encodable {
    public func encode(to encoder: any Encoder) throws {
        try self.text.decode(JSONNode.self).encode(to: encoder)
    }
}
