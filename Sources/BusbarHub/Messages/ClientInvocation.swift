package import Busbar
package import BusbarProtocol
import NIOCore

/// A call of one client's method that wants an answer, on its way to the node that has the client.
package struct ClientInvocation: Hashable, Sendable {
    /// The registered spelling of the hub's name.
    package var hub: String
    package var connectionID: String
    package var call: ClientCall
    /// How long the client may take; its node forgets the call then.
    package var timeoutMilliseconds: UInt32
    /// Whether a call or an event of the very connection asks: nothing else of that connection runs meanwhile.
    package var isFromOwnCall: Bool

    package init(
        hub: String, connectionID: String, call: ClientCall, timeout: Duration, isFromOwnCall: Bool = false
    ) {
        self.hub = hub
        self.connectionID = connectionID
        self.call = call
        self.timeoutMilliseconds = UInt32(clamping: timeout.inNanoseconds / 1_000_000)
        self.isFromOwnCall = isFromOwnCall
    }

    init(
        hub: String, connectionID: String, call: ClientCall, timeoutMilliseconds: UInt32, isFromOwnCall: Bool
    ) {
        self.hub = hub
        self.connectionID = connectionID
        self.call = call
        self.timeoutMilliseconds = timeoutMilliseconds
        self.isFromOwnCall = isFromOwnCall
    }

    /// The call as a message like others, without an id to answer to.
    package var message: HubMessage {
        HubMessage(hub: self.hub, audience: .connection(self.connectionID), body: .call(self.call))
    }

    /// The id by which the client's answer is known, which no other call to any client has.
    package static func id(for key: RequestKey) -> String {
        "\(String(key.node.process, radix: 36)).\(key.number)"
    }

    /// The message that the client is sent.
    func message(for key: RequestKey) -> HubMessage {
        var call = self.call
        call.invocationID = Self.id(for: key)
        return HubMessage(hub: self.hub, audience: .connection(self.connectionID), body: .call(call))
    }
}

/// What a client answers to a call of its method.
package enum ClientAnswer: Hashable, Sendable {
    case nothing
    case value(CallValue)
    /// Its method failed, and this is what it says about that.
    case failed(String)

    init(_ result: CoreResult) {
        switch result {
        case .void: self = .nothing
        case .value(let value): self = .value(value)
        case .error(let text): self = .failed(text)
        }
    }
}

// MARK: - Bytes

/// One byte that says which it is, then the value or the text.
extension ClientAnswer {
    private enum Code: UInt8 { case nothing = 1, json, messagePack, failed }

    func encoded() -> ByteBuffer {
        switch self {
        case .nothing: Self.bytes(.nothing, ByteBuffer())
        case .value(.json(let text)): Self.bytes(.json, text.bytes)
        case .value(.messagePack(let value)): Self.bytes(.messagePack, value.bytes)
        case .failed(let text): Self.bytes(.failed, ByteBuffer(string: text))
        }
    }

    /// Nil if the bytes are no answer.
    init?(reading bytes: ByteBuffer) {
        var bytes = bytes
        switch bytes.readInteger(as: UInt8.self).flatMap(Code.init(rawValue:)) {
        case .nothing: self = .nothing
        case .json:
            guard let text = try? JSONValueText(validating: bytes) else { return nil }
            self = .value(.json(text))
        case .messagePack:
            guard let value = try? PackedValue(validating: bytes) else { return nil }
            self = .value(.messagePack(value))
        case .failed: self = .failed(String(buffer: bytes))
        case nil: return nil
        }
    }

    private static func bytes(_ code: Code, _ rest: ByteBuffer) -> ByteBuffer {
        var bytes = ByteBuffer(integer: code.rawValue)
        bytes.writeImmutableBuffer(rest)
        return bytes
    }
}
