import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

@Suite("Replaying what a classic client missed")
struct ReplayFilterTests {
    private func message(_ audience: Audience, _ text: String, hub: String = "H") throws -> HubRecord {
        .message(HubMessage(hub: hub, audience: audience, method: text, arguments: .empty))
    }

    private func change(_ action: GroupChange.Action, _ group: String, id: String = "a") -> HubRecord {
        .groupCommand(
            GroupChange(action, hub: "H", group: group, connectionID: id), requester: .nobody)
    }

    private func replay(
        _ records: [HubRecord], before: Set<String> = [], now: Set<String> = []
    ) -> (texts: [String], groups: Set<String>) {
        let before = Set(before.map { HubGroup(hub: "H", name: $0) }),
            now = Set(now.map { HubGroup(hub: "H", name: $0) })
        var filter = ReplayFilter(connectionID: "a", userID: "u", hubs: ["H"], before: before, now: now)
        let wanted = records.filter { filter.isWanted($0) }
        let (messages, groups) = ReplayFilter.resolve(wanted, before: before, now: now)
        return (messages.compactMap(\.method), Set(groups.map(\.name)))
    }

    @Test("it gets what is for all, for it, for its user and its groups, in its hubs, and nothing else")
    func audiences() throws {
        let records = [
            try self.message(.all(except: []), "1"), try self.message(.all(except: ["a"]), "no"),
            try self.message(.connection("a"), "2"), try self.message(.connection("b"), "no"),
            try self.message(.user("u"), "3"), try self.message(.user("U"), "no"),
            try self.message(.group("g", except: []), "4"), try self.message(.group("g", except: ["a"]), "no"),
            try self.message(.group("h", except: []), "no"), try self.message(.all(except: []), "no", hub: "Other"),
        ]
        expect(self.replay(records, now: ["g"]).texts == ["1", "2", "3", "4"])
    }

    @Test("group changes take effect where they stand in the stream")
    func changes() throws {
        let records = [
            try self.message(.group("g", except: []), "1"), self.change(.remove, "g"),
            try self.message(.group("g", except: []), "no"), self.change(.add, "g", id: "b"),
            try self.message(.group("g", except: []), "no"), self.change(.add, "g"),
            try self.message(.group("g", except: []), "2"),
        ]
        let (texts, groups) = self.replay(records, before: ["g"], now: ["g"])
        expect(texts == ["1", "2"])
        expect(groups == ["g"])
    }

    @Test("a group it entered while away is heard from its entry on, not before")
    func entered() throws {
        let records = [
            try self.message(.group("g", except: []), "no"), self.change(.add, "g"),
            try self.message(.group("g", except: []), "1"),
        ]
        expect(self.replay(records, before: [], now: ["g"]).texts == ["1"])
        expect(self.replay(records, before: ["g"], now: ["g"]).texts == ["no", "1"])
    }
}
