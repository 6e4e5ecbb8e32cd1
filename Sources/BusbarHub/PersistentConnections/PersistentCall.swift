import BusbarProtocol
import Synchronization

/// What an instance of a persistent connection is made for: one message of a client, or one event of it.
public struct PersistentCall: Sendable {
    /// The connection that the message or event is about.
    public let context: ConnectionContext

    let sender: HubSender
    let response: ResponseBox

    init(_ call: HubCall, response: ResponseBox = ResponseBox()) {
        self.context = call.context
        self.sender = call.sender
        self.response = response
    }
}

/// What the application answers a message with directly.
final class ResponseBox: Sendable {
    private let text = Mutex<JSONValueText?>(nil)

    func set(_ text: JSONValueText) { self.text.withLock { $0 = text } }

    func get() -> JSONValueText? { self.text.withLock { $0 } }
}
