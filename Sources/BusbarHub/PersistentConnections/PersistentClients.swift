import BusbarProtocol

/// The clients of a persistent connection, wherever in the farm they are connected.
///
/// A value is written as JSON once, whatever the number of receivers. A call returns once the bus has accepted it;
/// nobody of that name is no error.
/// - Throws: ``HubSendError`` `emptyName`, `tooLarge` or `argumentNotEncodable`, each before anything is sent, or what the
///   bus refused with.
public struct PersistentClients: Sendable {
    let sender: HubSender

    /// Sends to every connection but those excepted.
    public func broadcast(
        _ value: some Encodable & Sendable, except connectionIDs: [String] = []
    ) async throws(HubSendError) {
        try await self.send(try Self.text(of: value), .all(except: connectionIDs))
    }

    /// Sends to one connection.
    public func send(_ value: some Encodable & Sendable, to connectionID: String) async throws(HubSendError) {
        try await self.send(value, to: CollectionOfOne(connectionID))
    }

    /// Sends to each of these connections.
    public func send(
        _ value: some Encodable & Sendable, to connectionIDs: some Sequence<String>
    ) async throws(HubSendError) {
        let ids = Array(connectionIDs)
        for id in ids { try HubName.check(id, is: "a connection id") }
        let text = try Self.text(of: value)
        for id in ids { try await self.send(text, .connection(id)) }
    }

    /// Sends to every connection that listens to a signal; see ``PersistentConnection/signals(for:)``.
    public func send(_ value: some Encodable & Sendable, toSignal signal: String) async throws(HubSendError) {
        try HubName.check(signal, is: "a signal")
        let message = HubMessage(
            hub: RegisteredHub.name(ofSignal: signal, in: self.sender.hub), audience: .all(except: []),
            body: .value(try Self.text(of: value)))
        try await self.sender.publisher.publish(message)
    }

    func send(_ text: JSONValueText, _ audience: Audience) async throws(HubSendError) {
        try await self.sender.publisher.publish(
            HubMessage(hub: self.sender.hub, audience: audience, body: .value(text)))
    }

    static func text(of value: some Encodable) throws(HubSendError) -> JSONValueText {
        if let prepared = value as? PreparedJSON { return prepared.text }
        do throws(JSONCodingError) {
            return try JSONValueText(encoding: value)
        } catch {
            throw HubSendError(.argumentNotEncodable, "a value: \(error.detail)")
        }
    }
}

/// The groups of a persistent connection. What holds for ``HubGroups`` holds for them.
public struct PersistentGroups: Sendable {
    let sender: HubSender

    /// Puts a connection into a group; see ``HubGroups/add(_:to:)``.
    public func add(_ connectionID: String, to group: String) async throws(HubSendError) {
        try await HubGroups(sender: self.sender).add(connectionID, to: group)
    }

    /// Takes a connection out of a group; see ``HubGroups/remove(_:from:)``.
    public func remove(_ connectionID: String, from group: String) async throws(HubSendError) {
        try await HubGroups(sender: self.sender).remove(connectionID, from: group)
    }

    /// Sends to the members of a group but those excepted; see ``PersistentClients``.
    public func send(
        _ value: some Encodable & Sendable, to group: String, except connectionIDs: [String] = []
    ) async throws(HubSendError) {
        try await self.send(value, to: CollectionOfOne(group), except: connectionIDs)
    }

    /// Sends to the members of each of these groups but those excepted: one copy for each group.
    public func send(
        _ value: some Encodable & Sendable, to groups: some Sequence<String>, except connectionIDs: [String] = []
    ) async throws(HubSendError) {
        let names = Array(groups)
        for name in names { try HubName.check(name, is: "a group name") }
        let text = try PersistentClients.text(of: value)
        let clients = PersistentClients(sender: self.sender)
        for name in names { try await clients.send(text, .group(name, except: connectionIDs)) }
    }
}

/// A persistent connection seen from outside, for as long as the runtime lives.
public struct PersistentConnectionContext: Sendable {
    let sender: HubSender

    /// Whom to send to.
    public var connection: PersistentClients { PersistentClients(sender: self.sender) }

    /// Who is in which group of the endpoint, and how to send to them.
    public var groups: PersistentGroups { PersistentGroups(sender: self.sender) }
}
