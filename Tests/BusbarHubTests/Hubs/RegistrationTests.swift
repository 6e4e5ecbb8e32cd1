import BusbarHub
import Testing

private struct ChatHub: Hub {
    let call: HubCall
    init(_ call: HubCall) { self.call = call }
    static var methods: [HubMethod<Self>] { [] }
}

private struct RoomHub<Kind>: Hub {
    let call: HubCall
    init(_ call: HubCall) { self.call = call }
    static var methods: [HubMethod<Self>] { [] }
}

private struct StockHub: Hub {
    let call: HubCall
    init(_ call: HubCall) { self.call = call }
    static var name: String { "stocks" }
    static var methods: [HubMethod<Self>] { [HubMethod("", quote)] }
    func quote() {}
}

@Suite("Registering hubs")
struct RegistrationTests {
    @Test("a hub is named after its type, and its path after its name")
    func defaults() throws {
        let table = try HubTable([.hub(ChatHub.self)])
        #expect(table.hubs.map(\.name) == ["ChatHub"])
        #expect(table.hubs.map(\.path) == ["/chatHub"])
        #expect(RoomHub<[Int]>.name == "RoomHub")
    }

    @Test("classic 64: hubs are found by name and path in any case")
    func lookup() throws {
        let table = try HubTable([.hub(ChatHub.self, path: "/chat"), .hub(ChatHub.self, name: "Other")])
        for name in ["ChatHub", "chatHub", "CHATHUB", "chathub"] {
            #expect(table.hub(named: name) === table.hubs[0])
        }
        #expect(table.hub(named: "oTHER") === table.hubs[1])
        #expect(table.hub(at: "/chat") === table.hubs[0])
        #expect(table.hub(at: "/CHAT") === table.hubs[0])
        #expect(table.hub(at: "/chat/") == nil)
        #expect(table.hub(named: "Chat") == nil)
        #expect(table.hub(named: "") == nil)
    }

    @Test("two hubs whose names differ in case alone are refused; the error names both")
    func duplicateNames() throws {
        let error = try #require(throws: HubRegistrationError.self) {
            try HubTable([.hub(ChatHub.self), .hub(ChatHub.self, name: "chathub", path: "/x")])
        }
        #expect(error.code == .duplicateName)
        #expect(error.detail.contains("'ChatHub'") && error.detail.contains("'chathub'"))
    }

    @Test("two hubs with one path are refused; the error names both")
    func duplicatePaths() throws {
        let error = try #require(throws: HubRegistrationError.self) {
            try HubTable([.hub(ChatHub.self, path: "/chat"), .hub(ChatHub.self, name: "B", path: "/Chat")])
        }
        #expect(error.code == .duplicatePath)
        #expect(error.detail.contains("'/chat'") && error.detail.contains("'/Chat'"))
    }

    @Test(
        "names that clients cannot use are refused",
        arguments: ["", "a.b", "a/b", "a b", "a\n", String(repeating: "a", count: 129)])
    func invalidNames(name: String) throws {
        let error = try #require(throws: HubRegistrationError.self) {
            try HubTable([.hub(ChatHub.self, name: name, path: "/x")])
        }
        #expect(error.code == .invalidName)
    }

    @Test(
        "paths that no request can have are refused",
        arguments: ["", "/", "chat", "/chat/", "//x", "/a?b", "/ä", "/%41"])
    func invalidPaths(path: String) throws {
        let error = try #require(throws: HubRegistrationError.self) {
            try HubTable([.hub(ChatHub.self, path: path)])
        }
        #expect(error.code == .invalidPath)
    }

    @Test("a method without a name is refused; the error names the hub")
    func invalidMethod() throws {
        let error = try #require(throws: HubRegistrationError.self) { try HubTable([.hub(StockHub.self)]) }
        #expect(error.code == .invalidMethod)
        #expect(error.detail.contains("'stocks'"))
    }
}
