/// Which clients of a hub: one audience, or several that are each sent a copy.
enum ClientTarget: Hashable, Sendable {
    case one(Audience)
    case several([Audience])

    /// One audience for each name, the first time it appears.
    static func each(_ names: some Sequence<String>, _ audience: (String) -> Audience) -> Self {
        var seen: Set<String> = []
        return .several(names.compactMap { seen.insert($0).inserted ? audience($0) : nil })
    }

    /// Every name is usable, so that nothing is sent to the first of several when the last is not.
    func check() throws(HubSendError) {
        switch self {
        case .one(let audience): try audience.check()
        case .several(let audiences):
            for audience in audiences { try audience.check() }
        }
    }
}

extension Audience {
    fileprivate func check() throws(HubSendError) {
        switch self {
        case .all: break
        case .connection(let id): try HubName.check(id, is: "a connection id")
        case .group(let group, _): try HubName.check(group, is: "a group name")
        case .user(let user): try HubName.check(user, is: "a user id")
        }
    }
}
