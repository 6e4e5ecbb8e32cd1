public import BusbarProtocol

/// The state that a classic client keeps with its proxy of the hub, as the call at hand sees it.
///
/// A classic client sends all of its state with every call. What the method sets goes back with the result, and with
/// every message to the caller that is sent after the change; the client takes it over. The server keeps nothing.
///
/// ```swift
/// func join() async throws {
///     let name: String? = self.clients.callerState.userName          // chat.state.userName = "Bob" on the page
///     let city = self.clients.callerState["address"]?["city"]        // any JSON, by member or index
///     self.clients.callerState.company = "ACME"                      // chat.state.company on the page from now on
/// }
/// ```
///
/// Names are compared exactly. Core clients have no state: for them everything is nil, and setting does nothing. In
/// events, nothing has come from the client, but what is set reaches it with the next message to the caller.
@dynamicMemberLookup
public struct CallerState: Sendable {
    let exchange: ClassicExchange?

    /// The member `name`, whatever JSON it is; nil if the client has none of that name. Setting nil sets `null`.
    public subscript(name: String) -> JSONNode? {
        get { self.exchange?.withBag { $0.value(of: name) } }
        nonmutating set { self.exchange?.withBag { $0.set(name, to: newValue ?? .null) } }
    }

    /// The member `name` as a Swift type; nil if the client has none of that name, or one of another type.
    ///
    /// Setting nil sets `null`. Setting what JSON can't express, such as an infinite number, fails the call.
    public subscript<Value: Codable & Sendable>(dynamicMember name: String) -> Value? {
        get {
            guard let node = self[name], node != .null else { return nil }
            return try? JSONValueText(encoding: node).decode(Value.self, leniency: .classic)
        }
        nonmutating set {
            guard let newValue else { return self[name] = JSONNode.null }
            do throws(JSONCodingError) {
                self[name] = try JSONValueText(encoding: newValue).decode(JSONNode.self)
            } catch {
                self.exchange?.withBag { $0.failed(to: name, error) }
            }
        }
    }
}
