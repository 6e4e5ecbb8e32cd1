import BusbarHub
import BusbarProtocol
import NIOCore
import Testing

private struct OpenHub: Hub {
    let call: HubCall
    init(_ call: HubCall) { self.call = call }

    static var methods: [HubMethod<Self>] {
        [
            HubMethod("free") { (_: Self) in 1 },
            HubMethod("Delete") { (_: Self) in 2 }.requiring(.roles("editor", "owner")),
            HubMethod("both") { (_: Self) in 3 }.requiring(.users("Ann", "bob"), .roles("owner")),
            HubMethod("odd") { (_: Self) in 4 }.requiring(.custom { $0.method == "odd" && $0.user == nil }),
        ]
    }
}

private struct ClosedHub: Hub {
    let call: HubCall
    init(_ call: HubCall) { self.call = call }

    static var authorization: HubAuthorization { .required(.authenticated, .roles("member")) }
    static var methods: [HubMethod<Self>] { [HubMethod("free") { (_: Self) in 1 }] }
}

private struct ListenHub: Hub {
    let call: HubCall
    init(_ call: HubCall) { self.call = call }

    static var authorization: HubAuthorization { .requiredForCalls(.authenticated) }
    static var methods: [HubMethod<Self>] { [HubMethod("free") { (_: Self) in 1 }] }
}

@Suite("Who may connect, and who may call")
struct AuthorizationTests {
    private static let request = ConnectionRequest(path: "/")
    private static let somebody = Principal(name: "eve")

    private func bench(
        _ hub: HubRegistration, as user: Principal?, pipeline: HubPipeline = HubPipeline()
    ) throws -> Bench {
        let context = ConnectionContext(id: "c", user: user, request: Self.request, transport: .webSockets)
        return try Bench(hub, pipeline: pipeline, context: context)
    }

    @Test(
        "classic 76, 77: a method asks for a role, a user or anything else, and all that it asks for",
        arguments: [
            ("free", nil, true), ("delete", nil, false), ("delete", Principal(name: "eve"), false),
            ("DELETE", Principal(name: "eve", roles: ["owner", "x"]), true),
            ("delete", Principal(name: "eve", roles: ["Owner"]), false),
            ("delete", Principal(name: "", roles: ["owner"]), false),
            ("both", Principal(name: "ANN", roles: ["owner"]), true), ("both", Principal(name: "ann"), false),
            ("both", Principal(name: "eve", roles: ["owner"]), false),
            ("odd", nil, true), ("odd", Principal(name: "ann"), false),
        ] as [(String, Principal?, Bool)])
    func methods(method: String, user: Principal?, isAllowed: Bool) async throws {
        let outcome = try await self.bench(.hub(OpenHub.self), as: user).call(method)
        #expect((outcome.failure == nil) == isAllowed)
        if !isAllowed { #expect(outcome.failure?.kind == .notAuthorized) }
    }

    @Test("classic 77: a refusal has a general text unless detailed errors are on, and then the registered names")
    func texts() async throws {
        let failure = try #require(try await self.bench(.hub(OpenHub.self), as: nil).call("DELETE").failure)
        #expect(
            failure.classicText(hub: "openhub", method: "DELETE", detailed: false)
                == "There was an error invoking Hub method 'openhub.DELETE'.")
        #expect(
            failure.classicText(hub: "openhub", method: "DELETE", detailed: true)
                == "Caller is not authorized to invoke the Delete method on OpenHub.")
        #expect(
            failure.coreText(method: "DELETE", detailed: false)
                == "Failed to invoke 'DELETE' because user is unauthorized")
        #expect(failure.isClientsDoing)
    }

    @Test("classic 76: what a hub asks for holds for connecting and calling")
    func closedHub() async throws {
        let member = Principal(name: "eve", roles: ["member"])
        for (user, isAllowed) in [(nil, false), (Self.somebody, false), (member, true)] as [(Principal?, Bool)] {
            let bench = try self.bench(.hub(ClosedHub.self), as: user)
            #expect(bench.hub.admits(user, Self.request) == isAllowed)
            #expect((try await bench.call("free").failure == nil) == isAllowed)
            // Why: whoever may not call learns nothing of what there would be to call.
            if !isAllowed { #expect(try await bench.call("unknown").failure?.kind == .notAuthorized) }
        }
    }

    @Test("classic 76: a hub that asks only callers lets anybody connect")
    func listening() async throws {
        let bench = try self.bench(.hub(ListenHub.self), as: nil)
        #expect(bench.hub.admits(nil, Self.request))
        #expect(try await bench.call("free").failure?.kind == .notAuthorized)
        #expect(try await self.bench(.hub(ListenHub.self), as: Self.somebody).call("free").failure == nil)
    }

    @Test("what the pipeline asks for holds for every hub")
    func global() async throws {
        let pipeline = HubPipeline(requirements: [.authenticated])
        let anonymous = try self.bench(.hub(OpenHub.self), as: nil, pipeline: pipeline)
        #expect(!anonymous.hub.admits(nil, Self.request))
        #expect(try await anonymous.call("free").failure?.kind == .notAuthorized)
        let known = try self.bench(.hub(OpenHub.self), as: Self.somebody, pipeline: pipeline)
        #expect(known.hub.admits(Self.somebody, Self.request))
        #expect(try await known.call("free").failure == nil)
    }

    @Test("a requirement of the application sees who wants what")
    func custom() async throws {
        let pipeline = HubPipeline(requirements: [
            .custom { $0.hub == "OpenHub" && $0.request.path == "/" && ($0.method == nil || $0.method == "free") }
        ])
        let bench = try self.bench(.hub(OpenHub.self), as: nil, pipeline: pipeline)
        #expect(bench.hub.admits(nil, Self.request))
        #expect(!bench.hub.admits(nil, ConnectionRequest(path: "/other")))
        #expect(try await bench.call("free").failure == nil)
        #expect(try await bench.call("odd").failure?.kind == .notAuthorized)
    }

    @Test("classic 76, 77: over a connection a refused call fails and the connection survives")
    func overTheWire() async throws {
        try await Room.open(hubs: [.hub(OpenHub.self)]) { room in
            let peer = try await room.classic("a", hubs: ["OpenHub"])
            _ = try await peer.envelope()
            try await peer.call("delete", id: 1, hub: "openHub")
            #expect(
                await peer.next()
                    == #"{"I":"1","E":"There was an error invoking Hub method 'openHub.delete'."}"#)
            try await peer.call("free", id: 2, hub: "openHub")
            #expect(await peer.next() == #"{"R":1,"I":"2"}"#)
        }
    }
}
