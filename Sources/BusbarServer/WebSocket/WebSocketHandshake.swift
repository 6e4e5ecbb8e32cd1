package import Busbar
import Crypto
import NIOCore

/// Judges the opening handshake of a WebSocket (RFC 6455). No subprotocol and no extension is ever selected.
package enum WebSocketHandshake {
    /// The answer to `Sec-WebSocket-Key`, or the refusal the peer gets.
    package static func accept(_ request: HTTPRequest) -> Result<String, Refusal> {
        guard request.fields.values("sec-websocket-version") == ["13"] else {
            var response = HTTPResponse.text(426, "Only version 13 of the WebSocket protocol is supported.")
            response.add("Sec-WebSocket-Version", "13")
            response.add("Upgrade", "websocket")
            return .failure(Refusal(response: response))
        }
        let keys = request.fields.values("sec-websocket-key")
        guard keys.count == 1, Self.isKey(keys[0]) else {
            return .failure(Refusal(response: .text(400, "Sec-WebSocket-Key is not 16 bytes in base64.")))
        }
        return .success(Self.acceptKey(for: keys[0]))
    }

    package struct Refusal: Error {
        package let response: HTTPResponse
    }

    package static func acceptKey(for key: String) -> String {
        let digest = Insecure.SHA1.hash(data: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return Base64URL.encodePadded(Array(digest))
    }

    /// 22 base64 digits and the padding that 16 bytes have.
    private static func isKey(_ text: String) -> Bool {
        let bytes = text.utf8
        guard bytes.count == 24, text.hasSuffix("==") else { return false }
        return bytes.dropLast(2).allSatisfy {
            switch $0 {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2F: true
            default: false
            }
        }
    }
}

extension Base64URL {
    /// The same bytes with the usual alphabet and with padding (RFC 4648 §4).
    package static func encodePadded(_ bytes: some Collection<UInt8>) -> String {
        let text = Self.encode(bytes).replacing("-", with: "+").replacing("_", with: "/")
        return text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
    }
}
