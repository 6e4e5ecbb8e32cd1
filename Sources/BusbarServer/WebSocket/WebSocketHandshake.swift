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
        return Base64.encode(digest)
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

package enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let urlDigits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let text = Self.encode(bytes, with: Self.digits)
        return text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
    }

    /// The URL-safe form without padding.
    package static func encodeForURL(_ bytes: some Sequence<UInt8>) -> String {
        Self.encode(bytes, with: Self.urlDigits)
    }

    private static func encode(_ bytes: some Sequence<UInt8>, with digits: [UInt8]) -> String {
        var text: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                text.append(digits[Int(bits >> UInt32(bitCount) & 0x3F)])
            }
        }
        if bitCount > 0 { text.append(digits[Int(bits << UInt32(6 - bitCount) & 0x3F)]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Decodes the URL-safe form without padding; nil when a character or the last digit is not what encoding produces.
    package static func decodeFromURL(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count * 3 / 4)
        var bits: UInt32 = 0
        var bitCount = 0
        for digit in text.utf8 {
            let value: UInt8
            switch digit {
            case 0x41...0x5A: value = digit - 0x41
            case 0x61...0x7A: value = digit - 0x61 + 26
            case 0x30...0x39: value = digit - 0x30 + 52
            case 0x2D: value = 62
            case 0x5F: value = 63
            default: return nil
            }
            bits = bits << 6 | UInt32(value)
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        guard bitCount < 6, bits & (1 << UInt32(bitCount) - 1) == 0 else { return nil }
        return bytes
    }
}
