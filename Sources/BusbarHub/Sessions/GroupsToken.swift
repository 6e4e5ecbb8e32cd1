package import Busbar
import BusbarProtocol
import NIOCore

/// A group of a hub, as a connection is in it.
package struct HubGroup: Hashable, Sendable {
    package let hub: String
    package let name: String

    package init(hub: String, name: String) {
        self.hub = hub
        self.name = name
    }
}

/// The membership list that a classic client carries, sealed and bound to its connection id.
package struct GroupsToken: Sendable {
    private static let purpose = "classic groups 1"
    /// Groups beyond this many are left out: the token travels in a URL.
    package static let limitBytes = 4_096

    private let key: FarmKey

    package init(key: FarmKey) {
        self.key = key
    }

    /// The token for a connection that is in `groups`, of which those that don't fit are left out.
    ///
    /// Why in no order: sorting thousands of groups at each change of one of them would keep the event loop busy.
    package func seal(_ groups: some Sequence<HubGroup>, connectionID: String) -> String {
        var bytes = ByteBuffer()
        Self.write(connectionID, into: &bytes)
        for group in groups {
            let needed = group.hub.utf8.count + group.name.utf8.count + 4
            guard bytes.readableBytes + needed <= Self.limitBytes else { continue }
            Self.write(group.hub, into: &bytes)
            Self.write(group.name, into: &bytes)
        }
        return self.key.seal(Array(bytes.readableBytesView), purpose: Self.purpose)
    }

    /// The groups in a token; none if it isn't ours, was made for another connection, or is no token at all.
    package func open(_ text: String?, connectionID: String) -> Set<HubGroup> {
        guard let text, let plain = self.key.open(text, purpose: Self.purpose) else { return [] }
        var bytes = ByteBuffer(bytes: plain)
        guard let id = Self.read(&bytes), id.lowercased() == connectionID.lowercased() else { return [] }
        var groups: Set<HubGroup> = []
        while let hub = Self.read(&bytes), let name = Self.read(&bytes) {
            groups.insert(HubGroup(hub: hub, name: name))
        }
        return groups
    }

    private static func write(_ text: String, into bytes: inout ByteBuffer) {
        bytes.writeInteger(UInt16(clamping: text.utf8.count))
        bytes.writeString(text)
    }

    private static func read(_ bytes: inout ByteBuffer) -> String? {
        bytes.readInteger(as: UInt16.self).flatMap { bytes.readString(length: Int($0)) }
    }
}
