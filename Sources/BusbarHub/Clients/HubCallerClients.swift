/// The clients of one hub, wherever in the farm they are connected, as seen from one of them, the caller.
///
/// Has every member of ``TypedClients``, with the same rules.
public struct TypedCallerClients<Client: ClientContract>: Sendable {
    let call: HubCall

    private var clients: TypedClients<Client> { TypedClients(sender: self.call.sender) }

    private var callerID: String { self.call.context.id }

    /// The connection that made the call or that the event is about. Messages to it carry what the call has changed in
    /// ``callerState``.
    public var caller: Client {
        let target = ClientTarget.one(.connection(self.callerID))
        return Client(ClientProxy(sender: self.call.sender, target: target, exchange: self.call.exchange))
    }

    /// What a classic caller keeps as the state of its proxy of the hub.
    public var callerState: CallerState { CallerState(exchange: self.call.exchange) }

    /// Every connection but the caller.
    public var others: Client { self.clients.allExcept(CollectionOfOne(self.callerID)) }

    /// The members of a group but the caller.
    public func othersInGroup(_ name: String) -> Client {
        self.clients.groupExcept(name, CollectionOfOne(self.callerID))
    }

    /// The members of each of these groups but the caller.
    public func othersInGroups(_ names: some Sequence<String>) -> Client {
        self.clients.groupsExcept(names, CollectionOfOne(self.callerID))
    }

    /// The same clients, called through a contract of the application; see ``ClientContract``.
    public func typed<Other: ClientContract>(_ contract: Other.Type) -> TypedCallerClients<Other> {
        TypedCallerClients<Other>(call: self.call)
    }
}

extension TypedCallerClients {
    /// Every connection of the hub.
    public var all: Client { self.clients.all }

    /// Every connection but these.
    public func allExcept(_ connectionIDs: some Sequence<String>) -> Client { self.clients.allExcept(connectionIDs) }

    /// Every connection but these.
    public func allExcept(_ connectionIDs: String...) -> Client { self.clients.allExcept(connectionIDs) }

    /// One connection.
    public func client(_ connectionID: String) -> Client { self.clients.client(connectionID) }

    /// Each of these connections.
    public func clients(_ connectionIDs: some Sequence<String>) -> Client { self.clients.clients(connectionIDs) }

    /// The members of a group.
    public func group(_ name: String) -> Client { self.clients.group(name) }

    /// The members of each of these groups.
    public func groups(_ names: some Sequence<String>) -> Client { self.clients.groups(names) }

    /// The members of a group but these connections.
    public func groupExcept(_ name: String, _ connectionIDs: some Sequence<String>) -> Client {
        self.clients.groupExcept(name, connectionIDs)
    }

    /// The members of each of these groups but these connections.
    public func groupsExcept(_ names: some Sequence<String>, _ connectionIDs: some Sequence<String>) -> Client {
        self.clients.groupsExcept(names, connectionIDs)
    }

    /// Every connection of a user.
    public func user(_ id: String) -> Client { self.clients.user(id) }

    /// Every connection of each of these users.
    public func users(_ ids: some Sequence<String>) -> Client { self.clients.users(ids) }
}
