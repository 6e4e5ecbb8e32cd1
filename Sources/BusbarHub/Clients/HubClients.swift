/// Whom an application can send to from anywhere.
public typealias HubClients = TypedClients<ClientProxy>

/// Whom a hub can send to: ``HubClients``, and others as seen from the caller.
public typealias HubCallerClients = TypedCallerClients<ClientProxy>

/// The clients of one hub, wherever in the farm they are connected. `Client` says how they are called.
///
/// Names are compared exactly. An unknown id, an empty list or a group without members is nobody, and that is no error;
/// an empty name is one, thrown by the call that would send. A name given twice in a list counts once. A connection in
/// two of several groups is sent two copies.
public struct TypedClients<Client: ClientContract>: Sendable {
    let sender: HubSender

    /// Every connection of the hub.
    public var all: Client { self.client(.one(.all(except: []))) }

    /// Every connection but these.
    public func allExcept(_ connectionIDs: some Sequence<String>) -> Client {
        self.client(.one(.all(except: Array(connectionIDs))))
    }

    /// Every connection but these.
    public func allExcept(_ connectionIDs: String...) -> Client { self.allExcept(connectionIDs) }

    /// One connection.
    public func client(_ connectionID: String) -> Client { self.client(.one(.connection(connectionID))) }

    /// Each of these connections.
    public func clients(_ connectionIDs: some Sequence<String>) -> Client {
        self.client(.each(connectionIDs) { .connection($0) })
    }

    /// The members of a group.
    public func group(_ name: String) -> Client { self.groupExcept(name, []) }

    /// The members of each of these groups.
    public func groups(_ names: some Sequence<String>) -> Client { self.groupsExcept(names, []) }

    /// The members of a group but these connections.
    public func groupExcept(_ name: String, _ connectionIDs: some Sequence<String>) -> Client {
        self.client(.one(.group(name, except: Array(connectionIDs))))
    }

    /// The members of each of these groups but these connections.
    public func groupsExcept(_ names: some Sequence<String>, _ connectionIDs: some Sequence<String>) -> Client {
        let excepted = Array(connectionIDs)
        return self.client(.each(names) { .group($0, except: excepted) })
    }

    /// Every connection of a user.
    public func user(_ id: String) -> Client { self.client(.one(.user(id))) }

    /// Every connection of each of these users.
    public func users(_ ids: some Sequence<String>) -> Client { self.client(.each(ids) { .user($0) }) }

    /// The same clients, called through a contract of the application; see ``ClientContract``.
    public func typed<Other: ClientContract>(_ contract: Other.Type) -> TypedClients<Other> {
        TypedClients<Other>(sender: self.sender)
    }

    private func client(_ target: ClientTarget) -> Client {
        Client(ClientProxy(sender: self.sender, target: target))
    }
}
