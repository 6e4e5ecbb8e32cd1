/// Membership in the groups of one hub.
///
/// A group is a name: it exists while it has members, and what a name looks like is the application's business, but it
/// is not empty and has at most 8 KiB. Names are compared exactly. Membership ends with the connection.
///
/// A connection may be in any number of groups, each of which takes memory on its node; a hub that lets clients choose
/// names decides how many are enough. What a classic client takes along to another node is the groups that fit 4 KiB.
public struct HubGroups: Sendable {
    let sender: HubSender

    /// Puts a connection into a group, wherever in the farm it lives.
    ///
    /// Returns once the node of the connection has done it, so that the next message to the group, sent from any node,
    /// is sure to reach it. Adding twice is adding once; an id that no connection has changes nothing and is no error.
    /// - Throws: ``HubSendError`` `emptyName`, `tooLarge`, `tooManyGroups`; `nodeGone` as soon as the node of the
    ///   connection is known to be dead; `timedOut` after ``HubConfiguration/groupTimeout``; or what the bus refused
    ///   with.
    public func add(_ connectionID: String, to group: String) async throws(HubSendError) {
        try await self.change(.add, connectionID, group)
    }

    /// Takes a connection out of a group, wherever in the farm it lives; otherwise like ``add(_:to:)``.
    public func remove(_ connectionID: String, from group: String) async throws(HubSendError) {
        try await self.change(.remove, connectionID, group)
    }

    private func change(
        _ action: GroupChange.Action,
        _ connectionID: String,
        _ group: String
    ) async throws(HubSendError) {
        try HubName.check(connectionID, is: "a connection id")
        try HubName.check(group, is: "a group name")
        let change = GroupChange(action, hub: self.sender.hub, group: group, connectionID: connectionID)
        try await self.sender.publisher.changeGroup(change)
    }
}
